//! What is sent of a request's trailers: no more than would be sent of the same fields as headers.
//!
//! Who the client is never passes there, trusted or not: nobody honest says it that late.

use http::{HeaderMap, HeaderName, HeaderValue, header::TRAILER};
use proto::trailers::may_trail;

use super::fate::{Fate, fate};

/// Builds the trailers to send.
#[must_use]
pub fn admit(received: &HeaderMap) -> HeaderMap {
    let mut sent = HeaderMap::new();
    for (name, value) in received.iter().filter(|(name, _)| passes(name)) {
        sent.append(name.clone(), value.clone());
    }
    sent
}

/// The `Trailer` to send: which of the announced fields may come (RFC 9110 §6.6.2).
pub(super) fn announced(received: &HeaderMap) -> Option<HeaderValue> {
    if !received.contains_key(TRAILER) {
        return None;
    }
    let members = received.get_all(TRAILER).iter().flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    let may_pass = |member: &&[u8]| HeaderName::from_bytes(member).is_ok_and(|name| passes(&name));
    let passing: Vec<&[u8]> = members.map(<[u8]>::trim_ascii).filter(may_pass).collect();
    let line = HeaderValue::from_bytes(&passing.join(&b", "[..])).expect("names joined by commas are a value");
    Some(line).filter(|line| !line.is_empty())
}

fn passes(name: &HeaderName) -> bool {
    may_trail(name) && fate(name.as_str()) == Fate::Passes
}

#[cfg(test)]
mod tests {
    use super::{super::tests::headers, *};

    #[test]
    fn trailers_pass_as_headers_would_and_no_others() {
        let received = headers(&[
            ("x-checksum", "a"),
            ("x-checksum", "b"),
            ("grpc-status", "0"),
            ("authorization", "forged"),
            ("content-length", "5"),
            ("transfer-encoding", "chunked"),
            ("host", "other"),
            ("connection", "x-checksum"),
            ("reachback-service", "other"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x_checksum", "c"),
            ("x-http-method-override", "DELETE"),
        ]);
        assert_eq!(admit(&received), headers(&[("x-checksum", "a"), ("x-checksum", "b"), ("grpc-status", "0")]));
    }

    #[test]
    fn only_what_may_come_is_announced() {
        let check = |lines: &[&str], expected: Option<&str>| {
            let lines: Vec<_> = lines.iter().map(|line| ("trailer", *line)).collect();
            let line = announced(&headers(&lines));
            assert_eq!(line.as_ref().map(|line| line.to_str().unwrap()), expected, "{lines:?}");
        };
        check(&[], None);
        check(&[""], None);
        check(&["X-Checksum"], Some("X-Checksum"));
        check(&["x-a , Authorization,\tx-b", "x-c"], Some("x-a, x-b, x-c"));
        check(&["Content-Length, x-real-ip, x_a, two words"], None);
    }
}
