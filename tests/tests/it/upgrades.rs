//! Upgrades: who gets one, and raw bytes in both directions with half-close, resets and readers that stop.

use std::net::SocketAddr;

use reachback_tests::{
    bridge::{self, Bridge, Setup, Sidecar},
    client::{Raw, call, status},
    http1::Head,
    pattern,
    process::Process,
    scratch::Scratch,
    upstream::Then,
    wait::{until, within},
};
use tokio::net::{TcpListener, TcpStream};

pub(crate) const RULES: &str = r#"[ { path: /ws, methods: [GET], upgrade: websocket }, "GET,POST /plain" ]"#;

pub(crate) const ASK: &str = "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\
                   Sec-WebSocket-Key: AAAA\r\nSec-WebSocket-Version: 13\r\n\r\n";
pub(crate) const AGREE: &str = "HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: WebSocket\r\n\
                     Sec-WebSocket-Accept: BBBB\r\nX-Extra: 1\r\n\r\n";

fn ruled() -> Setup<'static> {
    Setup { allow: RULES, ..Setup::default() }
}

/// A gateway and an agent; the test is client and upstream.
pub(crate) struct Pipe {
    pub(crate) gateway: Sidecar,
    pub(crate) agent: Sidecar,
    pub(crate) upstream: TcpListener,
}

impl Pipe {
    pub(crate) async fn new() -> Self {
        Self::with(ruled()).await
    }

    async fn with(setup: Setup<'_>) -> Self {
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (gateway, agent) = bridge::pair(upstream.local_addr().unwrap(), "".as_ref(), setup).await;
        Self { gateway, agent, upstream }
    }

    pub(crate) fn facade(&self) -> SocketAddr {
        self.gateway.address("facade")
    }

    /// The upstream's next connection.
    pub(crate) async fn accept(&self) -> TcpStream {
        within("a connection", self.upstream.accept()).await.unwrap().0
    }

    async fn open(&self) -> (Raw, Raw) {
        open(self.facade(), &self.upstream).await
    }

    async fn in_flight(&self, count: u64) {
        until("the requests in flight", async || {
            (self.gateway.status().await["facades"][0]["requests"] == count).then_some(())
        })
        .await;
    }
}

/// A connection that ends by a reset when it is dropped, and orderly when it is finished.
fn abrupt(stream: TcpStream) -> Raw {
    stream.set_zero_linger().unwrap();
    Raw::new(stream)
}

/// Both ends of an upgraded stream, the client's and the upstream's.
async fn open(facade: SocketAddr, upstream: &TcpListener) -> (Raw, Raw) {
    let mut client = abrupt(TcpStream::connect(facade).await.unwrap());
    client.send(ASK).await;
    let mut server = abrupt(within("a connection", upstream.accept()).await.unwrap().0);
    server.head().await.unwrap();
    server.send(AGREE).await;
    assert_eq!(status(&client.head().await.unwrap()), 101);
    (client, server)
}

fn lines(head: &Head, names: &[&str]) -> Vec<String> {
    names.iter().map(|name| head.all(name).join("|")).collect()
}

#[tokio::test]
async fn both_heads_say_it_and_keep_the_rest() {
    let pipe = Pipe::new().await;
    let mut client = Raw::connect(pipe.facade()).await;
    client.send(ASK).await;
    let mut server = Raw::new(pipe.accept().await);
    let asked = server.head().await.unwrap();
    assert_eq!(asked.line(), "GET /ws HTTP/1.1");
    let names = ["connection", "upgrade", "sec-websocket-key", "sec-websocket-version", "content-length"];
    assert_eq!(lines(&asked, &names), ["Upgrade", "websocket", "AAAA", "13", ""]);
    assert!(asked.all("transfer-encoding").is_empty(), "{asked:?}");
    server.send(AGREE).await;
    let agreed = client.head().await.unwrap();
    assert!(agreed.line().starts_with("HTTP/1.1 101 "), "{agreed:?}");
    let names = ["connection", "upgrade", "sec-websocket-accept", "x-extra", "content-length", "transfer-encoding"];
    assert_eq!(lines(&agreed, &names), ["Upgrade", "websocket", "BBBB", "1", "", ""]);
}

