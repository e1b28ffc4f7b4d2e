//! The limits of a rule, held on the wire: how long a body, how long an exchange, how many requests.

use reachback_tests::{
    bridge::{self, Bridge, Setup, Sidecar},
    client::{self, Answer, Raw, call},
    process::Process,
    scratch::Scratch,
    wait::within,
};
use serde_json::json;
use tokio::net::TcpListener;

async fn limited(allow: &str, service: &str) -> Bridge {
    Bridge::with(Setup { allow, service, ..Setup::default() }).await
}

async fn ask(bridge: &Bridge, method: &str, target: &str) -> Answer {
    call(bridge.facade(), method, target, "").await
}

/// What an answer says of itself.
fn said(answer: &Answer) -> (u16, Option<&str>) {
    (answer.status(), answer.failure())
}

const TOO_LARGE: (u16, Option<&str>) = (413, Some("body_too_large"));

#[tokio::test]
async fn a_body_of_a_declared_length() {
    let bridge = limited("[ { path: /sink, methods: [POST], max_body: 10B } ]", "").await;
    let post = async |length: usize, more: &str| {
        let mut client = Raw::connect(bridge.facade()).await;
        let body = if more.is_empty() { "x".repeat(length) } else { String::new() };
        client.send(format!("POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{more}\r\n{body}")).await;
        client.answer("POST").await
    };
    assert_eq!(said(&post(11, "").await), TOO_LARGE);
    assert_eq!(said(&post(11, "Expect: 100-continue\r\n").await), TOO_LARGE, "nobody invites it");
    assert_eq!(said(&post(1 << 40, "Expect: 100-continue\r\n").await), TOO_LARGE);
    assert_eq!(bridge.upstream.counts().connections, 0);
    assert_eq!(said(&post(10, "").await), (200, None));
    assert_eq!(bridge.upstream.counts().received, 10);
}

#[tokio::test]
async fn a_body_of_unknown_length() {
    let bridge = limited("[ { path: /sink, methods: [POST], max_body: 10B } ]", "").await;
    let head = "POST /sink HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut client = Raw::connect(bridge.facade()).await;
    client.send(format!("{head}6\r\nabcdef\r\n4\r\nghij\r\n0\r\n\r\n")).await;
    assert_eq!(said(&client.answer("POST").await), (200, None));
    for pieces in [&["b\r\nabcdefghijk\r\n"][..], &["6\r\nabcdef\r\n", "5\r\nghijk\r\n"]] {
        let before = bridge.upstream.counts();
        let mut client = Raw::connect(bridge.facade()).await;
        client.send(head).await;
        for piece in pieces {
            client.send(piece).await;
        }
        // The body goes on; whoever waited for its end would wait for ever.
        assert_eq!(said(&client.answer("POST").await), TOO_LARGE, "{pieces:?}");
        bridge.upstream.until("the upstream's connection to end", |counts| counts.open == 0).await;
        let after = bridge.upstream.counts();
        assert_eq!(after.whole, before.whole, "what was cut never looks complete");
        assert!(after.received <= before.received + 10, "nothing past the limit is sent");
    }
}

