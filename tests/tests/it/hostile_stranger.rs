//! A hostile stranger, who has no credential: it costs little, leaves nothing behind, and holds nobody up.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use reachback_tests::{
    bridge::{self, Setup},
    client::{Raw, call},
    peer::Peer,
    process::Process,
    scratch::Scratch,
    upstream::Upstream,
};
use tokio_tungstenite::tungstenite;

const TOKEN: &str = "seven-0123456789abcdef";

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                       Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: reachback.v1\r\n";

/// A gateway that asks for a token, with an honest agent.
struct Scene {
    gateway: Process,
    _agent: Process,
    tunnel: SocketAddr,
    facade: SocketAddr,
    _upstream: Upstream,
    _folder: Scratch,
}

impl Scene {
    async fn new(more: &str) -> Self {
        let (folder, upstream) = (Scratch::new(), Upstream::start().await);
        folder.write("seven.token", TOKEN);
        let agents = "agents: [ { name: warehouse-7, token_file: seven.token, services: [ orders ] } ]";
        let gateway = Process::start("gateway", &bridge::gateway_yaml(&format!("{more}\n{agents}")), &folder);
        let (tunnel, facade) = (gateway.address("tunnel").await, gateway.address("facade").await);
        let setup = Setup { agent: "token_file: seven.token", ..Setup::default() };
        let agent = Process::start("agent", &bridge::agent_yaml(tunnel, upstream.address(), setup), &folder);
        let scene = Self { gateway, _agent: agent, tunnel, facade, _upstream: upstream, _folder: folder };
        scene.nothing_has_happened("the beginning").await;
        scene
    }

    async fn nothing_has_happened(&self, after: &str) {
        let answer = call(self.facade, "GET", "/bytes/9", "").await;
        assert_eq!((answer.status(), answer.body.len()), (200, 9), "after {after}");
    }

    /// One attempt with this token, from this address as the ingress tells it.
    async fn attempt(&self, token: &str, from: &str) -> (u16, Option<u32>) {
        let more = format!("Authorization: Bearer {token}\r\nX-Forwarded-For: {from}\r\n{UPGRADE}");
        let mut client = Raw::connect(self.tunnel).await;
        client.send(format!("GET /reachback/v1 HTTP/1.1\r\nHost: a\r\n{more}\r\n")).await;
        let head = client.head().await.expect("a plain answer");
        (reachback_tests::client::status(&head), head.one("retry-after").and_then(|value| value.parse().ok()))
    }
}

