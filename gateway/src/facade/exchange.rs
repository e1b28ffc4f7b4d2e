//! A request over a link: to another one, as long as nobody has processed it, and back with the answer's head.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use hyper::body::{Body as _, Incoming};
use proto::{
    link::{Answered, BodyWriter, Connection},
    session::{OpenError, StreamError},
    wire::{Failure, FailureCode, RequestHead, ServiceName},
};
use tracing::debug;

use super::upload::{Manner, Uploaded, upload};
use crate::{
    limits::LINKS_TRIED,
    registry::{Registry, Unavailable},
};

/// What an exchange brought.
pub(super) struct Exchanged {
    pub(super) answered: Answered,
    /// The open half of a request that asks for an upgrade.
    pub(super) raw: Option<BodyWriter>,
}

/// Sends a request over a link that serves its name, and waits for the answer's head. A link that did not process it
/// hands it back, and another is asked, whatever the method. What an attempt means is decided there; here, only
/// whether there is another.
pub(super) async fn exchange(
    registry: &Registry,
    wait: Duration,
    head: Arc<RequestHead>,
    mut body: Incoming,
    manner: Manner,
) -> Result<Exchanged, Failure> {
    // The usual request is answered by the first, and nothing is allocated for the others.
    let mut tried = Vec::new();
    let mut last = None;
    loop {
        let chosen = match registry.choose_within(&head.service, wait, &tried).await {
            Ok(chosen) => chosen,
            Err(why) => return Err(last.unwrap_or_else(|| unavailable(why, &head.service))),
        };
        let Unanswered { failure, unread } = match attempt(&chosen.connection, head.clone(), body, manner).await {
            Ok(exchanged) => return Ok(exchanged),
            Err(unanswered) => unanswered,
        };
        match unread {
            Some(unread) if tried.len() + 1 < LINKS_TRIED => body = unread,
            _ => return Err(failure),
        }
        debug!(request_id = %head.request_id, reason = &*failure.message, "a link did not process it: trying another");
        tried.push(chosen.link);
        last = Some(failure);
    }
}

/// Why a link gave no answer.
struct Unanswered {
    failure: Failure,
    /// The body, if nobody has processed the request and nothing of it is read: both can be offered to another link.
    unread: Option<Incoming>,
}

/// Once over one link.
async fn attempt(
    connection: &Connection,
    head: Arc<RequestHead>,
    body: Incoming,
    manner: Manner,
) -> Result<Exchanged, Unanswered> {
    let (bodiless, upgrade) = (body.is_end_stream(), head.upgrade);
    let (writer, response) = match connection.open(head, bodiless && !upgrade) {
        Ok(opened) => opened,
        Err(error) => return Err(Unanswered { failure: not_opened(error), unread: Some(body) }),
    };
    if bodiless {
        let raw = Some(writer).filter(|_| upgrade);
        let answered = response.await.map_err(|error| unanswered(&error, Some(body)))?;
        return Ok(Exchanged { answered, raw });
    }
    // Declared before the response and thereby dropped after it: a client that goes cancels its call.
    let mut upload = Box::pin(upload(body, writer, manner));
    let mut response = pin!(response);
    let mut uploaded = None;
    let answered = poll_fn(|cx| {
        if uploaded.is_none()
            && let Poll::Ready(ended) = upload.as_mut().poll(cx)
        {
            uploaded = Some(ended);
        }
        response.as_mut().poll(cx)
    });
    let error = match answered.await {
        Ok(answered) => {
            if uploaded.is_none() {
                // The answer begins while the body still comes: neither waits for the other.
                tokio::spawn(upload);
            }
            return Ok(Exchanged { answered, raw: None });
        }
        Err(error) => error,
    };
    let uploaded = match uploaded {
        Some(uploaded) => uploaded,
        // The stream is over, so that the upload notices at once that nobody wants it.
        None => upload.await,
    };
    Err(match uploaded {
        Uploaded::CutShort => {
            let failure =
                Failure::new(FailureCode::BadRequest, "the request's body was cut short, or its chunks are malformed");
            Unanswered { failure, unread: None }
        }
        Uploaded::Unread(body) => unanswered(&error, Some(body)),
        Uploaded::Whole | Uploaded::Unwanted => unanswered(&error, None),
    })
}

/// What it means for the client that the stream ended before an answer came. `unread` counts only if nobody has
/// processed the request.
fn unanswered(error: &StreamError, unread: Option<Incoming>) -> Unanswered {
    let (failure, is_unprocessed) = match error {
        StreamError::NotProcessed => {
            let message = "the agent took no new request: it is draining or full";
            (Failure::retry_safe(FailureCode::Overloaded, message), true)
        }
        StreamError::LinkLost { sent: false } => {
            (Failure::retry_safe(FailureCode::NoAgent, "the link was lost before the request was sent"), true)
        }
        StreamError::LinkLost { sent: true } => {
            let message = "the link was lost after the request was sent; it may have been processed";
            (Failure::new(FailureCode::LinkLost, message), false)
        }
        StreamError::Reset { .. } => {
            (Failure::new(FailureCode::Internal, format!("the agent gave up: {error}")), false)
        }
    };
    Unanswered { failure, unread: unread.filter(|_| is_unprocessed) }
}

fn unavailable(why: Unavailable, service: &ServiceName) -> Failure {
    match why {
        Unavailable::NoAgent => {
            Failure::retry_safe(FailureCode::NoAgent, format!("no agent that serves {service} is connected"))
        }
        Unavailable::Full => Failure::retry_safe(
            FailureCode::Overloaded,
            format!("every link that serves {service} has as many streams open as it takes"),
        ),
    }
}

fn not_opened(error: OpenError) -> Failure {
    Failure::retry_safe(FailureCode::Overloaded, error.to_string())
}
