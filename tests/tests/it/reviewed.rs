//! What a review found. All but the one about a silent upstream failed, or hung, before it was mended.

use reachback_tests::{
    bridge::{Bridge, Setup},
    client::{Raw, call},
    upstream::Then,
    wait::within,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// HTTP/1.0 has no chunks: the end of the connection ends the body, so a cut must not look like an ordinary end.
#[tokio::test]
async fn a_cut_answer_is_a_reset_to_an_http_1_0_client() {
    let bridge = Bridge::start().await;
    let check = async |path: &str, whole: bool| {
        let mut client = TcpStream::connect(bridge.facade()).await.unwrap();
        client.write_all(format!("GET {path} HTTP/1.0\r\nHost: a\r\n\r\n").as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let ended = within("the answer to end", client.read_to_end(&mut answer)).await;
        assert_eq!(ended.is_ok(), whole, "{path}: {ended:?} {}", answer.escape_ascii());
    };
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
    bridge.upstream.says("/whole", format!("{head}0\r\n\r\n"), Then::GoOn);
    bridge.upstream.says("/cut", head, Then::Close);
    check("/whole", true).await;
    check("/cut", false).await;
}

/// With a body as without. That the time counts from the body's last piece, and is not given twice, no test can say
/// without a clock.
#[tokio::test]
async fn a_silent_upstream_is_given_up_whatever_the_request() {
    let bridge = Bridge::with(Setup { service: "response_timeout: 300ms", ..Setup::default() }).await;
    let answer = within("the answer", call(bridge.facade(), "POST", "/silent", "Content-Length: 0\r\n")).await;
    assert_eq!(answer.failure(), Some("upstream_timeout"));
    let mut client = Raw::connect(bridge.facade()).await;
    client.send("POST /silent HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc").await;
    assert_eq!(within("the answer", client.answer("POST")).await.failure(), Some("upstream_timeout"));
}

#[tokio::test]
async fn half_a_head_does_not_hold_a_drain_up() {
    let bridge = Bridge::with(Setup { gateway: "drain_grace: 60s", ..Setup::default() }).await;
    let mut client = TcpStream::connect(bridge.facade()).await.unwrap();
    client.write_all(b"GET / HT").await.unwrap();
    // The gateway has the bytes once it has answered a later client.
    call(bridge.facade(), "GET", "/echo", "").await;
    bridge.gateway.drain();
    within("the gateway to end well before its grace does", bridge.gateway.ended()).await;
}

#[tokio::test]
async fn a_request_that_goes_round_is_stopped() {
    let bridge = Bridge::start().await;
    let check = async |via: &str, failure: Option<&str>| {
        let answer = call(bridge.facade(), "GET", "/echo", &format!("Via: {via}\r\n")).await;
        assert_eq!(answer.failure(), failure, "{via}");
    };
    check("1.1 reachback", None).await;
    check("1.1 other, 1.0 reachback-like", None).await;
    check("1.1 reachback, 1.1 other, 1.1 reachback", Some("bad_request")).await;
}

/// The client's `Connection: expect` takes the field away, and with it the wait for an invitation.
#[tokio::test]
async fn an_expectation_of_this_hop_alone_stalls_nobody() {
    let bridge = Bridge::start().await;
    let mut client = Raw::connect(bridge.facade()).await;
    let head =
        "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: expect\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
    client.send(format!("{head}abc")).await;
    let answer = within("the answer", client.try_answer("POST")).await.expect("an answer");
    assert!(answer.status() == 200 || answer.status() == 100, "{answer:?}");
}
