//! A request's body on its way to the agent.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use proto::{link::BodyWriter, wire::ResetCode};

use super::kept::{Piece, Source};

/// Sends a body as credit allows. It ends early, and quietly, when the agent wants no more of it; a body that the
/// client cut short abandons the stream.
#[derive(Debug)]
pub(super) struct Upload {
    source: Source,
    /// `None` once the half has ended.
    writer: Option<BodyWriter>,
    /// What of a piece is not handed over yet.
    rest: Bytes,
}

/// How an upload ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Uploaded {
    /// All of it was sent.
    Whole,
    /// The client sent less than it had said.
    CutShort,
    /// The agent wanted no more of it.
    Unwanted,
}

impl Upload {
    pub(super) fn new(source: Source, writer: BodyWriter) -> Self {
        Self { source, writer: Some(writer), rest: Bytes::new() }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Uploaded> {
        loop {
            let Some(writer) = &self.writer else { return Poll::Ready(Uploaded::Unwanted) };
            if self.source.manner.held_back {
                if ready!(writer.poll_invited(cx)).is_err() {
                    return Poll::Ready(Uploaded::Unwanted);
                }
                self.source.manner.held_back = false;
            }
            while !self.rest.is_empty() {
                if ready!(writer.poll_write(&mut self.rest, cx)).is_err() {
                    return Poll::Ready(Uploaded::Unwanted);
                }
                if self.rest.is_empty() && self.source.is_at_end() {
                    return self.end(|writer| writer.finish(None), Uploaded::Whole);
                }
            }
            match self.source.poll_piece(cx) {
                Poll::Ready(Piece::Data(chunk)) => self.rest = chunk,
                Poll::Ready(Piece::End(trailers)) => {
                    return self.end(|writer| writer.finish(trailers), Uploaded::Whole);
                }
                Poll::Ready(Piece::CutShort(why)) => {
                    return self.end(|writer| writer.reset(ResetCode::Aborted, why), Uploaded::CutShort);
                }
                Poll::Pending => return writer.poll_stopped(cx).map(|_| Uploaded::Unwanted),
            }
        }
    }

    /// The body for another try; `None` if it is not at hand any more.
    pub(super) fn into_source(self) -> Option<Source> {
        self.source.rewound()
    }

    /// Nobody will have to send it again: the answer has begun.
    pub(super) fn keep_nothing(&mut self) {
        self.source.keep_nothing();
    }

    fn end(&mut self, how: impl FnOnce(BodyWriter), uploaded: Uploaded) -> Poll<Uploaded> {
        self.writer.take().map(how);
        Poll::Ready(uploaded)
    }
}
