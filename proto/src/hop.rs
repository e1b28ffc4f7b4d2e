//! Header fields that concern one hop only, the length of a body, and what may be sent twice: what both sides must read
//! alike.

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

/// Fields that never pass a proxy (RFC 9110 §7.6.1 and its forerunners), besides those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 7] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Whether to send a request twice means no more than once (RFC 9110 §9.2.2). Of methods that we do not know nothing is
/// known.
#[must_use]
pub fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE | Method::PUT | Method::DELETE)
}

/// Removes hop-by-hop fields and everything that `Connection` names. `TE` stays only as `trailers`.
pub fn remove_hop_by_hop(headers: &mut HeaderMap) {
    // Most heads hold one such field or none: to look at the names there are is cheaper than to look up each of these.
    let mut doomed: Vec<HeaderName> = headers.keys().filter(|name| HOP_BY_HOP.contains(name)).cloned().collect();
    if doomed.contains(&header::CONNECTION) {
        doomed.extend(nominated(headers));
    }
    for name in doomed {
        headers.remove(name);
    }
    let takes_trailers = members(headers, header::TE).any(|coding| coding.eq_ignore_ascii_case(b"trailers"));
    headers.remove(header::TE);
    if takes_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
}

/// What a list holds, over all its lines.
fn members(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &[u8]> {
    let lines = headers.get_all(name).iter();
    lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    members(headers, header::CONNECTION)
        // The usual option, and a field that goes anyway.
        .filter(|token| !token.eq_ignore_ascii_case(b"keep-alive"))
        .filter_map(|token| HeaderName::from_bytes(token).ok())
        // `Connection: TE` is how a client says that its TE is meant; what passes of it is decided below.
        .filter(|name| *name != header::TE)
        .collect()
}

/// Whether the body's only transfer coding, if it has one, is chunked, and that once: no other is undone here, and none
/// may be lost (RFC 9112 §6.1).
#[must_use]
pub fn is_plainly_framed(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let is_chunked = |coding: &HeaderValue| coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
    codings.next().is_none_or(is_chunked) && codings.next().is_none()
}

/// A `Content-Length` that is not one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Content-Length is not one number")]
pub struct InvalidLength;

/// The declared length of a body in bytes (RFC 9110 §8.6): digits only, and only once.
///
/// # Errors
/// [`InvalidLength`] if it is anything else.
pub fn content_length(headers: &HeaderMap) -> Result<Option<u64>, InvalidLength> {
    let mut values = headers.get_all(header::CONTENT_LENGTH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let digits = value.as_bytes();
    if values.next().is_some() || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(InvalidLength);
    }
    let text = std::str::from_utf8(digits).expect("digits are ASCII");
    text.parse().map(Some).map_err(|_| InvalidLength)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_known_methods_are_idempotent() {
        let check = |method: &str, expected| assert_eq!(is_idempotent(&method.parse().unwrap()), expected, "{method}");
        ["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"].into_iter().for_each(|method| check(method, true));
        ["POST", "PATCH", "CONNECT", "get", "QUERY", "PROPFIND"].into_iter().for_each(|method| check(method, false));
    }

    fn map(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
        };
        let mut headers = HeaderMap::new();
        for (name, value) in pairs.iter().map(pair) {
            headers.append(name, value);
        }
        headers
    }

    #[test]
    fn hop_by_hop_fields_go() {
        let mut headers = map(&[
            ("Connection", "close, X-Secret"),
            ("Connection", " ,x-other ,TE"),
            ("X-Secret", "1"),
            ("X-Other", "2"),
            ("Keep-Alive", "timeout=5"),
            ("Proxy-Connection", "keep-alive"),
            ("Transfer-Encoding", "chunked"),
            ("Upgrade", "h2c"),
            ("TE", "gzip, Trailers"),
            ("X-Stays", "3"),
        ]);
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers, map(&[("X-Stays", "3"), ("TE", "trailers")]));
        let mut headers = map(&[("TE", "gzip")]);
        remove_hop_by_hop(&mut headers);
        assert!(headers.is_empty());
        let mut headers = map(&[("TE", "gzip"), ("TE", "deflate;q=0.5, trailers"), ("TE", "")]);
        remove_hop_by_hop(&mut headers);
        assert_eq!(headers, map(&[("TE", "trailers")]), "whichever line it stands on");
    }

    #[test]
    fn chunked_once_is_plain() {
        let check = |values: &[&str], expected| {
            let pairs: Vec<_> = values.iter().map(|value| ("transfer-encoding", *value)).collect();
            assert_eq!(is_plainly_framed(&map(&pairs)), expected, "{values:?}");
        };
        check(&[], true);
        check(&["chunked"], true);
        check(&["Chunked "], true);
        for bad in [&["gzip"][..], &["gzip, chunked"], &["chunked, chunked"], &["chunked", "chunked"], &[""], &["x"]] {
            check(bad, false);
        }
    }

    #[test]
    fn one_number_is_a_length() {
        let check = |values: &[&str], expected| {
            let pairs: Vec<_> = values.iter().map(|value| ("content-length", *value)).collect();
            assert_eq!(content_length(&map(&pairs)), expected, "{values:?}");
        };
        check(&[], Ok(None));
        check(&["0"], Ok(Some(0)));
        check(&["18446744073709551615"], Ok(Some(u64::MAX)));
        for bad in [&["18446744073709551616"][..], &["5", "5"], &["5, 5"], &["+5"], &["-1"], &["0x5"], &[" "], &[""]] {
            check(bad, Err(InvalidLength));
        }
    }
}
