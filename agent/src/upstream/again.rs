//! A request that is sent on a second connection: a server may close one that lay idle just when it is used again.

use std::io;

use http::Request;
use proto::{hop::is_idempotent, wire::RequestId};

use super::{outgoing::build, upload::Upload};
use crate::{
    config::Protocol,
    whitelist::{Admitted, Parts},
};

/// Judges the same request anew, with the same outcome.
pub(crate) type Judge<'a> = &'a (dyn Fn() -> Option<Admitted> + Sync);

/// The second request, if there may be one. Nothing is kept of the first: this one is judged and built anew.
pub(super) struct Again<'a> {
    judge: Option<Judge<'a>>,
    request_id: &'a RequestId,
    protocol: Protocol,
}

impl<'a> Again<'a> {
    /// Only what is idempotent (RFC 9110 §9.2.2) is sent again, and `judge` is there only if it has no body: that would
    /// have to be kept.
    pub(super) fn new(judge: Option<Judge<'a>>, first: &Parts, request_id: &'a RequestId, protocol: Protocol) -> Self {
        Self { judge: judge.filter(|_| is_idempotent(&first.method)), request_id, protocol }
    }

    /// The request for another connection, once, if this one was closed before an answer came.
    pub(super) fn request(&mut self, error: &hyper::Error) -> Option<Request<Upload>> {
        let judge = if was_closed(error) { self.judge.take()? } else { return None };
        build(judge()?.into_parts(), self.request_id, None, self.protocol).ok().map(|(request, _)| request)
    }
}

fn was_closed(error: &hyper::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<io::Error>());
    error.is_incomplete_message()
        || cause.is_some_and(|cause| matches!(cause.kind(), BrokenPipe | ConnectionAborted | ConnectionReset))
}
