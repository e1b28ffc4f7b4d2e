//! More than is permitted: what has room goes, a bounded number waits for a bounded time, and the rest is told at once.

use std::{future::pending, net::SocketAddr};

use futures_util::future::join_all;
use reachback_tests::{
    bridge::{Bridge, Setup, Sidecar, agent_yaml, gateway_yaml},
    client::{self, Answer, call},
    process::Process,
    scratch::Scratch,
    upstream::Upstream,
    wait::{until, within},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::{JoinHandle, JoinSet},
};

fn gate(facade: SocketAddr) -> JoinHandle<Answer> {
    tokio::spawn(async move { call(facade, "POST", "/gate", "Content-Length: 0\r\n").await })
}

/// Waits until so many requests are in flight, and so many wait for room.
async fn until_load(bridge: &Bridge, requests: u64, waiting: u64) {
    let has = |status: &serde_json::Value| {
        let orders = &status["services"]["orders"];
        (orders["requests"] == requests && orders["waiting"] == waiting).then_some(())
    };
    bridge.gateway.until_status("the load", has).await;
}

fn refused(answer: &Answer) {
    assert_eq!((answer.status(), answer.failure()), (503, Some("overloaded")), "{answer:?}");
    assert!(answer.head.one("retry-after").is_some() && answer.text().contains("\"retry_safe\":true"), "{answer:?}");
}

#[tokio::test]
async fn a_queue_with_both_its_bounds() {
    // A full service, and a full link: both have the same queue.
    let limits = [
        Setup {
            gateway: "services: { orders: { max_in_flight: 2, queue: 2, queue_timeout: 5m } }",
            ..Setup::default()
        },
        Setup {
            gateway: "services: { orders: { queue: 2, queue_timeout: 5m } }\nlimits: { streams_per_link: 2 }",
            ..Setup::default()
        },
    ];
    for setup in limits {
        let bridge = Bridge::with(setup).await;
        let mut calls = vec![gate(bridge.facade()), gate(bridge.facade())];
        until_load(&bridge, 2, 0).await;
        calls.extend([gate(bridge.facade()), gate(bridge.facade())]);
        until_load(&bridge, 2, 2).await;
        refused(&call(bridge.facade(), "GET", "/bytes/1", "").await);
        bridge.upstream.open_gate(4);
        for answer in join_all(calls).await {
            assert_eq!(answer.unwrap().status(), 200);
        }
        assert_eq!((bridge.upstream.counts().requests, bridge.upstream.counts().most_active), (4, 2));
        until_load(&bridge, 0, 0).await;
        assert_eq!(call(bridge.facade(), "GET", "/bytes/1", "").await.status(), 200);
    }
}

#[tokio::test]
async fn nobody_waits_longer_than_the_time() {
    let services = "services: { orders: { max_in_flight: 1, queue_timeout: 50ms } }";
    let bridge = Bridge::with(Setup { gateway: services, ..Setup::default() }).await;
    let busy = gate(bridge.facade());
    until_load(&bridge, 1, 0).await;
    refused(&call(bridge.facade(), "GET", "/bytes/1", "").await);
    bridge.upstream.open_gate(1);
    assert_eq!(within("the gate", busy).await.unwrap().status(), 200);
    assert_eq!(bridge.upstream.counts().requests, 1, "what was refused never came");
}

#[tokio::test]
async fn a_client_that_gave_up_in_the_queue_never_reaches_the_upstream() {
    let services = "services: { orders: { max_in_flight: 1, queue_timeout: 5m } }";
    let bridge = Bridge::with(Setup { gateway: services, ..Setup::default() }).await;
    let busy = gate(bridge.facade());
    until_load(&bridge, 1, 0).await;
    let waiting = gate(bridge.facade());
    until_load(&bridge, 1, 1).await;
    waiting.abort();
    until_load(&bridge, 1, 0).await;
    bridge.upstream.open_gate(2);
    assert_eq!(within("the gate", busy).await.unwrap().status(), 200);
    until_load(&bridge, 0, 0).await;
    assert_eq!(bridge.upstream.counts().requests, 1);
}

