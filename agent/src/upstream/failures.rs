//! What it means for the client when the upstream gives no answer.

use std::{error::Error as _, io, time::Duration};

use h2::Reason;
use proto::{
    link::{BodyError, is_exhaustion},
    wire::{Failure, FailureCode},
};

use super::{
    NoAnswer,
    upload::{Activity, UploadError},
};
use crate::config::Protocol;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotOpened {
    #[error("cannot connect to the upstream: {0}")]
    Refused(io::Error),
    #[error("the upstream did not accept a connection in time")]
    TooLate,
    #[error("the upstream's connection failed: {0}")]
    Failed(#[from] hyper::Error),
}

impl NotOpened {
    /// Whether there is no file descriptor left for it.
    pub(super) fn is_exhaustion(&self) -> bool {
        matches!(self, Self::Refused(error) if is_exhaustion(error))
    }
}

/// `limit`: how long the upstream had.
pub(super) fn not_opened(why: NotOpened, limit: Duration) -> Failure {
    match why {
        NotOpened::TooLate => {
            let message = format!("the upstream did not accept a connection within {limit:?}");
            Failure::retry_safe(FailureCode::UpstreamConnectTimeout, message)
        }
        why if why.is_exhaustion() => {
            let message = format!("the agent has no file descriptor left: {why}; raise its limit (ulimit -n)");
            Failure::retry_safe(FailureCode::Overloaded, message)
        }
        why => Failure::retry_safe(FailureCode::UpstreamRefused, why.to_string()),
    }
}

pub(super) fn too_late(limit: Duration) -> Failure {
    Failure::new(FailureCode::UpstreamTimeout, format!("the upstream did not begin to answer within {limit:?}"))
}

/// What it means that no answer has begun within `limit`.
pub(super) fn overdue(limit: Duration, activity: &Activity, protocol: Protocol) -> Failure {
    // By HTTP/2 half a body may be a client's turn in a conversation (gRPC), and the next one the upstream's.
    if activity.is_starved() && protocol == Protocol::Http1 {
        let message =
            format!("the request's body stopped coming: it is not whole, and nothing of it came for {limit:?}");
        return Failure::new(FailureCode::BadRequest, message);
    }
    too_late(limit)
}

/// What it means that a request brought an error instead of an answer.
pub(super) fn no_answer(error: &hyper::Error, activity: &Activity) -> NoAnswer {
    NoAnswer::Failed(match activity.failure() {
        Some(UploadError::Body(BodyError::Stream(_))) => return NoAnswer::Cancelled,
        Some(UploadError::TooLarge) => Failure::new(FailureCode::BodyTooLarge, UploadError::TooLarge.to_string()),
        Some(cause) => Failure::new(FailureCode::BadRequest, cause.to_string()),
        None if error.is_parse_too_large() => protocol("the upstream's answer has too many or too long headers"),
        None if error.is_parse() => protocol(format!("the upstream's answer is not HTTP: {error}")),
        None => match error.source().and_then(|source| source.downcast_ref()) {
            Some(error) => stream_ended(error),
            None => protocol("the upstream closed the connection without an answer"),
        },
    })
}

/// The same for HTTP/2, which says more.
fn stream_ended(error: &h2::Error) -> Failure {
    let unprocessed = |message: &'static str| Failure::retry_safe(FailureCode::UpstreamRefused, message);
    match error.reason() {
        // RFC 9113 §8.7: neither of them was processed.
        Some(Reason::REFUSED_STREAM) if error.is_remote() => {
            unprocessed("the upstream refused the request (REFUSED_STREAM)")
        }
        Some(Reason::NO_ERROR) if error.is_remote() && error.is_go_away() => {
            unprocessed("the upstream is closing the connection and did not take the request (GOAWAY)")
        }
        Some(reason) if error.is_remote() => protocol(format!("the upstream gave the request up: {reason}")),
        Some(reason) => protocol(format!("the upstream's answer is not proper HTTP/2: {reason}")),
        None => protocol("the upstream closed the connection without an answer"),
    }
}

fn protocol(message: impl Into<String>) -> Failure {
    Failure::new(FailureCode::UpstreamProtocol, message.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn want_of_descriptors_is_not_the_upstreams_fault() {
        let check = |errno, expected| {
            let failure = not_opened(NotOpened::Refused(io::Error::from_raw_os_error(errno)), Duration::ZERO);
            assert_eq!((failure.code, failure.retry_safe), (expected, true), "{errno}");
        };
        // ENFILE, EMFILE, and ECONNREFUSED.
        check(23, FailureCode::Overloaded);
        check(24, FailureCode::Overloaded);
        check(111, FailureCode::UpstreamRefused);
    }

    #[test]
    fn what_the_upstream_did_not_process_is_safe_to_retry() {
        // Of our own making: nobody has said that it was not processed.
        let failure = stream_ended(&h2::Error::from(Reason::REFUSED_STREAM));
        assert_eq!((failure.code, failure.retry_safe), (FailureCode::UpstreamProtocol, false));
    }
}
