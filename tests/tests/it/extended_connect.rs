//! WebSockets of HTTP/2 clients (RFC 8441): to the upstream they are those of HTTP/1.1.

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, ext::Protocol};
use http::{HeaderValue, Request, Response};
use proto::link::upgrade::accept_key;
use reachback_tests::{
    client::Raw,
    http2::{Client, answer, request},
    pattern,
    wait::{until, within},
};
use tokio::net::TcpStream;

use crate::upgrades::Pipe;

fn ask(path: &str, protocol: &'static str) -> Request<()> {
    let mut asked = request("CONNECT", path);
    asked.extensions_mut().insert(Protocol::from_static(protocol));
    asked.headers_mut().insert("sec-websocket-version", HeaderValue::from_static("13"));
    asked.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static("chat, other"));
    asked
}

async fn connect(pipe: &Pipe) -> Client {
    let client = Client::connect(pipe.facade()).await;
    client.until_extended().await;
    client
}

/// The upstream's end of a stream that it agreed to, and the client's.
async fn open(pipe: &Pipe, client: &mut Client) -> (Raw, Response<RecvStream>, SendStream<Bytes>) {
    let (response, send) = client.open(ask("/ws", "websocket"), false).await;
    let stream: TcpStream = pipe.accept().await;
    stream.set_zero_linger().unwrap();
    let mut server = Raw::new(stream);
    let asked = server.head().await.unwrap();
    let accept = accept_key(asked.one("sec-websocket-key").unwrap().as_bytes());
    server.send(agree(&accept)).await;
    (server, within("an answer", response).await.unwrap(), send)
}

fn agree(accept: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\
         Sec-WebSocket-Protocol: chat\r\nX-Extra: 1\r\n\r\n"
    )
}

async fn read(body: &mut RecvStream, length: usize) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < length {
        let chunk = within("bytes", body.data()).await.unwrap().unwrap();
        body.flow_control().release_capacity(chunk.len()).unwrap();
        read.extend_from_slice(&chunk);
    }
    read
}

/// What ends the bytes: a reset, or nothing. An end comes with a frame that has no bytes.
async fn end(body: &mut RecvStream) -> Option<Reason> {
    while let Some(chunk) = within("the end", body.data()).await {
        match chunk {
            Ok(chunk) => assert!(chunk.is_empty(), "{chunk:?}"),
            Err(error) => return error.reason(),
        }
    }
    None
}

async fn send(stream: &mut SendStream<Bytes>, mut bytes: Bytes) {
    while !bytes.is_empty() {
        stream.reserve_capacity(bytes.len());
        let room = within("room", std::future::poll_fn(|cx| stream.poll_capacity(cx))).await.unwrap().unwrap();
        stream.send_data(bytes.split_to(room.min(bytes.len())), false).unwrap();
    }
}

async fn in_flight(pipe: &Pipe, count: u64) {
    until("the requests in flight", async || {
        (pipe.gateway.status().await["facades"][0]["requests"] == count).then_some(())
    })
    .await;
}

#[tokio::test]
async fn each_end_sees_what_it_knows() {
    let pipe = Pipe::new().await;
    let mut client = connect(&pipe).await;
    let mut keys = Vec::new();
    for _ in 0..2 {
        let (response, _send) = client.open(ask("/ws?a=%2F", "websocket"), false).await;
        let mut server = Raw::new(pipe.accept().await);
        let asked = server.head().await.unwrap();
        assert_eq!(asked.line(), "GET /ws?a=%2F HTTP/1.1");
        for (name, value) in [
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-protocol", "chat, other"),
            ("via", "2 reachback"),
        ] {
            assert_eq!(asked.all(name), [value], "{asked:?}");
        }
        assert!(asked.all("transfer-encoding").is_empty() && asked.all("content-length").is_empty(), "{asked:?}");
        let key = asked.one("sec-websocket-key").unwrap().to_owned();
        server.send(agree(&accept_key(key.as_bytes()))).await;
        let agreed = within("an answer", response).await.unwrap();
        assert_eq!(agreed.status(), 200);
        assert!(
            agreed.headers()["sec-websocket-protocol"] == "chat" && agreed.headers()["x-extra"] == "1",
            "{agreed:?}"
        );
        for gone in ["connection", "upgrade", "sec-websocket-accept", "content-length"] {
            assert!(!agreed.headers().contains_key(gone), "{gone}: {agreed:?}");
        }
        assert_eq!(key.len(), 24);
        keys.push(key);
    }
    assert_ne!(keys[0], keys[1]);
}

