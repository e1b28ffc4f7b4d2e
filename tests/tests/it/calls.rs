//! Calls: many at once, many in a row, to the service that was meant, under one id.

use futures_util::future::join_all;
use reachback_tests::{
    bridge::{self, Bridge, Setup, Sidecar},
    client::{self, Raw, call},
    upstream::Then,
    wait::within,
};

#[tokio::test]
async fn each_of_100_concurrent_calls_gets_its_own_answer() {
    let bridge = Bridge::start().await;
    let (client, url) = (client::http(), bridge.url("/echo"));
    let calls = (0..100).map(async |number| {
        let body = format!("{number} ").repeat(1 + number * 97);
        let answer = client.post(&url).body(body.clone()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.text().await.unwrap(), body);
    });
    within("100 calls", join_all(calls)).await;
    assert_eq!(bridge.upstream.counts().requests, 100);
    assert_eq!(bridge.gateway.status().await["links"].as_array().unwrap().len(), 1, "over one link");
}

#[tokio::test]
async fn slow_calls_overlap() {
    let bridge = Bridge::start().await;
    let (client, url) = (client::http(), bridge.url("/gate"));
    let calls = join_all((0..20).map(async |_| client.get(&url).send().await.unwrap().status()));
    let gate = async {
        // No call is answered before all twenty have arrived.
        bridge.upstream.until("20 calls at once", |counts| counts.active == 20).await;
        bridge.upstream.open_gate(20);
    };
    let (statuses, ()) = within("20 calls", async { tokio::join!(calls, gate) }).await;
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(bridge.upstream.counts().most_active, 20);
}

#[tokio::test]
async fn a_thousand_calls_in_a_row() {
    let bridge = Bridge::start().await;
    let mut client = Raw::connect(bridge.facade()).await;
    for number in 0..1000 {
        let answer = client.call("GET", &format!("/bytes/{number}"), "").await;
        assert_eq!((answer.status(), answer.body.len(), answer.whole), (200, number, true));
    }
    let counts = bridge.upstream.counts();
    assert_eq!((counts.requests, counts.connections), (1000, 1), "the upstream's connection is kept");
}

#[tokio::test]
async fn two_agents_of_one_service_stand_in_for_each_other() {
    let mut bridge = Bridge::start().await;
    let yaml = bridge::agent_yaml(bridge.gateway.address("tunnel"), bridge.upstream.address(), Setup::default());
    let second = Sidecar::agent(&yaml, "".as_ref());
    bridge.gateway.until_links(2).await;
    let works = async |count: usize| {
        for _ in 0..count {
            assert_eq!(call(bridge.facade(), "GET", "/bytes/3", "").await.body.len(), 3);
        }
    };
    works(20).await;
    second.drain();
    second.ended().await;
    works(20).await;
    let third = Sidecar::agent(&yaml, "".as_ref());
    bridge.gateway.until_links(2).await;
    bridge.agent.kill();
    bridge.gateway.until_links(1).await;
    for _ in 0..20 {
        assert_eq!(call(bridge.facade(), "GET", "/bytes/3", "").await.body.len(), 3);
    }
    drop(third);
}

#[tokio::test]
async fn routes_by_service_host_and_path() {
    let bridge = Bridge::with(Setup { gateway: "wait_for_agent: 0s", ..Setup::default() }).await;
    let facades = bridge.gateway.addresses("facade");
    let check = async |facade: usize, host: &str, target: &str, seen: Result<&str, &str>| {
        let mut client = Raw::connect(facades[facade]).await;
        client.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
        let answer = client.answer("GET").await;
        match seen {
            Ok(line) => {
                assert_eq!(answer.failure(), None, "{host} {target}: {}", answer.text());
                assert_eq!(bridge.upstream.last_head().line(), line, "{host} {target}");
            }
            Err(code) => assert_eq!(answer.failure(), Some(code), "{host} {target}"),
        }
    };
    check(0, "whatever", "/echo?a=%2F&b", Ok("GET /echo?a=%2F&b HTTP/1.1")).await;
    check(0, "whatever", "/status/404?", Ok("GET /status/404? HTTP/1.1")).await;
    check(1, "orders.localhost:7081", "/echo", Ok("GET /echo HTTP/1.1")).await;
    check(1, "ORDERS.localhost", "/echo", Ok("GET /echo HTTP/1.1")).await;
    check(1, "orders.example", "/echo", Err("unknown_service")).await;
    check(1, "localhost", "/echo", Err("unknown_service")).await;
    check(1, "invoices.localhost", "/echo", Err("no_agent")).await;
    check(2, "x", "/orders/echo?q", Ok("GET /echo?q HTTP/1.1")).await;
    check(2, "x", "/orders", Ok("GET / HTTP/1.1")).await;
    check(2, "x", "/orders?q", Ok("GET /?q HTTP/1.1")).await;
    check(2, "x", "/invoices/echo", Err("no_agent")).await;
    check(2, "x", "/ORDERS/echo", Err("unknown_service")).await;
    check(2, "x", "/", Err("unknown_service")).await;
}

