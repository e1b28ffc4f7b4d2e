//! Headers over the wire: what is sent is rebuilt, and holds nothing that was forged or is of one hop.

use reachback_tests::peer::Said;
use serde_json::json;

use super::{Gateway, Outcome};

const RULES: [&str; 3] = ["GET /", "GET /orders", "POST /orders"];

/// A value that shows where it arrives.
const FORGED: &str = "forged.example";

/// Each of them, alone or in bad company, reaches no upstream.
const DROPPED: [(&str, &[&str]); 5] = [
    (
        "of one hop",
        &[
            "connection",
            "keep-alive",
            "te",
            "trailer",
            "transfer-encoding",
            "upgrade",
            "http2-settings",
            "proxy",
            "proxy-authorization",
            "proxy-authenticate",
            "proxy-connection",
            "host",
        ],
    ),
    (
        "another method",
        &["x-http-method-override", "x-method-override", "x-http-method", "method-override", "x.http.method.override"],
    ),
    (
        "another path or host",
        &[
            "x-original-url",
            "x-original-uri",
            "x-original-host",
            "x-rewrite-url",
            "x-rewrite-uri",
            "x-host",
            "x-http-host-override",
            "x-accel-redirect",
            "x-sendfile-type",
            "x-envoy-original-path",
        ],
    ),
    (
        "another client",
        &[
            "forwarded",
            "x-forwarded",
            "x-forwarded-for",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-forwarded-port",
            "x-forwarded-prefix",
            "x-forwarded-client-cert",
            "x-forwarded-user",
            "x-real-ip",
            "client-ip",
            "true-client-ip",
            "x-client-ip",
            "x-cluster-client-ip",
            "cf-connecting-ip",
            "fastly-client-ip",
            "remote-user",
            "x-remote-user",
            "x-auth-request-user",
            "client-cert",
            "x-ssl-client-verify",
        ],
    ),
    (
        "another name",
        &[
            "x_forwarded_for",
            "x-forwarded_for",
            "content_length",
            "transfer_encoding",
            "_",
            "authorization_",
            "x.forwarded.for",
            "x!real!ip",
            "reachback-error",
            "reachback-service",
        ],
    ),
];

/// The neighbours of those, which an application may well send.
const PASSES: [(&str, &str); 23] = [
    ("accept", "a/b;q=0.5, */*"),
    ("accept-encoding", "gzip"),
    ("authorization", "Bearer mine"),
    ("cookie", "a=1; b=\"2\""),
    ("content-type", "text/plain"),
    ("origin", "null"),
    ("referer", "http://a.example/b"),
    ("range", "bytes=0-1"),
    ("if-none-match", "\"x\""),
    ("user-agent", "it/1"),
    ("via", "1.1 proxy"),
    ("upgrade-insecure-requests", "1"),
    ("access-control-request-method", "DELETE"),
    ("idempotency-key", "7"),
    ("traceparent", "00-1-2-01"),
    ("x-csrf-token", "x"),
    ("x-requested-with", "XMLHttpRequest"),
    ("x-http", "1"),
    ("x-hostname", "a"),
    ("x-client-version", "1"),
    ("x-originator", "a"),
    ("x.company.key", "a"),
    ("x-odd", "\t a  b\u{e9}\u{ff} ~"),
];

#[tokio::test]
async fn forged_ones_go_nowhere() {
    let mut gateway = Gateway::with_rules(&RULES).await;
    let bare = gateway.head("GET", b"/orders", &[]);
    for (class, names) in DROPPED {
        for name in names {
            let value = if *name == "te" { "gzip" } else { FORGED };
            for lines in [&[(*name, value)][..], &[("connection", name), (name, value), (name, value)]] {
                let outcome = gateway.ask("orders", "GET", b"/orders", lines, &json!({})).await;
                assert_eq!(outcome, Outcome::Answered(404), "{class}: {name}");
                assert_eq!(gateway.upstream.last_head().0, bare, "{class}: {name}");
            }
        }
    }
    // All that came was looked at.
    let counts = gateway.upstream.counts();
    assert_eq!(counts.arrived, (counts.requests * bare.len()) as u64);
    assert_eq!(counts.connections, 1);
}

#[tokio::test]
async fn their_neighbours_pass_as_they_are() {
    let mut gateway = Gateway::with_rules(&RULES).await;
    for line in PASSES {
        for lines in [&[line][..], &[line, line]] {
            let outcome = gateway.ask("orders", "GET", b"/orders", lines, &json!({})).await;
            let name = line.0;
            assert_eq!(outcome, Outcome::Answered(404), "{name}");
            assert_eq!(gateway.upstream.last_head().0, gateway.head("GET", b"/orders", lines), "{name}");
        }
    }
    let lines: Vec<_> = PASSES.to_vec();
    gateway.ask("orders", "GET", b"/orders", &lines, &json!({})).await;
    assert_eq!(gateway.upstream.last_head().0, gateway.head("GET", b"/orders", &lines));
}

