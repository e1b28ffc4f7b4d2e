//! Failures: who failed, whether a retry is safe, and in a form that the client reads.

use reachback_tests::{
    bridge::{self, Bridge, Setup, Sidecar},
    client::{Answer, Raw, call},
    upstream::{Then, Upstream},
    wait::within,
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, net::TcpStream};

/// Checks everything that a failure says (`docs/errors.md`).
fn check(answer: &Answer, status: u16, code: &str, proxy_error: &str, source: &str, retry_safe: bool) {
    let shown = format!("{answer:?}");
    assert_eq!((answer.status(), answer.failure()), (status, Some(code)), "{shown}");
    assert_eq!(answer.head.one("content-type"), Some("application/problem+json"));
    assert_eq!(answer.head.one("cache-control"), Some("no-store"));
    let proxy_status = answer.head.one("proxy-status").expect("a failure has a Proxy-Status");
    assert!(proxy_status.starts_with(&format!("reachback; error={proxy_error}; details=\"")), "{proxy_status}");
    assert_eq!(answer.head.one("retry-after").is_some(), status == 503, "{shown}");
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_else(|error| panic!("{error}: {shown}"));
    let said = ["status", "code", "source", "retry_safe", "request_id"].map(|key| problem[key].clone());
    let id = answer.head.one("x-request-id");
    assert_eq!(said, [json!(status), json!(code), json!(source), json!(retry_safe), json!(id)], "{shown}");
    assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{shown}");
}

#[tokio::test]
async fn a_denied_request_never_touches_the_upstream() {
    let bridge = Bridge::start().await;
    for method in ["PATCH", "TRACE", "get", "ORDERS"] {
        let answer = call(bridge.facade(), method, "/echo", "").await;
        check(&answer, 403, "denied", "http_request_denied", "agent", false);
    }
    let answer = call(bridge.facade(), "GET", "/a/%2e%2e/b", "").await;
    check(&answer, 403, "denied", "http_request_denied", "agent", false);
    assert_eq!(bridge.upstream.counts().connections, 0);
}

#[tokio::test]
async fn a_refused_connection() {
    let gone = Upstream::start().await.address();
    let gateway = Sidecar::gateway(&bridge::gateway_yaml(""));
    let agent = bridge::agent_yaml(gateway.address("tunnel"), gone, Setup::default());
    let _agent = Sidecar::agent(&agent, "".as_ref());
    let answer = call(gateway.address("facade"), "POST", "/echo", "Content-Length: 0\r\n").await;
    check(&answer, 502, "upstream_refused", "connection_refused", "upstream", true);
}

#[tokio::test]
async fn a_silent_upstream() {
    let bridge = Bridge::with(Setup { service: "response_timeout: 50ms", ..Setup::default() }).await;
    let answer = call(bridge.facade(), "GET", "/silent", "").await;
    check(&answer, 504, "upstream_timeout", "http_response_timeout", "upstream", false);
    bridge.upstream.until("the upstream's connection to end", |counts| counts.open == 0).await;
}

/// It is told from an upstream that does not read, and from one that has it all and is silent.
#[tokio::test]
async fn a_body_that_stands_still_is_its_clients_fault() {
    let bridge = Bridge::with(Setup { service: "response_timeout: 300ms", ..Setup::default() }).await;
    for (framing, begun) in [("Content-Length: 50", "abc"), ("Transfer-Encoding: chunked", "3\r\nabc\r\n")] {
        let mut client = Raw::connect(bridge.facade()).await;
        client.send(format!("POST /silent HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{begun}")).await;
        let answer = client.answer("POST").await;
        check(&answer, 400, "bad_request", "http_request_error", "agent", false);
        assert!(answer.text().contains("the request's body stopped coming"), "{}", answer.text());
    }
    let mut client = Raw::connect(bridge.facade()).await;
    client.send("POST /silent HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n").await;
    check(&client.answer("POST").await, 504, "upstream_timeout", "http_response_timeout", "upstream", false);

    let stream = std::net::TcpStream::connect(bridge.facade()).unwrap();
    stream.set_nonblocking(true).unwrap();
    let mut sender = TcpStream::from_std(stream.try_clone().unwrap()).unwrap();
    let sending = tokio::spawn(async move {
        let head = b"POST /stall HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n";
        sender.write_all(head).await.unwrap();
        // Until nobody takes any more, or the connection is closed.
        while sender.write_all(&[0; 64 * 1024]).await.is_ok() {}
    });
    let answer = Raw::new(TcpStream::from_std(stream).unwrap()).answer("POST").await;
    check(&answer, 504, "upstream_timeout", "http_response_timeout", "upstream", false);
    sending.abort();
}

#[tokio::test]
async fn an_answer_that_stands_still_is_cut() {
    let bridge = Bridge::with(Setup { service: "idle_timeout: 50ms", ..Setup::default() }).await;
    for path in ["/half/1000", "/half-chunked/1000"] {
        let mut client = Raw::connect(bridge.facade()).await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert!(client.try_answer("GET").await.is_none_or(|answer| !answer.whole), "{path}");
        bridge.upstream.until("the upstream's connection to end", |counts| counts.open == 0).await;
    }
}

#[tokio::test]
async fn no_service_and_no_agent() {
    let gateway = Sidecar::gateway(&bridge::gateway_yaml("wait_for_agent: 50ms"));
    let facades = gateway.addresses("facade");
    let answer = call(facades[0], "GET", "/x", "").await;
    check(&answer, 503, "no_agent", "destination_unavailable", "gateway", true);
    let answer = call(facades[2], "GET", "/No/x", "").await;
    check(&answer, 404, "unknown_service", "destination_not_found", "gateway", false);
}

