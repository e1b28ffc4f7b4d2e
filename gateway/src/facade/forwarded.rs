//! Who the client is, as told to the upstream: `X-Forwarded-For`, `-Proto` and `-Host`, and `Forwarded` (RFC 7239).

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::{config::Forwarded, listener::Peer};

const FORWARDED: HeaderName = header::FORWARDED;
const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// The last hop of a request, as its facade saw it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hop {
    /// What is to be said of it.
    pub(super) said: Forwarded,
    pub(super) peer: Peer,
    pub(super) is_tls: bool,
}

impl Hop {
    /// Says it in the headers that travel; hop-by-hop fields are off already, so that nothing takes these away again.
    pub(super) fn note(self, headers: &mut HeaderMap) {
        match self.said {
            Forwarded::Off => return,
            Forwarded::Append => {}
            Forwarded::Replace => remove_claims(headers),
        }
        let host = headers.get(header::HOST).filter(|host| !host.is_empty()).cloned();
        let scheme = if self.is_tls { "https" } else { "http" };
        let address = self.address();
        extend(headers, FOR, &address.map_or("unknown".to_owned(), |ip| ip.to_string()));
        extend(headers, FORWARDED, &element(address, host.as_ref(), scheme));
        // These are no lists: the first proxy on the way has said what the client asked for.
        headers.entry(PROTO).or_insert(HeaderValue::from_static(scheme));
        if let Some(host) = host {
            headers.entry(HOST).or_insert(host);
        }
    }

    /// The client's address. A Unix socket has none, and what has none is `unknown` (RFC 7239 §6.2): to say nothing
    /// would leave the client's own last claim where a server looks for ours.
    fn address(self) -> Option<IpAddr> {
        match self.peer {
            Peer::Tcp(address) => Some(address.ip().to_canonical()),
            Peer::Local => None,
        }
    }
}

/// Makes one line of all there are and the new one: many servers look at one line only.
fn extend(headers: &mut HeaderMap, name: HeaderName, last: &str) {
    let mut line = Vec::new();
    for earlier in headers.get_all(&name) {
        line.extend_from_slice(earlier.as_bytes());
        line.extend_from_slice(b", ");
    }
    line.extend_from_slice(last.as_bytes());
    headers.insert(name, HeaderValue::from_bytes(&line).expect("values joined by commas are a value"));
}

/// `for=192.0.2.1;host="orders.localhost:7081";proto=http` (RFC 7239 §4).
fn element(address: Option<IpAddr>, host: Option<&HeaderValue>, scheme: &str) -> String {
    let mut element = match address {
        Some(IpAddr::V4(ip)) => format!("for={ip}"),
        Some(IpAddr::V6(ip)) => format!("for=\"[{ip}]\""),
        None => "for=unknown".to_owned(),
    };
    if let Some(host) = host.and_then(|host| host.to_str().ok()) {
        element.push_str(";host=\"");
        for c in host.chars() {
            if matches!(c, '"' | '\\') {
                element.push('\\');
            }
            element.push(c);
        }
        element.push('"');
    }
    element.push_str(";proto=");
    element.push_str(scheme);
    element
}

/// Takes off what the client said about itself or about a proxy before it.
fn remove_claims(headers: &mut HeaderMap) {
    let claims: Vec<HeaderName> = headers.keys().filter(|name| is_claim(name.as_str())).cloned().collect();
    for name in claims {
        headers.remove(name);
    }
}

/// Some servers take any byte that is neither letter nor digit for a `-`, or for each other.
fn is_claim(name: &str) -> bool {
    let begins = |known: &str| {
        let alike = |(a, b): (u8, u8)| a == b || b == b'-' && !a.is_ascii_alphanumeric();
        name.len() >= known.len() && name.bytes().zip(known.bytes()).all(alike)
    };
    begins("x-forwarded-") || begins("forwarded") || begins("x-real-ip")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of header lines, in the order of their names.
    fn noted(said: Forwarded, peer: &str, is_tls: bool, lines: &[(&'static str, &str)]) -> Vec<String> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        let peer = peer.parse().map_or(Peer::Local, |ip: IpAddr| Peer::Tcp((ip, 9).into()));
        Hop { said, peer, is_tls }.note(&mut headers);
        headers.remove("host");
        let mut lines: Vec<_> = headers.iter().map(|(n, v)| format!("{n}: {}", v.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    const OWN: [(&str, &str); 8] = [
        ("host", "a:7081"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-for", "10.0.0.2"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "shop"),
        ("x-forwarded-prefix", "/x"),
        ("forwarded", "for=10.0.0.1"),
        ("x-real-ip", "10.0.0.1"),
    ];

    #[test]
    fn off_touches_nothing() {
        assert_eq!(noted(Forwarded::Off, "192.0.2.1", false, &[("host", "a")]), [""; 0]);
        let mut as_sent: Vec<_> = OWN[1..].iter().map(|(name, value)| format!("{name}: {value}")).collect();
        as_sent.sort();
        assert_eq!(noted(Forwarded::Off, "192.0.2.1", true, &OWN), as_sent);
    }

    #[test]
    fn append_extends_the_lists_and_keeps_the_rest() {
        let expected = [
            "forwarded: for=10.0.0.1, for=192.0.2.1;host=\"a:7081\";proto=http",
            "x-forwarded-for: 10.0.0.1, 10.0.0.2, 192.0.2.1",
            "x-forwarded-host: shop",
            "x-forwarded-prefix: /x",
            "x-forwarded-proto: https",
            "x-real-ip: 10.0.0.1",
        ];
        assert_eq!(noted(Forwarded::Append, "192.0.2.1", false, &OWN), expected);
    }

    #[test]
    fn replace_says_what_the_facade_saw() {
        let seen = [
            "forwarded: for=192.0.2.1;host=\"a:7081\";proto=https",
            "x-forwarded-for: 192.0.2.1",
            "x-forwarded-host: a:7081",
            "x-forwarded-proto: https",
        ];
        assert_eq!(noted(Forwarded::Replace, "192.0.2.1", true, &OWN), seen);
        assert_eq!(noted(Forwarded::Append, "192.0.2.1", true, &OWN[..1]), seen, "there is nothing to extend");
        let alike = [("host", "a:7081"), ("x.forwarded.for", "1"), ("forwarded-for", "2"), ("x_real_ip", "3")];
        assert_eq!(noted(Forwarded::Replace, "192.0.2.1", true, &alike), seen);
    }

    #[test]
    fn addresses_of_every_kind() {
        let check = |peer, expected: [&str; 2]| {
            let lines = noted(Forwarded::Append, peer, false, &[]);
            assert_eq!(lines[..2], expected, "{peer}");
        };
        check("2001:db8::1", ["forwarded: for=\"[2001:db8::1]\";proto=http", "x-forwarded-for: 2001:db8::1"]);
        check("::ffff:192.0.2.1", ["forwarded: for=192.0.2.1;proto=http", "x-forwarded-for: 192.0.2.1"]);
        check("unix", ["forwarded: for=unknown;proto=http", "x-forwarded-for: unknown"]);
        let quoted = noted(Forwarded::Append, "192.0.2.1", false, &[("host", r#"a"\b"#)]);
        assert_eq!(quoted[0], r#"forwarded: for=192.0.2.1;host="a\"\\b";proto=http"#);
    }
}