#[tokio::test]
async fn ten_times_the_load() {
    let services = "services: { orders: { max_in_flight: 8, queue: 8, queue_timeout: 5m } }";
    let bridge = Bridge::with(Setup { gateway: services, ..Setup::default() }).await;
    let calls: Vec<_> = (0..160).map(|_| gate(bridge.facade())).collect();
    until_load(&bridge, 8, 8).await;
    bridge.upstream.open_gate(160);
    let mut answered = 0;
    for answer in join_all(calls).await {
        let answer = answer.unwrap();
        match answer.status() {
            200 => answered += 1,
            _ => refused(&answer),
        }
    }
    let counts = bridge.upstream.counts();
    assert!(answered >= 16 && counts.most_active <= 8, "{answered} {counts:?}");
    assert_eq!(counts.requests, answered, "each that was answered came once, and no other");
    until_load(&bridge, 0, 0).await;
}

#[tokio::test]
async fn an_agent_whose_upstream_is_busy_leaves_it_to_another() {
    let service = "max_in_flight: 1";
    let bridge = Bridge::with(Setup { service, ..Setup::default() }).await;
    let busy = gate(bridge.facade());
    bridge.upstream.until("a call", |counts| counts.active == 1).await;
    let answer = call(bridge.facade(), "POST", "/bytes/1", "Content-Length: 0\r\n").await;
    refused(&answer);
    assert!(answer.text().contains("\"source\":\"agent\"") && answer.text().contains("max_in_flight"), "{answer:?}");

    let yaml = agent_yaml(
        bridge.gateway.address("tunnel"),
        bridge.upstream.address(),
        Setup { service, agent: "links: 3", ..Setup::default() },
    );
    let _second = Sidecar::agent(&yaml, "".as_ref());
    bridge.gateway.until_links(4).await;
    for _ in 0..8 {
        let answer = call(bridge.facade(), "POST", "/bytes/1", "Content-Length: 0\r\n").await;
        assert_eq!(answer.status(), 200, "{answer:?}");
    }
    bridge.upstream.open_gate(1);
    assert_eq!(within("the gate", busy).await.unwrap().status(), 200);
    assert_eq!((bridge.upstream.counts().requests, bridge.upstream.counts().most_active), (9, 2));
}

/// Begins an upload of 8 MiB, and sends it for as long as somebody takes it; the status of the answer, or 0 if the
/// connection broke before it could be read.
async fn upload(facade: SocketAddr) -> u16 {
    let (mut read, mut write) = TcpStream::connect(facade).await.unwrap().into_split();
    let send = async {
        let _ = write.write_all(b"POST /stall HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8388608\r\n\r\n").await;
        for _ in 0..128 {
            let _ = write.write_all(&[b'x'; 65_536]).await;
        }
        // Whoever says that nothing more will come has gone.
        pending::<()>().await;
    };
    let mut line = [0; 12];
    tokio::select! {
        () = send => 0,
        whole = read.read_exact(&mut line) => {
            let status = whole.ok().and_then(|_| std::str::from_utf8(&line[9..]).ok()?.parse().ok());
            status.unwrap_or_default()
        }
    }
}

#[tokio::test]
async fn memory_is_flat_under_ten_times_the_load() {
    let (folder, upstream) = (Scratch::new(), Upstream::start().await);
    let services = "services: { orders: { max_in_flight: 8, queue: 8, queue_timeout: 5m } }";
    let gateway = Process::start("gateway", &gateway_yaml(services), &folder);
    let (facade, tunnel) = (gateway.address("facade").await, gateway.address("tunnel").await);
    let agent = Process::start("agent", &agent_yaml(tunnel, upstream.address(), Setup::default()), &folder);
    gateway.line(&["link up"]).await;
    let status = format!("http://{}/status", gateway.address("admin").await);
    let mut permitted = JoinSet::new();
    (0..16).for_each(|_| {
        permitted.spawn(upload(facade));
    });
    let full = async || {
        let orders = client::json(&status).await["services"]["orders"].clone();
        (orders["requests"] == 8 && orders["waiting"] == 8).then_some(())
    };
    until("as many as are permitted", full).await;
    let before = [gateway.most_resident(), agent.most_resident()];
    let mut refused = 0;
    for _ in 0..9 {
        let statuses = join_all((0..16).map(|_| upload(facade))).await;
        assert!(statuses.iter().all(|status| [0, 503].contains(status)), "{statuses:?}");
        refused += statuses.iter().filter(|status| **status == 503).count();
    }
    assert!(refused > 0 && permitted.try_join_next().is_none(), "{refused} were told, and those before still wait");
    for (after, before) in [gateway.most_resident(), agent.most_resident()].into_iter().zip(before) {
        // They had more than a gigabyte to send.
        let more = after.saturating_sub(before) / (1024 * 1024);
        assert!(before > 0 && more < 32, "{more} MiB more than the {before} bytes before");
    }
}
