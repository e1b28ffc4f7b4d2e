//! Requests that reach the upstream.

use crate::{Case, Difference, OK, sentences::*};

/// A request without a body: its line and header lines behind `Host`.
fn get(name: &'static str, line: &str, more: &str, differs: &'static [Difference]) -> Case {
    raw(name, &format!("{line} HTTP/1.1\r\nHost: UPSTREAM\r\n{more}\r\n"), differs)
}

/// A POST with these framing lines and this body.
fn post(name: &'static str, more: &str, body: &str, differs: &'static [Difference]) -> Case {
    raw(name, &format!("POST /x HTTP/1.1\r\nHost: UPSTREAM\r\n{more}\r\n{body}"), differs)
}

fn raw(name: &'static str, send: &str, differs: &'static [Difference]) -> Case {
    Case { name, send: send.to_owned(), answer: OK.to_owned(), closes: false, differs }
}

pub(crate) fn cases() -> Vec<Case> {
    [targets(), methods(), headers(), headers_on_the_way(), bodies(), connections()].into_iter().flatten().collect()
}

fn targets() -> Vec<Case> {
    vec![
        get("a root", "GET /", "", &[]),
        get("a path", "GET /a/b.c", "", &[]),
        get("a trailing slash", "GET /a/", "", &[]),
        get("a query", "GET /a?b=c&d", "", &[]),
        get("an empty query", "GET /a?", "", &[]),
        get("two question marks", "GET /a?b?c", "", &[]),
        get("what a query may hold", "GET /a?q=%2F%2f/../;[]{}|\\^`'*()!$", "", &[]),
        get("an encoded space", "GET /a%20b", "", &[]),
        get("lower-case triplets", "GET /%c3%a4", "", &[]),
        get("upper-case triplets", "GET /%C3%A4", "", &[]),
        get("needlessly encoded", "GET /%61", "", &[]),
        get("punctuation", "GET /a-._~!$&'()*+,=:@", "", &[]),
        get("upper case", "GET /A/b", "", &[]),
        get("a target of 8 KiB", &format!("GET /{}", "a".repeat(8191)), "", &[]),
        get(
            "a fragment",
            "GET /a#b",
            "",
            &[(FRAGMENT, "upstream + GET /a HTTP/1.1"), (FRAGMENT, "upstream - GET /a#b HTTP/1.1")],
        ),
        get(
            "a fragment behind a query",
            "GET /a?b#c",
            "",
            &[(FRAGMENT, "upstream + GET /a?b HTTP/1.1"), (FRAGMENT, "upstream - GET /a?b#c HTTP/1.1")],
        ),
        get("of the server", "OPTIONS *", "", &[]),
    ]
}

fn methods() -> Vec<Case> {
    vec![
        get("HEAD", "HEAD /x", "", &[]),
        get("DELETE", "DELETE /x", "", &[]),
        get("OPTIONS", "OPTIONS /x", "", &[]),
        get("of WebDAV", "PROPFIND /x", "Depth: 1\r\n", &[]),
        get("of coffee pots", "BREW /x", "", &[]),
        get("with a hyphen", "M-SEARCH /x", "", &[]),
        get("POST without a word of a body", "POST /x", "", &[]),
        get("PUT without a body", "PUT /x", "Content-Length: 0\r\n", &[]),
    ]
}