#[tokio::test]
async fn costs_little_and_leaves_nothing_behind() {
    let scene = Scene::new("").await;
    let huge = format!("GET /reachback/v1 HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(4 * 1024 * 1024));
    let strangers = [
        format!("GET /reachback/v1 HTTP/1.1\r\nHost: a\r\n{UPGRADE}\r\n"),
        format!("GET /reachback/v1 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer wrong\r\n{UPGRADE}\r\n"),
        format!("GET / HTTP/1.1\r\nHost: a\r\nOrigin: https://evil.example\r\n{UPGRADE}\r\n"),
        format!("GET /reachback/v1 HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(1000)),
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\r\n\r\n".to_owned(),
        "garbage\r\n\r\n".to_owned(),
        huge,
    ];
    let visit = async |count: usize| {
        for stranger in strangers.iter().cycle().take(count) {
            let mut client = Raw::connect(scene.tunnel).await;
            client.send(stranger).await;
            client.closed().await;
        }
    };
    let count = strangers.len() * 20;
    visit(count).await;
    let (ticks, memory) = (scene.gateway.ticks(), scene.gateway.resident());
    visit(count).await;
    let (spent, grown) = (scene.gateway.ticks() - ticks, scene.gateway.resident().saturating_sub(memory));
    // 50 ms each, not optimised as it is here.
    assert!(spent * 10 < 50 * count as u64, "{count} strangers cost {spent} hundredths of a second");
    assert!(grown < 8 * 1024 * 1024, "{count} strangers leave {grown} bytes behind");
    scene.nothing_has_happened("strangers").await;
}

#[tokio::test]
async fn is_told_to_wait_when_it_guesses() {
    let scene = Scene::new("address_header: X-Forwarded-For\nlimits: { failed_attempts: 3 }").await;
    for _ in 0..3 {
        assert_eq!(scene.attempt("guess-0123456789abcdef", "192.0.2.1").await, (401, None));
    }
    for _ in 0..20 {
        assert_eq!(scene.attempt("guess-0123456789abcdef", "10.0.0.1, 192.0.2.1").await, (429, Some(60)));
    }
    assert_eq!(scene.attempt("guess-0123456789abcdef", "192.0.2.2").await, (401, None), "another address");
    for (from, status) in [("2001:db8::1", 401), ("2001:db8::2", 401), ("2001:db8::3", 401), ("2001:db8::4", 429)] {
        assert_eq!(scene.attempt("guess-0123456789abcdef", from).await.0, status, "{from} is of the same network");
    }
    assert_eq!(scene.attempt(TOKEN, "192.0.2.1").await.0, 101, "who is known is not held up by others");
    scene.nothing_has_happened("guesses").await;
}

#[tokio::test]
async fn cannot_fill_the_log() {
    let scene = Scene::new("").await;
    let (wrong, code) = ("Authorization: Bearer wrong-0123456789abcdef\r\n", "Reachback-Registration-Code: 1\r\n");
    let kinds = [
        ("GET", "/", UPGRADE, 404),
        ("GET", "/reachback/v1", wrong, 401),
        ("POST", "/reachback/v1", code, 400),
        ("POST", "/reachback/v1", "Reachback-Registration-Code: 123456\r\nOrigin: null\r\n", 403),
    ];
    let started = Instant::now();
    for (method, path, more, status) in kinds.iter().cycle().take(200) {
        let answer = call(scene.tunnel, method, path, more).await.status();
        assert!(answer == *status || answer == 429, "{method} {path} {more}: {answer}");
    }
    let lines = scene.gateway.log().iter().filter(|line| line.contains("refused a connection")).count() as u64;
    // Twelve a minute, and for each that the log is silent afterwards.
    let later = started.elapsed().as_secs() / 5 + 1;
    assert!((13..=13 + 2 * later).contains(&lines), "{lines} lines");
    scene.nothing_has_happened("noise").await;
}

#[tokio::test]
async fn cannot_hold_a_connection_open() {
    let scene = Scene::new("").await;
    let silent = async {
        assert_eq!(Raw::connect(scene.tunnel).await.closed().await, 0);
    };
    let slow = async {
        let mut client = Raw::connect(scene.tunnel).await;
        client.send("GET /reachback/v1 HTTP/1.1\r\nHost: a\r\n").await;
        while client.send("X: y\r\n").await {
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    };
    let never_greets = async {
        let mut peer = Peer::dial(scene.tunnel, Some(TOKEN)).await.unwrap();
        assert_eq!(peer.closing().await, None, "it has not kept to the greeting");
    };
    tokio::join!(silent, slow, never_greets);
    scene.nothing_has_happened("idlers").await;
}

#[tokio::test]
async fn cannot_come_from_a_browser() {
    let scene = Scene::new("").await;
    for origin in ["https://evil.example", "null", "http://localhost", ""] {
        let more = format!("Authorization: Bearer {TOKEN}\r\nOrigin: {origin}\r\n{UPGRADE}");
        let answer = call(scene.tunnel, "GET", "/reachback/v1", &more).await;
        assert_eq!(answer.status(), 403, "{origin:?}: even with a good token");
    }
    let refused = Peer::dial(scene.tunnel, Some("wrong-0123456789abcdef")).await;
    assert!(matches!(refused, Err(tungstenite::Error::Http(_))), "{refused:?}");
    scene.nothing_has_happened("browsers").await;
}
