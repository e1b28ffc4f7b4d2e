//! The driver: one task a link that moves packets between the socket and the session. It decides nothing.
//!
//! Each round it reads until the socket is empty or the round's share is used, writes everything that is ready into
//! the socket's buffer, and flushes once; that batching is worth more than every other choice together. It never
//! waits for a flush before it reads on: both ends could fill their sockets and wait for each other.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Instant,
};

use futures_util::{Sink, SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite},
    time::Sleep,
};
use tokio_tungstenite::tungstenite::{
    self, Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};
use tracing::trace;

use super::{
    connection::Connection,
    incoming::Incoming,
    limits::{BYTES_PER_ROUND, CLOSE_TIMEOUT, MESSAGES_PER_ROUND},
    shared::{News, Shared},
    socket::Socket,
};
use crate::{
    session::{Session, SessionError},
    wire::{Credential, Packet, ServiceName},
};

/// What the driver hands on.
#[derive(Debug)]
pub enum Notice {
    /// A request to answer (agent).
    Request(Incoming),
    /// The agent's services from now on (gateway).
    Services(Vec<ServiceName>),
    /// A fresh credential of the agent, to be judged (gateway).
    Renewed(Credential),
    /// The peer takes or opens no new streams.
    GoAway,
}

/// How a link ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkEnd {
    /// A side said go-away, and everything in flight has finished.
    #[error("drained")]
    Drained,
    /// This side closed it.
    #[error("closed by this side")]
    Closed,
    /// This side closed it and said why.
    #[error("closed by this side: {0}")]
    Dismissed(&'static str),
    /// The peer closed it.
    #[error("closed by the peer ({code}{}{reason})", if reason.is_empty() { "" } else { ": " })]
    ClosedByPeer {
        /// The WebSocket close code; 1005 if there was none.
        code: u16,
        /// The peer's words.
        reason: String,
    },
    /// The peer broke the protocol, or is dead.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The connection failed.
    #[error("the connection was lost: {0}")]
    Lost(String),
}