fn headers() -> Vec<Case> {
    let with = |name, more: &str, differs| get(name, "GET /x", more, differs);
    vec![
        with(
            "everyday headers",
            "User-Agent: t/1\r\nAccept: */*\r\nAccept-Encoding: gzip, br\r\nAuthorization: Basic YTpi\r\n",
            &[],
        ),
        with("mixed case", "x-MiXeD: VaLuE\r\n", &[]),
        with("lines of one name", "Cookie: a=1\r\nX: 1\r\nCookie: b=2\r\n", &[]),
        with("an empty value", "X-Empty:\r\n", &[]),
        with("blanks around a value", "X-Blank:  \t a b \t \r\n", &[]),
        with("blanks within a value", "X-Blank: a \t  b\r\n", &[]),
        with("obs-text", "X-Latin: caf\u{e9} \u{ff}\r\n", &[]),
        with("a name of punctuation", "x!#$%&'*+-.^`|~: 1\r\n", &[]),
        with("an underscore", "X_Y: 1\r\n", &[(UNDERSCORE, "upstream - header x_y: 1")]),
        with("16 KiB of cookies", &format!("Cookie: {}\r\n", "c=0123456789abcdef; ".repeat(16 * 1024 / 20)), &[]),
        with("98 lines", &"X-Line: y\r\n".repeat(98), &[]),
        with(
            "conditions and ranges",
            "If-None-Match: \"e\"\r\nIf-Modified-Since: now\r\nRange: bytes=0-1\r\nIf-Range: \"e\"\r\n",
            &[],
        ),
        with("tracing", "traceparent: 00-1-2-01\r\ntracestate: a=b\r\nbaggage: c=d\r\n", &[]),
        with(
            "browsers",
            "Origin: http://o\r\nReferer: http://o/\r\nSec-Fetch-Mode: cors\r\nDNT: 1\r\nUpgrade-Insecure-Requests: 1\r\n",
            &[],
        ),
    ]
}

/// Headers that are not only for the upstream.
fn headers_on_the_way() -> Vec<Case> {
    let with = |name, more: &str, differs| get(name, "GET /x", more, differs);
    vec![
        with("a request id", "X-Request-Id: mine\r\n", &[(REQUEST_ID, "client + header x-request-id: mine")]),
        with("an unusable request id", "X-Request-Id: a b\r\n", &[(REQUEST_ID, "upstream - header x-request-id: a b")]),
        with(
            "an earlier proxy",
            "Via: 1.0 fred, 1.1 p.example\r\n",
            &[
                (VIA, "upstream + header via: 1.0 fred, 1.1 p.example | 1.1 reachback"),
                (VIA, "upstream - header via: 1.0 fred, 1.1 p.example"),
            ],
        ),
        with(
            "Connection names a field",
            "Connection: x-a\r\nX-A: 1\r\nX-B: 2\r\n",
            &[(HOP, "upstream - header connection: x-a"), (HOP, "upstream - header x-a: 1")],
        ),
        with(
            "keep-alive",
            "Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n",
            &[(HOP, "upstream - header connection: keep-alive"), (HOP, "upstream - header keep-alive: timeout=5")],
        ),
        with(
            "to a proxy",
            "Proxy-Authorization: Basic YTpi\r\nProxy-Connection: keep-alive\r\n",
            &[
                (HOP, "upstream - header proxy-authorization: Basic YTpi"),
                (HOP, "upstream - header proxy-connection: keep-alive"),
            ],
        ),
        with("of another proxy", "Proxy-Status: p\r\n", &[(PROXY_FIELDS, "upstream - header proxy-status: p")]),
        with(
            "TE: trailers",
            "Connection: TE\r\nTE: trailers\r\n",
            &[(HOP, "upstream + header connection: te"), (HOP, "upstream - header connection: TE")],
        ),
        with("TE without Connection", "TE: trailers\r\n", &[(HOP, "upstream + header connection: te")]),
        with(
            "TE: gzip",
            "Connection: TE\r\nTE: gzip\r\n",
            &[(HOP, "upstream - header connection: TE"), (HOP, "upstream - header te: gzip")],
        ),
        with(
            "an upgrade",
            "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
            &[],
        ),
        with(
            "to h2c",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n",
            &[
                (HOP, "upstream - header connection: Upgrade, HTTP2-Settings"),
                (HOP, "upstream - header http2-settings: AAMAAABkAAQAoAAAAAIAAAAA"),
                (HOP, "upstream - header upgrade: h2c"),
            ],
        ),
        with(
            "who the client is",
            "Forwarded: for=1.2.3.4\r\nX-Forwarded-For: 1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\nRemote-User: root\r\n",
            &[
                (IDENTITY, "upstream - header forwarded: for=1.2.3.4"),
                (IDENTITY, "upstream - header remote-user: root"),
                (IDENTITY, "upstream - header x-forwarded-for: 1.2.3.4"),
                (IDENTITY, "upstream - header x-real-ip: 1.2.3.4"),
            ],
        ),
        with(
            "another method",
            "X-HTTP-Method-Override: DELETE\r\n",
            &[(STEERING, "upstream - header x-http-method-override: DELETE")],
        ),
        with(
            "another path",
            "X-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\n",
            &[
                (STEERING, "upstream - header x-original-url: /admin"),
                (STEERING, "upstream - header x-rewrite-url: /admin"),
            ],
        ),
        with("httpoxy", "Proxy: http://evil\r\n", &[(STEERING, "upstream - header proxy: http://evil")]),
        with(
            "our own names",
            "Reachback-Error: denied\r\nReachback-Service: other\r\n",
            &[(OWN, "upstream - header reachback-error: denied"), (OWN, "upstream - header reachback-service: other")],
        ),
        with(
            "100 Expect without a body",
            "Expect: 100-continue\r\n",
            &[(EXPECT, "upstream - header expect: 100-continue")],
        ),
        raw(
            "another Host",
            "GET /x HTTP/1.1\r\nHost: app.example:81\r\n\r\n",
            &[(HOST, "upstream + header host: UPSTREAM"), (HOST, "upstream - header host: app.example:81")],
        ),
        raw(
            "an empty Host",
            "GET /x HTTP/1.1\r\nHost:\r\n\r\n",
            &[(HOST, "upstream + header host: UPSTREAM"), (HOST, "upstream - header host: ")],
        ),
    ]
}

