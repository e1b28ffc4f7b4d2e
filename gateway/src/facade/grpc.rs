//! Failures for gRPC clients: they look for a status of their own, and make a riddle of any other.

use std::fmt::Write as _;

use axum::body::Body;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Version, header};
use proto::wire::Failure;

const GRPC: &[u8] = b"application/grpc";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Whether a request is a gRPC call, which HTTP/2 alone can carry.
pub(super) fn asks<B>(request: &Request<B>) -> bool {
    // `application/grpc-web` is something else, and frames its trailers otherwise.
    let is_grpc = |kind: &HeaderValue| {
        kind.as_bytes().strip_prefix(GRPC).is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
    };
    request.version() == Version::HTTP_2 && request.headers().get(header::CONTENT_TYPE).is_some_and(is_grpc)
}

/// Says a failure once more, as `Trailers-Only`. What else the answer tells of it stays.
pub(super) fn restated(failed: Response<Body>, failure: &Failure) -> Response<Body> {
    let (mut parts, _) = failed.into_parts();
    let status = HeaderValue::from(status(parts.status));
    parts.status = StatusCode::OK;
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    parts.headers.insert(GRPC_STATUS, status);
    parts.headers.insert(GRPC_MESSAGE, message(&format!("{} ({})", failure.message, failure.code.as_str())));
    Response::from_parts(parts, Body::empty())
}

/// As gRPC's own table of HTTP statuses has it; `INTERNAL` for a fault of ours.
fn status(http: StatusCode) -> u16 {
    match http.as_u16() {
        400 | 500 => 13,       // INTERNAL
        401 => 16,             // UNAUTHENTICATED
        403 => 7,              // PERMISSION_DENIED
        404 | 501 => 12,       // UNIMPLEMENTED
        413 | 414 | 431 => 8,  // RESOURCE_EXHAUSTED
        429 | 502..=504 => 14, // UNAVAILABLE
        _ => 2,                // UNKNOWN
    }
}

/// Percent-encoded, as gRPC over HTTP/2 wants it.
fn message(text: &str) -> HeaderValue {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => write!(encoded, "%{byte:02X}").expect("a string takes any text"),
        }
    }
    HeaderValue::from_str(&encoded).expect("only printable ASCII was pushed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_printable_ascii() {
        assert_eq!(message("50 % of caf\u{e9}\n"), "50 %25 of caf%C3%A9%0A");
    }

    #[test]
    fn only_grpc_calls_are_answered_so() {
        let check = |version, kind: Option<&str>, expected| {
            let mut request = Request::builder().version(version);
            if let Some(kind) = kind {
                request = request.header(header::CONTENT_TYPE, kind);
            }
            assert_eq!(asks(&request.body(()).unwrap()), expected, "{version:?} {kind:?}");
        };
        check(Version::HTTP_2, Some("application/grpc"), true);
        check(Version::HTTP_2, Some("application/grpc+proto"), true);
        check(Version::HTTP_2, Some("application/grpc-web+proto"), false);
        check(Version::HTTP_2, Some("application/json"), false);
        check(Version::HTTP_2, None, false);
        check(Version::HTTP_11, Some("application/grpc"), false);
    }
}
