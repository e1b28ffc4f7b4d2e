//! Trailer fields: what they must not say, and how many there may be.

use http::{HeaderMap, HeaderName, header};

use crate::wire::{Oversize, oversize};

/// Fields that mean something only ahead of a body: framing, routing, modifiers of a request, credentials, and how the
/// content is to be read (RFC 9110 §6.5.1); and those of one hop.
const FORBIDDEN: [HeaderName; 32] = [
    header::AGE,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONNECTION,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::DATE,
    header::EXPECT,
    header::EXPIRES,
    header::HOST,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    HeaderName::from_static("keep-alive"),
    header::MAX_FORWARDS,
    header::PRAGMA,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    HeaderName::from_static("proxy-connection"),
    header::RANGE,
    header::RETRY_AFTER,
    header::SET_COOKIE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::WWW_AUTHENTICATE,
];

/// Whether a field may stand in trailers.
#[must_use]
pub fn may_trail(name: &HeaderName) -> bool {
    !FORBIDDEN.contains(name)
}

/// Trailers as they may travel, less what must not trail; `None` if nothing is left.
///
/// # Errors
/// [`Oversize`] if they are too many or too long: the peer would end the link over them.
pub fn to_travel(mut trailers: HeaderMap) -> Result<Option<HeaderMap>, Oversize> {
    let forbidden: Vec<HeaderName> = trailers.keys().filter(|name| !may_trail(name)).cloned().collect();
    for name in forbidden {
        trailers.remove(name);
    }
    match oversize(&trailers) {
        None => Ok(Some(trailers).filter(|trailers| !trailers.is_empty())),
        Some(oversize) => Err(oversize),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;
    use crate::wire::limits::HEADER_LINES;

    #[test]
    fn what_belongs_ahead_of_a_body_does_not_trail() {
        let mut trailers = HeaderMap::new();
        for name in ["content-length", "x-checksum", "host", "grpc-status", "transfer-encoding", "authorization"] {
            trailers.append(HeaderName::from_static(name), HeaderValue::from_static("1"));
        }
        trailers.append("x-checksum", HeaderValue::from_static("2"));
        let left = to_travel(trailers).unwrap().unwrap();
        let mut left: Vec<_> = left.iter().map(|(name, value)| format!("{name}={}", value.to_str().unwrap())).collect();
        left.sort();
        assert_eq!(left, ["grpc-status=1", "x-checksum=1", "x-checksum=2"]);
        let mut framing = HeaderMap::new();
        framing.insert(header::CONTENT_LENGTH, HeaderValue::from_static("5"));
        assert_eq!(to_travel(framing), Ok(None));
    }

    #[test]
    fn they_are_held_to_the_bounds_of_a_head() {
        let lines = |count: usize| {
            let mut trailers = HeaderMap::new();
            for _ in 0..count {
                trailers.append("x-a", HeaderValue::from_static("1"));
            }
            to_travel(trailers)
        };
        assert!(lines(HEADER_LINES).is_ok());
        assert_eq!(lines(HEADER_LINES + 1), Err(Oversize::Headers));
    }
}