#[tokio::test]
async fn raw_bytes_both_ways_and_half_close_each_way() {
    let pipe = Pipe::new().await;
    for client_first in [true, false] {
        let (mut client, mut server) = pipe.open().await;
        let (first, second) = if client_first { (&mut client, &mut server) } else { (&mut server, &mut client) };
        let bytes = pattern::bytes(3_000_000);
        // Both at once, far beyond what any buffer holds.
        let send = async { tokio::join!(first.send(&bytes), second.bytes(bytes.len())) };
        let (sent, received) = send.await;
        assert!(sent && received == bytes);
        let (sent, received) = tokio::join!(second.send(&bytes), first.bytes(bytes.len()));
        assert!(sent && received == bytes);
        first.finish().await;
        assert!(!second.is_reset().await, "an end is passed on as one");
        // The other direction goes on.
        for _ in 0..3 {
            second.send("still").await;
            assert_eq!(first.bytes(5).await, b"still");
        }
        second.finish().await;
        assert!(!first.is_reset().await, "client first: {client_first}");
        pipe.in_flight(0).await;
    }
}

#[tokio::test]
async fn bytes_right_behind_either_head() {
    let pipe = Pipe::new().await;
    let mut client = Raw::connect(pipe.facade()).await;
    client.send(format!("{ASK}early")).await;
    let mut server = Raw::new(pipe.accept().await);
    server.head().await.unwrap();
    server.send(format!("{AGREE}at once")).await;
    client.head().await.unwrap();
    assert_eq!(client.bytes(7).await, b"at once");
    assert_eq!(server.bytes(5).await, b"early");
    // And an end right behind.
    let mut client = Raw::connect(pipe.facade()).await;
    client.send(ASK).await;
    let mut server = Raw::new(pipe.accept().await);
    server.head().await.unwrap();
    server.send(format!("{AGREE}bye")).await;
    server.finish().await;
    client.head().await.unwrap();
    assert_eq!((client.bytes(3).await, client.is_reset().await), (b"bye".to_vec(), false));
    client.finish().await;
    assert!(!server.is_reset().await);
}

#[tokio::test]
async fn without_a_rule_there_is_none() {
    let bridge = Bridge::with(ruled()).await;
    let (upstream, mut client) = (&bridge.upstream, Raw::connect(bridge.facade()).await);
    for path in ["/plain", "/other"] {
        client.send(ASK.replace("/ws", path)).await;
        assert_eq!(client.answer("GET").await.failure(), Some("denied"), "{path}, and the connection goes on");
    }
    assert_eq!(upstream.counts().connections, 0);
}

