//! A handle of a link: the gateway opens streams with it, the agent says what it serves.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use super::{
    handles::{Body, BodyWriter},
    shared::Shared,
};
use crate::{
    session::{Answer, Burden, OpenError, StreamError},
    wire::{Credential, Failure, RequestHead, ResponseHead, ServiceName},
};

/// Opens streams on a link, or announces services. Cheap to clone; the link lives on without it.
#[derive(Clone, Debug)]
pub struct Connection {
    pub(super) shared: Arc<Shared>,
}

impl Connection {
    /// Opens a stream. `end`: the request has no body, so the writer is to be finished or dropped unused. Whoever wants
    /// to offer the request elsewhere if this link does not process it keeps the head.
    ///
    /// # Errors
    /// [`OpenError`]: nothing was sent; another link may be tried.
    pub fn open(&self, head: Arc<RequestHead>, end: bool) -> Result<(BodyWriter, Response), OpenError> {
        let id = self.shared.with(|inner| inner.session.open(head, end))?;
        let writer = BodyWriter { shared: self.shared.clone(), id };
        let body = Some(Body::new(self.shared.clone(), id));
        Ok((writer, Response { body }))
    }

    /// Whether a stream could be opened now.
    ///
    /// # Errors
    /// [`OpenError`] if not.
    pub fn can_open(&self) -> Result<(), OpenError> {
        self.shared.with(|inner| match inner.session.can_open() {
            // Perhaps it is only that time has passed.
            Err(OpenError::Full) => {
                inner.session.note_time(tokio::time::Instant::now().into_std());
                inner.session.can_open()
            }
            other => other,
        })
    }

    /// Says which services this agent offers from now on, in place of those of its hello. Whoever announces more often
    /// than once a second for long is sent away.
    pub fn announce(&self, services: Vec<ServiceName>) {
        self.shared.with(|inner| inner.session.announce(services));
    }

    /// Streams in flight.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.shared.with(|inner| inner.session.streams())
    }

    /// How good a choice the link is for the next request.
    #[must_use]
    pub fn burden(&self) -> Burden {
        self.shared.with(|inner| inner.session.burden())
    }

    /// There is a reason to think that the peer is dead. If it does not answer within half a heartbeat, the link ends.
    pub fn doubt(&self) {
        self.shared.with(|inner| inner.session.doubt());
    }

    /// The smoothed round trip, once one was measured.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.shared.with(|inner| inner.session.rtt())
    }

    /// Opens no new streams; the link closes when those in flight have finished.
    pub fn drain(&self, reason: &str) {
        self.shared.with(|inner| inner.session.drain(reason));
    }

    /// Shows the gateway a fresh credential of this agent, before the old one expires.
    pub fn renew(&self, credential: Credential) {
        self.shared.with(|inner| inner.session.renew(credential));
    }

    /// Closes the link now, whatever is in flight.
    pub fn close(&self) {
        self.shared.with(|inner| inner.close = true);
    }

    /// The same, and tells the agent why it is sent away (close code 1008): a code such as `credential_expired`.
    pub fn dismiss(&self, code: &'static str) {
        self.shared.with(|inner| {
            inner.dismissal = Some(code);
            inner.close = true;
        });
    }
}

/// The answer to a request, once it comes. Dropping it cancels the request.
#[derive(Debug)]
pub struct Response {
    body: Option<Body>,
}

/// What came back.
#[derive(Debug)]
pub enum Answered {
    /// The upstream's answer.
    Response(ResponseHead, Body),
    /// A failure that the agent composed.
    Failure(Failure),
}

impl Future for Response {
    type Output = Result<Answered, StreamError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let body = self.body.as_ref().expect("a future is not polled after it is done");
        let answer = ready!(body.poll_answer(cx));
        let body = self.body.take().expect("it was there a line ago");
        Poll::Ready(answer.map(|answer| match answer {
            Answer::Response(head) => Answered::Response(head, body.note_end()),
            Answer::Failure(failure) => Answered::Failure(failure),
        }))
    }
}
