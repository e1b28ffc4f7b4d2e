//! A request over a link: to another one, for as long as that can do no harm, and back with the answer's head.

use std::{future::poll_fn, pin::pin, sync::Arc, task::Poll, time::Duration};

use proto::{
    hop::is_idempotent,
    link::{Answered, BodyWriter, Connection, Response},
    wire::{Failure, FailureCode, RequestHead, ServiceName},
};
use tracing::debug;

use super::{
    delivery::{Unanswered, answered},
    kept::Source,
    upload::{Upload, Uploaded},
};
use crate::{
    failure::Failed,
    limits::LINKS_TRIED,
    registry::{Chosen, InFlight, Registry, Tried, Unavailable},
};

/// What an exchange brought.
pub(super) struct Exchanged {
    pub(super) answered: Answered,
    /// The open half of a request that asks for an upgrade.
    pub(super) raw: Option<BodyWriter>,
    /// The request's place among those of its service, held until the answer is complete.
    pub(super) place: Option<InFlight>,
}

/// Sends a request over a link that serves its name, and waits for the answer's head. How far an attempt got is decided
/// there; here, only whether there is another.
pub(super) async fn exchange(
    registry: &Registry,
    wait: Duration,
    head: Arc<RequestHead>,
    mut content: Content,
) -> Result<Exchanged, Failed> {
    // The usual request is answered by the first, and nothing is allocated for the others.
    let (mut tried, mut place, mut failed) = (Vec::new(), None, None);
    loop {
        let chosen = match registry.choose_within(&head.service, wait, &tried).await {
            Ok(chosen) => chosen,
            Err(why) => return Err(failed.unwrap_or_else(|| unavailable(why, &head.service).into())),
        };
        let Chosen { link, connection, instance, place: taken } = chosen;
        place = place.or(taken);
        let Attempted { unanswered, at_hand } = match attempt(&connection, head.clone(), content).await {
            Ok((answered, raw)) => return Ok(Exchanged { answered: truly(answered, failed.as_ref()), raw, place }),
            Err(attempted) => attempted,
        };
        let is_last = tried.len() + 1 == LINKS_TRIED;
        let (again, whole_agent) = match &unanswered {
            Unanswered::Unsent { whole_agent, .. } => (!is_last, *whole_agent),
            Unanswered::Sent(_) => (!is_last && at_hand.is_some() && may_repeat(registry, &head), false),
            Unanswered::Spoilt(_) => (false, false),
        };
        let failure = worse(failed, unanswered.failure());
        content = match at_hand {
            Some(content) if again => content,
            _ => return Err(failure),
        };
        debug!(request_id = %head.request_id, reason = &*failure.failure.message, "no answer: trying another link");
        tried.push(Tried { link, instance, whole_agent });
        failed = Some(failure);
    }
}

/// Whether a request that may have been processed may be sent again.
fn may_repeat(registry: &Registry, head: &RequestHead) -> bool {
    is_idempotent(&head.method) && registry.pay_for_retry(&head.service)
}

/// Once it was sent, no later failure makes it unsent.
fn worse(earlier: Option<Failed>, failed: Failed) -> Failed {
    earlier.filter(|earlier| !earlier.failure.retry_safe).unwrap_or(failed)
}

/// As [`worse`], for an agent that speaks for its own attempt only.
fn truly(answered: Answered, earlier: Option<&Failed>) -> Answered {
    let was_sent = earlier.is_some_and(|earlier| !earlier.failure.retry_safe);
    match answered {
        Answered::Failure(failure) if was_sent => Answered::Failure(Failure { retry_safe: false, ..failure }),
        answered => answered,
    }
}

/// What a request consists of besides its head.
#[derive(Debug)]
pub(super) enum Content {
    Nothing,
    Body(Source),
}

/// A try without an answer.
struct Attempted {
    unanswered: Unanswered,
    /// All that followed the head, if it can be sent again.
    at_hand: Option<Content>,
}

/// Once over one link.
async fn attempt(
    connection: &Connection,
    head: Arc<RequestHead>,
    content: Content,
) -> Result<(Answered, Option<BodyWriter>), Attempted> {
    let upgrade = head.upgrade;
    let (writer, response) = match connection.open(head, matches!(content, Content::Nothing) && !upgrade) {
        Ok(opened) => opened,
        Err(error) => return Err(Attempted { unanswered: error.into(), at_hand: Some(content) }),
    };
    let outcome = match content {
        // Boxed, so that requests without a body have small tasks.
        Content::Body(source) => return Box::pin(with_body(source, writer, response)).await,
        Content::Nothing => response.await,
    };
    match outcome.map_err(Unanswered::from).and_then(answered) {
        Ok(answered) => Ok((answered, Some(writer).filter(|_| upgrade))),
        Err(unanswered) => Err(Attempted { unanswered, at_hand: Some(Content::Nothing) }),
    }
}

/// Uploads, and waits for the answer at the same time.
async fn with_body(
    source: Source,
    writer: BodyWriter,
    response: Response,
) -> Result<(Answered, Option<BodyWriter>), Attempted> {
    // Declared before the response and thereby dropped after it: a client that goes cancels its call.
    let mut upload = Upload::new(source, writer);
    let mut response = pin!(response);
    let mut uploaded = None;
    let outcome = poll_fn(|cx| {
        if uploaded.is_none()
            && let Poll::Ready(ended) = upload.poll(cx)
        {
            uploaded = Some(ended);
        }
        response.as_mut().poll(cx)
    });
    match outcome.await.map_err(Unanswered::from).and_then(answered) {
        Ok(answered) => {
            if uploaded.is_none() {
                // The answer begins while the body still comes: neither waits for the other.
                upload.keep_nothing();
                tokio::spawn(poll_fn(move |cx| upload.poll(cx)));
            }
            Ok((answered, None))
        }
        Err(_) if uploaded == Some(Uploaded::CutShort) => {
            Err(Attempted { unanswered: Unanswered::cut_short(), at_hand: None })
        }
        Err(unanswered) => Err(Attempted { unanswered, at_hand: upload.into_source().map(Content::Body) }),
    }
}

fn unavailable(why: Unavailable, service: &ServiceName) -> Failure {
    match why {
        Unavailable::NoAgent => {
            Failure::retry_safe(FailureCode::NoAgent, format!("no agent that serves {service} is connected"))
        }
        Unavailable::Crowded(most) => Failure::retry_safe(
            FailureCode::Overloaded,
            format!("{most} requests wait for an agent already, as many as limits.waiting_requests allows"),
        ),
        Unavailable::Full | Unavailable::Tried => Failure::retry_safe(
            FailureCode::Overloaded,
            format!("every link that serves {service} has as many streams open as it takes"),
        ),
        Unavailable::Busy(most) => Failure::retry_safe(
            FailureCode::Overloaded,
            format!("{service} has {most} requests in flight, as many as its max_in_flight allows"),
        ),
    }
}
