//! Where requests begin and end: what two readers could read in two ways is refused.

use reachback_tests::{bridge::Bridge, client::Raw, pattern, upstream::Counts};

/// Sends bytes as they are and expects a status; nothing reaches the upstream, and the connection closes if the
/// request's end cannot be known.
async fn refused(bridge: &Bridge, request: &str, status: u16) {
    let mut client = Raw::connect(bridge.facade()).await;
    client.send(request).await;
    let answer = client.answer("GET").await;
    assert_eq!(answer.status(), status, "{request:?}: {answer:?}");
    assert_eq!(bridge.upstream.counts(), Counts::default(), "{request:?}");
}

#[tokio::test]
async fn malformed_requests_go_nowhere() {
    let bridge = Bridge::start().await;
    for request in [
        "GET /echo HTTP/1.1\r\n\r\n".to_owned(),
        "GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n".to_owned(),
        "GET /echo HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n".to_owned(),
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!".to_owned(),
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello".to_owned(),
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello".to_owned(),
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n".to_owned(),
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(),
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n".to_owned(),
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "GET http://other/echo HTTP/1.1\r\nHost: other\r\n\r\n".to_owned(),
        "GET /echo HTTP/1.1\r\nHost: a\r\nExpect: the-unexpected\r\n\r\n".to_owned(),
        "GET /echo HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\n\r\n".to_owned(),
        "GET /echo HTTP/1.1\r\nHost: a\r\nBad Name: a\r\n\r\n".to_owned(),
        "GET /echo HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n".to_owned(),
        "GET /ec ho HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        "\x16\x03\x01 this is TLS\r\n\r\n".to_owned(),
    ] {
        refused(&bridge, &request, 400).await;
    }
    refused(&bridge, "CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n", 501).await;
}

#[tokio::test]
async fn oversized_heads_go_nowhere() {
    let bridge = Bridge::start().await;
    let long = "x".repeat(9000);
    refused(&bridge, &format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"), 414).await;
    let line = format!("X: {}\r\n", "y".repeat(8000));
    refused(&bridge, &format!("GET /echo HTTP/1.1\r\nHost: a\r\n{}\r\n", line.repeat(9)), 431).await;
    refused(&bridge, &format!("GET /echo HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: y\r\n".repeat(101)), 431).await;
}

/// RFC 9112 §6.1 leaves a choice: refuse, or go by the chunks alone; the connection ends in either case.
#[tokio::test]
async fn a_request_framed_twice_smuggles_nothing() {
    let bridge = Bridge::start().await;
    let smuggled = "GET /bytes/666 HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = format!("Content-Length: {}\r\n", smuggled.len() + 5);
    let chunked = "Transfer-Encoding: chunked\r\n";
    for framing in [format!("{length}{chunked}"), format!("{chunked}{length}")] {
        let mut client = Raw::connect(bridge.facade()).await;
        client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\n{framing}\r\n0\r\n\r\n{smuggled}")).await;
        let answer = client.answer("POST").await;
        assert!(matches!(answer.status(), 200 | 400), "{answer:?}");
        assert!(client.try_answer("GET").await.is_none(), "the connection goes on behind {framing:?}");
    }
    for head in bridge.upstream.heads() {
        assert_eq!((head.word(1), head.one("content-length").unwrap_or("0")), ("/echo", "0"), "{head:?}");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let bridge = Bridge::start().await;
    let mut client = Raw::connect(bridge.facade()).await;
    let get = |length: usize| format!("GET /bytes/{length} HTTP/1.1\r\nHost: a\r\n\r\n");
    client.send(get(3) + &get(70_000) + &get(5)).await;
    for length in [3, 70_000, 5] {
        assert_eq!(client.answer("GET").await.body, pattern::bytes(length));
    }
}
