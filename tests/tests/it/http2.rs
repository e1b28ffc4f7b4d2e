//! HTTP/2 at a facade, on the port of HTTP/1.1: what the upstream sees of it, and how its answers end.

use std::future::poll_fn;

use bytes::Bytes;
use h2::Reason;
use http::{HeaderMap, HeaderValue};
use reachback_tests::{
    bridge::{Bridge, Setup},
    client,
    http2::{Client, answer, request},
    upstream::Then,
    wait::within,
};

#[tokio::test]
async fn both_protocols_on_one_port() {
    let bridge = Bridge::start().await;
    let mut client = Client::connect(bridge.facade()).await;
    let calls = (0..100).map(|number| {
        let mut client = client.clone();
        async move { client.call(request("GET", &format!("/bytes/{number}")), None).await.body.len() }
    });
    let lengths = futures_util::future::join_all(calls).await;
    assert_eq!(lengths, (0..100).collect::<Vec<_>>());
    let posted = client.call(request("POST", "/echo?a=%2F&b"), Some(("hello", None))).await;
    assert_eq!((posted.status.as_u16(), &*posted.body, posted.reset), (200, &b"hello"[..], None));
    let seen = bridge.upstream.last_head();
    assert_eq!((seen.line(), seen.all("via")), ("POST /echo?a=%2F&b HTTP/1.1", vec!["2 reachback"]));
    for gone in ["connection", "keep-alive", "transfer-encoding", "proxy-connection", "upgrade"] {
        assert!(!posted.headers.contains_key(gone), "{gone} has no place in HTTP/2");
    }
    assert!(posted.headers.contains_key("x-request-id"));
    let mut plain = client::Raw::connect(bridge.facade()).await;
    assert_eq!(plain.call("GET", "/bytes/3", "").await.body.len(), 3);
}

#[tokio::test]
async fn the_authority_routes_and_is_the_host() {
    let bridge = Bridge::with(Setup { service: "host: preserve", ..Setup::default() }).await;
    let by_host = bridge.gateway.addresses("facade")[1];
    let ask = async |authority: &str, host: Option<&'static str>| {
        let mut asked = request("GET", "/echo");
        *asked.uri_mut() = format!("http://{authority}/echo").parse().unwrap();
        if let Some(host) = host {
            asked.headers_mut().insert("host", HeaderValue::from_static(host));
        }
        Client::connect(by_host).await.call(asked, None).await
    };
    assert_eq!(ask("orders.localhost:81", None).await.status, 200);
    assert_eq!(bridge.upstream.last_head().all("host"), ["orders.localhost:81"]);
    assert_eq!(ask("orders.localhost:81", Some("ORDERS.localhost:81")).await.status, 200);
    let other = ask("orders.localhost", Some("invoices.localhost")).await;
    assert_eq!((other.status.as_u16(), &other.headers["reachback-error"]), (400, &"bad_request".parse().unwrap()));
    assert_eq!(ask("invoices.example", None).await.status, 404);
}

#[tokio::test]
async fn events_are_passed_on_as_they_come() {
    let bridge = Bridge::start().await;
    let mut client = Client::connect(bridge.facade()).await;
    let (answer, _) = client.open(request("GET", "/drip/3"), true).await;
    let mut events = within("the head", answer).await.unwrap().into_body();
    for event in 0..3 {
        // The next one is not even made before this one has arrived.
        bridge.upstream.open_gate(1);
        let piece = within("an event", events.data()).await.unwrap().unwrap();
        assert_eq!(piece, format!("data: {event}\n\n"));
    }
    // The end may come as a frame of its own, which is empty.
    while let Some(piece) = within("the end", events.data()).await {
        assert_eq!(piece.unwrap(), "");
    }
}

#[tokio::test]
async fn cookies_travel_as_one_line() {
    let bridge = Bridge::start().await;
    let mut asked = request("GET", "/echo");
    for crumb in ["a=1", "b=2", "c=3"] {
        asked.headers_mut().append("cookie", HeaderValue::from_static(crumb));
    }
    assert_eq!(Client::connect(bridge.facade()).await.call(asked, None).await.status, 200);
    assert_eq!(bridge.upstream.last_head().all("cookie"), ["a=1; b=2; c=3"]);
}