/// A link that is ready to run.
#[derive(Debug)]
pub struct Link<S> {
    socket: Socket<S>,
    shared: Arc<Shared>,
    timer: Pin<Box<Sleep>>,
    /// Bytes written when the socket was last seen full.
    written: u64,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Link<S> {
    pub(super) fn new(socket: Socket<S>, session: Session) -> Self {
        let timer = Box::pin(tokio::time::sleep_until(session.poll_timeout().into()));
        Self { socket, shared: Arc::new(Shared::new(session)), timer, written: 0 }
    }

    /// The handle that opens streams.
    pub fn connection(&self) -> Connection {
        Connection { shared: self.shared.clone() }
    }

    /// Runs the link to its end. When it returns every stream is over, and the peer was told why where it listens.
    pub async fn run(mut self, mut on_notice: impl FnMut(Notice)) -> LinkEnd {
        let end = std::future::poll_fn(|cx| self.poll_round(cx, &mut on_notice)).await;
        self.shared.with(|inner| inner.session.handle_lost());
        self.close(&end).await;
        end
    }

    fn poll_round(&mut self, cx: &mut Context<'_>, on_notice: &mut impl FnMut(Notice)) -> Poll<LinkEnd> {
        let now = tokio::time::Instant::now().into_std();
        self.shared.with(|inner| {
            inner.session.note_time(now);
            // Nobody needs to wake a driver that is running.
            inner.driver = None;
        });
        let read = self.read(now, cx);
        self.hand_on(on_notice);
        let more_to_read = match read {
            Ok(more) => more,
            Err(end) => return Poll::Ready(end),
        };
        if let Err(end) = self.watch_time(now, cx) {
            return Poll::Ready(end);
        }
        let blocked = match self.write(now, cx) {
            Ok(blocked) => blocked,
            Err(error) => return Poll::Ready(LinkEnd::Lost(error.to_string())),
        };
        if more_to_read {
            cx.waker().wake_by_ref();
        }
        self.rest(blocked, cx)
    }

    /// Reads this round's share. `Ok(true)`: there may be more.
    fn read(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<bool, LinkEnd> {
        let before = self.socket.get_ref().read();
        for nth in 0..MESSAGES_PER_ROUND {
            let message = match self.socket.poll_next_unpin(cx) {
                Poll::Pending => {
                    if nth == 0 && self.socket.get_ref().read() != before {
                        self.shared.with(|inner| inner.session.handle_progress(now));
                    }
                    return Ok(false);
                }
                Poll::Ready(None) => return Err(LinkEnd::Lost("closed without a word".to_owned())),
                Poll::Ready(Some(Err(error))) => return Err(unreadable(&error)),
                Poll::Ready(Some(Ok(message))) => message,
            };
            self.handle(message, now)?;
        }
        Ok(true)
    }

    fn handle(&mut self, message: Message, now: Instant) -> Result<(), LinkEnd> {
        trace!(bytes = message.len(), text = message.is_text(), "frame received");
        self.shared.with(|inner| match message {
            Message::Text(text) => Ok(inner.session.handle_text(&text, now)?),
            Message::Binary(data) => Ok(inner.session.handle_data(data, now)?),
            Message::Ping(_) => Ok(inner.session.handle_ping(now)?),
            Message::Pong(_) => {
                inner.session.handle_pong(now);
                Ok(())
            }
            Message::Close(frame) => Err(match frame {
                // It goes into logs: no line of its own making.
                Some(frame) => LinkEnd::ClosedByPeer {
                    code: frame.code.into(),
                    reason: frame.reason.replace(char::is_control, " "),
                },
                None => LinkEnd::ClosedByPeer { code: 1005, reason: String::new() },
            }),
            Message::Frame(_) => unreachable!("raw frames are never read"),
        })
    }

    fn hand_on(&self, on_notice: &mut impl FnMut(Notice)) {
        while let Some(news) = self.shared.with(|inner| inner.news.pop_front()) {
            on_notice(match news {
                News::Opened(id, head) => Notice::Request(Incoming::new(self.shared.clone(), id, head)),
                News::Services(services) => Notice::Services(services),
                News::Renewed(credential) => Notice::Renewed(credential),
                News::GoAway => Notice::GoAway,
            });
        }
    }

    fn watch_time(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<(), LinkEnd> {
        loop {
            let next = self.shared.with(|inner| inner.session.poll_timeout());
            if self.timer.deadline() != next.into() {
                self.timer.as_mut().reset(next.into());
            }
            if self.timer.as_mut().poll(cx).is_pending() {
                return Ok(());
            }
            self.shared.with(|inner| inner.session.handle_timeout(now.max(next)))?;
        }
    }

    /// Hands the socket this round's share and flushes once. `Ok(true)`: the socket is full, and wakes the task when
    /// it is not.
    fn write(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<bool, tungstenite::Error> {
        let mut bytes = 0;
        let mut blocked = false;
        while bytes < BYTES_PER_ROUND {
            match Pin::new(&mut self.socket).poll_ready(cx) {
                Poll::Pending => {
                    blocked = true;
                    break;
                }
                Poll::Ready(ready) => ready?,
            }
            let Some(packet) = self.shared.with(|inner| inner.session.poll_packet()) else { break };
            let message = match packet {
                Packet::Text(text) => Message::Text(text.into()),
                Packet::Data(data) => Message::Binary(data),
                Packet::Ping => Message::Ping(bytes::Bytes::new()),
            };
            trace!(bytes = message.len(), text = message.is_text(), "frame sent");
            bytes += message.len();
            Pin::new(&mut self.socket).start_send(message)?;
        }
        match Pin::new(&mut self.socket).poll_flush(cx) {
            Poll::Pending => blocked = true,
            Poll::Ready(flushed) => flushed?,
        }
        self.note_blocked(blocked, now);
        Ok(blocked)
    }

    fn note_blocked(&mut self, blocked: bool, now: Instant) {
        let written = self.socket.get_ref().written();
        let progress = written != std::mem::replace(&mut self.written, written);
        self.shared.with(|inner| {
            if progress {
                inner.session.handle_blocked(false, now);
            }
            inner.session.handle_blocked(blocked, now);
        });
    }

    /// Goes to sleep, unless the link is to end or there is more to write.
    fn rest(&self, blocked: bool, cx: &Context<'_>) -> Poll<LinkEnd> {
        self.shared.with(|inner| {
            if inner.close {
                return Poll::Ready(inner.dismissal.map_or(LinkEnd::Closed, LinkEnd::Dismissed));
            }
            // Drained is what has reached the socket, not only what has left the session.
            if inner.session.is_drained() && !blocked {
                return Poll::Ready(LinkEnd::Drained);
            }
            // Whoever came up since this round's writing found no driver to wake.
            let nearer = inner.session.poll_timeout() < self.timer.deadline().into_std();
            if nearer || inner.session.has_packets() && !blocked {
                cx.waker().wake_by_ref();
            }
            inner.driver = Some(cx.waker().clone());
            Poll::Pending
        })
    }

    /// Says why, as far as the peer listens, and waits a moment for it to say the same.
    async fn close(&mut self, end: &LinkEnd) {
        let (code, reason) = match end {
            LinkEnd::Lost(_) => return,
            LinkEnd::Drained | LinkEnd::Closed | LinkEnd::ClosedByPeer { .. } => (1001, String::new()),
            LinkEnd::Dismissed(code) => (1008, (*code).to_owned()),
            LinkEnd::Session(error) => (error.close_code(), error.to_string()),
        };
        farewell(&mut self.socket, code, &reason).await;
    }
}

impl<S> Drop for Link<S> {
    /// Whoever waits on a stream is told, even if the link was not run to its end.
    fn drop(&mut self) {
        self.shared.with(|inner| inner.session.handle_lost());
    }
}

/// Says why, and reads until the peer has closed too: a socket that is closed with bytes unread resets the connection,
/// and the peer may never see the reason.
pub(super) async fn farewell<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut Socket<S>, code: u16, reason: &str) {
    let handshake = async {
        // Refused if the peer has closed first; then its own frame's answer is what waits to be flushed.
        let _ = socket.send(Message::Close(Some(close_frame(code, reason)))).await;
        socket.flush().await?;
        while let Some(Ok(message)) = socket.next().await {
            if message.is_close() {
                // Both have said it: neither waits for the other to go first.
                return Ok(());
            }
        }
        // After a message that it could not take the library reads no more, but the peer may still be sending.
        let mut rest = [0; 4096];
        while let Ok(1..) = socket.get_mut().read(&mut rest).await {}
        Ok::<(), tungstenite::Error>(())
    };
    // It is over either way: whether the peer heard it changes nothing. Boxed, so that no link's task has room for the
    // end of it all its life.
    let _ = tokio::time::timeout(CLOSE_TIMEOUT, Box::pin(handshake)).await;
}

/// A close frame, its reason cut to what RFC 6455 §5.5 allows.
fn close_frame(code: u16, reason: &str) -> CloseFrame {
    let mut end = reason.len().min(123);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    CloseFrame { code: CloseCode::from(code), reason: reason[..end].into() }
}

fn unreadable(error: &tungstenite::Error) -> LinkEnd {
    use tungstenite::Error;
    match error {
        Error::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake) | Error::Io(_) => {
            LinkEnd::Lost(error.to_string())
        }
        Error::Protocol(_) | Error::Capacity(_) | Error::Utf8(_) => {
            LinkEnd::Session(SessionError::Violation(error.to_string()))
        }
        _ => LinkEnd::Lost(error.to_string()),
    }
}
