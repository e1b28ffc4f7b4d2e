//! Keeps browsers off listeners that are for programs of this machine: a page of any origin can make them call loopback.

use http::{HeaderMap, Request, header, uri::Authority};

use crate::net::is_loopback_host;

/// Why a request is not answered that a page could have made a browser send: it names its origin (RFC 6454 §7), or it
/// is for a host that is not this machine's own, whose name somebody has made resolve to loopback (DNS rebinding). A
/// target in absolute form names one as well, and goes before `Host` (RFC 9112 §3.2.2): then both must be good.
#[must_use]
pub fn refusal<B>(request: &Request<B>) -> Option<&'static str> {
    if request.headers().contains_key(header::ORIGIN) {
        return Some("browsers may not ask this listener: the request has an Origin\n");
    }
    if is_for_loopback(request.headers()) && request.uri().authority().is_none_or(is_loopback) {
        return None;
    }
    Some("this listener answers requests for localhost, 127.0.0.1 and [::1] only: the Host or the URL's is another\n")
}

fn is_for_loopback(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    authority.as_ref().is_some_and(is_loopback)
}

/// Whatever the port: it may have been forwarded.
fn is_loopback(authority: &Authority) -> bool {
    !authority.as_str().contains('@') && is_loopback_host(authority.host().trim_matches(['[', ']']))
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    /// With a good `Host`, unless lines of it are given.
    fn request(target: &str, name: &HeaderName, values: &[&str]) -> Request<()> {
        let mut request = Request::builder().uri(target);
        if *name != header::HOST {
            request = request.header(header::HOST, "localhost");
        }
        values.iter().fold(request, |request, value| request.header(name, *value)).body(()).unwrap()
    }

    #[test]
    fn a_target_that_names_a_host_names_this_machine() {
        for (target, expected) in [
            ("http://localhost:7101/status", true),
            ("http://127.0.0.1/status", true),
            ("http://[::1]:1/status", true),
            ("http://evil/status", false),
            ("http://localhost.evil.example/status", false),
            ("http://localhost@evil/status", false),
            ("evil:80", false),
        ] {
            assert_eq!(refusal(&request(target, &header::HOST, &["localhost"])).is_none(), expected, "{target}");
            assert!(refusal(&request(target, &header::HOST, &["evil"])).is_some(), "{target} with another Host");
        }
    }

    #[test]
    fn hosts_of_this_machine() {
        let check = |hosts: &[&str], expected| {
            assert_eq!(refusal(&request("/status", &header::HOST, hosts)).is_none(), expected, "{hosts:?}");
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
            let request = request("/status", &header::ORIGIN, &[origin]);
            assert!(refusal(&request).is_some_and(|why| why.contains("Origin")), "{origin:?}");
        }
    }
}