#[tokio::test]
async fn what_connection_names_goes_and_nothing_of_ours_with_it() {
    let mut gateway = Gateway::with_rules(&RULES).await;
    let sent = [("x-mine", FORGED), ("x-yours", "1"), ("host", FORGED), ("x-request-id", FORGED)];
    for nominated in [
        "x-mine",
        "X-Mine",
        "close, x-mine",
        " ,,\tx-mine ,",
        "x-mine, host",
        "x-mine, x-request-id",
        "x-mine, content-length, transfer-encoding, te",
        "upgrade, x-mine, http2-settings",
    ] {
        let lines = [&sent[..], &[("connection", nominated)]].concat();
        gateway.ask("orders", "GET", b"/orders", &lines, &json!({})).await;
        let expected = gateway.head("GET", b"/orders", &[("x-yours", "1")]);
        assert_eq!(gateway.upstream.last_head().0, expected, "{nominated:?}");
    }
}

/// What the two sides might read differently is refused: neither line counts.
#[tokio::test]
async fn refused_heads_open_no_connection() {
    let mut gateway = Gateway::with_rules(&RULES).await;
    let long = "y".repeat(60_000);
    let many = [("x", "y"); 101];
    for (headers, code) in [
        (&[("content-length", "5"), ("transfer-encoding", "chunked")][..], "bad_request"),
        (&[("transfer-encoding", "chunked"), ("content-length", "5")], "bad_request"),
        (&[("content-length", "0"), ("transfer-encoding", "identity")], "bad_request"),
        (&[("content-length", "5"), ("content-length", "5")], "bad_request"),
        (&[("content-length", "5"), ("content-length", "6")], "bad_request"),
        (&[("content-length", "0"), ("Content-Length", "5")], "bad_request"),
        (&[("content-length", "5, 5")], "bad_request"),
        (&[("content-length", "5,6")], "bad_request"),
        (&[("content-length", "+5")], "bad_request"),
        (&[("content-length", "-1")], "bad_request"),
        (&[("content-length", "0x5")], "bad_request"),
        (&[("content-length", "5 ")], "bad_request"),
        (&[("content-length", " 5")], "bad_request"),
        (&[("content-length", "5;a")], "bad_request"),
        (&[("content-length", "1e1")], "bad_request"),
        (&[("content-length", "\u{b2}")], "bad_request"),
        (&[("content-length", "")], "bad_request"),
        (&[("content-length", "18446744073709551616")], "bad_request"),
        (&[("expect", "the-worst")], "bad_request"),
        (&[("expect", "100-continue, the-worst")], "bad_request"),
        (&[("x", &long), ("z", "0123456789"), ("w", &long[..6000])], "head_too_large"),
        (&[("connection", &"a,".repeat(101))], "head_too_large"),
        (&many, "head_too_large"),
    ] {
        let outcome = gateway.ask("orders", "POST", b"/orders", headers, &json!({})).await;
        assert_eq!(outcome, Outcome::Failed(code), "{headers:?}");
    }
    let outcome = gateway.ask("admin", "GET", b"/orders", &[], &json!({})).await;
    assert_eq!(outcome, Outcome::Failed("denied"), "a service that the agent does not offer");
    let outcome = gateway.ask("orders", "GET", b"/orders", &[], &json!({"upgrade": true})).await;
    assert_eq!(outcome, Outcome::Failed("denied"), "an upgrade that no rule permits");
    gateway.untouched().await;
}

/// What is no header at all ends the link.
#[tokio::test]
async fn lines_that_are_none_open_no_connection() {
    let values = ["a\r\nx-evil: 1", "a\r", "a\nb", "\r\n", "a\0b", "\0", "a\u{1}", "\u{1b}[0m", "\u{7f}", "\u{100}"];
    let names = ["", "x evil", "x-evil ", "x:", ":authority", "x\r\ny", "x\ny", "x\0", "x\t", "x(y)", "\u{e9}", "x/y"];
    let mut gateway = Gateway::with_rules(&RULES).await;
    for line in values.map(|value| ("x", value)).into_iter().chain(names.map(|name| (name, "y"))) {
        gateway.say("orders", "GET", b"/orders", &[line], &json!({})).await;
        let end = gateway.peer.next().await;
        assert!(matches!(end, Said::Close(1002, _)), "{line:?}: {end:?}");
        // A new agent: this one waits before it dials again.
        gateway = Gateway::beside(gateway.upstream, &json!(RULES)).await;
    }
    gateway.untouched().await;
}