#[tokio::test]
async fn what_is_no_wish_for_a_websocket_is_an_ordinary_request() {
    let bridge = Bridge::with(ruled()).await;
    let (upstream, mut client) = (&bridge.upstream, Raw::connect(bridge.facade()).await);
    upstream.says("/plain", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Then::GoOn);
    for (line, more) in [
        ("GET /plain HTTP/1.1", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n\r\n"),
        ("GET /plain HTTP/1.1", "Connection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n"),
        ("GET /plain HTTP/1.1", "Upgrade: websocket\r\n\r\n"),
        ("GET /plain HTTP/1.1", "Connection: Upgrade\r\n\r\n"),
        ("POST /plain HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n"),
        ("GET /plain HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx"),
        ("GET /plain HTTP/1.0", "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
    ] {
        client.send(format!("{line}\r\nHost: a\r\n{more}")).await;
        let answer = client.answer("GET").await;
        assert_eq!((answer.status(), answer.text()), (200, "ok".to_owned()), "{line} {more}");
        let sent = upstream.last_head();
        assert_eq!(lines(&sent, &["connection", "upgrade", "http2-settings"]), ["", "", ""], "{more}");
    }
}

#[tokio::test]
async fn an_upstream_that_does_not_agree_answers() {
    let bridge = Bridge::with(ruled()).await;
    let (upstream, mut client) = (&bridge.upstream, Raw::connect(bridge.facade()).await);
    for (said, status, text) in [
        ("HTTP/1.1 426 No\r\nContent-Length: 2\r\n\r\nno", 426, "no"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, "ok"),
        ("HTTP/1.1 204 None\r\n\r\n", 204, ""),
    ] {
        upstream.says("/ws", said, Then::GoOn);
        client.send(ASK).await;
        let answer = client.answer("GET").await;
        assert_eq!((answer.status(), &*answer.text(), answer.whole), (status, text, true));
    }
    assert_eq!(upstream.counts().connections, 1, "its connection goes on, too");
    let other = "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\n";
    for wrong in ["Upgrade: h2c\r\n", "", "Upgrade: websocket, h2c\r\n", "Upgrade: websocket\r\nUpgrade: h2c\r\n"] {
        upstream.says("/ws", format!("{other}{wrong}\r\nbytes"), Then::Hold);
        client.send(ASK).await;
        let answer = client.answer("GET").await;
        assert_eq!((answer.status(), answer.failure()), (502, Some("upstream_protocol")), "{wrong:?}");
        upstream.until("the end of its connection", |counts| counts.open == 0).await;
    }
}

#[tokio::test]
async fn a_reset_at_one_end_is_one_at_the_other() {
    let mut pipe = Pipe::new().await;
    let (client, mut server) = pipe.open().await;
    drop(client);
    assert!(server.is_reset().await, "the client's");
    let (mut client, server) = pipe.open().await;
    drop(server);
    assert!(client.is_reset().await, "the upstream's");
    // The upstream has ended its half, and the client goes with what it still wanted to say.
    let (client, mut server) = pipe.open().await;
    server.finish().await;
    drop(client);
    assert!(server.is_reset().await, "the client's, behind the upstream's end");
    let (mut client, server) = pipe.open().await;
    client.finish().await;
    drop(server);
    assert!(client.is_reset().await, "the upstream's, behind the client's end");

    let (mut client, mut server) = pipe.open().await;
    pipe.agent.kill();
    assert!(client.is_reset().await && server.is_reset().await, "the agent's death");
    pipe.in_flight(0).await;
}

/// A killed process says nothing any more; the kernel does.
#[tokio::test]
async fn a_killed_process_is_a_reset_at_both_ends() {
    for victim in ["gateway", "agent"] {
        let (folder, upstream) = (Scratch::new(), TcpListener::bind("127.0.0.1:0").await.unwrap());
        let mut gateway = Process::start("gateway", &bridge::gateway_yaml(""), &folder);
        let tunnel = gateway.address("tunnel").await;
        let yaml = bridge::agent_yaml(tunnel, upstream.local_addr().unwrap(), ruled());
        let mut agent = Process::start("agent", &yaml, &folder);
        let (mut client, mut server) = open(gateway.address("facade").await, &upstream).await;
        client.send("hello").await;
        assert_eq!(server.bytes(5).await, b"hello");
        if victim == "gateway" {
            gateway.kill()
        } else {
            agent.kill()
        }
        assert!(client.is_reset().await, "the client after the {victim}'s death");
        assert!(server.is_reset().await, "the upstream after the {victim}'s death");
    }
}

#[tokio::test]
async fn a_reader_that_stops_slows_its_writer_and_nobody_else() {
    let (folder, upstream) = (Scratch::new(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let gateway = Process::start("gateway", &bridge::gateway_yaml(""), &folder);
    let tunnel = gateway.address("tunnel").await;
    let yaml = bridge::agent_yaml(tunnel, upstream.local_addr().unwrap(), ruled());
    let agent = Process::start("agent", &yaml, &folder);
    let facade = gateway.address("facade").await;
    let (mut other, mut others) = open(facade, &upstream).await;
    let before = [gateway.resident(), agent.resident()];
    for reader_is_client in [true, false] {
        let (mut client, mut server) = open(facade, &upstream).await;
        let (stopped, writer) = if reader_is_client { (&client, &mut server) } else { (&server, &mut client) };
        let (chunk, mut sent) = (vec![b'x'; 65_536], 0_usize);
        let flood = async {
            while writer.send(&chunk).await {
                sent += chunk.len();
                assert!(sent < 256 << 20, "nothing holds the writer up");
            }
        };
        // The other stream goes round and round meanwhile.
        let rounds = async {
            for _ in 0..1000 {
                other.send("ping").await;
                assert_eq!(others.bytes(4).await, b"ping");
                others.send("pong").await;
                assert_eq!(other.bytes(4).await, b"pong");
            }
        };
        tokio::select! {
            () = flood => panic!("the stream has ended"),
            () = rounds => {}
        }
        for (process, before) in [(&gateway, before[0]), (&agent, before[1])] {
            let more = process.resident().saturating_sub(before);
            assert!(more < 24 << 20, "{} KiB more for a reader that does not read", more / 1024);
        }
        let _ = stopped;
    }
}

#[tokio::test]
async fn idle_time_and_a_rules_time_end_it_and_the_services_time_does_not() {
    let short = Pipe::with(Setup { service: "idle_timeout: 100ms", ..ruled() }).await;
    let (mut client, mut server) = short.open().await;
    assert!(client.is_reset().await && server.is_reset().await);

    let rules = RULES.replace("upgrade: websocket", "upgrade: websocket, timeout: 100ms");
    let short = Pipe::with(Setup { allow: &rules, ..Setup::default() }).await;
    let (mut client, mut server) = short.open().await;
    // It moves all the time.
    let talk = async { while client.send("x").await {} };
    tokio::select! {
        () = talk => {}
        reset = server.is_reset() => assert!(reset),
    }

    let allow = r#"[ { path: /ws, methods: [GET], upgrade: websocket }, "GET /silent", "GET /drip/2", "GET /half/9" ]"#;
    let bridge = Bridge::with(Setup { service: "total_timeout: 300ms", allow, ..Setup::default() }).await;
    let (upstream, facade) = (&bridge.upstream, bridge.facade());
    upstream.says("/ws", format!("{AGREE}hello"), Then::Hold);
    let (mut websocket, mut events) = (Raw::connect(facade).await, Raw::connect(facade).await);
    websocket.send(ASK).await;
    assert_eq!(status(&websocket.head().await.unwrap()), 101);
    events.send("GET /drip/2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let begun = events.head().await.unwrap();
    // These began later, and their time is up.
    assert_eq!(call(facade, "GET", "/silent", "").await.failure(), Some("upstream_timeout"));
    let mut half = Raw::connect(facade).await;
    half.send("GET /half/9 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(half.try_answer("GET").await.is_none_or(|answer| !answer.whole));
    assert_eq!(websocket.bytes(5).await, b"hello");
    upstream.until("the end of those two", |counts| counts.active == 2).await;
    upstream.open_gate(3);
    assert!(!websocket.is_reset().await, "its end is the upstream's");
    assert_eq!(events.body(&begun).await, (b"data: 0\n\ndata: 1\n\n".to_vec(), true));
}

#[tokio::test]
async fn a_drain_waits_for_it_as_long_as_its_grace() {
    let pipe = Pipe::new().await;
    let (mut client, mut server) = pipe.open().await;
    pipe.in_flight(1).await;
    pipe.gateway.drain();
    until("the drain", async || (pipe.gateway.status().await["draining"] == true).then_some(())).await;
    client.send("hello").await;
    assert_eq!(server.bytes(5).await, b"hello");
    server.finish().await;
    client.finish().await;
    assert!(!client.is_reset().await && !server.is_reset().await);
    pipe.gateway.ended().await;

    let pipe = Pipe::with(Setup { gateway: "drain_grace: 100ms", ..ruled() }).await;
    let (mut client, mut server) = pipe.open().await;
    pipe.gateway.drain();
    assert!(client.is_reset().await && server.is_reset().await);
    pipe.gateway.ended().await;
}
