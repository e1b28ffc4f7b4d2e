//! A hostile upstream: it can spoil its own answer, and nothing else. Its connection is not used again.

use reachback_tests::{
    bridge::Bridge,
    client::{Raw, call},
    pattern,
    upstream::{Counts, Then},
};

use crate::lies::{Sees, judge};

/// One answer: its name, its bytes, what the upstream does next, and what the client sees.
type Row = (&'static str, Vec<u8>, Then, Sees);

/// What becomes of the connection to the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Connection {
    Kept,
    Discarded,
}

fn ok(headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 200 OK\r\n{headers}\r\n{body}").into()
}

fn chunked(body: &str) -> Vec<u8> {
    ok("Transfer-Encoding: chunked\r\n", body)
}

/// Tells each row to one client, and then asks for something else, which must be answered rightly: on the same
/// connection, if it lives, and on another.
async fn tell(rows: Vec<Row>, connection: Connection) {
    let bridge = Bridge::start().await;
    for (name, bytes, then, sees) in rows {
        bridge.upstream.says("/x", bytes, then);
        let mut client = Raw::connect(bridge.facade()).await;
        client.send("GET /x HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n").await;
        let answer = client.try_answer("GET").await;
        judge(name, answer.as_ref(), &sees);
        let before = bridge.upstream.counts().connections;
        if connection == Connection::Discarded && !matches!(sees, Sees::Answer(..)) {
            bridge.upstream.until("the spoiled connection's end", |counts| counts.open == 0).await;
        }
        if client.send("GET /bytes/7 HTTP/1.1\r\nHost: a\r\n\r\n").await
            && let Some(next) = client.try_answer("GET").await
        {
            assert_eq!((next.status(), next.body), (200, pattern::bytes(7)), "{name} leaks into the next answer");
        }
        let other = call(bridge.facade(), "GET", "/bytes/9", "").await;
        assert_eq!((other.status(), other.body), (200, pattern::bytes(9)), "{name} leaks into another answer");
        let fresh = bridge.upstream.counts().connections - before;
        assert_eq!(fresh, usize::from(connection == Connection::Discarded), "connections after {name}");
    }
}

