//! Facades that listen on a Unix socket, or speak TLS.

use std::os::unix::fs::PermissionsExt as _;

use reachback_tests::{
    bridge::{Bridge, Setup, gateway_with},
    client::Raw,
    http2,
    process::Process,
    scratch::Scratch,
    tls,
    wait::{until_so, within},
};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpStream, UnixStream},
};

#[tokio::test]
async fn a_unix_socket() {
    let folder = Scratch::new();
    let path = folder.path().join("orders.sock");
    let facades = format!("  - {{ listen: 'unix:{}', service: orders, mode: 640 }}\n", path.display());
    let bridge = Bridge::with(Setup { facades: &facades, ..Setup::default() }).await;
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o640);
    let mut client = Raw::over(UnixStream::connect(&path).await.unwrap());
    for length in [0, 1, 300_000] {
        let answer = client.call("GET", &format!("/bytes/{length}"), "").await;
        assert_eq!((answer.status(), answer.body.len(), answer.whole), (200, length, true));
    }
    let status = bridge.gateway.status().await;
    assert_eq!(status["facades"][0]["listen"], format!("unix:{}", path.display()));
    // A cut answer never looks whole.
    let mut client = Raw::over(UnixStream::connect(&path).await.unwrap());
    client.send("GET /half-chunked/1000 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    bridge.upstream.open_gate(1);
    assert!(client.try_answer("GET").await.is_none_or(|answer| !answer.whole));
    refuses(Raw::over(UnixStream::connect(&path).await.unwrap())).await;
    bridge.gateway.drain();
    bridge.gateway.ended().await;
    assert!(!path.exists(), "nothing is left");
}

/// What is not HTTP, or has both lengths, is told so there as well.
async fn refuses(mut client: Raw) {
    let both = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n").await;
    assert_eq!(client.answer("POST").await.text(), "ok");
    client.send(both).await;
    assert_eq!(client.answer("POST").await.failure(), Some("bad_request"));
    assert!(client.try_answer("POST").await.is_none());
}

#[tokio::test]
async fn a_socket_that_a_dead_gateway_left_gives_way() {
    let folder = Scratch::new();
    let yaml = gateway_with("  - { listen: unix:orders.sock, service: orders }\n", "");
    let mut first = Process::start("gateway", &yaml, &folder);
    first.line(&["listening", "what=facade", "orders.sock"]).await;
    let path = folder.path().join("orders.sock");
    let mut second = Process::start("gateway", &yaml, &folder);
    assert_eq!(second.code().await, Some(1), "a living one does not");
    assert!(second.line(&["another process listens there"]).await.contains("orders.sock"));
    assert!(UnixStream::connect(&path).await.is_ok());
    first.kill();
    assert!(path.exists(), "a killed process leaves its socket");
    let mut third = Process::start("gateway", &yaml, &folder);
    third.line(&["listening", "what=facade", "orders.sock"]).await;
    assert!(UnixStream::connect(&path).await.is_ok());
    third.signal("TERM");
    assert_eq!(third.code().await, Some(0));
    assert!(!path.exists(), "one that ends in order leaves nothing");
}

/// A bridge with one facade that speaks TLS, and the certificate to trust.
async fn over_tls(folder: &Scratch, more: &str) -> (Bridge, String) {
    let (facades, certificate) = tls::facade(folder, more);
    let bridge = Bridge::with(Setup { facades: &facades, service: "trust_forwarded: true", ..Setup::default() }).await;
    (bridge, certificate)
}

