//! What goes no further: requests that never reach the upstream, and answers that never reach the client.

use crate::{OK, World, sentences};

/// What is sent by one end, and what the client is told.
type Row = (String, &'static str);

/// What becomes of the client's connection.
const ENDS: &str = "the connection ends";
const GOES_ON: &str = "the connection goes on";

#[tokio::test]
async fn requests_that_are_not_http() {
    let mut rows: Vec<Row> = not_http().into_iter().map(|send| (send, "400 bad_request")).collect();
    rows.push((get("GET /x", &"X: y\r\n".repeat(100)), "431 head_too_large"));
    rows.push((get("GET /x", &format!("X: {}\r\n", "y".repeat(8000)).repeat(17)), "431 head_too_large"));
    rows.push((get(&format!("GET /{}", "a".repeat(70_000)), ""), "414 uri_too_long"));
    check_requests(sentences::NO_HTTP, rows, ENDS).await;
}

#[tokio::test]
async fn malformed_requests() {
    let rows = malformed().into_iter().map(|send| (send, "400 bad_request")).collect();
    check_requests(sentences::BAD_REQUEST, rows, ENDS).await;
}

#[tokio::test]
async fn targets_that_are_not_encoded() {
    let anywhere = "\"<>".chars().flat_map(|byte| [format!("GET /a{byte}b"), format!("GET /a?b{byte}c")]);
    let lines = anywhere.chain("[]\\^`{|}".chars().map(|byte| format!("GET /a{byte}b")));
    let rows = lines.map(|line| (get(&line, ""), "400 bad_request")).collect();
    check_requests(sentences::UNENCODED, rows, ENDS).await;
}

#[tokio::test]
async fn requests_with_both_lengths() {
    let rows = both_lengths().into_iter().map(|send| (send, "400 bad_request")).collect();
    check_requests(sentences::BOTH_LENGTHS, rows, ENDS).await;
}

#[tokio::test]
async fn what_no_service_is_asked_for() {
    check_requests(sentences::CONNECT, vec![(get("CONNECT other:443", ""), "501 not_supported")], GOES_ON).await;
}

#[tokio::test]
async fn requests_that_the_whitelist_refuses() {
    let mut rows: Vec<Row> = denied().into_iter().map(|send| (send, "403 denied")).collect();
    rows.push((get(&format!("GET /{}", "a".repeat(8192)), ""), "414 uri_too_long"));
    rows.push((get("GET /x", &"X: y\r\n".repeat(99)), "431 head_too_large"));
    rows.push((get("GET /x", &format!("X: {}\r\n", "y".repeat(8000)).repeat(9)), "431 head_too_large"));
    check_requests(sentences::WHITELIST, rows, GOES_ON).await;
}

#[tokio::test]
async fn requests_that_are_cut() {
    let world = World::start().await;
    for send in cut() {
        world.upstream.says(OK, false);
        let told = world.call(&send, true, world.facade()).await;
        assert_eq!(told, ["400 bad_request", ENDS], "{send:?}");
        assert!(world.upstream.seen().is_empty(), "{send:?} has reached the upstream as a whole request");
    }
}

#[tokio::test]
async fn answers_that_are_not_http() {
    sentences::documented(sentences::UPSTREAM_PROTOCOL);
    let world = World::start().await;
    for answer in wrong_answers() {
        world.upstream.says(&answer, true);
        let told = world.call(&get("GET /x", ""), false, world.facade()).await;
        assert_eq!(told, ["502 upstream_protocol", GOES_ON], "{answer:?}");
    }
}

async fn check_requests(sentence: &str, rows: Vec<Row>, then: &str) {
    sentences::documented(sentence);
    let world = World::start().await;
    world.upstream.says(OK, false);
    for (send, says) in rows {
        let told = world.call(&send, false, world.facade()).await;
        let shown = send.get(..200).unwrap_or(&send);
        assert_eq!(told, [says, then], "{sentence} {shown:?}");
        assert!(world.upstream.seen().is_empty(), "{shown:?} has reached the upstream");
    }
}

fn raw(text: &str) -> String {
    text.to_owned()
}

fn get(line: &str, more: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: UPSTREAM\r\n{more}\r\n")
}

fn post(more: &str, body: &str) -> String {
    get("POST /x", more) + body
}

fn not_http() -> Vec<String> {
    vec![
        get("GET /x", "X: a\r\n b\r\n"),
        get("GET /x", "X : a\r\n"),
        get("GET /x", " X: a\r\n"),
        get("GET /x", "X Y: a\r\n"),
        get("GET /x", ": a\r\n"),
        get("GET /x", "X\r\n"),
        get("GET /x", "X: a\0b\r\n"),
        get("GET /x", "X: a\rb\r\n"),
        get("GET /x", "X: a\u{1}b\r\n"),
        get("GET /x", "X: a\u{7f}b\r\n"),
        raw("GET /x\r\nHost: UPSTREAM\r\n\r\n"),
        raw("GET /x HTTP/2.0\r\nHost: UPSTREAM\r\n\r\n"),
        raw("GET /x HTTP/1.2\r\nHost: UPSTREAM\r\n\r\n"),
        raw("GET /x http/1.1\r\nHost: UPSTREAM\r\n\r\n"),
        raw("GET  /x HTTP/1.1\r\nHost: UPSTREAM\r\n\r\n"),
        raw("GET\t/x HTTP/1.1\r\nHost: UPSTREAM\r\n\r\n"),
        raw("G(T /x HTTP/1.1\r\nHost: UPSTREAM\r\n\r\n"),
        raw("\u{16}\u{3}\u{1}\0\u{a5}\u{1}\0\0\u{a1}\u{3}\u{3}\r\n\r\n"),
        post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"),
        post("Content-Length: 5, 5\r\n", "hello"),
        post("Content-Length: +5\r\n", "hello"),
        post("Content-Length: -5\r\n", "hello"),
        post("Content-Length: 0x5\r\n", "hello"),
        post("Content-Length:\r\n", ""),
        post("Content-Length: 18446744073709551616\r\n", "hello"),
        post("Content-Length: five\r\n", "hello"),
        post("Transfer-Encoding: gzip\r\n", "hello"),
        post("Transfer-Encoding: chunked, identity\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        post("Transfer-Encoding: xchunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        post("Transfer-Encoding:\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        post("Transfer-Encoding : chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        raw("POST /x HTTP/1.0\r\nHost: UPSTREAM\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        get("GET /a b", ""),
        get("GET /caf\u{e9}", ""),
    ]
}

fn malformed() -> Vec<String> {
    vec![
        raw("GET /x HTTP/1.1\r\n\r\n"),
        raw("GET /x HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        raw("GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        get("GET /x", "Expect: 200-ok\r\n"),
        get("GET /x", "Via: 1.1 reachback, 1.1 reachback\r\n"),
        post("Transfer-Encoding: gzip, chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked, chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n", "\r\nhello\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n", "xy\r\nhello\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n", "-5\r\nhello\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n", "0x5\r\nhello\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n", "10000000000000000\r\nhello\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n", "3\r\nhello\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n", "5\r\nhello0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n", "5\nhello\n0\n\n"),
        get("GET http://other/x", ""),
        get("GET x", ""),
        get("GET *", ""),
        get("GET /a%", ""),
    ]
}

fn both_lengths() -> Vec<String> {
    let chunks = "5\r\nhello\r\n0\r\n\r\n";
    let both = "Content-Length: 15\r\nTransfer-Encoding: chunked\r\n";
    vec![
        post(both, chunks),
        post("Transfer-Encoding: chunked\r\nContent-Length: 15\r\n", chunks),
        post("transfer-ENCODING:chunked\r\nX: y\r\ncontent-LENGTH:\t0 \r\n", chunks),
        post("Transfer-Encoding: chunked\r\nContent-Length: five\r\n", chunks),
        post("Content-Length: 15\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n", chunks),
        post("Content-Length: 15\r\nTransfer-Encoding: chunked\r\nConnection: content-length\r\n", chunks),
        post(both, chunks).replace("\r\nHost", "\nHost").replace("5\r\nTransfer", "5\nTransfer"),
        get("GET /x", both) + chunks,
        // What a reader of the length alone would take for the next request.
        post(both, &format!("0\r\n\r\n{}", get("GET /smuggled", ""))),
    ]
}

fn denied() -> Vec<String> {
    vec![
        get("GET /a/../b", ""),
        get("GET /a/%2e%2e/b", ""),
        get("GET /a//b", ""),
        get("GET /a%2Fb", ""),
        get("GET /a;b=c", ""),
        get("GET /a%00", ""),
        get("GET /a%252Fb", ""),
        get("GET /a%5Cb", ""),
        get("GET /%ff", ""),
        get("PATCH /x", ""),
        get("get /x", ""),
        get("TRACE /x", ""),
        get("POST /x?_method=DELETE", ""),
    ]
}

/// Bodies whose rest never comes.
fn cut() -> Vec<String> {
    vec![
        post("Content-Length: 9\r\n", "hello"),
        post("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"),
        post("Transfer-Encoding: chunked\r\n", "a\r\nhello"),
    ]
}

fn wrong_answers() -> Vec<String> {
    let head = |line: &str| format!("{line}\r\nContent-Length: 2\r\n\r\nok");
    let with = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}\r\nok");
    let lines = "X: y\r\n".repeat(100);
    vec![
        raw(""),
        raw("SSH-2.0-x\r\n\r\n"),
        raw("HTTP/1.1 200 OK\r\nContent-Le"),
        head("HTTP/2.0 200 OK"),
        head("HTTP/1.1 20 OK"),
        head("HTTP/1.1 2000 OK"),
        head("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x"),
        head(&format!("HTTP/1.1 200 OK\r\n{lines}X: y")),
        head("HTTP/1.1 200 OK\r\nX: a\0b"),
        head("HTTP/1.1 200 OK\r\nX Y: a"),
        head("HTTP/1.1 200 OK\r\nX : a"),
        head("HTTP/1.1 200 OK\r\nX: a\r\n b"),
        with("Content-Length: 1\r\nContent-Length: 2\r\n"),
        with("Content-Length: 2\r\nContent-Length: 2\r\n"),
        with("Content-Length: 2, 2\r\n"),
        with("Content-Length: two\r\n"),
        with("Content-Length: +2\r\n"),
        with("Transfer-Encoding: gzip\r\n"),
        with("Transfer-Encoding: gzip, chunked\r\n"),
        with("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
        head("HTTP/1.1 204 No Content"),
        raw("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n"),
        raw("HTTP/1.1 204 No Content\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ]
}
