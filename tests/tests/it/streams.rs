//! Streams under strain: readers that stop, clients that hang up, uploads that are cut, refused or not wanted.

use reachback_tests::{
    bridge::{self, Bridge, Setup},
    client::{Raw, call, status},
    http1::{Left, Piece},
    pattern,
    process::Process,
    scratch::Scratch,
    upstream::{Then, Upstream},
};

const MIB: u64 = 1024 * 1024;

/// Real processes, so that their memory can be told from the test's.
#[tokio::test]
async fn a_reader_that_stops_holds_up_nobody_else() {
    let (folder, upstream) = (Scratch::new(), Upstream::start().await);
    let gateway = Process::start("gateway", &bridge::gateway_yaml(""), &folder);
    let yaml = bridge::agent_yaml(gateway.address("tunnel").await, upstream.address(), Setup::default());
    let agent = Process::start("agent", &yaml, &folder);
    let facade = gateway.address("facade").await;
    assert_eq!(call(facade, "GET", "/bytes/1", "").await.status(), 200);
    let before = [gateway.resident(), agent.resident()];

    let mut stopped = Raw::connect_narrow(facade).await;
    stopped.send(format!("GET /bytes/{} HTTP/1.1\r\nHost: a\r\n\r\n", 1024 * MIB)).await;
    assert_eq!(status(&stopped.head().await.unwrap()), 200);
    // Others go on, until nothing moves any more for the one that stopped.
    let mut other = Raw::connect(facade).await;
    let sent = loop {
        let first = upstream.counts().sent;
        for _ in 0..100 {
            assert_eq!(other.call("GET", "/bytes/1000", "").await.body.len(), 1000);
        }
        if upstream.counts().sent - first < 100 * 2000 {
            break upstream.counts().sent;
        }
    };
    // The first window on each side, and what the kernel holds between the three.
    assert!(sent < 24 * MIB, "{} MiB were sent to a reader that does not read", sent / MIB);
    for (process, before) in [(&gateway, before[0]), (&agent, before[1])] {
        let more = process.resident().saturating_sub(before);
        assert!(more < 16 * MIB, "{} KiB more for a reader that does not read", more / 1024);
    }
    drop(stopped);
    upstream.until("the upstream's connection to end", |counts| counts.active == 0).await;
}