#[tokio::test]
async fn trailers_pass_to_and_fro() {
    let bridge = Bridge::start().await;
    let trailers = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 42\r\n\
                    Reachback-Error: denied\r\nContent-Length: 7\r\n\r\n";
    bridge.upstream.says("/trailers", trailers, Then::GoOn);
    let mut client = Client::connect(bridge.facade()).await;
    let mut asked = request("POST", "/trailers");
    asked.headers_mut().insert("trailer", HeaderValue::from_static("x-mine, x-real-ip"));
    let mine = HeaderMap::from_iter(
        [("x-mine", "1"), ("x-real-ip", "10.0.0.1"), ("x-silent", "2")]
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))),
    );
    let answer = client.call(asked, Some(("hello", Some(mine)))).await;
    assert_eq!((&*answer.body, answer.reset), (&b"hi"[..], None));
    assert_eq!(
        answer.trailers,
        Some(HeaderMap::from_iter([("x-sum".parse().unwrap(), HeaderValue::from_static("42"))]))
    );
    // To HTTP/1.1 only those pass that were announced.
    assert_eq!(bridge.upstream.trailers(), ["x-mine: 1"]);
}

#[tokio::test]
async fn a_cut_answer_is_a_reset() {
    let bridge = Bridge::start().await;
    for path in ["/half/1000", "/half-chunked/1000"] {
        let mut client = Client::connect(bridge.facade()).await;
        let (response, _body) = client.open(request("GET", path), true).await;
        let mut half = response.await.unwrap().into_body();
        assert!(half.data().await.unwrap().is_ok(), "{path}");
        bridge.upstream.open_gate(1);
        let cut = loop {
            match half.data().await {
                Some(Ok(_)) => {}
                end => break end.map(|end| end.unwrap_err().reason()),
            }
        };
        assert_eq!(cut, Some(Some(Reason::INTERNAL_ERROR)), "{path}");
        assert_eq!(client.call(request("GET", "/bytes/1"), None).await.body.len(), 1, "the connection goes on");
    }
}

#[tokio::test]
async fn what_the_client_resets_is_cancelled() {
    let bridge = Bridge::start().await;
    let mut client = Client::connect(bridge.facade()).await;
    let (response, mut body) = client.open(request("GET", "/silent"), true).await;
    bridge.upstream.until("the request", |counts| counts.active == 1).await;
    body.send_reset(Reason::CANCEL);
    bridge.upstream.until("its end", |counts| counts.active == 0).await;
    drop(response);
    assert_eq!(client.call(request("GET", "/bytes/1"), None).await.body.len(), 1, "the connection goes on");
}

/// Whatever a reset says, the body was cut; hyper takes one without an error for its end.
#[tokio::test]
async fn an_upload_that_is_reset_is_never_whole() {
    let bridge = Bridge::start().await;
    for reason in [Reason::CANCEL, Reason::NO_ERROR] {
        let before = bridge.upstream.counts();
        let mut client = Client::connect(bridge.facade()).await;
        let (response, mut body) = client.open(request("POST", "/sink"), false).await;
        body.send_data(Bytes::from_static(b"half"), false).unwrap();
        bridge.upstream.until("half of it", |counts| counts.received == before.received + 4).await;
        body.send_reset(reason);
        bridge.upstream.until("its end", |counts| counts.cut == before.cut + 1).await;
        assert_eq!(bridge.upstream.counts().whole, before.whole, "{reason:?}");
        drop(response);
    }
}

#[tokio::test]
async fn failures_say_the_same_as_over_http1() {
    let bridge = Bridge::start().await;
    let mut client = Client::connect(bridge.facade()).await;
    let denied = client.call(request("PATCH", "/echo"), None).await;
    assert_eq!(
        (denied.status.as_u16(), &denied.headers["content-type"]),
        (403, &HeaderValue::from_static("application/problem+json"),)
    );
    let mut asked = request("PATCH", "/echo");
    asked.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
    let denied = client.call(asked, None).await;
    assert_eq!((denied.status.as_u16(), denied.body.len()), (200, 0));
    assert_eq!(denied.headers["grpc-status"], "7");
    assert_eq!(denied.headers["reachback-error"], "denied");
    assert_eq!(denied.headers["grpc-message"], "the whitelist refuses: no rule allows this method and path (denied)");
    let connect = client.call(request("CONNECT", "/"), None).await;
    assert_eq!(
        (connect.status.as_u16(), &connect.headers["reachback-error"]),
        (501, &"not_supported".parse().unwrap())
    );
}

