//! Bodies: whatever their length, framing and bytes, they arrive as they were sent.

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use proto::wire::{Frame, ResetCode, ResponseHead};
use reachback_tests::{
    bridge::{Bridge, Sidecar, gateway_yaml},
    client::{self, Raw, call},
    pattern::{self, Sum},
    peer::Peer,
    upstream::Then,
    wait::within,
};

const MIB: u64 = 1024 * 1024;

/// Uploads that many bytes, downloads them again, each with a length and in chunks.
async fn check(bridge: &Bridge, length: u64) {
    let client = client::http();
    let sum = pattern::sum(length);
    for declared in [true, false] {
        let body = reqwest::Body::wrap_stream(stream::iter(pattern::pieces(length)).map(Ok::<_, std::io::Error>));
        let mut request = client.post(bridge.url("/sink")).body(body);
        if declared {
            request = request.header("content-length", length);
        }
        let answer = within("an upload", async { request.send().await.unwrap().text().await.unwrap() }).await;
        assert_eq!(answer, sum, "{length} up, length declared: {declared}");
        let head = bridge.upstream.last_head();
        let framed = (head.one("content-length").map(str::to_owned), head.one("transfer-encoding"));
        let expected = if declared { (Some(length.to_string()), None) } else { (None, Some("chunked")) };
        // That there are no chunks may be known before the head is sent on.
        assert!(framed == expected || (length == 0 && framed == (None, None)), "{head:?}");

        let url = bridge.url(&format!("/{}/{length}", if declared { "bytes" } else { "chunked" }));
        let answer = client.get(url).send().await.unwrap();
        let said = answer.content_length();
        assert!(said == declared.then_some(length) || (length == 0 && said == Some(0)), "{length} down: {said:?}");
        let mut got = Sum::default();
        let mut pieces = answer.bytes_stream();
        while let Some(piece) = within("a download", pieces.next()).await {
            got.add(&piece.unwrap());
        }
        assert_eq!(got.show(), sum, "{length} down, length declared: {declared}");
    }
}

#[tokio::test]
async fn small_ones() {
    let bridge = Bridge::start().await;
    for length in [0, 1, 6, 1023, 1024, 65_535, 65_536, 65_537, 262_144, 262_145, MIB] {
        check(&bridge, length).await;
    }
}

#[tokio::test]
async fn of_100_mib() {
    check(&Bridge::start().await, 100 * MIB).await;
}

#[tokio::test]
async fn of_every_byte_value_both_ways() {
    let bridge = Bridge::start().await;
    let every: Vec<u8> = (0..=255).collect();
    for body in [every.clone(), every.repeat(300), pattern::bytes(MIB)] {
        let call = client::http().post(bridge.url("/echo")).body(body.clone()).send();
        let answer = within("an echo", async { call.await.unwrap().bytes().await.unwrap() }).await;
        assert!(answer == body, "{} bytes came back as {}", body.len(), answer.len());
    }
}

#[tokio::test]
async fn two_set_cookies_stay_two() {
    let bridge = Bridge::start().await;
    let head =
        "HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nX-Other: x\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n";
    bridge.upstream.says("/cookies", head, Then::GoOn);
    let answer = call(bridge.facade(), "GET", "/cookies", "").await;
    assert_eq!(answer.head.all("set-cookie"), ["a=1; Path=/", "b=2"]);
}

#[tokio::test]
async fn statuses_pass_as_they_are() {
    let bridge = Bridge::start().await;
    for status in [200, 201, 226, 299, 301, 307, 400, 401, 404, 418, 429, 500, 503, 599] {
        let answer = call(bridge.facade(), "GET", &format!("/status/{status}"), "").await;
        assert_eq!((answer.status(), answer.text()), (status, format!("status {status}")));
        assert_eq!(answer.failure(), None);
    }
}

#[tokio::test]
async fn answers_without_a_body() {
    let bridge = Bridge::start().await;
    let mut client = Raw::connect(bridge.facade()).await;
    let head = client.call("HEAD", "/bytes/12345", "").await;
    assert_eq!((head.status(), head.head.one("content-length")), (200, Some("12345")));
    for status in [204, 304] {
        let answer = client.call("GET", &format!("/status/{status}"), "").await;
        assert_eq!(answer.status(), status);
        assert_eq!(answer.head.all("transfer-encoding"), [""; 0]);
    }
    let not_modified = "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\nETag: \"e\"\r\n\r\n";
    bridge.upstream.says("/etag", not_modified, Then::GoOn);
    let answer = client.call("GET", "/etag", "").await;
    assert_eq!((answer.status(), answer.head.one("etag")), (304, Some("\"e\"")));
    assert_eq!(answer.head.all("content-length"), ["77"]);
    // The connection is still in step.
    assert_eq!(client.call("GET", "/bytes/5", "").await.body, pattern::bytes(5));
}

