//! An upstream that speaks HTTP/2: what it sees, and what becomes of its resets.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, HeaderValue, Version};
use reachback_tests::{
    bridge::{self, Setup, Sidecar},
    client::{Raw, call},
    http1::{Left, Piece},
    http2::{Client, Upstream, request},
};
use tokio::net::TcpListener;

struct Bridged {
    facade: SocketAddr,
    _sidecars: [Sidecar; 2],
}

async fn bridge(upstream: SocketAddr, service: &str) -> Bridged {
    let service = format!("protocol: h2c, {service}");
    let (gateway, agent) = bridge::pair(upstream, "".as_ref(), Setup { service: &service, ..Setup::default() }).await;
    Bridged { facade: gateway.address("facade"), _sidecars: [gateway, agent] }
}

#[tokio::test]
async fn the_judged_request_is_what_it_sees() {
    let upstream = Upstream::start(200).await;
    let bridged = bridge(upstream.address(), "host: orders.internal").await;
    let mut client = Raw::connect(bridged.facade).await;
    let more =
        "Content-Length: 5\r\nTE: trailers\r\nConnection: te, x-hop\r\nX-Hop: 1\r\nX-Kept: caf\u{e9}\r\n\r\nhello";
    let sent: Vec<u8> = format!("POST /echo?a=%2f%41&b HTTP/1.1\r\nHost: app\r\n{more}")
        .chars()
        .map(|c| u8::try_from(c).unwrap())
        .collect();
    client.send(sent).await;
    assert_eq!(client.answer("POST").await.text(), "hello");
    let head = upstream.seen().heads.pop().unwrap();
    assert_eq!((head.version, head.method.as_str()), (Version::HTTP_2, "POST"));
    assert_eq!(head.uri.to_string(), "http://orders.internal/echo?a=%2f%41&b");
    assert_eq!(head.headers["content-length"], "5");
    assert_eq!(head.headers["te"], "trailers");
    assert_eq!(head.headers["x-kept"].as_bytes(), b"caf\xe9");
    for gone in ["host", "connection", "x-hop", "transfer-encoding"] {
        assert!(!head.headers.contains_key(gone), "{gone}");
    }
    client.call("OPTIONS", "/x", "").await;
    assert!(!upstream.seen().heads[1].headers.contains_key("te"), "only if the client has sent it");
}

#[tokio::test]
async fn calls_share_a_connection_and_more_are_opened_where_few_streams_are_taken() {
    let check = async |streams: u32, calls: usize, connections: std::ops::RangeInclusive<usize>| {
        let upstream = Upstream::start(streams).await;
        let bridged = bridge(upstream.address(), "").await;
        // The first call learns how many streams there may be.
        assert_eq!(call(bridged.facade, "GET", "/bytes/1", "").await.status(), 200);
        let mut client = Client::connect(bridged.facade).await;
        let mut open = Vec::new();
        for _ in 0..calls {
            open.push(client.open(request("GET", "/silent"), true).await);
        }
        upstream.until("all of them at once", |seen| seen.heads.len() == calls + 1).await;
        assert!(connections.contains(&upstream.seen().connections), "{streams}: {}", upstream.seen().connections);
        drop(open);
        upstream.until("all of them cancelled", |seen| seen.resets.len() == calls).await;
        assert!(upstream.seen().resets.iter().all(|reason| *reason == Reason::CANCEL));
    };
    check(200, 50, 1..=1).await;
    check(4, 20, 5..=6).await;
}

