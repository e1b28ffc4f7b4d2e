//! The whitelist against a gateway that is fully compromised: it speaks perfect protocol, and still only what a rule
//! names reaches the upstream, as the very bytes that were judged.

use proto::wire::{Frame, ResetCode};
use reachback_tests::{
    bridge::{self, Setup, Sidecar},
    peer::Peer,
    upstream::Upstream,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// The rules of every test here.
const ALLOW: &str = r#"[ "GET /orders", "GET,HEAD /orders/{id}", "POST /orders", "GET /reports/**", "GET /files/*.txt", "PUT /a%20b", "OPTIONS *", "POST /early/{status}" ]"#;

/// A compromised gateway with the agent's link.
struct Gateway {
    upstream: Upstream,
    peer: Peer,
    _agent: Sidecar,
    next_id: u32,
}

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    /// The upstream's status.
    Answered(u16),
    /// A failure's code.
    Failed(&'static str),
    /// The stream was abandoned.
    Reset(ResetCode),
}

impl Gateway {
    async fn new() -> Self {
        let upstream = Upstream::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let setup = Setup { service: "response_timeout: 1s", ..Setup::default() };
        let yaml = bridge::agent_yaml(listener.local_addr().unwrap(), upstream.address(), setup);
        let agent = Sidecar::agent(&yaml.replace(bridge::ALLOW, ALLOW), "".as_ref());
        let peer = Peer::gateway(&listener).await;
        Self { upstream, peer, _agent: agent, next_id: 1 }
    }

    /// Posts a body, all of it in one frame.
    async fn ask_with_body(&mut self, target: &str, length: &str, body: &str) -> Outcome {
        let data = [&self.next_id.to_be_bytes()[..], &[1], body.as_bytes()].concat();
        let id =
            self.say("orders", "POST", target.as_bytes(), &[("content-length", length)], &json!({"end": false})).await;
        self.peer.binary(data).await;
        self.outcome(id).await
    }

    /// Asks, in JSON of its own: whatever the target's bytes.
    async fn ask(
        &mut self,
        service: &str,
        method: &str,
        target: &[u8],
        headers: &[(&str, &str)],
        more: &Value,
    ) -> Outcome {
        let id = self.say(service, method, target, headers, more).await;
        self.outcome(id).await
    }

    async fn say(&mut self, service: &str, method: &str, target: &[u8], headers: &[(&str, &str)], more: &Value) -> u32 {
        let id = self.next_id;
        self.next_id += 1;
        let target: String = target.iter().map(|&byte| char::from(byte)).collect();
        let mut request = json!({
            "type": "request", "id": id, "service": service, "method": method, "target": target,
            "headers": headers, "end": true, "request_id": "r",
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            request[key] = value.clone();
        }
        self.peer.text(request.to_string()).await;
        id
    }

    async fn outcome(&mut self, id: u32) -> Outcome {
        let of_this = |frame| match frame {
            Frame::Response { id: of, head, .. } if of.0 == id => Some(Outcome::Answered(head.status.as_u16())),
            Frame::Failure { id: of, failure } if of.0 == id => Some(Outcome::Failed(failure.code.as_str())),
            Frame::Reset { id: of, code, .. } if of.0 == id => Some(Outcome::Reset(code)),
            _ => None,
        };
        self.peer.frame(of_this).await
    }

    async fn refused(&mut self, method: &str, target: impl AsRef<[u8]>, code: &'static str) {
        let target = target.as_ref();
        let outcome = self.ask("orders", method, target, &[], &json!({})).await;
        assert_eq!(outcome, Outcome::Failed(code), "{method} {}", target.escape_ascii());
        assert_eq!(self.upstream.counts().connections, 0, "{method} {}", target.escape_ascii());
    }
}

#[tokio::test]
async fn refused_targets_open_no_connection() {
    let mut gateway = Gateway::new().await;
    for (method, target) in [
        // Not named by a rule.
        ("GET", "/"),
        ("GET", "/admin"),
        ("GET", "/ORDERS"),
        ("GET", "/orders/"),
        ("GET", "/orders/1/2"),
        ("GET", "/reports"),
        ("GET", "/reports/"),
        ("GET", "/files/.txt"),
        ("GET", "/files/a.txt/"),
        ("HEAD", "/orders"),
        ("DELETE", "/orders/1"),
        ("get", "/orders"),
        ("TRACE", "/orders"),
        ("CONNECT", "/orders"),
        // Dot segments, plainly and in disguise.
        ("GET", "/orders/.."),
        ("GET", "/reports/../admin"),
        ("GET", "/reports/%2e%2e/admin"),
        ("GET", "/reports/.%2E/admin"),
        ("GET", "/reports/..;/admin"),
        ("GET", "/reports/..%20/admin"),
        ("GET", "/reports/./admin"),
        // Two readings.
        ("GET", "/reports//admin"),
        ("GET", "//reports/admin"),
        ("GET", "/orders/a%2fb"),
        ("GET", "/reports/..%2f..%2fadmin"),
        ("GET", "/orders/1;admin=true"),
        ("GET", "/orders/1%3Badmin"),
        ("GET", "/orders/%252e%252e"),
        ("GET", "/orders/%25%32%65"),
        ("GET", "/orders/a%5cb"),
        ("GET", "/orders/a%00.txt"),
        ("GET", "/files/a%0d%0aX:y.txt"),
        ("GET", "/orders/%c0%ae%c0%ae"),
        ("GET", "/orders/%ed%a0%80"),
        ("GET", "/orders/%ff"),
        ("GET", "/orders/%ef%bc%8f"),
        ("GET", "/orders/%e2%80%a4%e2%80%a4"),
        ("POST", "/orders?_method=DELETE"),
        ("POST", "/orders?a&%5Fmethod=DELETE"),
    ] {
        gateway.refused(method, target, "denied").await;
    }
}

#[tokio::test]
async fn malformed_targets_open_no_connection() {
    let mut gateway = Gateway::new().await;
    for target in [
        &b""[..],
        b"*",
        b"orders",
        b"http://127.0.0.1:1/orders",
        b"http://127.0.0.1:1@evil.example/orders",
        b"evil.example:443",
        b"?orders",
        b" /orders",
        b"/orders HTTP/1.1\r\nHost: evil\r\n\r\nGET /admin",
        b"/orders\n",
        b"/orders\r",
        b"/orders\0",
        b"/orders\t",
        b"/orders#/admin",
        b"/orders?x#y",
        b"/orders?x y",
        b"/orders?\r\nX: y",
        b"/orders/\\..\\admin",
        b"/orders/{id}",
        b"/orders/caf\xE9",
        b"/orders?\xFF",
        b"/orders/%",
        b"/orders/%2",
        b"/orders/%zz",
        b"/orders/%u002e",
        b"\xEF\xBB\xBF/orders",
    ] {
        gateway.refused("GET", target, "bad_request").await;
    }
    gateway.refused("GET", format!("/orders/{}", "x".repeat(8192)), "uri_too_long").await;
}

#[tokio::test]
async fn refused_heads_open_no_connection() {
    let mut gateway = Gateway::new().await;
    let long = "y".repeat(60_000);
    let many = [("x", "y"); 101];
    for (headers, code) in [
        (&[("content-length", "5"), ("transfer-encoding", "chunked")][..], "bad_request"),
        (&[("content-length", "5"), ("content-length", "5")], "bad_request"),
        (&[("content-length", "5, 5")], "bad_request"),
        (&[("content-length", "+5")], "bad_request"),
        (&[("content-length", "")], "bad_request"),
        (&[("content-length", "18446744073709551616")], "bad_request"),
        (&[("expect", "the-worst")], "bad_request"),
        (&[("x", &long), ("z", "0123456789"), ("w", &long[..6000])], "head_too_large"),
        (&many, "head_too_large"),
    ] {
        let outcome = gateway.ask("orders", "POST", b"/orders", headers, &json!({})).await;
        assert_eq!(outcome, Outcome::Failed(code), "{headers:?}");
    }
    let outcome = gateway.ask("admin", "GET", b"/orders", &[], &json!({})).await;
    assert_eq!(outcome, Outcome::Failed("denied"), "a service that the agent does not offer");
    let outcome = gateway.ask("orders", "GET", b"/orders", &[], &json!({"upgrade": true})).await;
    assert_eq!(outcome, Outcome::Failed("denied"), "an upgrade that no rule permits");
    assert_eq!(gateway.upstream.counts().connections, 0);
}

#[tokio::test]
async fn what_is_allowed_is_sent_byte_for_byte() {
    let mut gateway = Gateway::new().await;
    for (method, target) in [
        ("GET", "/orders"),
        ("GET", "/orders?"),
        ("GET", "/orders?page=2&next=http://evil.example/../x&a[b]={c}|d^`\\"),
        ("GET", "/orders?a=%2e%2e%2f&%zz"),
        ("GET", "/orders/..foo"),
        ("GET", "/orders/..."),
        ("GET", "/orders/a..b"),
        ("GET", "/orders/100%25"),
        ("GET", "/orders/caf%C3%a9"),
        ("GET", "/orders/%41%7e~"),
        ("GET", "/orders/%20"),
        ("GET", "/orders/@:!$&'()*+,="),
        ("HEAD", "/orders/42"),
        ("POST", "/orders"),
        ("GET", "/reports/a"),
        ("GET", "/reports/a/b/c/"),
        ("GET", "/files/x.txt"),
        ("PUT", "/a%20b"),
        ("OPTIONS", "*"),
    ] {
        let before = gateway.upstream.counts().requests;
        let outcome = gateway.ask("orders", method, target.as_bytes(), &[], &json!({})).await;
        assert!(matches!(outcome, Outcome::Answered(_)), "{method} {target}: {outcome:?}");
        assert_eq!(gateway.upstream.counts().requests, before + 1, "{method} {target}: once");
        assert_eq!(gateway.upstream.last_head().line(), format!("{method} {target} HTTP/1.1"));
    }
}

#[tokio::test]
async fn headers_are_rebuilt() {
    let mut gateway = Gateway::new().await;
    let sent = [
        ("host", "evil.example"),
        ("connection", "x-mine, host, upgrade"),
        ("x-mine", "1"),
        ("upgrade", "websocket"),
        ("transfer-encoding", "identity"),
        ("te", "gzip"),
        ("trailer", "x"),
        ("keep-alive", "x"),
        ("proxy", "http://evil.example"),
        ("proxy-authorization", "x"),
        ("x_forwarded_for", "10.0.0.1"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "for=10.0.0.1"),
        ("x-real-ip", "10.0.0.1"),
        ("true-client-ip", "10.0.0.1"),
        ("x-original-url", "/admin"),
        ("x-rewrite-url", "/admin"),
        ("x-http-method-override", "DELETE"),
        ("x-method-override", "DELETE"),
        ("x-http-method", "DELETE"),
        ("x-accel-redirect", "/admin"),
        ("remote-user", "root"),
        ("reachback-service", "admin"),
    ];
    let kept = [("accept", "a/b"), ("authorization", "Bearer mine"), ("cookie", "a=1"), ("x-request-id", "r")];
    let headers = [&sent[..], &kept].concat();
    let outcome = gateway.ask("orders", "GET", b"/orders", &headers, &json!({})).await;
    assert_eq!(outcome, Outcome::Answered(404));
    let head = gateway.upstream.last_head();
    for (name, value) in kept {
        assert_eq!(head.all(name), [value], "{head:?}");
    }
    for (name, value) in sent {
        assert!(!head.all(name).contains(&value), "{name} in {head:?}");
    }
    assert_eq!(head.all("host"), [gateway.upstream.address().to_string()]);
}

/// A body that is not what the head declared never becomes a second request.
#[tokio::test]
async fn a_body_is_framed_by_what_it_is() {
    let mut gateway = Gateway::new().await;
    let smuggled = b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    for (length, end) in [("0", true), ("3", true), ("1000", true), ("3", false)] {
        let prefix = [&gateway.next_id.to_be_bytes()[..], &[u8::from(end)]].concat();
        let declared = [("content-length", length)];
        let id = gateway.say("orders", "POST", b"/orders", &declared, &json!({"end": false})).await;
        gateway.peer.binary([&prefix[..], smuggled].concat()).await;
        gateway.outcome(id).await;
        assert!(gateway.peer.lives().await);
    }
    // Whatever the upstream could make of it would stand here.
    let outcome = gateway.ask("orders", "GET", b"/orders/last", &[], &json!({})).await;
    assert_eq!(outcome, Outcome::Answered(404));
    let seen: Vec<String> = gateway.upstream.heads().iter().map(|head| head.word(1).to_owned()).collect();
    assert!(seen.iter().all(|target| target.starts_with("/orders")), "{seen:?}");
    gateway.upstream.until("the cut ones to end", |counts| counts.active == 0).await;
}

/// An upstream that answers before it has read a body waits for the rest of it on the same connection: the next head
/// would be taken for that rest, and the next body for a request that nobody judged.
#[tokio::test]
async fn a_body_that_never_comes_smuggles_nothing() {
    let mut gateway = Gateway::new().await;
    let smuggled = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = smuggled.len().to_string();
    // How long the head of the second request will be.
    let outcome = gateway.ask_with_body("/orders", &length, smuggled).await;
    assert_eq!(outcome, Outcome::Answered(404));
    let head = gateway.upstream.last_head().0.len().to_string();

    // It ends at once: with its head, or with an empty frame right behind it.
    for end in [true, false] {
        let declared = [("content-length", &*head)];
        let data = [&gateway.next_id.to_be_bytes()[..], &[1]].concat();
        let id = gateway.say("orders", "POST", b"/early/200", &declared, &json!({"end": end})).await;
        if !end {
            gateway.peer.binary(data).await;
        }
        gateway.outcome(id).await;
        gateway.ask_with_body("/orders", &length, smuggled).await;
        gateway.ask("orders", "GET", b"/orders/last", &[], &json!({})).await;
    }
    for head in gateway.upstream.heads() {
        assert_ne!(head.word(1), "/admin", "a request that no rule allows has reached the upstream");
    }
}

#[tokio::test]
async fn a_bodiless_request_that_declares_one_hangs_nobody() {
    let mut gateway = Gateway::new().await;
    let outcome = gateway.ask("orders", "POST", b"/orders", &[("content-length", "5")], &json!({})).await;
    assert_eq!(outcome, Outcome::Failed("bad_request"));
    let outcome = gateway.ask("orders", "GET", b"/orders/last", &[], &json!({})).await;
    assert_eq!(outcome, Outcome::Answered(404));
}
