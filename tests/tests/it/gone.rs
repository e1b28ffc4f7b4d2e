//! Clients that are gone although they have sent more than the request that waits: nothing of it hides their end.

use http::{HeaderMap, StatusCode};
use proto::wire::{Frame, ResponseHead};
use reachback_tests::{
    bridge::{Bridge, Setup, Sidecar, gateway_yaml},
    client::{Connected, Raw, call},
    pattern,
    peer::Peer,
    scratch::Scratch,
    tls,
    upstream::Upstream,
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpStream, UnixStream},
};

use crate::upgrades::{AGREE, ASK, Pipe};

/// How a client goes.
#[derive(Clone, Copy, Debug)]
enum Going {
    /// It says that it will send no more.
    Finish,
    /// It closes its connection, over TCP by a reset.
    Drop,
}

const PIPELINED: &str = "GET /bytes/3 HTTP/1.1\r\nHost: a\r\n\r\n";

/// Calls that last, each with something behind its request.
fn calls() -> Vec<String> {
    let behind = ["\r\n", "G", PIPELINED, &PIPELINED.repeat(500)];
    let post = "POST /silent HTTP/1.1\r\nHost: a\r\n";
    let requests = [
        "GET /silent HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "GET /half-chunked/1000 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        // It reads nothing of the answer.
        "GET /bytes/1073741824 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        format!("{post}Content-Length: 2\r\n\r\nhi"),
        format!("{post}Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
    ];
    requests.iter().flat_map(|request| behind.map(|behind| format!("{request}{behind}"))).collect()
}

fn setup(facades: &str) -> Setup<'_> {
    Setup { facades, service: "response_timeout: 1h", ..Setup::default() }
}

/// Sends a call over a connection and goes: the upstream's call must end, and nothing else come of it.
async fn is_missed(upstream: &Upstream, stream: impl Connected + 'static, call: &str, going: Going) {
    let before = upstream.counts().requests;
    let mut client = Raw::over(stream);
    client.send(call).await;
    upstream.until("the call", |counts| counts.requests == before + 1).await;
    let stays = match going {
        Going::Finish => {
            client.finish().await;
            Some(client)
        }
        Going::Drop => {
            drop(client);
            None
        }
    };
    let what = format!("the end of {going:?} behind {:?}", &call[..call.len().min(120)]);
    upstream.until(&what, |counts| counts.active == 0).await;
    assert_eq!(upstream.counts().requests, before + 1, "{what}");
    drop(stays);
}

#[tokio::test]
async fn over_tcp() {
    let bridge = Bridge::with(setup("")).await;
    for (call, going) in calls().iter().flat_map(|call| [(call, Going::Finish), (call, Going::Drop)]) {
        let stream = TcpStream::connect(bridge.facade()).await.unwrap();
        stream.set_zero_linger().unwrap();
        is_missed(&bridge.upstream, stream, call, going).await;
    }
}

#[tokio::test]
async fn over_a_unix_socket() {
    let folder = Scratch::new();
    let path = folder.path().join("orders.sock");
    let facades = format!("  - {{ listen: 'unix:{}', service: orders }}\n", path.display());
    let bridge = Bridge::with(setup(&facades)).await;
    for (call, going) in calls().iter().flat_map(|call| [(call, Going::Finish), (call, Going::Drop)]) {
        is_missed(&bridge.upstream, UnixStream::connect(&path).await.unwrap(), call, going).await;
    }
}

/// There the end is a `close_notify`, or none.
#[tokio::test]
async fn over_tls() {
    let folder = Scratch::new();
    let (facades, certificate) = tls::facade(&folder, "");
    let bridge = Bridge::with(setup(&facades)).await;
    for (call, going) in calls().iter().flat_map(|call| [(call, Going::Finish), (call, Going::Drop)]) {
        let stream = tls::connect(bridge.facade(), &certificate).await;
        stream.get_ref().0.set_zero_linger().unwrap();
        is_missed(&bridge.upstream, stream, call, going).await;
    }
}

/// The answer has begun while the request's body still comes, and its end comes with something behind it.
#[tokio::test]
async fn behind_a_late_body() {
    let gateway = Sidecar::gateway(&gateway_yaml(""));
    let mut peer = Peer::agent(gateway.address("tunnel"), &["orders"]).await;
    for (framing, half, end) in
        [("Content-Length: 4", "ha", "lf"), ("Transfer-Encoding: chunked", "2\r\nha\r\n", "0\r\n\r\n")]
    {
        let mut client = Raw::connect(gateway.address("facade")).await;
        client.send(format!("POST /x HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{half}")).await;
        let id = peer.frame(|frame| if let Frame::Data { id, .. } = frame { Some(id) } else { None }).await;
        let head = ResponseHead { status: StatusCode::OK, headers: HeaderMap::new() };
        peer.say(&Frame::Response { id, head, end: false }).await;
        client.head().await.unwrap();
        client.send(format!("{end}\r\n")).await;
        peer.frame(|frame| matches!(frame, Frame::Data { end: true, .. }).then_some(())).await;
        client.finish().await;
        peer.frame(|frame| matches!(frame, Frame::Reset { id: reset, .. } if reset == id).then_some(())).await;
    }
}

/// A client that waits gets all its answers, however much it has sent ahead of them: at last more than is taken.
#[tokio::test]
async fn who_stays_is_answered() {
    let bridge = Bridge::start().await;
    for length in [1, 100, 5_000, 70_000, 1_000_000] {
        let stream = std::net::TcpStream::connect(bridge.facade()).unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut sender = TcpStream::from_std(stream.try_clone().unwrap()).unwrap();
        let mut client = Raw::new(TcpStream::from_std(stream).unwrap());
        client.send(format!("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n{PIPELINED}")).await;
        bridge.upstream.until("the first call", |counts| counts.active == 1).await;
        let body = pattern::bytes(length);
        let head = format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        let ahead = [head.as_bytes(), &body, PIPELINED.as_bytes()].concat();
        let sending = tokio::spawn(async move { sender.write_all(&ahead).await.map(|()| sender) });
        // Others are served while it comes.
        for _ in 0..20 {
            assert_eq!(call(bridge.facade(), "GET", "/bytes/1", "").await.status(), 200);
        }
        bridge.upstream.open_gate(1);
        let mut answers = Vec::new();
        for method in ["GET", "GET", "POST", "GET"] {
            answers.push(client.answer(method).await.body);
        }
        assert_eq!(answers, [b"the gate is open".to_vec(), pattern::bytes(3), body, pattern::bytes(3)], "{length}");
        sending.await.unwrap().unwrap();
    }
}

/// What has come ahead of a 101 is the tunnel's.
#[tokio::test]
async fn what_is_early_for_a_websocket_is_not_lost() {
    let pipe = Pipe::new().await;
    for length in [1, 5_000, 50_000] {
        let mut client = Raw::connect(pipe.facade()).await;
        let bytes = pattern::bytes(length);
        client.send([ASK.as_bytes(), &bytes[..1]].concat()).await;
        let mut server = Raw::new(pipe.accept().await);
        server.head().await.unwrap();
        client.send(&bytes[1..]).await;
        server.send(AGREE).await;
        assert_eq!(server.bytes(bytes.len()).await, bytes, "{length}");
        assert!(client.head().await.unwrap().line().starts_with("HTTP/1.1 101 "));
        // The end of one direction leaves the other.
        client.finish().await;
        assert!(!server.is_reset().await);
        server.send("bye").await;
        assert_eq!(client.bytes(3).await, b"bye");
    }
}
