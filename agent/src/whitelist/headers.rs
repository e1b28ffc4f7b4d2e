//! What is sent of the headers: rebuilt line by line, never passed on as they are.
//!
//! That names are tokens and values hold no CR, LF or NUL is what [`HeaderName`](http::HeaderName) and
//! [`HeaderValue`] prove; a test below pins it.

use std::borrow::Cow;

use http::{
    HeaderMap, HeaderValue,
    header::{CONNECTION, HOST, TE, TRAILER},
};

use super::trailers;

/// What becomes of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes to the upstream.
    Passes,
    /// It says who the client is. A compromised gateway could forge that, so it passes only if the service trusts it.
    Identity,
    /// It goes nowhere.
    Dropped,
}

/// Builds the headers to send: `Host` first, then what passes, lines of one name in their order.
pub(super) fn rebuild(received: &HeaderMap, host: &HeaderValue, trust_forwarded: bool) -> HeaderMap {
    let mut sent = HeaderMap::with_capacity(received.keys_len() + 1);
    // Ours go in by themselves, so that nothing that `Connection` nominates can take them away.
    sent.insert(HOST, host.clone());
    if accepts_trailers(received) {
        sent.insert(TE, HeaderValue::from_static("trailers"));
    }
    if let Some(announced) = trailers::announced(received) {
        sent.insert(TRAILER, announced);
    }
    let nominated = Nominated::of(received);
    for (name, value) in received {
        let passes = match fate(name.as_str()) {
            Fate::Passes => true,
            Fate::Identity => trust_forwarded,
            Fate::Dropped => false,
        };
        if passes && !nominated.names(name.as_str()) {
            sent.append(name.clone(), value.clone());
        }
    }
    sent
}

/// RFC 9110 §10.1.4: `trailers` says that the client can take trailers; the other members are about this hop.
fn accepts_trailers(received: &HeaderMap) -> bool {
    let members = received.get_all(TE).iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    members.map(<[u8]>::trim_ascii).any(|member| member.eq_ignore_ascii_case(b"trailers"))
}

/// The fields that `Connection` names (RFC 9110 §7.6.1), over all its lines.
struct Nominated<'a>(Vec<&'a [u8]>);

impl<'a> Nominated<'a> {
    fn of(received: &'a HeaderMap) -> Self {
        let lines = received.get_all(CONNECTION).iter();
        Self(lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b',')).map(<[u8]>::trim_ascii).collect())
    }

    fn names(&self, name: &str) -> bool {
        self.0.iter().any(|nominated| nominated.eq_ignore_ascii_case(name.as_bytes()))
    }
}

/// Fields of one hop, of framing, or of ours.
const HOP: [&str; 12] = [
    "connection",
    "content-length", // the actual body decides
    "expect",         // answered here
    "host",           // ours
    "http2-settings", // asks for an upgrade to h2c
    "keep-alive",
    "proxy", // becomes HTTP_PROXY in CGI: "httpoxy"
    "reachback",
    "te",
    "trailer", // announced anew
    "transfer-encoding",
    "upgrade",
];

/// The same by prefix: credentials and wishes for a proxy, and the names that only we may set.
const HOP_PREFIXES: [&str; 2] = ["proxy-", "reachback-"];

/// Behind `x-`: other methods, hosts and paths than those that were judged, as frameworks and proxies take them.
const X_STEERING: [&str; 4] = [
    "host",
    "http-host-override",
    "override-url",
    "sendfile-type", // Rack::Sendfile, with X-Accel-Mapping: makes a proxy serve another file
];
const X_STEERING_PREFIXES: [&str; 5] = ["accel-", "envoy-original-", "http-method", "original-", "rewrite-"];

/// Who the client is, by address, by user, or by TLS certificate: what a proxy asserts towards a server that trusts
/// it, and so what a forger could assert. (`Authorization` and `Cookie` pass: they carry their own proof.)
const IDENTITY: [&str; 2] = ["cf-connecting-ipv6", "cf-pseudo-ipv4"];
const IDENTITY_PREFIXES: [&str; 6] = [
    "cf-access-authenticated-",
    "client-cert", // RFC 9440
    "forwarded",   // RFC 7239, and names made like it
    "remote-",     // Remote-User and its kin: Authelia
    "ssl-client-",
    "tailscale-user-",
];
const IDENTITY_SUFFIXES: [&str; 3] = ["client-ip", "connecting-ip", "real-ip"];
const X_IDENTITY: [&str; 10] = [
    "arr-clientcert", // IIS
    "azure-clientip",
    "azure-socketip",
    "client-dn",
    "client-verify",
    "envoy-external-address",
    "envoy-internal",
    "originating-ip",
    "proxyuser-ip",
    "real-port",
];
const X_IDENTITY_PREFIXES: [&str; 13] = [
    "amzn-mtls-",
    "amzn-oidc-",
    "auth-request-", // oauth2-proxy
    "authentik-",
    "client-cert",
    "forward", // X-Forwarded-*, and misspellings that some servers take
    "goog-authenticated-user-",
    "goog-iap-",
    "ms-client-principal",
    "remote-", // X-Remote-User, X-Remote-Group: Kubernetes' front proxy; X-Remote-IP, X-Remote-Addr
    "ssl-",
    "tls-client-",
    "webauth-", // Grafana, Gitea
];

