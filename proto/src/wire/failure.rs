//! Failures that the bridge itself answers with: one code each, the same on the wire, in logs and in
//! `Reachback-Error`.

use std::{borrow::Cow, time::Duration};

/// Which failure: the codes of `docs/errors.md`. What status each becomes is decided in one place, by the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureCode {
    /// The facade knows no such service.
    UnknownService,
    /// No agent that serves the name is connected.
    NoAgent,
    /// A limit on streams or waiting requests is reached, or the part is draining.
    Overloaded,
    /// The whitelist does not allow the request.
    Denied,
    /// The request is malformed.
    BadRequest,
    /// The facade does not do what is asked, for any service.
    NotSupported,
    /// The request target is too long.
    UriTooLong,
    /// There are too many or too long headers.
    HeadTooLarge,
    /// The request body is over the cap.
    BodyTooLarge,
    /// The rule that allows the request has allowed as many as it may for now.
    RateLimited,
    /// The upstream refused the connection.
    UpstreamRefused,
    /// The upstream did not accept the connection in time.
    UpstreamConnectTimeout,
    /// The upstream did not begin its answer in time.
    UpstreamTimeout,
    /// The upstream's answer is not HTTP, or it closed before answering.
    UpstreamProtocol,
    /// The link was lost after the request was sent and before an answer came.
    LinkLost,
    /// Our own fault.
    Internal,
}

impl FailureCode {
    const ALL: [(Self, &str); 16] = [
        (Self::UnknownService, "unknown_service"),
        (Self::NoAgent, "no_agent"),
        (Self::Overloaded, "overloaded"),
        (Self::Denied, "denied"),
        (Self::BadRequest, "bad_request"),
        (Self::NotSupported, "not_supported"),
        (Self::UriTooLong, "uri_too_long"),
        (Self::HeadTooLarge, "head_too_large"),
        (Self::BodyTooLarge, "body_too_large"),
        (Self::RateLimited, "rate_limited"),
        (Self::UpstreamRefused, "upstream_refused"),
        (Self::UpstreamConnectTimeout, "upstream_connect_timeout"),
        (Self::UpstreamTimeout, "upstream_timeout"),
        (Self::UpstreamProtocol, "upstream_protocol"),
        (Self::LinkLost, "link_lost"),
        (Self::Internal, "internal"),
    ];

    /// The code as it is spelt everywhere.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(code, _)| *code == self).map_or("internal", |(_, name)| name)
    }

    /// Reads a code. One that this version does not know counts as [`FailureCode::Internal`], so that a newer peer
    /// stays understood.
    #[must_use]
    pub fn from_wire(name: &str) -> Self {
        Self::ALL.iter().find(|(_, known)| *known == name).map_or(Self::Internal, |(code, _)| *code)
    }

    /// Every code there is, for tests and documentation.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::ALL.iter().map(|(code, _)| *code)
    }
}

/// A failure that a peer or this side answers with instead of the upstream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which failure it is.
    pub code: FailureCode,
    /// One sentence for people: what happened and what to do. Never a header value or a secret.
    pub message: Cow<'static, str>,
    /// Whether sending the request again can do no harm, whatever its method.
    pub retry_safe: bool,
    /// How long to wait before that, if the sender knows.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure after which a retry may do harm or is useless.
    pub fn new(code: FailureCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), retry_safe: false, retry_after: None }
    }

    /// A failure that happened before anything reached an upstream.
    pub fn retry_safe(code: FailureCode, message: impl Into<Cow<'static, str>>) -> Self {
        Self { code, message: message.into(), retry_safe: true, retry_after: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_round_trip() {
        for code in FailureCode::all() {
            assert_eq!(FailureCode::from_wire(code.as_str()), code);
        }
        assert_eq!(FailureCode::from_wire("from_the_future"), FailureCode::Internal);
    }
}
