//! A facade as a forward proxy: what `http_proxy` makes of clients, and what attackers make of URLs.

use std::process::{Command, Stdio};

use reachback_tests::{
    bridge::{Bridge, Setup},
    client::{Answer, Raw},
    http2::Client,
    wait::within,
};

const FACADES: &str = "  - { listen: 127.0.0.1:0, route: proxy, suffix: internal }
  - { listen: 127.0.0.1:0, route: proxy, hosts: { api.example.org: orders, billing.example.org: billing } }
";

async fn bridge(service: &str) -> Bridge {
    let allow = r#"[ "GET,POST /**", "GET,OPTIONS /", "OPTIONS *" ]"#;
    let gateway = "wait_for_agent: 0s";
    Bridge::with(Setup { facades: FACADES, gateway, service, allow, ..Setup::default() }).await
}

/// What a facade answers to these lines.
async fn say(bridge: &Bridge, facade: usize, lines: &str) -> Answer {
    let mut client = Raw::connect(bridge.gateway.addresses("facade")[facade]).await;
    client.send(format!("{lines}\r\n\r\n")).await;
    client.answer("GET").await
}

#[tokio::test]
async fn hosts_are_services() {
    let bridge = bridge("host: preserve").await;
    let check = async |facade: usize, lines: &str, seen: Result<(&str, &str), &str>| {
        let answer = say(&bridge, facade, lines).await;
        match seen {
            Ok((line, host)) => {
                assert_eq!(answer.failure(), None, "{lines}: {}", answer.text());
                let head = bridge.upstream.last_head();
                assert_eq!((head.line(), head.all("host")), (line, vec![host]), "{lines}");
            }
            Err(code) => assert_eq!(answer.failure(), Some(code), "{lines}: {}", answer.text()),
        }
    };
    let of = |url: &str, host: &str| format!("GET {url} HTTP/1.1\r\nHost: {host}");
    let path = "/echo?a=%2f&&b";
    let line = "GET /echo?a=%2f&&b HTTP/1.1";
    let here = "orders.internal";
    check(0, &of(&format!("http://orders.internal{path}"), here), Ok((line, here))).await;
    check(0, &of(&format!("HTTP://orders.internal{path}"), here), Ok((line, here))).await;
    check(0, &of(&format!("http://orders.internal:8080{path}"), here), Ok((line, "orders.internal:8080"))).await;
    check(0, &of("http://orders.internal", here), Ok(("GET / HTTP/1.1", here))).await;
    check(0, "OPTIONS http://orders.internal HTTP/1.1\r\nHost: a", Ok(("OPTIONS / HTTP/1.1", here))).await;
    check(1, &of(&format!("http://api.example.org{path}"), here), Ok((line, "api.example.org"))).await;
    check(1, &of("http://billing.example.org/", here), Err("no_agent")).await;
    check(1, &of("http://other.example.org/", here), Err("unknown_service")).await;
    check(0, &of("http://invoices.internal/", here), Err("no_agent")).await;
    check(0, &of("http://api.example.org/", here), Err("unknown_service")).await;
    // The URL says which host is meant (RFC 9112 §3.2.2), and a Host header that says otherwise goes nowhere.
    check(0, &of(&format!("http://orders.internal{path}"), "invoices.internal"), Ok((line, here))).await;
    check(0, &of("http://invoices.internal/", "orders.internal"), Err("no_agent")).await;
    // What is meant for a proxy stays with it.
    let proxied = "Proxy-Connection: keep-alive\r\nProxy-Authorization: Basic c2VjcmV0";
    check(0, &format!("{}\r\n{proxied}", of("http://orders.internal/echo", here)), Ok(("GET /echo HTTP/1.1", here)))
        .await;
    let head = bridge.upstream.last_head();
    assert_eq!((head.all("proxy-connection"), head.all("proxy-authorization")), (vec![], vec![]));
}

/// An HTTP/2 request has an absolute target always, in `:scheme`, `:authority` and `:path`: here a blank stands before
/// the path.
#[tokio::test]
async fn hosts_are_services_over_http2() {
    let bridge = bridge("host: preserve").await;
    let mut client = Client::connect(bridge.facade()).await;
    let mut check = async |method: &str, url: &str, seen: Result<(&str, &str), &str>| {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (authority, path) = rest.split_once(' ').unwrap();
        let uri = http::Uri::builder().scheme(scheme).authority(authority).path_and_query(path).build().unwrap();
        let request = http::Request::builder().method(method).uri(uri).body(()).unwrap();
        let answer = client.call(request, None).await;
        let failure = answer.headers.get("reachback-error").map(|code| code.to_str().unwrap());
        assert_eq!(failure, seen.err(), "{method} {url}: {}", String::from_utf8_lossy(&answer.body));
        if let Ok((line, host)) = seen {
            let head = bridge.upstream.last_head();
            assert_eq!((head.line(), head.all("host")), (line, vec![host]), "{method} {url}");
        }
    };
    check("GET", "http://orders.internal /echo?a=%2f&&b", Ok(("GET /echo?a=%2f&&b HTTP/1.1", "orders.internal"))).await;
    check("GET", "http://ORDERS.internal:81 /echo", Ok(("GET /echo HTTP/1.1", "ORDERS.internal:81"))).await;
    check("OPTIONS", "http://orders.internal /", Ok(("OPTIONS / HTTP/1.1", "orders.internal"))).await;
    check("OPTIONS", "http://orders.internal *", Ok(("OPTIONS * HTTP/1.1", "orders.internal"))).await;
    check("GET", "http://invoices.internal /echo", Err("no_agent")).await;
    check("GET", "http://api.example.org /echo", Err("unknown_service")).await;
    check("GET", "https://orders.internal /echo", Err("bad_request")).await;
    check("GET", "http://me:secret@orders.internal /echo", Err("bad_request")).await;
    check("CONNECT", "http://orders.internal /", Err("not_supported")).await;
}

