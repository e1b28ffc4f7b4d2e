//! The heads of a request and of its response, as both sides hold them, and whether they fit a frame.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use super::{
    RequestId, ServiceName,
    limits::{HEADER_BYTES, HEADER_LINES, METHOD_BYTES, TARGET_BYTES},
};

/// A request without its body, as the gateway read it and before anyone judged it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestHead {
    /// The service it is for. No host, port or scheme ever travels.
    pub service: ServiceName,
    /// The method, case-sensitive (RFC 9110 §9.1).
    pub method: Method,
    /// The request target byte for byte as it arrived (RFC 9112 §3.2). Unjudged: it may hold anything.
    pub target: Bytes,
    /// The headers, hop-by-hop fields removed by an honest gateway; order of lines of one name kept.
    pub headers: HeaderMap,
    /// The id under which both sides log the request.
    pub request_id: RequestId,
    /// How long the answer may take altogether, if the gateway says so.
    pub deadline: Option<Duration>,
    /// Whether the client asks for an upgrade (RFC 9110 §7.8).
    pub upgrade: bool,
}

/// A response without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    /// The status: final, or 101.
    pub status: StatusCode,
    /// The headers; order of lines of one name kept.
    pub headers: HeaderMap,
}

/// What of a head is past its bound in [`super::limits`]. The peer would end the link over it, so whoever takes a head
/// from outside asks first and answers for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oversize {
    /// The method.
    Method,
    /// The target.
    Target,
    /// The headers, by number or by bytes.
    Headers,
}

impl RequestHead {
    /// What is too large to travel, if anything.
    #[must_use]
    pub fn oversize(&self) -> Option<Oversize> {
        if self.method.as_str().len() > METHOD_BYTES {
            Some(Oversize::Method)
        } else if self.target.len() > TARGET_BYTES {
            Some(Oversize::Target)
        } else {
            oversize(&self.headers)
        }
    }
}

impl ResponseHead {
    /// What is too large to travel, if anything.
    #[must_use]
    pub fn oversize(&self) -> Option<Oversize> {
        oversize(&self.headers)
    }
}

/// Whether headers, or trailers, are too large to travel.
#[must_use]
pub fn oversize(headers: &HeaderMap) -> Option<Oversize> {
    let mut size = HeaderSize::default();
    let fits = headers.iter().all(|(name, value)| size.add(name.as_str().len(), value.len()));
    (!fits).then_some(Oversize::Headers)
}

/// Adds up the lines and bytes of one set of headers.
#[derive(Debug, Default)]
pub(super) struct HeaderSize {
    lines: usize,
    bytes: usize,
}

impl HeaderSize {
    /// Counts one more line, or says that it is one too many.
    #[must_use]
    pub(super) fn add(&mut self, name: usize, value: usize) -> bool {
        self.lines += 1;
        self.bytes += name + value;
        self.lines <= HEADER_LINES && self.bytes <= HEADER_BYTES
    }
}