#[tokio::test]
async fn a_reader_that_stops_and_goes_on_gets_everything() {
    let bridge = Bridge::start().await;
    let mut client = Raw::connect_narrow(bridge.facade()).await;
    let length = 8 * MIB;
    client.send(format!("GET /chunked/{length} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    let mut left = client.head().await.unwrap().framing(Left::UntilClose);
    for _ in 0..20 {
        assert_eq!(call(bridge.facade(), "GET", "/bytes/1", "").await.status(), 200);
    }
    let mut sum = pattern::Sum::default();
    while let Piece::Data(data) = client.piece(&mut left).await {
        sum.add(&data);
    }
    assert_eq!(sum.show(), pattern::sum(length));
}

#[tokio::test]
async fn an_upstream_that_stops_reading_holds_up_nobody_else() {
    let bridge = Bridge::start().await;
    let mut client = Raw::connect(bridge.facade()).await;
    client.send(format!("POST /stall HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", 1024 * MIB)).await;
    let chunk = vec![b'x'; 65_536];
    let upload = async { while client.send(&chunk).await {} };
    let others = async {
        bridge.upstream.until("the upload", |counts| counts.requests == 1).await;
        for _ in 0..200 {
            assert_eq!(call(bridge.facade(), "GET", "/bytes/1000", "").await.body.len(), 1000);
        }
    };
    tokio::select! {
        () = upload => panic!("the upload has ended"),
        () = others => {}
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_ends_the_upstreams_call() {
    let bridge = Bridge::start().await;
    for path in ["/silent", "/half/1000", "/half-chunked/1000", "/drip/9", "/bytes/1073741824"] {
        let before = bridge.upstream.counts().requests;
        let mut client = Raw::connect(bridge.facade()).await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        bridge.upstream.until("the call", |counts| counts.requests == before + 1).await;
        drop(client);
        bridge.upstream.until(path, |counts| counts.open == 0).await;
    }
    // A client that gives up before an agent comes never reaches the upstream.
    assert_eq!(call(bridge.facade(), "GET", "/echo", "").await.status(), 200, "the link still serves");
}

/// Whoever closes the sending half has hung up: from outside the two look the same.
#[tokio::test]
async fn a_client_that_says_no_more_has_hung_up() {
    let bridge = Bridge::start().await;
    let mut client = Raw::connect(bridge.facade()).await;
    client.send("GET /silent HTTP/1.1\r\nHost: a\r\n\r\n").await;
    bridge.upstream.until("the call", |counts| counts.requests == 1).await;
    client.finish().await;
    bridge.upstream.until("the end of the call", |counts| counts.open == 0).await;
    assert!(client.try_answer("GET").await.is_none());
}

#[tokio::test]
async fn an_upload_cut_by_the_client_reaches_the_upstream_as_a_cut() {
    let bridge = Bridge::start().await;
    for (number, framing) in ["Content-Length: 100000", "Transfer-Encoding: chunked"].into_iter().enumerate() {
        let mut client = Raw::connect(bridge.facade()).await;
        let chunk = if number == 0 { "" } else { "c350\r\n" };
        let head = format!("POST /sink HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{chunk}");
        client.send([head.as_bytes(), &[b'x'; 50_000]].concat()).await;
        let received = 50_000 * (number as u64 + 1);
        bridge.upstream.until("half of the body", |counts| counts.received == received).await;
        drop(client);
        bridge.upstream.until("the cut", |counts| counts.cut == number + 1).await;
        assert_eq!(bridge.upstream.counts().whole, 0, "{framing}");
    }
}

#[tokio::test]
async fn an_answer_comes_before_the_upload_is_over() {
    let bridge = Bridge::start().await;
    let mut client = Raw::connect(bridge.facade()).await;
    let length = 64 * MIB;
    client.send(format!("POST /early/413 HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\nsome of it")).await;
    let answer = client.answer("POST").await;
    assert_eq!((answer.status(), answer.text(), answer.whole), (413, "status 413".to_owned(), true));
    // The connection either ends or is still in step, whether the rest is sent or not.
    drop(client);
    assert_eq!(call(bridge.facade(), "GET", "/bytes/4", "").await.body.len(), 4);
    bridge.upstream.until("the upload's end at the upstream", |counts| counts.active == 0).await;
}

const UPLOAD: &str = "Host: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";

#[tokio::test]
async fn a_client_that_waits_to_be_invited() {
    let bridge = Bridge::start().await;
    let mut client = Raw::connect(bridge.facade()).await;
    for _ in 0..2 {
        client.send(format!("POST /echo HTTP/1.1\r\n{UPLOAD}")).await;
        assert_eq!(client.head().await.unwrap().line(), "HTTP/1.1 100 Continue");
        client.send("hello").await;
        let answer = client.answer("POST").await;
        assert_eq!((answer.status(), answer.text()), (200, "hello".to_owned()));
        assert_eq!(bridge.upstream.last_head().all("expect"), [""; 0], "the expectation was met here");
    }
}

#[tokio::test]
async fn a_refused_upload_is_not_invited() {
    let bridge = Bridge::with(Setup { gateway: "wait_for_agent: 0s", ..Setup::default() }).await;
    let facades = bridge.gateway.addresses("facade");
    for (facade, line, expected) in [
        (facades[0], "PATCH /echo", 403),
        (facades[0], "POST /a/%2e%2e/b", 403),
        (facades[0], "POST /a/%zz", 400),
        (facades[2], "POST /nobody/echo", 503),
        (facades[2], "POST /NO/echo", 404),
    ] {
        let mut client = Raw::connect(facade).await;
        client.send(format!("{line} HTTP/1.1\r\n{UPLOAD}")).await;
        let head = client.head().await.unwrap();
        assert_eq!(status(&head), expected, "{line}: the first word is the final one");
    }
    assert_eq!(bridge.upstream.counts().connections, 0);
}

#[tokio::test]
async fn an_early_answer_to_an_invited_upload() {
    let bridge = Bridge::start().await;
    let mut client = Raw::connect(bridge.facade()).await;
    client.send(format!("POST /early/401 HTTP/1.1\r\n{UPLOAD}")).await;
    let answer = client.answer("POST").await;
    assert_eq!((answer.status(), answer.whole), (401, true));
}

/// A denied upload without an expectation is taken, thrown away and answered; the connection goes on or ends, but is
/// never out of step.
#[tokio::test]
async fn a_denied_upload_is_no_next_request() {
    let bridge = Bridge::start().await;
    let mut client = Raw::connect(bridge.facade()).await;
    let smuggled = "GET /bytes/666 HTTP/1.1\r\nHost: a\r\n\r\n";
    let head = format!("PATCH /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", smuggled.len());
    client.send(format!("{head}{smuggled}GET /bytes/7 HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    assert_eq!(client.answer("PATCH").await.failure(), Some("denied"));
    if let Some(answer) = client.try_answer("GET").await {
        assert_eq!(answer.body.len(), 7);
    }
    assert!(bridge.upstream.heads().iter().all(|head| head.word(1) == "/bytes/7"), "{:?}", bridge.upstream.heads());
}

#[tokio::test]
async fn a_large_denied_upload_does_not_stall() {
    let bridge = Bridge::start().await;
    let mut client = Raw::connect(bridge.facade()).await;
    let length = 4 * MIB;
    client.send(format!("PATCH /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")).await;
    for piece in pattern::pieces(length) {
        if !client.send(&piece).await {
            break;
        }
    }
    if let Some(answer) = client.try_answer("PATCH").await {
        assert_eq!(answer.failure(), Some("denied"));
    }
    bridge.upstream.says("/after", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Then::GoOn);
    assert_eq!(call(bridge.facade(), "GET", "/after", "").await.status(), 200);
}
