//! An upgraded stream: raw bytes both ways between a connection and the link, each half to its own end.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf as _, Bytes, BytesMut};
use http_body::Body as _;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    time::sleep,
};

use super::{
    handles::{Body, BodyError, BodyWriter},
    limits::{CARRY_LARGE, CARRY_SMALL},
};
use crate::{
    session::{Stopped, StreamError},
    wire::ResetCode,
};

/// Why raw bytes were cut short, in either direction or both.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The connection failed.
    #[error("the connection broke: {0}")]
    Connection(#[from] io::Error),
    /// The stream failed: the link is lost, or the other side's connection broke.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// What came over the stream is not what was promised.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// Nothing has moved in either direction for too long.
    #[error("nothing has moved for {0:?}")]
    Idle(Duration),
}

/// Carries bytes from the connection to the stream and back, until both directions have ended; the end of one is
/// passed on as an end, and the other goes on. `early` has been read from the connection already. Whoever reads slowly
/// slows the writer: beyond one piece each way nothing is held here.
///
/// # Errors
/// [`Broken`] if a direction was cut short. The stream is reset then. The connection is the caller's to reset.
pub async fn carry<S>(
    io: &mut S,
    early: Bytes,
    body: Body,
    writer: BodyWriter,
    idle: Option<Duration>,
) -> Result<(), Broken>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut outward = Outward { writer: Some(writer), unsent: early, buffer: BytesMut::new(), room: CARRY_SMALL };
    let mut inward = Inward { body, unwritten: Bytes::new(), state: State::Carrying };
    let mut moved = false;
    let mut idle = idle.map(|period| (period, Box::pin(sleep(period))));
    let carried = poll_fn(|cx| {
        let sent = outward.poll(io, &mut moved, cx)?;
        let received = inward.poll(io, &mut moved, cx)?;
        if sent.is_ready() && received.is_ready() {
            return Poll::Ready(Ok(()));
        }
        let Some((period, timer)) = &mut idle else { return Poll::Pending };
        if std::mem::take(&mut moved) {
            timer.as_mut().set(sleep(*period));
        }
        timer.as_mut().poll(cx).map(|()| Err(Broken::Idle(*period)))
    });
    let carried = carried.await;
    if let (Err(broken), Some(writer)) = (&carried, outward.writer) {
        // No word of the operating system's travels.
        let why = match broken {
            Broken::Idle(_) => "nothing has moved for too long",
            _ => "the connection broke",
        };
        writer.reset(ResetCode::Aborted, why);
    }
    carried
}

/// From the connection to the stream.
struct Outward {
    /// `None` once the connection has ended.
    writer: Option<BodyWriter>,
    unsent: Bytes,
    /// What is read into; a stream that waits keeps only a small one.
    buffer: BytesMut,
    /// How much is read at once: little, until so much comes at once.
    room: usize,
}

impl Outward {
    fn poll<S>(&mut self, io: &mut S, moved: &mut bool, cx: &mut Context<'_>) -> Poll<Result<(), Broken>>
    where
        S: AsyncRead + Unpin,
    {
        while let Some(writer) = &self.writer {
            while !self.unsent.is_empty() {
                ready!(writer.poll_write(&mut self.unsent, cx))?;
                *moved = true;
            }
            self.buffer.reserve(self.room);
            let Poll::Ready(read) = pin!(io.read_buf(&mut self.buffer)).poll(cx) else {
                if self.room > CARRY_SMALL {
                    self.buffer = BytesMut::new();
                }
                return writer.poll_stopped(cx).map(|stopped| match stopped {
                    Stopped::Unwanted(error) => Err(error.into()),
                    Stopped::Overdue => unreachable!("a stream that is answered has no deadline"),
                });
            };
            let read = read?;
            self.room = if read < CARRY_SMALL { CARRY_SMALL } else { CARRY_LARGE };
            self.unsent = std::mem::take(&mut self.buffer).freeze();
            if read == 0
                && let Some(writer) = self.writer.take()
            {
                *moved = true;
                writer.finish(None);
            }
        }
        Poll::Ready(Ok(()))
    }
}

/// From the stream to the connection.
struct Inward {
    body: Body,
    unwritten: Bytes,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Carrying,
    /// The stream has ended; the connection is to be told.
    Ending,
    Ended,
}

impl Inward {
    fn poll<S>(&mut self, io: &mut S, moved: &mut bool, cx: &mut Context<'_>) -> Poll<Result<(), Broken>>
    where
        S: AsyncWrite + Unpin,
    {
        while self.state == State::Carrying {
            while !self.unwritten.is_empty() {
                let written = ready!(Pin::new(&mut *io).poll_write(cx, &self.unwritten))?;
                if written == 0 {
                    return Poll::Ready(Err(io::Error::from(io::ErrorKind::WriteZero).into()));
                }
                self.unwritten.advance(written);
                *moved = true;
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                // There are no trailers behind raw bytes: they say nothing.
                Poll::Ready(Some(frame)) => self.unwritten = frame?.into_data().unwrap_or_default(),
                Poll::Ready(None) => self.state = State::Ending,
                Poll::Pending => {
                    ready!(Pin::new(&mut *io).poll_flush(cx))?;
                    return Poll::Pending;
                }
            }
        }
        if self.state == State::Ending {
            ready!(Pin::new(io).poll_shutdown(cx))?;
            self.state = State::Ended;
        }
        Poll::Ready(Ok(()))
    }
}
