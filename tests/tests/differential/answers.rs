//! Answers that reach the client, whole or visibly cut.

use crate::{Case, Difference, sentences::*};

/// An answer to a GET, which the upstream closes the connection behind.
fn last(name: &'static str, answer: &str, differs: &'static [Difference]) -> Case {
    Case { closes: true, ..kept(name, answer, differs) }
}

/// An answer to a GET on a connection that goes on.
fn kept(name: &'static str, answer: &str, differs: &'static [Difference]) -> Case {
    to("GET", name, answer, differs)
}

fn to(method: &str, name: &'static str, answer: &str, differs: &'static [Difference]) -> Case {
    let send = format!("{method} /x HTTP/1.1\r\nHost: UPSTREAM\r\n\r\n");
    let (version, rest) = answer.split_once("\r\n").unwrap_or((answer, ""));
    let dated = if rest.is_empty() { answer.to_owned() } else { format!("{version}\r\nDate: now\r\n{rest}") };
    Case { name, send, answer: dated, closes: false, differs }
}

pub(crate) fn cases() -> Vec<Case> {
    [statuses(), headers(), bodies(), interim(), misframed()].into_iter().flatten().collect()
}

fn statuses() -> Vec<Case> {
    let status =
        |name, line: &str, differs| kept(name, &format!("HTTP/1.1 {line}\r\nContent-Length: 2\r\n\r\nok"), differs);
    vec![
        status("200", "200 OK", &[]),
        status("201", "201 Created", &[]),
        status("404", "404 Not Found", &[]),
        status("an unknown status", "299 ", &[]),
        status("beyond the classes", "799 ", &[]),
        status(
            "a reason of its own",
            "200 Fine",
            &[(REASON, "client + HTTP/1.1 200 OK"), (REASON, "client - HTTP/1.1 200 Fine")],
        ),
        status("no reason", "200 ", &[(REASON, "client + HTTP/1.1 200 OK"), (REASON, "client - HTTP/1.1 200 ")]),
        status(
            "no blank behind the status",
            "200",
            &[(REASON, "client + HTTP/1.1 200 OK"), (REASON, "client - HTTP/1.1 200")],
        ),
        status("503 of the upstream's own", "503 Service Unavailable", &[]),
        kept(
            "407",
            "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n",
            &[(HOP, "client - header proxy-authenticate: Basic")],
        ),
        kept(
            "credentials of a proxy",
            "HTTP/1.1 200 OK\r\nProxy-Authorization: Basic YTpi\r\nContent-Length: 0\r\n\r\n",
            &[(HOP, "client - header proxy-authorization: Basic YTpi")],
        ),
        kept("204", "HTTP/1.1 204 No Content\r\n\r\n", &[]),
        kept(
            "204 with a length",
            "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
            &[(BODILESS, "client - header content-length: 0")],
        ),
        kept("205", "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", &[]),
        kept("304", "HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\n\r\n", &[]),
        kept("304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n", &[]),
        kept("304 of length 0", "HTTP/1.1 304 Not Modified\r\nContent-Length: 0\r\n\r\n", &[]),
        to("HEAD", "HEAD and 304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 77\r\n\r\n", &[]),
        to("HEAD", "HEAD with a length", "HTTP/1.1 200 OK\r\nContent-Length: 77\r\n\r\n", &[]),
        to("HEAD", "HEAD of length 0", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &[]),
        to(
            "HEAD",
            "HEAD with chunks",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
            &[(BODILESS, "client - header transfer-encoding: chunked")],
        ),
        to("HEAD", "HEAD without framing", "HTTP/1.1 200 OK\r\nX: y\r\n\r\n", &[]),
    ]
}

fn headers() -> Vec<Case> {
    let with = |name, more: &str, differs| {
        kept(name, &format!("HTTP/1.1 200 OK\r\n{more}Content-Length: 2\r\n\r\nok"), differs)
    };
    vec![
        with("two cookies", "Set-Cookie: a=1; Path=/\r\nX: y\r\nSet-Cookie: b=2\r\n", &[]),
        with(
            "everyday headers",
            "Server: s\r\nContent-Type: text/plain\r\nCache-Control: no-cache\r\nVary: Accept\r\nETag: W/\"e\"\r\nLast-Modified: then\r\n",
            &[],
        ),
        with("a place to go", "Location: http://UPSTREAM/y\r\nContent-Location: /z\r\nRefresh: 0\r\n", &[]),
        with("obs-text", "X-Latin: caf\u{e9}\r\n", &[]),
        with("an underscore", "X_Y: 1\r\n", &[]),
        with("an empty value", "X-Empty:\r\n", &[]),
        with("blanks around a value", "X-Blank: \t a b \t\r\n", &[]),
        with(
            "a request id of its own",
            "X-Request-Id: its-own\r\n",
            &[(REQUEST_ID, "client - header x-request-id: its-own")],
        ),
        with("a forged failure", "Reachback-Error: denied\r\n", &[(OWN, "client - header reachback-error: denied")]),
        with("an earlier proxy", "Via: 1.1 p\r\nProxy-Status: p; error=x\r\nAge: 5\r\n", &[]),
        with(
            "hop-by-hop fields",
            "Connection: X-A, keep-alive\r\nX-A: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\n",
            &[
                (HOP, "client - header connection: X-A, keep-alive"),
                (HOP, "client - header keep-alive: timeout=5"),
                (HOP, "client - header proxy-connection: x"),
                (HOP, "client - header x-a: 1"),
            ],
        ),
        with(
            "an offer to upgrade",
            "Connection: Upgrade\r\nUpgrade: h2c\r\n",
            &[(HOP, "client - header connection: Upgrade"), (HOP, "client - header upgrade: h2c")],
        ),
        with("CORS", "Access-Control-Allow-Origin: *\r\nAccess-Control-Allow-Methods: GET\r\n", &[]),
        with("Alt-Svc and HSTS", "Alt-Svc: h3=\":443\"\r\nStrict-Transport-Security: max-age=1\r\n", &[]),
        with("16 KiB of a header", &format!("X-Long: {}\r\n", "y".repeat(16 * 1024)), &[]),
        Case {
            answer: "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(),
            ..kept("no Date", "", &[(DATE, "client + header date: NOW")])
        },
    ]
}

