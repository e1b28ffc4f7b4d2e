//! The agent's handle of a stream: a request, and the right to answer it once.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::StatusCode;

use super::{
    handles::{Body, BodyWriter},
    shared::Shared,
};
use crate::{
    session::Stopped,
    wire::{Failure, RequestHead, ResponseHead, StreamId},
};

/// A request that came over the link, not yet judged.
#[derive(Debug)]
pub struct Incoming {
    /// What is asked.
    pub head: Arc<RequestHead>,
    /// Its body. Dropping it discards what still comes.
    pub body: Body,
    /// Answers it.
    pub responder: Responder,
}

/// Answers one request. Dropping it unused tells the gateway that the request was abandoned.
#[derive(Debug)]
pub struct Responder {
    writer: BodyWriter,
}

impl Incoming {
    pub(super) fn new(shared: Arc<Shared>, id: StreamId, head: Arc<RequestHead>) -> Self {
        let body = Body::new(shared.clone(), id).note_end();
        Self { head, body, responder: Responder { writer: BodyWriter { shared, id } } }
    }
}

impl Responder {
    /// Sends an informational answer; 100 invites a body that is held back.
    pub fn inform(&self, status: StatusCode) {
        self.writer.shared.with(|inner| inner.session.inform(self.writer.id, status));
    }

    /// Sends the answer's head and, unless `end`, goes on to its body.
    #[must_use = "dropping the writer of an answer with a body cuts it short"]
    pub fn respond(self, head: ResponseHead, end: bool) -> BodyWriter {
        self.writer.shared.with(|inner| inner.session.respond(self.writer.id, head, end));
        self.writer
    }

    /// Answers with a failure.
    pub fn fail(self, failure: Failure) {
        self.writer.shared.with(|inner| inner.session.fail(self.writer.id, failure));
    }

    /// Sets when [`Responder::poll_stopped`] is to say that the answer is overdue, give or take a quarter of a second.
    pub fn set_deadline(&self, after: Duration) {
        self.writer.shared.with(|inner| inner.session.set_deadline(self.writer.id, Some(after)));
    }

    /// Ready once the answer is not wanted any more, or overdue.
    pub fn poll_stopped(&self, cx: &Context<'_>) -> Poll<Stopped> {
        self.writer.poll_stopped(cx)
    }
}