/// HTTP/1 closes a connection on which a body was not read to its end. Whoever is not told loses his next request there.
#[tokio::test]
async fn a_failure_before_the_body_is_read_announces_the_close() {
    let gateway = Sidecar::gateway(&bridge::gateway_yaml("wait_for_agent: 50ms"));
    let framings = ["Content-Length: 200000\r\n", "Transfer-Encoding: chunked\r\n", "Content-Length: 0\r\n", ""];
    for (framing, closes) in framings.into_iter().zip([true, true, false, false]) {
        let answer = call(gateway.address("facade"), "POST", "/x", framing).await;
        assert_eq!(answer.head.one("connection") == Some("close"), closes, "{framing:?}: {answer:?}");
    }
}

#[tokio::test]
async fn an_agent_that_comes_during_the_wait_serves() {
    let upstream = Upstream::start().await;
    let gateway = Sidecar::gateway(&bridge::gateway_yaml(""));
    let waiting = call(gateway.address("facade"), "POST", "/echo", "Content-Length: 0\r\n");
    let come = async {
        reachback_tests::wait::until("the call", async || {
            (gateway.status().await["facades"][0]["requests"] == 1).then_some(())
        })
        .await;
        let agent = bridge::agent_yaml(gateway.address("tunnel"), upstream.address(), Setup::default());
        Sidecar::agent(&agent, "".as_ref())
    };
    let (answer, _agent) = tokio::join!(waiting, come);
    assert_eq!(answer.status(), 200);
}

/// Whoever finds no room is told at once.
const NO_QUEUE: &str = "services: { orders: { queue: 0 } }";
const NO_QUEUE_AND_TWO_STREAMS: &str = "services: { orders: { queue: 0 } }\nlimits: { streams_per_link: 2 }";

#[tokio::test]
async fn more_than_the_link_or_the_facade_takes() {
    let limits = [
        Setup { agent: "limits: { streams_per_link: 2 }", gateway: NO_QUEUE, ..Setup::default() },
        Setup { gateway: NO_QUEUE_AND_TWO_STREAMS, ..Setup::default() },
        Setup { gateway: "limits: { requests_per_facade: 2 }", ..Setup::default() },
    ];
    for setup in limits {
        let bridge = Bridge::with(setup).await;
        let mut clients = [Raw::connect(bridge.facade()).await, Raw::connect(bridge.facade()).await];
        for client in &mut clients {
            client.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n").await;
        }
        bridge.upstream.until("two calls", |counts| counts.active == 2).await;
        let answer = call(bridge.facade(), "GET", "/echo", "").await;
        check(&answer, 503, "overloaded", "connection_limit_reached", "gateway", true);
        bridge.upstream.open_gate(2);
        for client in &mut clients {
            assert_eq!(client.answer("GET").await.status(), 200);
        }
        assert_eq!(call(bridge.facade(), "GET", "/echo", "").await.status(), 200, "the places are free again");
    }
}

#[tokio::test]
async fn as_text_and_for_head() {
    let bridge = Bridge::start().await;
    let answer = call(bridge.facade(), "PATCH", "/echo", "Accept: text/html\r\nX-Request-Id: abc\r\n").await;
    assert_eq!(answer.head.one("content-type"), Some("text/plain; charset=utf-8"));
    let text = answer.text();
    assert!(text.contains("denied") && text.contains("abc") && !text.starts_with('{'), "{text}");

    let mut client = Raw::connect(bridge.facade()).await;
    let answer = client.call("HEAD", "/a/../b", "").await;
    assert_eq!((answer.status(), answer.failure()), (403, Some("denied")));
    assert_eq!(client.call("GET", "/bytes/3", "").await.body.len(), 3, "HEAD had no body");
}

#[tokio::test]
async fn only_the_bridge_speaks_of_failures() {
    let bridge = Bridge::start().await;
    let forged = "HTTP/1.1 503 No\r\nReachback-Error: no_agent\r\nreachback-error: denied\r\nContent-Length: 0\r\n\r\n";
    bridge.upstream.says("/forged", forged, Then::GoOn);
    let answer = call(bridge.facade(), "GET", "/forged", "").await;
    assert_eq!((answer.status(), answer.head.all("reachback-error").len()), (503, 0), "{answer:?}");
    bridge.upstream.says("/named", forged.replace("Content", "Connection: reachback-error\r\nContent"), Then::GoOn);
    let answer = call(bridge.facade(), "GET", "/named", "").await;
    assert_eq!(answer.head.all("reachback-error").len(), 0, "{answer:?}");
}

#[tokio::test]
async fn an_idle_connection_that_the_upstream_closed_costs_nothing() {
    let bridge = Bridge::start().await;
    for path in ["/once", "/told"] {
        let told = if path == "/told" { "Connection: close\r\n" } else { "" };
        let text = format!("HTTP/1.1 200 OK\r\n{told}Content-Length: 2\r\n\r\nok");
        bridge.upstream.says(path, text, Then::Close);
    }
    for round in 0..20 {
        for path in ["/once", "/told"] {
            let answer = call(bridge.facade(), "POST", path, "Content-Length: 0\r\n").await;
            assert_eq!(answer.status(), 200, "{round} {path}: {}", answer.text());
            within("the close", bridge.upstream.until("no connection", |counts| counts.open == 0)).await;
        }
    }
}