#[tokio::test]
async fn bytes_both_ways_and_half_close() {
    let pipe = Pipe::new().await;
    let mut client = connect(&pipe).await;
    let (mut server, response, mut out) = open(&pipe, &mut client).await;
    let mut back = response.into_body();
    let bytes = pattern::bytes(1_000_000);
    let sent = async { tokio::join!(send(&mut out, bytes.clone().into()), server.bytes(bytes.len())) };
    assert!(sent.await.1 == bytes);
    let (sent, received) = tokio::join!(server.send(&bytes), read(&mut back, bytes.len()));
    assert!(sent && received == bytes);
    out.send_data(Bytes::new(), true).unwrap();
    assert!(!server.is_reset().await, "an end is passed on as one");
    server.send("still").await;
    assert_eq!(read(&mut back, 5).await, b"still");
    server.finish().await;
    assert_eq!(end(&mut back).await, None);
    in_flight(&pipe, 0).await;
}

#[tokio::test]
async fn who_goes_away_is_missed() {
    let pipe = Pipe::new().await;
    let mut client = connect(&pipe).await;
    for reason in [Reason::CANCEL, Reason::NO_ERROR, Reason::INTERNAL_ERROR] {
        let (mut server, _response, mut out) = open(&pipe, &mut client).await;
        in_flight(&pipe, 1).await;
        out.send_reset(reason);
        assert!(server.is_reset().await, "{reason:?}");
        in_flight(&pipe, 0).await;
    }
    // Whatever comes right ahead of it.
    for turns in 0..12 {
        let (mut server, _response, mut out) = open(&pipe, &mut client).await;
        out.send_data(Bytes::from_static(b"last words"), false).unwrap();
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        out.send_reset(Reason::CANCEL);
        assert!(server.is_reset().await, "after {turns} turns");
    }
    let (mut server, response, out) = open(&pipe, &mut client).await;
    drop((response, out));
    assert!(server.is_reset().await, "dropped");
    let (server, response, _out) = open(&pipe, &mut client).await;
    drop(server);
    assert!(matches!(end(&mut response.into_body()).await, None | Some(Reason::NO_ERROR)), "the upstream's");
    in_flight(&pipe, 0).await;
    let (mut server, _response, _out) = open(&pipe, &mut client).await;
    drop((client, _response, _out));
    assert!(server.is_reset().await, "the whole connection");
}

#[tokio::test]
async fn what_is_no_websocket_is_refused() {
    let pipe = Pipe::new().await;
    let mut client = connect(&pipe).await;
    for (path, protocol, status, code) in [
        ("/plain", "websocket", 403, "denied"),
        ("/other", "websocket", 403, "denied"),
        ("/ws", "connect-udp", 501, "not_supported"),
        ("/ws", "connect-ip", 501, "not_supported"),
    ] {
        let (response, _out) = client.open(ask(path, protocol), false).await;
        let answer = answer(response).await;
        let told = (answer.status.as_u16(), answer.headers["reachback-error"].to_str().unwrap());
        assert_eq!(told, (status, code), "{path} {protocol}");
    }
    // It is the first that comes there.
    open(&pipe, &mut client).await;
}

#[tokio::test]
async fn an_upstream_that_does_not_agree() {
    let pipe = Pipe::new().await;
    let mut client = connect(&pipe).await;
    let wrong = agree("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let none = wrong.replace("Sec-WebSocket-Accept", "X-Accept");
    for (said, status, code) in [
        (&*wrong, 502, Some("upstream_protocol")),
        (&none, 502, Some("upstream_protocol")),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 502, Some("upstream_protocol")),
        ("HTTP/1.1 204 None\r\n\r\n", 502, Some("upstream_protocol")),
        ("HTTP/1.1 426 No\r\nContent-Length: 2\r\n\r\nno", 426, None),
        ("HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 302, None),
    ] {
        let (response, _out) = client.open(ask("/ws", "websocket"), false).await;
        let mut server = Raw::new(pipe.accept().await);
        server.head().await.unwrap();
        server.send(said).await;
        server.finish().await;
        let answer = answer(response).await;
        let error = answer.headers.get("reachback-error").map(|code| code.to_str().unwrap());
        assert_eq!((answer.status.as_u16(), error), (status, code), "{said:?}");
        assert!(code.is_some() || answer.body.len() == if status == 426 { 2 } else { 0 }, "{answer:?}");
    }
    in_flight(&pipe, 0).await;
}