#[tokio::test]
async fn what_it_does_not_do_is_said() {
    let bridge = bridge("").await;
    let check = async |lines: &str, status: u16, code: &str, why: &str| {
        let answer = say(&bridge, 0, lines).await;
        assert_eq!((answer.status(), answer.failure()), (status, Some(code)), "{lines}: {answer:?}");
        assert!(answer.text().contains(why), "{lines}: {}", answer.text());
        let told = answer.head.one("proxy-status").unwrap();
        assert!(!told.contains('?'), "a byte that may not stand there became one: {told}");
        assert!(!answer.text().contains("secret") && !answer.head.0.contains("secret"), "{answer:?}");
    };
    check("CONNECT orders.internal:443 HTTP/1.1\r\nHost: orders.internal:443", 501, "not_supported", "CONNECT").await;
    check("GET /echo HTTP/1.1\r\nHost: orders.internal", 400, "bad_request", "set http_proxy").await;
    check("OPTIONS * HTTP/1.1\r\nHost: orders.internal", 400, "bad_request", "set http_proxy").await;
    check("GET https://orders.internal/ HTTP/1.1\r\nHost: a", 400, "bad_request", "call http:// instead").await;
    check("GET ftp://orders.internal/ HTTP/1.1\r\nHost: a", 400, "bad_request", "http:// URLs only").await;
    check("GET http://me:secret@orders.internal/ HTTP/1.1\r\nHost: a", 400, "bad_request", "Authorization").await;
    check("GET http://orders.internal@invoices.internal/ HTTP/1.1\r\nHost: a", 400, "bad_request", "URL").await;
    for port in ["65536", "-1", "+80", "80a", "0x50"] {
        let lines = format!("GET http://orders.internal:{port}/ HTTP/1.1\r\nHost: a");
        let answer = say(&bridge, 0, &lines).await;
        assert_eq!(answer.status(), 400, "{lines}: {answer:?}");
    }
    check("GET http://orders.internal/ HTTP/1.1", 400, "bad_request", "Host header is missing").await;
    check("GET http://orders.internal/ HTTP/1.1\r\nHost: a\r\nHost: b", 400, "bad_request", "more than one").await;
    for host in ["orders.internal.evil.example", "evil.example", "internal", "ordersinternal", "[::1]", "127.0.0.1"] {
        let lines = format!("GET http://{host}/ HTTP/1.1\r\nHost: orders.internal");
        assert_eq!(say(&bridge, 0, &lines).await.failure(), Some("unknown_service"), "{host}");
    }
    assert_eq!(bridge.upstream.counts().requests, 0, "nothing of it reached the upstream");
}

#[tokio::test]
async fn a_facade_that_is_no_proxy_says_so() {
    let bridge = Bridge::start().await;
    for facade in 0..3 {
        let absolute = say(&bridge, facade, "GET http://orders.localhost/ HTTP/1.1\r\nHost: orders.localhost").await;
        assert_eq!((absolute.status(), absolute.failure()), (400, Some("bad_request")));
        let connect = say(&bridge, facade, "CONNECT orders.localhost:80 HTTP/1.1\r\nHost: orders.localhost:80").await;
        assert_eq!((connect.status(), connect.failure()), (501, Some("not_supported")));
    }
}

/// An application needs one environment variable and no change.
#[tokio::test]
async fn curl_with_http_proxy() {
    let bridge = bridge("").await;
    let curl = async |proxy: &str, args: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--noproxy", "", "--max-time", "50"]).args(args);
        // Only the lower-case name is read: in a CGI environment the other could come from a header.
        command.env("http_proxy", proxy).env("https_proxy", proxy).stdin(Stdio::null());
        let output = within("curl", tokio::task::spawn_blocking(move || command.output())).await.unwrap();
        let output = output.expect("curl is installed");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let proxy = format!("http://me:secret@{}", bridge.facade());
    let url = "http://orders.internal/echo?a=%2F";
    assert_eq!(curl(&proxy, &["--data", "hello", url]).await, (Some(0), "hello".to_owned(), String::new()));
    let head = bridge.upstream.last_head();
    assert_eq!(head.line(), "POST /echo?a=%2F HTTP/1.1");
    assert_eq!((head.all("proxy-authorization"), head.all("proxy-connection")), (vec![], vec![]));
    let (code, _, error) = curl(&proxy, &["https://orders.internal/"]).await;
    assert!(code != Some(0) && error.contains("501"), "{code:?} {error}");
}