#[tokio::test]
async fn the_request_id_is_the_same_everywhere() {
    let bridge = Bridge::start().await;
    let check = async |sent: &str, kept: bool| {
        let answer = call(bridge.facade(), "GET", "/echo", sent).await;
        let echoed = answer.head.one("x-request-id").expect("an answer has one request id").to_owned();
        assert_eq!(bridge.upstream.last_head().all("x-request-id"), [&*echoed], "{sent:?}");
        assert_eq!(sent.contains(&format!(": {echoed}\r\n")), kept, "{sent:?} {echoed}");
        echoed
    };
    check("X-Request-Id: from-the-client\r\n", true).await;
    check("x-request-id: one\r\nX-Request-Id: two\r\n", false).await;
    check("X-Request-Id: a b\r\n", false).await;
    assert_ne!(check("", false).await, check("", false).await);
    let denied = call(bridge.facade(), "PATCH", "/echo", "X-Request-Id: of-a-failure\r\n").await;
    assert_eq!(denied.head.one("x-request-id"), Some("of-a-failure"));
    bridge.upstream.says("/own", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Request-Id: its own\r\n\r\n", Then::GoOn);
    let answer = call(bridge.facade(), "GET", "/own", "X-Request-Id: mine\r\n").await;
    assert_eq!(answer.head.all("x-request-id"), ["mine"]);
}

#[tokio::test]
async fn what_the_upstream_sees_of_the_head() {
    let bridge = Bridge::start().await;
    let more = "Accept: a/b\r\nCookie: a=1\r\nCookie: b=2\r\nX-Latin: caf\u{e9}\r\ntraceparent: 00-1-2-01\r\n\
                Connection: x-hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authorization: secret\r\n\
                X-Forwarded-For: 10.0.0.1\r\nX-HTTP-Method-Override: DELETE\r\nReachback-Service: other\r\n";
    let latin: Vec<u8> = format!("GET /echo HTTP/1.1\r\nHost: app.example\r\n{more}\r\n")
        .chars()
        .map(|c| u8::try_from(c).unwrap())
        .collect();
    let mut client = Raw::connect(bridge.facade()).await;
    client.send(latin).await;
    assert_eq!(client.answer("GET").await.status(), 200);
    let head = bridge.upstream.last_head();
    assert_eq!(head.all("host"), [bridge.upstream.address().to_string()], "the default is the upstream's own");
    assert_eq!(head.all("cookie"), ["a=1", "b=2"]);
    assert_eq!(head.all("x-latin"), ["caf\u{e9}"]);
    assert_eq!(head.all("traceparent"), ["00-1-2-01"]);
    assert_eq!(head.all("via"), ["1.1 reachback"]);
    for gone in [
        "connection",
        "x-hop",
        "keep-alive",
        "proxy-authorization",
        "x-forwarded-for",
        "x-http-method-override",
        "reachback-service",
        "user-agent",
        "accept-encoding",
    ] {
        assert_eq!(head.all(gone), [""; 0], "{gone} in {head:?}");
    }
}

#[tokio::test]
async fn the_host_is_what_the_service_says() {
    let check = async |service: &str, expected: &str| {
        let bridge = Bridge::with(Setup { service, ..Setup::default() }).await;
        assert_eq!(call(bridge.facade(), "GET", "/echo", "").await.status(), 200);
        assert_eq!(bridge.upstream.last_head().all("host"), [expected], "{service}");
    };
    check("host: orders.internal", "orders.internal").await;
    check("host: preserve", "localhost").await;
}
