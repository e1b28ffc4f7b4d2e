//! Where requests begin and end: what two readers could read in two ways is refused.

use reachback_tests::{bridge::Bridge, client::Raw, pattern, upstream::Counts, wait::until_so};

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

/// RFC 9112 §6.1 leaves a choice: to refuse such a request, or to go by its chunks alone. It is refused, wherever it
/// comes.
#[tokio::test]
async fn a_request_framed_twice_smuggles_nothing() {
    let bridge = Bridge::start().await;
    let smuggled = "GET /bytes/666 HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = format!("Content-Length: {}\r\n", smuggled.len() + 5);
    let chunked = "Transfer-Encoding: chunked\r\n";
    let ok = |framing: &str, body: &str| format!("POST /echo HTTP/1.1\r\nHost: a\r\n{framing}\r\n{body}");
    let ahead = [
        String::new(),
        "GET /bytes/3 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        ok("Content-Length: 2\r\n", "ok"),
        ok(chunked, "2\r\nok\r\n0\r\n\r\n"),
    ];
    for framing in [format!("{length}{chunked}"), format!("{chunked}{length}")] {
        for (ahead, at_once) in ahead.iter().flat_map(|ahead| [(ahead, true), (ahead, false)]) {
            let mut client = Raw::connect(bridge.facade()).await;
            let request = ok(&framing, &format!("0\r\n\r\n{smuggled}"));
            client.send(if at_once { format!("{ahead}{request}") } else { ahead.clone() }).await;
            if !ahead.is_empty() {
                assert_eq!(client.answer("POST").await.status(), 200, "{ahead:?}");
            }
            if !at_once {
                client.send(request).await;
            }
            let answer = client.answer("POST").await;
            assert_eq!((answer.status(), answer.failure()), (400, Some("bad_request")), "{ahead:?} {answer:?}");
            assert!(client.try_answer("GET").await.is_none(), "the connection goes on behind {framing:?}");
        }
    }
    let seen: Vec<_> = bridge.upstream.heads().iter().filter(|head| head.word(1) != "/echo").cloned().collect();
    assert_eq!((bridge.upstream.heads().len(), seen.len()), (2 * 2 * 3, 2 * 2), "{seen:?}");
}

/// What comes along with the end of a body, ahead of its answer, is not looked at: with chunks it is in doubt.
#[tokio::test]
async fn chunks_are_not_sent_ahead_of_the_answer_to_a_body() {
    let bridge = Bridge::start().await;
    let mut client = Raw::connect(bridge.facade()).await;
    let head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for _ in 0..3 {
        client.send(head).await;
        client.send("2\r\nok\r\n").await;
        client.send("0\r\n\r\n").await;
        assert_eq!(client.answer("POST").await.text(), "ok");
    }
    client.send(head).await;
    until_so("the upstream has the head", || bridge.upstream.heads().len() == 4).await;
    client.send(format!("2\r\nok\r\n0\r\n\r\n{head}0\r\n\r\n")).await;
    assert_eq!(client.answer("POST").await.text(), "ok");
    let answer = client.answer("POST").await;
    assert_eq!((answer.status(), answer.failure()), (400, Some("bad_request")), "{answer:?}");
    assert!(client.try_answer("GET").await.is_none());
}

/// A request that cannot be read is told why, behind the answers to those ahead of it, and while its client still sends.
#[tokio::test]
async fn what_is_not_http_is_told_why() {
    let bridge = Bridge::start().await;
    let ahead = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let check = async |wrong: &str, expected: (u16, &str), detail: &str| {
        for ahead in ["", ahead] {
            let mut client = Raw::connect(bridge.facade()).await;
            client.send(format!("{ahead}{wrong}{}", "x".repeat(500_000))).await;
            if !ahead.is_empty() {
                assert_eq!(client.answer("POST").await.text(), "ok", "{wrong:?}");
            }
            let answer = client.answer("GET").await;
            assert_eq!((answer.status(), answer.failure()), (expected.0, Some(expected.1)), "{answer:?}");
            assert_eq!(answer.head.one("connection"), Some("close"), "{answer:?}");
            assert_eq!(answer.head.all("date").len(), 1, "{answer:?}");
            let problem: serde_json::Value = serde_json::from_str(&answer.text()).unwrap();
            assert_eq!(problem["detail"], detail, "{wrong:?}");
            assert_eq!(problem["request_id"].as_str(), answer.head.one("x-request-id"), "{answer:?}");
            assert!(client.try_answer("GET").await.is_none(), "the connection goes on behind {wrong:?}");
        }
    };
    let not_http = |why: &str| format!("the request is not HTTP/1.1 as RFC 9112 has it: {why}");
    let folded = "GET /echo HTTP/1.1\r\nHost: a\r\nX: a\r\n folded\r\n\r\n";
    check(folded, (400, "bad_request"), &not_http("invalid HTTP header parsed")).await;
    let lengths = "POST /echo HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n";
    check(lengths, (400, "bad_request"), &not_http("invalid content-length parsed")).await;
    for endless in ["18446744073709551614", "18446744073709551615"] {
        let length = format!("POST /echo HTTP/1.1\r\nContent-Length: {endless}\r\n\r\n");
        check(&length, (400, "bad_request"), &not_http("its Content-Length is larger than any body can be")).await;
    }
    check("GET /echo HTTP/3.0\r\n\r\n", (400, "bad_request"), &not_http("invalid HTTP version parsed")).await;
    let lines = format!("GET /echo HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(101));
    check(&lines, (431, "head_too_large"), "the request's headers are too many or too long").await;
    let target = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(70_000));
    check(&target, (414, "uri_too_long"), "the request's target is too long").await;
    let head = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(300_000));
    check(&head, (431, "head_too_large"), "the request's headers are too many or too long").await;
}

/// A client that was told `https://` by mistake.
#[tokio::test]
async fn tls_where_there_is_none_is_recognised() {
    let bridge = Bridge::start().await;
    let mut client = Raw::connect(bridge.facade()).await;
    client.send("\x16\x03\x01\x02\0\x01\0\x01").await;
    let answer = client.answer("GET").await;
    assert_eq!((answer.status(), answer.failure()), (400, Some("bad_request")), "{answer:?}");
    assert!(answer.text().contains("it looks like TLS, and no TLS is spoken here"), "{answer:?}");
}

/// An upstream's own empty 400 is its own, and passes.
#[tokio::test]
async fn an_answer_like_the_librarys_own_passes() {
    let bridge = Bridge::start().await;
    let mut client = Raw::connect(bridge.facade()).await;
    for _ in 0..3 {
        client.send("GET /status/400 HTTP/1.1\r\nHost: a\r\n\r\n").await;
        let answer = client.answer("GET").await;
        assert_eq!((answer.status(), answer.failure()), (400, None), "{answer:?}");
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
