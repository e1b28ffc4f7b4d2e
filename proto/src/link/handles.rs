//! The two handles of a stream. Dropping one releases its half: cancelling is dropping.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::shared::{Half, Shared};
use crate::{
    session::{Answer, Read, Stopped, StreamError},
    wire::{ResetCode, StreamId},
};

/// The body of a request or response as it arrives, with its trailers. Reading returns credit to the peer; dropping
/// it early cancels the call (gateway) or discards the rest (agent).
#[derive(Debug)]
pub struct Body {
    shared: Arc<Shared>,
    id: StreamId,
    state: BodyState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyState {
    /// The length that the head declared, less what was read, if it declared one.
    Reading(Option<u64>),
    Ended,
}

impl Body {
    pub(super) fn new(shared: Arc<Shared>, id: StreamId) -> Self {
        Self { shared, id, state: BodyState::Reading(None) }
    }

    /// Declares how long the body is, in bytes, for whoever frames it next. The peer is not believed: a body that
    /// turns out longer or shorter is an error where it ends.
    #[must_use]
    pub fn with_length(mut self, length: Option<u64>) -> Self {
        if self.state == BodyState::Reading(None) {
            self.state = BodyState::Reading(length);
        }
        self
    }

    /// The answer to the stream, once (gateway).
    pub(super) fn poll_answer(&self, cx: &Context<'_>) -> Poll<Result<Answer, StreamError>> {
        self.shared.with(|inner| match inner.session.answer(self.id).transpose() {
            Some(answer) => Poll::Ready(answer),
            None => {
                inner.wait(self.id, Half::Reader, cx.waker());
                Poll::Pending
            }
        })
    }

    /// Notes whether there is nothing to read, so that an empty body is framed as one.
    pub(super) fn note_end(mut self) -> Self {
        if self.shared.with(|inner| inner.session.is_bodiless(self.id)) {
            self.state = BodyState::Ended;
        }
        self
    }

    fn poll_read(&self, cx: &Context<'_>) -> Poll<Result<Read, StreamError>> {
        self.shared.with(|inner| match inner.session.read(self.id) {
            Ok(Read::Blocked) => {
                inner.wait(self.id, Half::Reader, cx.waker());
                Poll::Pending
            }
            read => Poll::Ready(read),
        })
    }

    /// Counts a chunk against the declared length.
    fn count(&mut self, chunk: &Bytes, last: bool) -> Result<(), BodyError> {
        let rest = match self.state {
            BodyState::Reading(Some(rest)) => Some(rest.checked_sub(chunk.len() as u64).ok_or(BodyError::TooLong)?),
            _ => None,
        };
        if last && rest.is_some_and(|rest| rest > 0) {
            return Err(BodyError::TooShort);
        }
        self.state = if last { BodyState::Ended } else { BodyState::Reading(rest) };
        Ok(())
    }
}

/// Why a body ended before it was whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The stream failed.
    #[error(transparent)]
    Stream(#[from] StreamError),
    /// The body is longer than its head declared.
    #[error("the body is longer than its Content-Length")]
    TooLong,
    /// The body is shorter than its head declared.
    #[error("the body is shorter than its Content-Length")]
    TooShort,
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if self.state == BodyState::Ended {
            return Poll::Ready(None);
        }
        let read = ready!(self.poll_read(cx));
        Poll::Ready(match read {
            Ok(Read::Data { chunk, last }) => match self.count(&chunk, last) {
                Ok(()) => Some(Ok(Frame::data(chunk))),
                Err(error) => Some(Err(error)),
            },
            Ok(Read::End(trailers)) => match self.count(&Bytes::new(), true) {
                Ok(()) => trailers.map(|trailers| Ok(Frame::trailers(trailers))),
                Err(error) => Some(Err(error)),
            },
            Ok(Read::Blocked) => unreachable!("blocked is pending"),
            Err(error) => Some(Err(error.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.state == BodyState::Ended
    }

    fn size_hint(&self) -> SizeHint {
        match self.state {
            BodyState::Ended => SizeHint::with_exact(0),
            BodyState::Reading(Some(length)) => SizeHint::with_exact(length),
            BodyState::Reading(None) => SizeHint::default(),
        }
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.shared.with(|inner| {
            inner.forget(self.id, Half::Reader);
            inner.session.release_reader(self.id);
        });
    }
}

/// The sending half of a stream. Dropping it before [`BodyWriter::finish`] tells the peer that the body was cut
/// short.
#[derive(Debug)]
pub struct BodyWriter {
    pub(super) shared: Arc<Shared>,
    pub(super) id: StreamId,
}

impl BodyWriter {
    /// Sends some bytes, as credit allows.
    ///
    /// # Errors
    /// [`StreamError`] if the peer wants no more.
    pub async fn write(&mut self, mut data: Bytes) -> Result<(), StreamError> {
        while !data.is_empty() {
            std::future::poll_fn(|cx| self.poll_write(&mut data, cx)).await?;
        }
        Ok(())
    }

    /// Hands over what one frame can hold from the front of `data`.
    ///
    /// # Errors
    /// [`StreamError`] if the peer wants no more.
    pub fn poll_write(&self, data: &mut Bytes, cx: &Context<'_>) -> Poll<Result<(), StreamError>> {
        self.shared.with(|inner| match inner.session.write(self.id, data)? {
            true => Poll::Ready(Ok(())),
            false => {
                inner.wait(self.id, Half::Writer, cx.waker());
                Poll::Pending
            }
        })
    }

    /// Ends the half, with trailers or without.
    pub fn finish(self, trailers: Option<HeaderMap>) {
        self.shared.with(|inner| inner.session.finish(self.id, trailers));
    }

    /// Abandons the whole stream.
    pub fn reset(self, code: ResetCode, message: &str) {
        self.shared.with(|inner| inner.session.reset(self.id, code, message));
    }

    /// Waits until a body that was held back is invited.
    ///
    /// # Errors
    /// [`StreamError`] if it will not be.
    pub fn poll_invited(&self, cx: &Context<'_>) -> Poll<Result<(), StreamError>> {
        self.shared.with(|inner| match inner.session.is_invited(self.id)? {
            true => Poll::Ready(Ok(())),
            false => {
                inner.wait(self.id, Half::Writer, cx.waker());
                Poll::Pending
            }
        })
    }

    /// Waits until there is a reason to write no further: nobody wants it, or the deadline has passed.
    pub fn poll_stopped(&self, cx: &Context<'_>) -> Poll<Stopped> {
        self.shared.with(|inner| match inner.session.stopped(self.id) {
            Some(stopped) => Poll::Ready(stopped),
            None => {
                inner.wait(self.id, Half::Writer, cx.waker());
                Poll::Pending
            }
        })
    }
}

impl Drop for BodyWriter {
    fn drop(&mut self) {
        self.shared.with(|inner| {
            inner.forget(self.id, Half::Writer);
            inner.session.release_writer(self.id);
        });
    }
}