fn bodies() -> Vec<Case> {
    let chunked = |name, body: &str, differs| {
        kept(name, &format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"), differs)
    };
    vec![
        kept("nothing of length 0", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", &[]),
        chunked("chunks", "2\r\nok\r\n0\r\n\r\n", &[]),
        chunked("many chunks", "1\r\no\r\n0001\r\nk\r\n0\r\n\r\n", &[]),
        chunked("a chunk extension", "2;a=b\r\nok\r\n0;c\r\n\r\n", &[]),
        chunked(
            "trailers unasked for",
            "2\r\nok\r\n0\r\nX-Sum: 1\r\n\r\n",
            &[(ANSWER_TRAILERS, "client - trailer x-sum: 1")],
        ),
        last(
            "until the connection ends",
            "HTTP/1.1 200 OK\r\nX: y\r\n\r\nok",
            &[
                (UNTIL_CLOSE, "client + header transfer-encoding: chunked"),
                (CONNECTIONS, "client + the connection goes on"),
                (CONNECTIONS, "client - the connection ends"),
            ],
        ),
        last(
            "said to close",
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
            &[
                (CONNECTIONS, "client + the connection goes on"),
                (CONNECTIONS, "client - header connection: close"),
                (CONNECTIONS, "client - the connection ends"),
            ],
        ),
        last(
            "of HTTP/1.0",
            "HTTP/1.0 200 OK\r\nX: y\r\n\r\nok",
            &[
                (CONNECTIONS, "client + HTTP/1.1 200 OK"),
                (UNTIL_CLOSE, "client + header transfer-encoding: chunked"),
                (CONNECTIONS, "client + the connection goes on"),
                (CONNECTIONS, "client - HTTP/1.0 200 OK"),
                (CONNECTIONS, "client - the connection ends"),
            ],
        ),
        last(
            "of HTTP/1.0 with a length",
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
            &[
                (CONNECTIONS, "client + HTTP/1.1 200 OK"),
                (CONNECTIONS, "client + the connection goes on"),
                (CONNECTIONS, "client - HTTP/1.0 200 OK"),
                (CONNECTIONS, "client - the connection ends"),
            ],
        ),
        kept("compressed", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n\u{1f}\u{8b}", &[]),
        kept(
            "ranges",
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2\r\n\r\nok",
            &[],
        ),
    ]
}

fn interim() -> Vec<Case> {
    let before = |name, early: &str, differs| {
        let final_one = kept(name, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", differs);
        Case { answer: format!("{early}\r\n\r\n{}", final_one.answer), ..final_one }
    };
    vec![
        before(
            "103",
            "HTTP/1.1 103 Early Hints\r\nLink: </a>",
            &[(INTERIM, "client - before it HTTP/1.1 103 Early Hints")],
        ),
        before("102", "HTTP/1.1 102 Processing", &[(INTERIM, "client - before it HTTP/1.1 102 Processing")]),
        before("100 unasked for", "HTTP/1.1 100 Continue", &[(INTERIM, "client - before it HTTP/1.1 100 Continue")]),
    ]
}

fn misframed() -> Vec<Case> {
    let length = |name, lines: &str, differs| last(name, &format!("HTTP/1.1 200 OK\r\n{lines}\r\nok"), differs);
    let chunked = |name, body: &str, differs| {
        last(name, &format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"), differs)
    };
    vec![
        last(
            "line feeds alone",
            "HTTP/1.1 200 OK\nDate: now\nContent-Length: 2\n\nok",
            &[
                (LINE_ENDS, "client - lines that end with LF alone"),
                (CONNECTIONS, "client + the connection goes on"),
                (CONNECTIONS, "client - the connection ends"),
            ],
        ),
        length(
            "both lengths",
            "Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n",
            &[
                (CONNECTIONS, "client + the connection goes on"),
                (BOTH_LENGTHS_BACK, "client - header content-length: 9"),
                (CONNECTIONS, "client - the connection ends"),
            ],
        ),
        length("shorter than its length", "Content-Length: 9\r\n", &[]),
        length(
            "longer than its length",
            "Content-Length: 1\r\n",
            &[(CONNECTIONS, "client + the connection goes on"), (CONNECTIONS, "client - the connection ends")],
        ),
        last(
            "a body behind 204",
            "HTTP/1.1 204 No Content\r\n\r\nok",
            &[(CONNECTIONS, "client + the connection goes on"), (CONNECTIONS, "client - the connection ends")],
        ),
        chunked("a chunk of no number", "xy\r\nok\r\n0\r\n\r\n", &[]),
        chunked("half a chunk", "9\r\nok", &[]),
        chunked("no last chunk", "2\r\nok\r\n", &[]),
        chunked("a chunk longer than it says", "1\r\nok\r\n0\r\n\r\n", &[]),
    ]
}