/// HTTP/2 has no upgrades; a rule that permits one there is an error in the file.
#[tokio::test]
async fn a_wish_for_an_upgrade_is_denied_before_anything_is_sent() {
    let upstream = Upstream::start(200).await;
    let bridged = bridge(upstream.address(), "").await;
    let more = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA\r\n";
    let answer = call(bridged.facade, "GET", "/ws", more).await;
    assert_eq!((answer.status(), answer.failure()), (403, Some("denied")));
    assert!(upstream.seen().heads.is_empty() && upstream.seen().connections == 0);
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let upstream = Upstream::start(200).await;
    let bridged = bridge(upstream.address(), "").await;
    let mut client = Client::connect(bridged.facade).await;
    let trailers = HeaderMap::from_iter(
        [("x-sum", "42"), ("authorization", "forged"), ("x-forwarded-for", "10.0.0.1")]
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))),
    );
    let answer = client.call(request("POST", "/echo"), Some(("hello", Some(trailers)))).await;
    assert_eq!(&*answer.body, b"hello");
    assert_eq!(
        answer.trailers,
        Some(HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("42"))]))
    );
}

#[tokio::test]
async fn what_a_reset_means() {
    let upstream = Upstream::start(200).await;
    let bridged = bridge(upstream.address(), "").await;
    let check = async |path: &str, code: &str, retry_safe: bool| {
        let failed = call(bridged.facade, "GET", path, "").await;
        assert_eq!((failed.status(), failed.failure()), (502, Some(code)), "{path}: {}", failed.text());
        assert!(failed.text().contains(&format!("\"retry_safe\":{retry_safe}")), "{path}: {}", failed.text());
    };
    check("/refuse", "upstream_refused", true).await;
    check("/fail/2", "upstream_protocol", false).await;
    check("/fail/0", "upstream_protocol", false).await;
    assert_eq!(upstream.seen().connections, 1, "a reset is about one stream");
}

/// hyper takes a reset without an error for the end of a body.
#[tokio::test]
async fn a_cut_answer_never_looks_whole() {
    let upstream = Upstream::start(200).await;
    let bridged = bridge(upstream.address(), "").await;
    for code in [0, 2, 8] {
        let mut client = Client::connect(bridged.facade).await;
        let (response, mut body) = client.open(request("POST", &format!("/half/{code}")), false).await;
        let mut half = response.await.unwrap().into_body();
        assert_eq!(half.data().await.unwrap().unwrap(), "12345");
        body.send_data(Bytes::new(), true).unwrap();
        assert!(half.data().await.unwrap().is_err(), "{code}");

        let mut plain = Raw::connect(bridged.facade).await;
        plain.send(format!("POST /half/{code} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n")).await;
        let mut left = plain.head().await.unwrap().framing(Left::UntilClose);
        assert_eq!(plain.piece(&mut left).await, Piece::Data("12345".into()));
        plain.send("x").await;
        assert_eq!(plain.piece(&mut left).await, Piece::Cut, "{code}");
    }
}

#[tokio::test]
async fn a_connection_that_goes_away_is_replaced() {
    let upstream = Upstream::start(200).await;
    let bridged = bridge(upstream.address(), "").await;
    for round in 1..=3 {
        let answer = call(bridged.facade, "GET", "/last", "").await;
        assert_eq!(answer.failure(), None, "{}", answer.text());
        for _ in 0..3 {
            let answer = call(bridged.facade, "GET", "/bytes/7", "").await;
            let safe = answer.text().contains("\"retry_safe\":true");
            assert!(answer.body.len() == 7 || safe, "{round}: {}", answer.text());
        }
    }
    assert!(upstream.seen().connections > 1);
}

#[tokio::test]
async fn a_server_that_speaks_no_http2_is_said_so() {
    let plain = reachback_tests::upstream::Upstream::start().await;
    let bridged = bridge(plain.address(), "").await;
    let failed = call(bridged.facade, "GET", "/bytes/1", "").await;
    assert_eq!(failed.failure(), Some("upstream_protocol"), "{}", failed.text());
    let nobody = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let bridged = bridge(nobody, "").await;
    let failed = call(bridged.facade, "GET", "/bytes/1", "").await;
    assert_eq!(failed.failure(), Some("upstream_refused"), "{}", failed.text());
}
