//! The proof that the whitelist said yes, holding exactly what may be sent.

use std::fmt;

use http::{HeaderMap, HeaderValue, Method, uri::PathAndQuery};
use proto::wire::ServiceName;

use super::{Denied, Limits, Upgrade};

/// A request that may go to its upstream. Only [`Whitelist::admit`](super::Whitelist::admit) makes one.
#[derive(Clone, PartialEq, Eq)]
pub struct Admitted {
    pub(super) parts: Parts,
}

/// What an [`Admitted`] holds, for the part that sends it.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Parts {
    /// The service it goes to.
    pub service: ServiceName,
    /// The method.
    pub method: Method,
    /// The target: the very bytes that were judged.
    pub path_and_query: PathAndQuery,
    /// The rebuilt headers: `Host` set; nothing of framing or of one hop but perhaps `TE: trailers`. On HTTP/1.1 the
    /// sender adds `Connection: TE` to that (RFC 9110 §10.1.4).
    pub headers: HeaderMap,
    /// The body length that the head declares. The sender holds the actual body to it.
    pub content_length: Option<u64>,
    /// The `Trailer` to send with a body: the fields that may come behind it.
    pub announced: Option<HeaderValue>,
    /// Whether the client waits for a 100 before it sends the body.
    pub expects_continue: bool,
    /// Why it may be sent. For logs, counters and the keeper of a rule's rate.
    pub grounds: Grounds,
    /// The limits of the rule that allows it, with the service's times where it says nothing. The sender holds the body
    /// and the time to them.
    pub limits: Limits,
    /// What the client asks to turn the connection into, which the rule permits.
    pub upgrade: Option<Upgrade>,
}

/// Why a request may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grounds {
    /// A rule of the service allows it; its place in the list, counted from 0.
    Rule(usize),
    /// No rule allows it, for this reason; but the service is in [`Mode::Audit`](super::Mode::Audit).
    Audit(Denied),
}

impl Admitted {
    /// The service it goes to.
    #[must_use]
    pub fn service(&self) -> &ServiceName {
        &self.parts.service
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.parts.method
    }

    /// The target: the very bytes that were judged.
    #[must_use]
    pub fn path_and_query(&self) -> &PathAndQuery {
        &self.parts.path_and_query
    }

    /// The rebuilt headers; see [`Parts::headers`].
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// The body length that the head declares.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.parts.content_length
    }

    /// Whether the client waits for a 100 before it sends the body.
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.parts.expects_continue
    }

    /// Why it may be sent.
    #[must_use]
    pub fn grounds(&self) -> Grounds {
        self.parts.grounds
    }

    /// Which rule of the service allows it, counted from 0; none if it is sent in audit mode alone.
    #[must_use]
    pub fn rule(&self) -> Option<usize> {
        match self.parts.grounds {
            Grounds::Rule(rule) => Some(rule),
            Grounds::Audit(_) => None,
        }
    }

    /// How much it may take; see [`Parts::limits`].
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.parts.limits
    }

    /// What the client asks to turn the connection into, which the rule permits.
    #[must_use]
    pub fn upgrade(&self) -> Option<Upgrade> {
        self.parts.upgrade
    }

    /// Gives everything away, to be sent once.
    #[must_use]
    pub fn into_parts(self) -> Parts {
        self.parts
    }
}

impl fmt::Debug for Admitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.fmt(f)
    }
}

/// Shows no header value: values are secrets.
impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted")
            .field("service", &self.service)
            .field("method", &self.method)
            .field("grounds", &self.grounds)
            .finish_non_exhaustive()
    }
}