fn bodies() -> Vec<Case> {
    vec![
        post("a length", "Content-Length: 5\r\n", "hello", &[]),
        post("of length 0", "Content-Length: 0\r\n", "", &[]),
        post(
            "a length with zeros before it",
            "Content-Length: 005\r\n",
            "hello",
            &[(FRAMING, "upstream + header content-length: 5"), (FRAMING, "upstream - header content-length: 005")],
        ),
        post("chunks", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n", &[]),
        post("many chunks", "Transfer-Encoding: chunked\r\n", "1\r\nh\r\n004\r\nello\r\n0\r\n\r\n", &[]),
        post(
            "hexadecimal chunks",
            "Transfer-Encoding: chunked\r\n",
            "A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n",
            &[],
        ),
        post(
            "Chunked",
            "Transfer-Encoding: Chunked\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            &[
                (FRAMING, "upstream + header transfer-encoding: chunked"),
                (FRAMING, "upstream - header transfer-encoding: Chunked"),
            ],
        ),
        post("a chunk extension", "Transfer-Encoding: chunked\r\n", "5;a=b\r\nhello\r\n0\r\n\r\n", &[]),
        post(
            "trailers",
            "Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n",
            "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
            &[],
        ),
        post(
            "trailers that nothing announces",
            "Transfer-Encoding: chunked\r\n",
            "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n",
            &[(REQUEST_TRAILERS, "upstream - trailer x-sum: 1")],
        ),
        post(
            "trailers that belong ahead of a body",
            "Transfer-Encoding: chunked\r\nTrailer: X-Sum, Authorization\r\n",
            "5\r\nhello\r\n0\r\nX-Sum: 1\r\nAuthorization: a\r\n\r\n",
            &[
                (REQUEST_TRAILERS, "upstream - header trailer: X-Sum, Authorization"),
                (REQUEST_TRAILERS, "upstream + header trailer: X-Sum"),
                (REQUEST_TRAILERS, "upstream - trailer authorization: a"),
            ],
        ),
        post("an encoded body", "Content-Encoding: gzip\r\nContent-Length: 5\r\n", "\u{1f}\u{8b}abc", &[]),
        post("every byte", "Content-Length: 256\r\n", &(0..=255).map(|b: u8| char::from(b)).collect::<String>(), &[]),
        raw("a GET with a body", "GET /x HTTP/1.1\r\nHost: UPSTREAM\r\nContent-Length: 5\r\n\r\nhello", &[]),
        raw(
            "a GET with chunks",
            "GET /x HTTP/1.1\r\nHost: UPSTREAM\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            &[],
        ),
        raw("a DELETE with a body", "DELETE /x HTTP/1.1\r\nHost: UPSTREAM\r\nContent-Length: 5\r\n\r\nhello", &[]),
        post(
            "sent without waiting",
            "Expect: 100-continue\r\nContent-Length: 5\r\n",
            "hello",
            &[(EXPECT, "upstream - header expect: 100-continue"), (EXPECT, "client + before it HTTP/1.1 100 Continue")],
        ),
        post(
            "the same length twice",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "hello",
            &[
                (LENGTH_TWICE, "upstream + header content-length: 5"),
                (LENGTH_TWICE, "upstream - header content-length: 5 | 5"),
            ],
        ),
    ]
}

