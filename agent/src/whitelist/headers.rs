//! What is sent of the headers: rebuilt line by line, never passed on as they are.
//!
//! That names are tokens and values hold no CR, LF or NUL is what [`HeaderName`] and
//! [`HeaderValue`] prove; a test below pins it.

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{CONNECTION, HOST, TE},
};

use super::fate::{Fate, fate};

/// Which of the received headers pass.
#[derive(Debug)]
pub(super) struct Passing<'a> {
    received: &'a HeaderMap,
    trust_forwarded: bool,
    /// The fields that `Connection` names (RFC 9110 §7.6.1), over all its lines.
    nominated: Vec<&'a [u8]>,
}

impl<'a> Passing<'a> {
    pub(super) fn new(received: &'a HeaderMap, trust_forwarded: bool) -> Self {
        let lines = received.get_all(CONNECTION).iter();
        let nominated = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
        Self { received, trust_forwarded, nominated: nominated.collect() }
    }

    /// Builds the headers to send: `Host` first, then what passes, lines of one name in their order.
    pub(super) fn rebuild(&self, host: &HeaderValue) -> HeaderMap {
        // Ours go in by themselves, so that nothing that `Connection` nominates can take them away.
        let mut sent = self.copy();
        sent.insert(HOST, host.clone());
        if accepts_trailers(self.received) {
            sent.insert(TE, HeaderValue::from_static("trailers"));
        }
        sent
    }

    /// What passes, and a `Host` in the first place. To copy all at once and take something out costs a third of
    /// putting in one by one; it keeps the first place where it is, so that is done if the `Host` stands there.
    fn copy(&self) -> HeaderMap {
        if self.received.keys().next() == Some(&HOST) {
            let mut sent = self.received.clone();
            for name in self.received.keys().filter(|name| **name != HOST && !self.has(name)) {
                sent.remove(name);
            }
            return sent;
        }
        let mut sent = HeaderMap::with_capacity(self.received.keys_len() + 1);
        sent.insert(HOST, HeaderValue::from_static(""));
        for (name, value) in self.received.iter().filter(|(name, _)| self.has(name)) {
            sent.append(name.clone(), value.clone());
        }
        sent
    }

    /// The lines of one name, if it passes.
    pub(super) fn lines(&self, name: &HeaderName) -> impl Iterator<Item = &'a HeaderValue> {
        self.received.get_all(name).iter().filter(|_| self.has(name))
    }

    fn has(&self, name: &HeaderName) -> bool {
        let passes = match fate(name.as_str()) {
            Fate::Passes => true,
            Fate::Identity => self.trust_forwarded,
            Fate::Dropped => false,
        };
        passes && !self.nominated.iter().any(|nominated| nominated.eq_ignore_ascii_case(name.as_str().as_bytes()))
    }
}

/// RFC 9110 §10.1.4: `trailers` says that the client can take trailers; the other members are about this hop.
fn accepts_trailers(received: &HeaderMap) -> bool {
    let members = received.get_all(TE).iter().flat_map(|value| value.as_bytes().split(|&byte| byte == b','));
    members.map(<[u8]>::trim_ascii).any(|member| member.eq_ignore_ascii_case(b"trailers"))
}

#[cfg(test)]
mod tests {
    use super::{super::tests::headers, *};

    fn rebuild(received: &HeaderMap, host: &'static str, trust_forwarded: bool) -> HeaderMap {
        let host = HeaderValue::from_static(host);
        let sent = Passing::new(received, trust_forwarded).rebuild(&host);
        // The same with a Host in the first place, which is copied in another way.
        let mut with_host = headers(&[("host", "evil.example")]);
        with_host.extend(received.clone());
        let copied = Passing::new(&with_host, trust_forwarded).rebuild(&host);
        assert_eq!((copied.keys().next(), &copied), (Some(&HOST), &sent));
        sent
    }

    /// What is sent of these lines, besides `Host`.
    fn sent(lines: &[(&str, &str)], trust_forwarded: bool) -> Vec<(String, String)> {
        let sent = rebuild(&headers(lines), "up:80", trust_forwarded);
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
            "Trailer",
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
        assert_eq!(values(&rebuild(&headers(&lines), "h", false)), ["a", "b", "a"]);
        let mut latin = HeaderMap::new();
        latin.insert("x-name", HeaderValue::from_bytes(b"caf\xE9\tx").unwrap());
        let sent = rebuild(&latin, "h", false);
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