/// HTTP/1.0 has no chunks: a body without a length ends with the connection. No client may be told that it goes on when
/// it does not.
#[tokio::test]
async fn an_old_client_learns_whether_its_connection_goes_on() {
    let bridge = Bridge::start().await;
    bridge.upstream.says(
        "/chunks",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        Then::GoOn,
    );
    for (path, body, says) in [
        ("/bytes/2", Some(pattern::bytes(2)), "keep-alive"),
        ("/chunks", Some(b"ok".to_vec()), "close"),
        ("/a%", None, "close"),
    ] {
        let mut client = Raw::connect(bridge.facade()).await;
        client.send(format!("GET {path} HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")).await;
        let answer = client.answer("GET").await;
        assert_eq!((answer.failure().is_none(), answer.head.all("connection")), (body.is_some(), vec![says]), "{path}");
        assert!(body.is_none_or(|body| answer.body == body), "{path}");
        client.send("GET /bytes/1 HTTP/1.0\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.try_answer("GET").await.is_some(), says == "keep-alive", "{path}");
    }
}

#[tokio::test]
async fn events_are_passed_on_as_they_come() {
    let bridge = Bridge::start().await;
    let answer = within("the head", client::http().get(bridge.url("/drip/3")).send()).await.unwrap();
    let mut pieces = answer.bytes_stream();
    for event in 0..3 {
        // The next one is not even made before this one has arrived.
        bridge.upstream.open_gate(1);
        let piece = within("an event", pieces.next()).await.unwrap().unwrap();
        assert_eq!(piece, format!("data: {event}\n\n"));
    }
    assert!(within("the end", pieces.next()).await.is_none());
}

#[tokio::test]
async fn an_upload_is_passed_on_as_it_comes() {
    let bridge = Bridge::start().await;
    for (framing, pieces) in [
        ("Content-Length: 15", ["five!", "five!", "five!"]),
        ("Transfer-Encoding: chunked", ["5\r\nfive!\r\n", "5\r\nfive!\r\n", "5\r\nfive!\r\n0\r\n\r\n"]),
    ] {
        let before = bridge.upstream.counts().received;
        let mut client = Raw::connect(bridge.facade()).await;
        client.send(format!("POST /echo HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n")).await;
        for (piece, sent) in pieces.into_iter().zip([5, 10, 15]) {
            client.send(piece).await;
            // The next one is not even sent before this one has arrived.
            bridge.upstream.until("a piece", |counts| counts.received == before + sent).await;
        }
        assert_eq!(client.answer("POST").await.text(), "five!five!five!", "{framing}");
    }
}

#[tokio::test]
async fn trailers_of_an_answer_pass() {
    let bridge = Bridge::start().await;
    let trailers =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nhi\r\n0\r\nx-sum: 42\r\n\r\n";
    bridge.upstream.says("/trailers", trailers, Then::GoOn);
    let answer = call(bridge.facade(), "GET", "/trailers", "TE: trailers\r\nConnection: te\r\n").await;
    assert_eq!((answer.text(), answer.whole), ("hi".to_owned(), true));
    assert_eq!(answer.trailers, ["x-sum: 42"]);
}

#[tokio::test]
async fn trailers_of_a_request_pass_as_headers_would() {
    let bridge = Bridge::start().await;
    let mut client = Raw::connect(bridge.facade()).await;
    let mut check = async |announced: &str, trailers: &str, expected: &[&str]| {
        let head = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n";
        client.send(format!("{head}{announced}\r\n2\r\nhi\r\n0\r\n{trailers}\r\n")).await;
        assert_eq!(client.answer("POST").await.text(), "hi", "{trailers}");
        assert_eq!(bridge.upstream.trailers(), expected, "{trailers}");
    };
    check("Trailer: x-sum\r\n", "x-sum: 42\r\n", &["x-sum: 42"]).await;
    assert_eq!(bridge.upstream.last_head().all("trailer"), ["x-sum"]);
    let forbidden = "Trailer: x-sum, Authorization, X-Real-IP\r\n";
    let trailers = "Authorization: a\r\nx-sum: 1\r\nX-Real-IP: 10.0.0.1\r\nContent-Length: 99\r\nHost: b\r\n";
    check(forbidden, trailers, &["x-sum: 1"]).await;
    assert_eq!(bridge.upstream.last_head().all("trailer"), ["x-sum"]);
    check("", "x-sum: not announced\r\n", &[]).await;
}

/// A client that sees nothing but the end of its connection would think that its request was never read.
#[tokio::test]
async fn a_cut_that_comes_with_the_head_hides_neither_the_head_nor_itself() {
    let gateway = Sidecar::gateway(&gateway_yaml(""));
    let mut peer = Peer::agent(gateway.address("tunnel"), &["orders"]).await;
    for (length, version, data) in
        [(true, "1.1", ""), (true, "1.1", "half"), (false, "1.1", ""), (false, "1.1", "half"), (true, "1.0", "half")]
    {
        let mut client = Raw::connect(gateway.address("facade")).await;
        client.send(format!("GET /cut HTTP/{version}\r\nHost: localhost\r\n\r\n")).await;
        let id = peer.frame(|frame| if let Frame::Request { id, .. } = frame { Some(id) } else { None }).await;
        let headers = length.then_some((header::CONTENT_LENGTH, HeaderValue::from_static("8")));
        let head = ResponseHead { status: StatusCode::OK, headers: HeaderMap::from_iter(headers) };
        let mut frames = vec![Frame::Response { id, head, end: false }];
        if !data.is_empty() {
            frames.push(Frame::Data { id, end: false, chunk: Bytes::from(data) });
        }
        frames.push(Frame::Reset { id, code: ResetCode::Aborted, message: String::new() });
        peer.say_at_once(&frames).await;
        let answer = client.answer("GET").await;
        let seen = (answer.status(), &*answer.text() == data, answer.whole);
        assert_eq!(seen, (200, true, false), "length: {length}, HTTP/{version}, {data:?}: {answer:?}");
    }
}
