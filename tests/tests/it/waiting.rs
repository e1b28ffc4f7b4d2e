//! Requests that wait for an agent: so many, as long as they are wanted, and not a moment longer than needed.

use reachback_tests::{
    bridge::{self, Setup, Sidecar},
    client::{Raw, call},
    upstream::Upstream,
    wait::within,
};

/// A gateway without an agent, at which so many requests may wait.
fn gateway(most: u32) -> Sidecar {
    Sidecar::gateway(&bridge::gateway_yaml(&format!("limits: {{ waiting_requests: {most} }}")))
}

/// A request that waits; its client is handed back.
async fn waiter(gateway: &Sidecar, request: &str) -> Raw {
    let mut client = Raw::connect(gateway.address("facade")).await;
    client.send(request).await;
    client
}

async fn until_waiting(gateway: &Sidecar, count: u32) {
    let is = |status: &serde_json::Value| (status["waiting"] == count).then_some(());
    gateway.until_status("those that wait", is).await;
}

const GET: &str = "GET /bytes/9 HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST /bytes/9 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";

#[tokio::test]
async fn so_many_wait_and_all_are_answered_when_an_agent_comes() {
    let upstream = Upstream::start().await;
    let gateway = gateway(3);
    let mut clients = Vec::new();
    for number in 1..=3 {
        clients.push(waiter(&gateway, GET).await);
        until_waiting(&gateway, number).await;
    }
    let answer = call(gateway.address("facade"), "GET", "/bytes/9", "").await;
    assert_eq!((answer.status(), answer.failure()), (503, Some("overloaded")));
    assert!(answer.text().contains("3 requests wait for an agent already"), "{}", answer.text());
    assert_eq!(answer.head.one("retry-after"), Some("1"));

    let yaml = bridge::agent_yaml(gateway.address("tunnel"), upstream.address(), Setup::default());
    let _agent = Sidecar::agent(&yaml, "".as_ref());
    for mut client in clients {
        assert_eq!(client.answer("GET").await.status(), 200);
    }
    until_waiting(&gateway, 0).await;
}

#[tokio::test]
async fn whoever_gives_up_is_forgotten_at_once() {
    let gateway = gateway(1);
    for request in [GET, POST] {
        let client = waiter(&gateway, request).await;
        until_waiting(&gateway, 1).await;
        drop(client);
        // They would wait for a minute.
        until_waiting(&gateway, 0).await;
    }
}

#[tokio::test]
async fn at_the_deadline_there_is_an_answer() {
    let facades = "  - { listen: 127.0.0.1:0, service: orders, wait_for_agent: 50ms }\n\
                   \x20 - { listen: 127.0.0.1:0, service: orders, wait_for_agent: 0s }\n";
    let gateway = Sidecar::gateway(&bridge::gateway_with(facades, "limits: { waiting_requests: 1 }"));
    for facade in gateway.addresses("facade") {
        let answer = within("the deadline", call(facade, "GET", "/bytes/9", "")).await;
        assert_eq!((answer.status(), answer.failure()), (503, Some("no_agent")));
    }
    assert_eq!(gateway.status().await["waiting"], 0);
}