#[tokio::test]
async fn tls_on_a_facade() {
    let folder = Scratch::new();
    let (bridge, certificate) = over_tls(&folder, ", forwarded: replace").await;
    let stream = tls::connect(bridge.facade(), &certificate).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    let mut client = Raw::over(stream);
    for length in [0, 1, 300_000] {
        let answer = client.call("GET", &format!("/bytes/{length}"), "").await;
        assert_eq!((answer.status(), answer.body.len(), answer.whole), (200, length, true));
    }
    assert_eq!(bridge.upstream.last_head().all("x-forwarded-proto"), ["https"]);
    let body = "x".repeat(100_000);
    client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n{body}")).await;
    assert_eq!(client.answer("POST").await.text(), body);
    refuses(Raw::over(tls::connect(bridge.facade(), &certificate).await)).await;
    let mut other = Raw::over(tls::connect(bridge.facade(), &certificate).await);
    other.send(" this is not HTTP\r\n\r\n").await;
    assert_eq!(other.answer("GET").await.failure(), Some("bad_request"));
    assert_eq!(other.closed().await, 0);
    // A cut answer never looks whole: neither to HTTP/1.1 nor, without a close_notify, to HTTP/1.0.
    client.send("GET /half-chunked/1000 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    bridge.upstream.open_gate(1);
    assert!(client.try_answer("GET").await.is_none_or(|answer| !answer.whole));
    let mut old = tls::connect(bridge.facade(), &certificate).await;
    tokio::io::AsyncWriteExt::write_all(&mut old, b"GET /half-chunked/1000 HTTP/1.0\r\n\r\n").await.unwrap();
    bridge.upstream.open_gate(1);
    let read = within("the end of a cut answer", old.read_to_end(&mut Vec::new())).await;
    assert!(read.is_err(), "{read:?}");
}

#[tokio::test]
async fn tls_agrees_on_the_protocol() {
    let folder = Scratch::new();
    let (bridge, certificate) = over_tls(&folder, ", forwarded: replace").await;
    let agreed = async |offered: &[&str]| {
        let stream = tls::offer(bridge.facade(), &certificate, offered).await.unwrap();
        let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
        (stream, protocol.map(|protocol| String::from_utf8(protocol).unwrap()))
    };
    for offered in [&["h2", "http/1.1"][..], &["http/1.1", "h2"], &["h2"]] {
        let (stream, protocol) = agreed(offered).await;
        assert_eq!(protocol.as_deref(), Some("h2"), "{offered:?}");
        let mut client = http2::Client::over(stream).await;
        let mut asked = http2::request("POST", "/echo");
        *asked.uri_mut() = "https://localhost/echo?a=%2F".parse().unwrap();
        let answer = client.call(asked, Some(("hello", None))).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, &b"hello"[..]), "{offered:?}");
        let seen = bridge.upstream.last_head();
        assert_eq!((seen.line(), seen.all("x-forwarded-proto")), ("POST /echo?a=%2F HTTP/1.1", vec!["https"]));
    }
    // A client that offers nothing speaks HTTP/1.1, or HTTP/2 by prior knowledge.
    for (offered, expected) in [(&["http/1.1"][..], Some("http/1.1")), (&["http/1.0"], Some("http/1.0")), (&[], None)] {
        let (stream, protocol) = agreed(offered).await;
        assert_eq!(protocol.as_deref(), expected, "{offered:?}");
        assert_eq!(Raw::over(stream).call("GET", "/bytes/3", "").await.body.len(), 3, "{offered:?}");
    }
    let strange = tls::offer(bridge.facade(), &certificate, &["spdy/3"]).await;
    assert!(strange.is_err(), "there is nothing to speak in common: {strange:?}");
}

#[tokio::test]
async fn strangers_to_tls_hold_nobody_up() {
    let folder = Scratch::new();
    let (bridge, certificate) = over_tls(&folder, "").await;
    // Some say nothing, some speak plain HTTP.
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(TcpStream::connect(bridge.facade()).await.unwrap());
    }
    let mut plain = Raw::connect(bridge.facade()).await;
    plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    plain.closed().await;
    let mut client = Raw::over(tls::connect(bridge.facade(), &certificate).await);
    assert_eq!(client.call("GET", "/bytes/1", "").await.status(), 200);
    drop(client);
    let Bridge { gateway, .. } = bridge;
    gateway.drain();
    gateway.ended().await;
    for mut stream in silent {
        assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0, "and they do not hold a drain up");
    }
}

#[tokio::test]
async fn a_pair_that_does_not_fit_is_found_before_anything_listens() {
    let folder = Scratch::new();
    let ((certificate, _), (_, key)) = (tls::identity(), tls::identity());
    folder.write("cert.pem", &certificate);
    folder.write("key.pem", &key);
    let facade = "  - { listen: 127.0.0.1:0, service: orders, tls: { cert_file: cert.pem, key_file: key.pem } }\n";
    let mut process = Process::start("gateway", &gateway_with(facade, ""), &folder);
    assert_eq!(process.code().await, Some(2));
    let said = || process.log().iter().any(|line| line.contains("is not that of the first certificate"));
    until_so("the reason", said).await;
}