/// hyper cannot invite: the client sends its body of itself after a while, and is told at once if it need not.
#[tokio::test]
async fn nobody_is_invited_and_a_denied_upload_need_not_be_sent() {
    let bridge = Bridge::start().await;
    let mut client = Client::connect(bridge.facade()).await;
    let ask = |method: &str| {
        let mut asked = request(method, "/echo");
        asked.headers_mut().insert("expect", HeaderValue::from_static("100-continue"));
        asked
    };
    let (response, _unsent) = client.open(ask("PATCH"), false).await;
    assert_eq!(answer(response).await.headers["reachback-error"], "denied");
    assert_eq!(bridge.upstream.counts().requests, 0);
    let (mut response, mut body) = client.open(ask("POST"), false).await;
    bridge.upstream.until("the head", |counts| counts.requests == 1).await;
    body.send_data(Bytes::from_static(b"unasked"), true).unwrap();
    let interim = within("an answer", poll_fn(|cx| response.poll_informational(cx))).await;
    assert!(interim.is_none(), "{interim:?}");
    assert_eq!(&*answer(response).await.body, b"unasked");
    assert!(bridge.upstream.last_head().all("expect").is_empty());
    let mut other = request("POST", "/echo");
    other.headers_mut().insert("expect", HeaderValue::from_static("200-ok"));
    assert_eq!(client.call(other, Some(("", None))).await.status, 400);
}

#[tokio::test]
async fn oversized_heads_go_nowhere() {
    let bridge = Bridge::start().await;
    let mut client = Client::connect(bridge.facade()).await;
    let mut with = async |bytes: usize| {
        let mut asked = request("GET", "/echo");
        asked.headers_mut().insert("x-long", HeaderValue::from_str(&"y".repeat(bytes)).unwrap());
        let answer = client.call(asked, None).await;
        (answer.status.as_u16(), answer.headers.get("reachback-error").cloned(), answer.body.is_empty())
    };
    assert_eq!(with(90 * 1024).await, (431, Some(HeaderValue::from_static("head_too_large")), false));
    // Beyond the bound of HTTP/2 the library answers by itself.
    assert_eq!(with(110 * 1024).await, (431, None, true));
    assert_eq!(with(1000).await, (200, None, true));
    assert_eq!(bridge.upstream.counts().requests, 1);
}

/// The bounds of HTTP/2 hold its memory, as credit holds the link's.
#[tokio::test]
async fn a_reader_that_stops_holds_up_nobody_else_on_its_connection() {
    let bridge = Bridge::start().await;
    let mut client = Client::connect(bridge.facade()).await;
    let (stopped, body) = client.open(request("GET", "/bytes/1073741824"), true).await;
    let stopped = stopped.await.unwrap();
    let sent = loop {
        let before = bridge.upstream.counts().sent;
        for _ in 0..50 {
            assert_eq!(client.call(request("GET", "/bytes/1000"), None).await.body.len(), 1000);
        }
        if bridge.upstream.counts().sent - before < 50 * 2000 {
            break before;
        }
    };
    assert!(sent < 24 << 20, "{} MiB were sent to a reader that does not read", sent >> 20);
    drop((stopped, body));
    bridge.upstream.until("the end of the call", |counts| counts.active == 0).await;
}

#[tokio::test]
async fn a_drain_lets_streams_finish() {
    let bridge = Bridge::start().await;
    let mut client = Client::connect(bridge.facade()).await;
    let (response, _body) = client.open(request("GET", "/gate"), true).await;
    bridge.upstream.until("the request", |counts| counts.active == 1).await;
    bridge.gateway.drain();
    bridge.upstream.open_gate(1);
    assert_eq!(answer(response).await.status, 200);
    bridge.gateway.ended().await;
}
