//! Where messages begin and end: what two readers could read in two ways is refused, on either side.

use reachback_tests::{
    bridge::Bridge,
    client::Raw,
    pattern,
    upstream::{Counts, Then},
};

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

/// An upstream that answers wrongly; the client sees a failure or a cut, and the next call on the same connection, or
/// on a new one, gets its own answer.
#[tokio::test]
async fn a_wrong_upstream_spoils_its_own_answer_only() {
    let bridge = Bridge::start().await;
    let spoiled = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen";
    let wrong = [
        ("garbage", "\0\u{1} this is no HTTP\r\n\r\n".to_owned(), Then::Close, true),
        ("nothing", String::new(), Then::Close, true),
        ("half-a-head", "HTTP/1.1 200 OK\r\nContent-Le".to_owned(), Then::Close, true),
        (
            "switched",
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n".to_owned(),
            Then::Hold,
            true,
        ),
        (
            "two-lengths",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab".to_owned(),
            Then::Hold,
            true,
        ),
        ("no-length", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nab".to_owned(), Then::Hold, true),
        ("short", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc".to_owned(), Then::Close, false),
        ("bad-chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc".to_owned(), Then::Hold, false),
        ("cut-chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nabc".to_owned(), Then::Close, false),
        (
            "no-last-chunk",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n".to_owned(),
            Then::Close,
            false,
        ),
    ];
    let mut client = Raw::connect(bridge.facade()).await;
    for (name, bytes, then, fails) in wrong {
        bridge.upstream.says(&format!("/{name}"), bytes, then);
        client.send(format!("GET /{name} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let answer = client.try_answer("GET").await;
        if fails {
            let answer = answer.unwrap();
            assert_eq!((answer.status(), answer.failure()), (502, Some("upstream_protocol")), "{name}");
        } else {
            // A cut may be so early that not even the head is seen.
            assert!(answer.is_none_or(|answer| !answer.whole), "{name} looks complete");
            client = Raw::connect(bridge.facade()).await;
        }
        assert_eq!(client.call("GET", "/bytes/9", "").await.body, pattern::bytes(9), "after {name}");
    }
    // More than was asked for: what is left over is nobody's answer.
    for (name, first) in
        [("more", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), ("more-204", "HTTP/1.1 204 No\r\n\r\n")]
    {
        bridge.upstream.says(&format!("/{name}"), format!("{first}{spoiled}"), Then::GoOn);
        let answer = client.call("GET", &format!("/{name}"), "").await;
        assert!(answer.whole && answer.status() < 300, "{name}: {answer:?}");
        for _ in 0..3 {
            assert_eq!(client.call("GET", "/bytes/9", "").await.body, pattern::bytes(9), "after {name}");
        }
    }
}

#[tokio::test]
async fn informational_answers_do_not_count() {
    let bridge = Bridge::start().await;
    let early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n";
    bridge.upstream.says("/hints", format!("{early}HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), Then::GoOn);
    let mut client = Raw::connect(bridge.facade()).await;
    for _ in 0..2 {
        let answer = client.call("GET", "/hints", "").await;
        assert_eq!((answer.status(), answer.text()), (200, "ok".to_owned()));
    }
}