fn connections() -> Vec<Case> {
    vec![
        get(
            "Connection: close",
            "GET /x",
            "Connection: close\r\n",
            &[(CONNECTIONS, "upstream - header connection: close"), (CONNECTIONS, "client + header connection: close")],
        ),
        raw(
            "HTTP/1.0",
            "GET /x HTTP/1.0\r\nHost: UPSTREAM\r\n\r\n",
            &[
                (VIA, "upstream + header via: 1.0 reachback"),
                (CONNECTIONS, "upstream + GET /x HTTP/1.1"),
                (CONNECTIONS, "upstream - GET /x HTTP/1.0"),
                (CONNECTIONS, "client + HTTP/1.0 200 OK"),
                (CONNECTIONS, "client - HTTP/1.1 200 OK"),
            ],
        ),
        raw(
            "HTTP/1.0 without a Host",
            "GET /x HTTP/1.0\r\n\r\n",
            &[
                (VIA, "upstream + header via: 1.0 reachback"),
                (CONNECTIONS, "upstream + GET /x HTTP/1.1"),
                (HOST, "upstream + header host: UPSTREAM"),
                (CONNECTIONS, "upstream - GET /x HTTP/1.0"),
                (CONNECTIONS, "client + HTTP/1.0 200 OK"),
                (CONNECTIONS, "client - HTTP/1.1 200 OK"),
            ],
        ),
        raw(
            "HTTP/1.0 kept alive",
            "GET /x HTTP/1.0\r\nHost: UPSTREAM\r\nConnection: keep-alive\r\n\r\n",
            &[
                (VIA, "upstream + header via: 1.0 reachback"),
                (CONNECTIONS, "upstream + GET /x HTTP/1.1"),
                (CONNECTIONS, "upstream - GET /x HTTP/1.0"),
                (HOP, "upstream - header connection: keep-alive"),
                (CONNECTIONS, "client + HTTP/1.0 200 OK"),
                (HOP, "client + header connection: keep-alive"),
                (CONNECTIONS, "client + the connection goes on"),
                (CONNECTIONS, "client - HTTP/1.1 200 OK"),
                (CONNECTIONS, "client - the connection ends"),
            ],
        ),
        raw("an empty line before", "\r\nGET /x HTTP/1.1\r\nHost: UPSTREAM\r\n\r\n", &[]),
        raw(
            "two at once",
            "GET /1 HTTP/1.1\r\nHost: UPSTREAM\r\n\r\nGET /2 HTTP/1.1\r\nHost: UPSTREAM\r\n\r\n",
            &[
                (VIA, "upstream + 2: header via: 1.1 reachback"),
                (REQUEST_ID, "upstream + 2: header x-request-id: NEW"),
                (REQUEST_ID, "client + 2: header x-request-id: NEW"),
            ],
        ),
        raw(
            "one behind a body",
            "POST /1 HTTP/1.1\r\nHost: UPSTREAM\r\nContent-Length: 2\r\n\r\nhiGET /2 HTTP/1.1\r\nHost: UPSTREAM\r\n\r\n",
            &[
                (VIA, "upstream + 2: header via: 1.1 reachback"),
                (REQUEST_ID, "upstream + 2: header x-request-id: NEW"),
                (REQUEST_ID, "client + 2: header x-request-id: NEW"),
            ],
        ),
        raw(
            "line feeds alone",
            "GET /x HTTP/1.1\nHost: UPSTREAM\n\n",
            &[(LINE_ENDS, "upstream - lines that end with LF alone")],
        ),
    ]
}
