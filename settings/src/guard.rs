//! Keeps browsers off listeners that are for programs of this machine: a page of any origin can make them call loopback.

use http::{HeaderMap, header, uri::Authority};

use crate::net::is_loopback_host;

/// Why a request is not answered that a page could have made a browser send: it names its origin (RFC 6454 §7), or it
/// is for a host that is not this machine's own, whose name somebody has made resolve to loopback (DNS rebinding).
#[must_use]
pub fn refusal(headers: &HeaderMap) -> Option<&'static str> {
    if headers.contains_key(header::ORIGIN) {
        return Some("browsers may not ask this listener: the request has an Origin\n");
    }
    if is_for_loopback(headers) {
        return None;
    }
    Some("this listener answers requests for localhost, 127.0.0.1 and [::1] only: the Host is another\n")
}

/// Whatever the port: it may have been forwarded.
fn is_for_loopback(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    authority.is_some_and(|authority| {
        !authority.as_str().contains('@') && is_loopback_host(authority.host().trim_matches(['[', ']']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_this_machine() {
        let check = |hosts: &[&str], expected| {
            let headers: HeaderMap = hosts.iter().map(|host| (header::HOST, host.parse().unwrap())).collect();
            assert_eq!(refusal(&headers).is_none(), expected, "{hosts:?}");
        };
        for good in ["127.0.0.1:7101", "localhost:7101", "localhost", "[::1]:7101", "127.9.9.9", "[::1]"] {
            check(&[good], true);
        }
        for bad in ["evil.example", "evil.example:7101", "localhost.evil.example", "10.0.0.1:7101", "", "a@localhost"] {
            check(&[bad], false);
        }
        check(&[], false);
        check(&["localhost", "localhost"], false);
    }

    #[test]
    fn any_origin_is_a_browser() {
        for origin in ["https://evil.example", "http://localhost", "null", ""] {
            let lines = [(header::HOST, "localhost"), (header::ORIGIN, origin)];
            let headers: HeaderMap = lines.into_iter().map(|(name, value)| (name, value.parse().unwrap())).collect();
            assert!(refusal(&headers).is_some_and(|why| why.contains("Origin")), "{origin:?}");
        }
    }
}