/// It is told as where the length was declared, also if an answer has begun.
#[tokio::test]
async fn a_body_that_comes_to_be_too_long_stands_in_the_log_and_counts() {
    let (folder, upstream) = (Scratch::new(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let gateway = Sidecar::gateway(&bridge::gateway_yaml(""));
    let setup = Setup { allow: "[ { path: '/*', methods: [POST], max_body: 10B } ]", ..Setup::default() };
    let yaml = bridge::agent_yaml(gateway.address("tunnel"), upstream.local_addr().unwrap(), setup);
    let agent = Process::start("agent", &yaml, &folder);
    gateway.until_links(1).await;
    let status = format!("http://{}/status", agent.address("admin").await);
    for (count, path) in [(1, "/silent"), (2, "/early")] {
        let mut client = Raw::connect(gateway.address("facade")).await;
        client.send(format!("POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n")).await;
        let mut server = Raw::over(within("a connection", upstream.accept()).await.unwrap().0);
        server.head().await;
        if path == "/early" {
            server.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await;
            client.head().await;
        }
        client.send("a\r\nbcdefghijk\r\n").await;
        let line = agent.line(&["WARN", "denied", path, "the body is longer than the rule allows"]).await;
        assert!(line.contains("request_id=") && line.contains("service=orders"), "{line}");
        let service = client::json(&status).await["services"][0].clone();
        assert_eq!(service["denied"], json!([{ "step": "rules", "code": "body_too_large", "count": count }]));
    }
}

#[tokio::test]
async fn the_time_of_an_exchange() {
    let rules = "[ { path: /silent, methods: [GET, POST], timeout: 100ms }, \
                 { path: '/half/*', methods: [GET], timeout: 100ms }, \
                 { path: '/bytes/*', methods: [GET], timeout: 1h } ]";
    let bridge = limited(rules, "response_timeout: 1h").await;
    assert_eq!(said(&ask(&bridge, "GET", "/silent").await), (504, Some("upstream_timeout")));
    bridge.upstream.until("the upstream's connection to end", |counts| counts.open == 0).await;

    // The time runs on while a body is sent, and while an answer is read.
    let mut client = Raw::connect(bridge.facade()).await;
    client.send("POST /silent HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await;
    assert_eq!(said(&client.answer("POST").await), (504, Some("upstream_timeout")));
    let mut client = Raw::connect(bridge.facade()).await;
    client.send("GET /half/1000 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(client.try_answer("GET").await.is_none_or(|answer| !answer.whole), "a cut answer never looks complete");
    bridge.upstream.until("the upstream's connection to end", |counts| counts.open == 0).await;

    let answer = ask(&bridge, "GET", "/bytes/100").await;
    assert_eq!((said(&answer), answer.body.len()), ((200, None), 100));
}

/// A rule's time can be longer than the service's, too.
#[tokio::test]
async fn a_rule_that_takes_longer() {
    let rules = "[ { path: /gate, methods: [GET], timeout: 1h }, GET /silent ]";
    let bridge = limited(rules, "response_timeout: 50ms").await;
    let mut client = Raw::connect(bridge.facade()).await;
    client.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n").await;
    bridge.upstream.until("the request", |counts| counts.active == 1).await;
    assert_eq!(said(&ask(&bridge, "GET", "/silent").await), (504, Some("upstream_timeout")), "this one has no more");
    bridge.upstream.open_gate(1);
    assert_eq!(said(&client.answer("GET").await), (200, None));
}

/// The keys of the service, for one rule alone: shorter, longer, or none.
#[tokio::test]
async fn a_rule_has_times_of_its_own() {
    let too_late = (504, Some("upstream_timeout"));
    let rules = "[ { path: /silent, methods: [GET], response_timeout: 50ms }, \
                 { path: '/half/*', methods: [GET], idle_timeout: 50ms }, \
                 { path: /gate, methods: [GET], total_timeout: 50ms }, \
                 { path: '/drip/*', methods: [GET], total_timeout: 50ms } ]";
    let bridge = limited(rules, "response_timeout: 1h, idle_timeout: 1h, total_timeout: 1h").await;
    let mut events = Raw::connect(bridge.facade()).await;
    events.send("GET /drip/2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let head = events.head().await.expect("the stream begins");
    assert_eq!(said(&ask(&bridge, "GET", "/silent").await), too_late);
    assert_eq!(said(&ask(&bridge, "GET", "/gate").await), too_late);
    let mut half = Raw::connect(bridge.facade()).await;
    half.send("GET /half/9 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(half.try_answer("GET").await.is_none_or(|answer| !answer.whole));
    // Its total is over, but it goes on by its nature.
    bridge.upstream.until("the end of the others", |counts| counts.active == 1).await;
    bridge.upstream.open_gate(2);
    assert_eq!(events.body(&head).await, (b"data: 0\n\ndata: 1\n\n".to_vec(), true));

    let rules = "[ { path: '/drip/*', methods: [GET], idle_timeout: 0s }, \
                 { path: /gate, methods: [GET], response_timeout: 1h, total_timeout: 0s }, \
                 GET /silent, GET /half/9 ]";
    let bridge = limited(rules, "response_timeout: 50ms, idle_timeout: 50ms, total_timeout: 200ms").await;
    let (mut events, mut gate) = (Raw::connect(bridge.facade()).await, Raw::connect(bridge.facade()).await);
    events.send("GET /drip/2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let head = events.head().await.expect("the stream begins");
    gate.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n").await;
    bridge.upstream.until("both", |counts| counts.active == 2).await;
    // These began later, and the service's times are over for them.
    assert_eq!(said(&ask(&bridge, "GET", "/silent").await), too_late);
    let mut half = Raw::connect(bridge.facade()).await;
    half.send("GET /half/9 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(half.try_answer("GET").await.is_none_or(|answer| !answer.whole));
    bridge.upstream.open_gate(4);
    assert_eq!(said(&gate.answer("GET").await), (200, None));
    assert_eq!(events.body(&head).await, (b"data: 0\n\ndata: 1\n\n".to_vec(), true));
}

#[tokio::test]
async fn so_many_requests() {
    let rules = "[ { path: /bytes/1, methods: [GET], rate: 2/h }, GET /bytes/2 ]";
    let bridge = limited(rules, "").await;
    for _ in 0..2 {
        assert_eq!(said(&ask(&bridge, "GET", "/bytes/1").await), (200, None));
    }
    let answer = ask(&bridge, "GET", "/bytes/1").await;
    assert_eq!(said(&answer), (429, Some("rate_limited")));
    let wait: u32 = answer.head.one("retry-after").expect("it says when to come back").parse().unwrap();
    assert!((1..=1800).contains(&wait), "{wait}");
    assert_eq!(bridge.upstream.counts().requests, 2);
    assert_eq!(said(&ask(&bridge, "GET", "/bytes/2").await), (200, None), "the other rule has its own count");
}