#[tokio::test]
async fn says_what_is_no_head() {
    let broken = |text: &str| text.as_bytes().to_vec();
    let rows = [
        ("status 99", "HTTP/1.1 99 Low\r\n\r\n"),
        ("status 099", "HTTP/1.1 099 Low\r\n\r\n"),
        ("status 0", "HTTP/1.1 0 None\r\n\r\n"),
        ("status 000", "HTTP/1.1 000 None\r\n\r\n"),
        ("status 1000", "HTTP/1.1 1000 High\r\n\r\n"),
        ("a signed status", "HTTP/1.1 -200 OK\r\n\r\n"),
        ("a status in hexadecimal", "HTTP/1.1 0xC8 OK\r\n\r\n"),
        ("a word for a status", "HTTP/1.1 abc OK\r\n\r\n"),
        ("a cut status", "HTTP/1.1 20\r\n\r\n"),
        ("no status", "HTTP/1.1 OK\r\n\r\n"),
        ("a version alone", "HTTP/1.1\r\n\r\n"),
        ("lower case", "http/1.1 200 OK\r\n\r\n"),
        ("version 3", "HTTP/3.0 200 OK\r\n\r\n"),
        ("version 1.10", "HTTP/1.10 200 OK\r\n\r\n"),
        ("another protocol", "ICY 200 OK\r\n\r\n"),
        ("a space first", " HTTP/1.1 200 OK\r\n\r\n"),
        ("HTTP/0.9", "<html>\r\n\r\n</html>"),
        ("HTTP/2's preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("HTTP/2's settings", "\0\0\0\u{4}\0\0\0\0\0"),
        ("TLS", "\u{15}\u{3}\u{1}\0\u{2}\u{2}\u{46}"),
        ("a request", "GET /x HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("NULs", "\0\0\0\0\0\0\0\0\r\n\r\n"),
        ("nothing", ""),
    ];
    let rows = rows.map(|(name, text)| (name, broken(text), Then::Close, Sees::Failure("upstream_protocol")));
    tell(rows.into(), Connection::Discarded).await;
}

#[tokio::test]
async fn ends_within_its_head() {
    let whole = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let rows = (1..whole.len() - 2)
        .map(|cut| ("a cut head", whole.as_bytes()[..cut].to_vec(), Then::Close, Sees::Failure("upstream_protocol")));
    tell(rows.collect(), Connection::Discarded).await;
}

#[tokio::test]
async fn forges_lines() {
    let lines = [
        ("a NUL in a value", "X: a\0b\r\n"),
        ("a CR in a value", "X: a\rSet-Cookie: b\r\n"),
        ("a CR at the end of a value", "X: a\r\r\n"),
        ("a control character in a value", "X: a\u{1}\r\n"),
        ("a DEL in a value", "X: a\u{7f}\r\n"),
        ("a space in a name", "X Y: a\r\n"),
        ("a space behind a name", "Content-Length : 2\r\n"),
        ("a tab behind a name", "X\t: a\r\n"),
        ("no name", ": a\r\n"),
        ("no colon", "Content-Length 2\r\n"),
        ("a bracket in a name", "X(: a\r\n"),
        ("a NUL in a name", "X\0: a\r\n"),
        ("a letter of no alphabet in a name", "X\u{e9}: a\r\n"),
        ("a folded line", "X: a\r\n b: c\r\n"),
        ("a folded first line", " X: a\r\n"),
    ];
    let mut rows: Vec<Row> = Vec::new();
    for (name, line) in lines {
        rows.push((
            name,
            ok(&format!("{line}Content-Length: 2\r\n"), "ok"),
            Then::Hold,
            Sees::Failure("upstream_protocol"),
        ));
    }
    tell(rows, Connection::Discarded).await;
}

#[tokio::test]
async fn frames_its_body_in_two_ways() {
    let rows = [
        ("two lengths", "Content-Length: 1\r\nContent-Length: 2\r\n"),
        ("the same length twice", "Content-Length: 2\r\nContent-Length: 2\r\n"),
        ("a list of lengths", "Content-Length: 2, 2\r\n"),
        ("a list of other lengths", "Content-Length: 1, 2\r\n"),
        ("no number", "Content-Length: x\r\n"),
        ("no length", "Content-Length:\r\n"),
        ("a signed length", "Content-Length: +2\r\n"),
        ("a negative length", "Content-Length: -2\r\n"),
        ("a length in hexadecimal", "Content-Length: 0x2\r\n"),
        ("a length with a space", "Content-Length: 2 2\r\n"),
        ("2^64", "Content-Length: 18446744073709551616\r\n"),
        ("gzip", "Transfer-Encoding: gzip\r\n"),
        ("identity", "Transfer-Encoding: identity\r\n"),
        ("chunked, gzip", "Transfer-Encoding: chunked, gzip\r\n"),
        ("gzip, chunked", "Transfer-Encoding: gzip, chunked\r\n"),
        ("gzip and chunked", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"),
        ("chunked and identity", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
        ("chunked twice", "Transfer-Encoding: chunked, chunked\r\n"),
        ("a parameter", "Transfer-Encoding: chunked;q=1\r\n"),
        ("almost chunked", "Transfer-Encoding: xchunked\r\n"),
        ("quoted", "Transfer-Encoding: \"chunked\"\r\n"),
    ];
    let row = |(name, bytes)| (name, bytes, Then::Hold, Sees::Failure("upstream_protocol"));
    let mut rows: Vec<Row> = rows.map(|(name, lines)| row((name, ok(lines, "ok")))).into();
    let empty = b"HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\nok".to_vec();
    rows.push(row(("a 204 with a length", empty)));
    tell(rows, Connection::Discarded).await;
}

#[tokio::test]
async fn switches_protocols() {
    let rows = ["", "Upgrade: websocket\r\nConnection: upgrade\r\n", "Upgrade: h2c\r\n", "Content-Length: 2\r\n"];
    let row = |lines| {
        let bytes = format!("HTTP/1.1 101 Switching Protocols\r\n{lines}\r\nok").into();
        ("an unasked switch", bytes, Then::Hold, Sees::Failure("upstream_protocol"))
    };
    tell(rows.map(row).into(), Connection::Discarded).await;
}

#[tokio::test]
async fn never_comes_to_the_end_of_its_head() {
    let mib = 1024 * 1024;
    let rows = [
        ("an endless status line", "H".repeat(mib)),
        ("an endless reason", format!("HTTP/1.1 200 {}", "O".repeat(mib))),
        ("an endless name", format!("HTTP/1.1 200 OK\r\n{}", "x".repeat(mib))),
        ("an endless value", format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(mib))),
        ("endless lines", format!("HTTP/1.1 200 OK\r\n{}", "X: y\r\n".repeat(mib / 6))),
        ("a long reason", format!("HTTP/1.1 200 {}\r\n\r\n", "O".repeat(mib))),
        ("ten thousand lines", format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(10_000))),
        ("endless blank lines", "\r\n".repeat(mib / 2)),
        (
            "twenty thousand informational answers",
            format!("{}HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", HINT.repeat(20_000)),
        ),
        ("twenty thousand invitations", "HTTP/1.1 100 Continue\r\n\r\n".repeat(20_000)),
    ];
    let row = |(name, text): (_, String)| (name, text.into(), Then::Hold, Sees::Failure("upstream_protocol"));
    tell(rows.map(row).into(), Connection::Discarded).await;
}

const TWO: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

const HINT: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";

#[tokio::test]
async fn breaks_its_chunks() {
    let max = "f".repeat(16);
    let long = "x".repeat(64 * 1024);
    let endless = "x: y\r\n".repeat(64 * 1024);
    let rows = [
        ("a negative size", "-1\r\nx".to_owned()),
        ("a signed size", "+5\r\nhello\r\n0\r\n\r\n".to_owned()),
        ("a size with a prefix", "0x5\r\nhello\r\n0\r\n\r\n".to_owned()),
        ("no size", "\r\nhello\r\n0\r\n\r\n".to_owned()),
        ("no digit", "g\r\nhello\r\n0\r\n\r\n".to_owned()),
        ("a space before the size", " 5\r\nhello\r\n0\r\n\r\n".to_owned()),
        ("two sizes", "5 5\r\nhello\r\n0\r\n\r\n".to_owned()),
        ("2^64 - 1", format!("{max}\r\nhello")),
        ("2^64", format!("1{}\r\nhello", "0".repeat(16))),
        ("2^64 + 5", format!("1{}5\r\nhello\r\n0\r\n\r\n", "0".repeat(15))),
        ("many zeros and a cut", format!("{}5\r\nhel", "0".repeat(1000))),
        ("a line that ends in LF", "5\nhello\n0\n\n".to_owned()),
        ("no line end behind the data", "5\r\nhelloXX0\r\n\r\n".to_owned()),
        ("too much data", "3\r\nhello\r\n0\r\n\r\n".to_owned()),
        ("too little data", "7\r\nhello\r\n0\r\n\r\n".to_owned()),
        ("a long extension", format!("5;{long}\r\nhello\r\n0\r\n\r\n")),
        ("many extensions", "1;xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\nx\r\n".repeat(2000)),
        ("a line break in an extension", "5;a\nb\r\nhello\r\n0\r\n\r\n".to_owned()),
        ("no last chunk", "5\r\nhello\r\n".to_owned()),
        ("half of the last chunk", "5\r\nhello\r\n0\r\n".to_owned()),
        ("endless trailers", format!("5\r\nhello\r\n0\r\n{endless}\r\n")),
        ("a bad trailer", "5\r\nhello\r\n0\r\nx y: z\r\n\r\n".to_owned()),
        ("a second answer for a size", "5\r\nhello\r\nHTTP/1.1 200 OK\r\n\r\n".to_owned()),
    ];
    let row = |(name, text): (_, String)| (name, chunked(&text), Then::Close, Sees::Cut);
    tell(rows.map(row).into(), Connection::Discarded).await;
}

#[tokio::test]
async fn ends_within_its_body() {
    let length = |text| ok("Content-Length: 10\r\n", text);
    let rows = vec![
        ("nothing of it", length(""), Then::Close, Sees::Cut),
        ("half of it", length("hello"), Then::Close, Sees::Cut),
        ("all but one", length("123456789"), Then::Close, Sees::Cut),
        ("2^64 - 1", ok("Content-Length: 18446744073709551615\r\n", "ok"), Then::Close, Sees::Cut),
        // The neighbours: here the end of the connection is the end of the body.
        ("no length", ok("", "hello"), Then::Close, Sees::Answer(200, "hello")),
        ("HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\nhello".to_vec(), Then::Close, Sees::Answer(200, "hello")),
    ];
    tell(rows, Connection::Discarded).await;
}

/// What comes beyond an answer is nobody's, and least of all the next client's.
#[tokio::test]
async fn says_more_than_it_was_asked() {
    let stolen = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen";
    let row = |name, first: &str, more: &str, status, body| {
        (name, format!("{first}{more}").into(), Then::GoOn, Sees::Answer(status, body))
    };
    let rows = vec![
        row("an answer", TWO, stolen, 200, "ok"),
        row("many answers", TWO, &stolen.repeat(1000), 200, "ok"),
        row("garbage", TWO, "\0\u{1}garbage", 200, "ok"),
        row("one byte", TWO, "x", 200, "ok"),
        row("a longer body", TWO, "ok", 200, "ok"),
        row("an invitation", TWO, "HTTP/1.1 100 Continue\r\n\r\n", 200, "ok"),
        row("behind nothing", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", stolen, 200, ""),
        row("behind a 204", "HTTP/1.1 204 No\r\n\r\n", stolen, 204, ""),
        row("behind a 304", "HTTP/1.1 304 No\r\n\r\n", stolen, 304, ""),
        row("behind a 204 of length 0", "HTTP/1.1 204 No\r\nContent-Length: 0\r\n\r\n", stolen, 204, ""),
        row(
            "behind chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            stolen,
            200,
            "ok",
        ),
        row(
            "behind its farewell",
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
            stolen,
            200,
            "ok",
        ),
    ];
    tell(rows, Connection::Discarded).await;
}

#[tokio::test]
async fn speaks_unasked() {
    let bridge = Bridge::start().await;
    for more in ["HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen", "HTTP/1.1 103 Early Hints\r\n\r\n", "x", "\r\n"]
    {
        bridge.upstream.says("/x", TWO, Then::More(more));
        assert_eq!(call(bridge.facade(), "GET", "/x", "").await.text(), "ok");
        let Counts { sent, connections, .. } = bridge.upstream.counts();
        bridge.upstream.open_gate(1);
        bridge.upstream.until("what nobody asked for", |counts| counts.sent == sent + more.len() as u64).await;
        let next = call(bridge.facade(), "GET", "/bytes/9", "").await;
        assert_eq!((next.status(), next.body), (200, pattern::bytes(9)), "after {more:?}");
        assert_eq!(bridge.upstream.counts().connections, connections + 1, "after {more:?}");
    }
}

/// The neighbours of all that: unusual, and in order.
#[tokio::test]
async fn may_be_odd() {
    let row = |name, text: String, body| (name, text.into_bytes(), Then::GoOn, Sees::Answer(200, body));
    let head = |lines: &str| format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 2\r\n\r\nok");
    let chunks = |chunks: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}");
    let rows = vec![
        row("no reason", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok".into(), "ok"),
        row("an empty reason", "HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok".into(), "ok"),
        row("a long reason", format!("HTTP/1.1 200 {}\r\nContent-Length: 2\r\n\r\nok", "O".repeat(10_000)), "ok"),
        row("lines that end in LF", "HTTP/1.1 200 OK\nX: y\nContent-Length: 2\n\nok".into(), "ok"),
        row("as many hints as there may be", format!("{}{}", HINT.repeat(64), head("")), "ok"),
        row("an invitation that nobody waits for", format!("HTTP/1.1 100 Continue\r\n\r\n{}", head("")), "ok"),
        row("99 lines", head(&"X: y\r\n".repeat(99)), "ok"),
        row("a long value", head(&format!("X: {}\r\n", "y".repeat(60_000))), "ok"),
        row("an empty value", head("X:\r\n"), "ok"),
        row("bytes of no alphabet", head("X: \t\u{e9} \u{2026}\r\n"), "ok"),
        row(
            "what concerns one hop",
            head(
                "Connection: x-a, keep-alive, te, reachback-error\r\nX-A: 1\r\nKeep-Alive: timeout=5\r\n\
                 Upgrade: h2c\r\nTE: gzip\r\nProxy-Authenticate: Basic\r\nProxy-Connection: close\r\n",
            ),
            "ok",
        ),
        row("a nominated length", head("Connection: content-length\r\n"), "ok"),
        row(
            "a length and chunks",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".into(),
            "ok",
        ),
        row("leading zeros", chunks("0002\r\nok\r\n000\r\n\r\n"), "ok"),
        row("an extension", chunks("2;a=b;c\r\nok\r\n0;d\r\n\r\n"), "ok"),
        row("upper case", "HTTP/1.1 200 OK\r\nTRANSFER-ENCODING: CHUNKED\r\n\r\n2\r\nok\r\n0\r\n\r\n".into(), "ok"),
        row(
            "forged trailers",
            chunks("2\r\nok\r\n0\r\nContent-Length: 9\r\nReachback-Error: denied\r\nX-Sum: 1\r\n\r\n"),
            "ok",
        ),
    ];
    tell(rows, Connection::Kept).await;
}