/// Decides by the name alone.
pub(super) fn fate(name: &str) -> Fate {
    if name.contains('_') {
        // CGI and its heirs turn '-' into '_': such a name could pose as any other.
        return Fate::Dropped;
    }
    let name = &*folded(name);
    let is_dropped = match name.strip_prefix("x-") {
        Some(rest) => X_STEERING.contains(&rest) || begins(rest, &X_STEERING_PREFIXES),
        None => HOP.contains(&name) || begins(name, &HOP_PREFIXES),
    };
    if is_dropped || name.ends_with("method-override") {
        return Fate::Dropped;
    }
    let is_identity = match name.strip_prefix("x-") {
        Some(rest) => X_IDENTITY.contains(&rest) || begins(rest, &X_IDENTITY_PREFIXES),
        None => IDENTITY.contains(&name) || begins(name, &IDENTITY_PREFIXES),
    };
    if is_identity || IDENTITY_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
        return Fate::Identity;
    }
    Fate::Passes
}

fn begins(name: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// Some servers (lighttpd, for one) turn every byte that is neither letter nor digit into `_`, so that
/// `x.forwarded.for` becomes HTTP_X_FORWARDED_FOR. A name is judged as its most dangerous reading.
fn folded(name: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if name.bytes().all(is_plain) {
        return Cow::Borrowed(name);
    }
    name.bytes().map(|byte| if is_plain(byte) { char::from(byte) } else { '-' }).collect()
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::{super::tests::headers, *};

    /// What is sent of these lines, besides `Host`.
    fn sent(lines: &[(&str, &str)], trust_forwarded: bool) -> Vec<(String, String)> {
        let sent = rebuild(&headers(lines), &HeaderValue::from_static("up:80"), trust_forwarded);
        let mut lines: Vec<_> = sent.iter().map(|(n, v)| (n.to_string(), v.to_str().unwrap().to_owned())).collect();
        assert_eq!(lines.remove(0), ("host".to_owned(), "up:80".to_owned()), "Host comes first");
        assert!(lines.iter().all(|(name, _)| name != "host"), "there is one Host");
        lines
    }

    fn names(lines: &[(&str, &str)]) -> String {
        sent(lines, false).into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn some_never_pass() {
        let never = [
            "Connection",
            "Keep-Alive",
            "TE",
            "Transfer-Encoding",
            "Upgrade",
            "HTTP2-Settings",
            "Host",
            "Content-Length",
            "Expect",
            "Proxy",
            "Proxy-Authorization",
            "Proxy-Authenticate",
            "Proxy-Connection",
            "Reachback",
            "Reachback-Error",
            "Reachback-Service",
            "X_Forwarded_For",
            "content_length",
            "a_b",
            "_",
            "X-HTTP-Method-Override",
            "X-Method-Override",
            "X-HTTP-Method",
            "HTTP-Method-Override",
            "X-Original-URL",
            "X-Original-Host",
            "X-Original-Method",
            "X-Original-Forwarded-For",
            "X-Rewrite-URL",
            "X-Rewrite-Path",
            "X-Host",
            "X-HTTP-Host-Override",
            "X-Override-URL",
            "X-Accel-Redirect",
            "X-Accel-Mapping",
            "X-Sendfile-Type",
            "X-Envoy-Original-Path",
            "X.HTTP.Method.Override",
            "X!Original~URL",
            "Transfer.Encoding",
        ];
        for name in never {
            for trust in [false, true] {
                assert_eq!(sent(&[(name, "v")], trust), [], "{name}");
            }
        }
    }

    #[test]
    fn who_the_client_is_passes_only_if_trusted() {
        let identity = [
            "Forwarded",
            "X-Forwarded",
            "X-Forwarded-For",
            "X-Forwarded-Host",
            "X-Forwarded-Proto",
            "X-Forwarded-Anything",
            "X-Forward-For",
            "X-Real-IP",
            "Client-IP",
            "True-Client-IP",
            "X-Client-IP",
            "X-Cluster-Client-IP",
            "CF-Connecting-IP",
            "CF-Connecting-IPv6",
            "Fastly-Client-IP",
            "X-ProxyUser-Ip",
            "X-Remote-User",
            "X-Remote-IP",
            "X-Remote-Addr",
            "X-Remote-Group",
            "Remote-User",
            "X-Auth-Request-Email",
            "X-WebAuth-User",
            "Client-Cert",
            "Client-Cert-Chain",
            "X-SSL-Client-DN",
            "X-Client-Cert",
            "Tailscale-User-Login",
            "X.Forwarded.For",
            "X-Real.IP",
        ];
        for name in identity {
            assert_eq!(sent(&[(name, "v")], false), [], "{name}");
            assert_eq!(sent(&[(name, "v")], true), [(name.to_ascii_lowercase(), "v".to_owned())], "{name}");
        }
    }

    #[test]
    fn the_neighbours_pass() {
        let pass = [
            "Accept",
            "Authorization",
            "Cookie",
            "Content-Type",
            "Content-Encoding",
            "Content-MD5",
            "X-Request-Id",
            "Via",
            "traceparent",
            "tracestate",
            "baggage",
            "User-Agent",
            "If-None-Match",
            "Range",
            "Origin",
            "X-HTTP",
            "X-Method",
            "X-Originator",
            "X-Requested-With",
            "X-CSRF-Token",
            "X-API-Key",
            "X-Hostname",
            "Connection-Id",
            "TEs",
            "Trailers",
            "Proxied",
            "Reachbacks",
            "Hosts",
            "Upgrade-Insecure-Requests",
            "Expect-CT",
            "Client-Id",
            "X-Client-Version",
            "X-Reality",
            "a.b",
            "X-Company.Key",
            "Sec-WebSocket-Key",
            "Access-Control-Request-Method",
            "Idempotency-Key",
        ];
        for name in pass {
            assert_eq!(sent(&[(name, "v")], false), [(name.to_ascii_lowercase(), "v".to_owned())], "{name}");
        }
    }

    #[test]
    fn what_connection_names_is_removed() {
        let others = [("x-a", "1"), ("x-b", "2"), ("x-c", "3"), ("x-d", "4")];
        let check = |connection: &[&str], left: &str| {
            let lines: Vec<_> = connection.iter().map(|value| ("connection", *value)).chain(others).collect();
            assert_eq!(names(&lines), left, "{connection:?}");
        };
        check(&["close"], "x-a x-b x-c x-d");
        check(&["x-a"], "x-b x-c x-d");
        check(&["X-A,x-B"], "x-c x-d");
        check(&["x-a", "close, \t x-b\t ", ",,x-c,"], "x-d");
        check(&["x-a x-b"], "x-a x-b x-c x-d"); // not a list of names
        check(&["x-ab, x"], "x-a x-b x-c x-d");
        check(&["host, x-a, te, content-length"], "x-b x-c x-d"); // Host stays: `sent` looks
    }

    #[test]
    fn a_nominated_name_goes_with_all_its_lines() {
        let lines = [("x-a", "1"), ("connection", "x-a"), ("x-a", "2"), ("accept", "*/*"), ("x-request-id", "r")];
        assert_eq!(names(&lines), "accept x-request-id");
        assert_eq!(names(&[("connection", "x-request-id"), ("x-request-id", "r")]), "");
    }

    #[test]
    fn te_is_trailers_or_nothing() {
        let trailers = [("te".to_owned(), "trailers".to_owned())];
        for value in ["trailers", "Trailers", "gzip, trailers", "trailers, deflate;q=0.5", " trailers\t"] {
            assert_eq!(sent(&[("te", value)], false), trailers, "{value}");
            assert_eq!(sent(&[("connection", "TE"), ("te", value)], false), trailers, "{value}");
        }
        assert_eq!(sent(&[("te", "gzip"), ("te", "trailers")], false), trailers);
        for value in ["", "gzip", "trailers;q=0", "xtrailers", "trailers gzip"] {
            assert_eq!(sent(&[("te", value)], false), [], "{value}");
        }
    }

    #[test]
    fn lines_keep_their_order_and_bytes() {
        let lines = [("cookie", "a"), ("x-z", "1"), ("cookie", "b"), ("cookie", "a")];
        let values = |sent: &HeaderMap| sent.get_all("cookie").iter().cloned().collect::<Vec<_>>();
        assert_eq!(values(&rebuild(&headers(&lines), &HeaderValue::from_static("h"), false)), ["a", "b", "a"]);
        let mut latin = HeaderMap::new();
        latin.insert("x-name", HeaderValue::from_bytes(b"caf\xE9\tx").unwrap());
        let sent = rebuild(&latin, &HeaderValue::from_static("h"), false);
        assert_eq!(sent["x-name"].as_bytes(), b"caf\xE9\tx");
    }

    /// The types are the check of names and values; should they ever take more, this fails.
    #[test]
    fn no_header_can_hold_a_line_break() {
        for byte in 0..=255_u8 {
            let is_token = byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
            assert_eq!(HeaderName::from_bytes(&[b'a', byte]).is_ok(), is_token, "{byte:#x}");
            let is_text = byte == b'\t' || (byte >= b' ' && byte != 0x7F);
            assert_eq!(HeaderValue::from_bytes(&[b'a', byte]).is_ok(), is_text, "{byte:#x}");
        }
        assert!(HeaderName::from_bytes(b"").is_err());
    }
}
