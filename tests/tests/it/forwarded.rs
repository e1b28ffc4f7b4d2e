//! What the upstream learns of the client and of the way: `Via`, `X-Forwarded-*`, `Forwarded`.

use reachback_tests::{
    bridge::{Bridge, Setup},
    client::{Raw, call},
    http1::Head,
};

const OWN: &str = "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2\r\nX-Forwarded-Proto: https\r\n\
                   X-Forwarded-Host: shop.example\r\nForwarded: for=10.0.0.1\r\nX-Real-IP: 10.0.0.1\r\n";

/// The lines of a head that say who the client is, sorted.
fn said(head: &Head) -> Vec<String> {
    let lines = head.0.split("\r\n").map(str::to_ascii_lowercase);
    let mut lines: Vec<_> = lines.filter(|line| line.contains("forwarded") || line.starts_with("x-real-ip")).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn facades_say_what_they_are_told_to() {
    let check = async |trusts: bool, expected: [&[&str]; 3]| {
        let facades: String = ["off", "append", "replace"]
            .map(|mode| format!("  - {{ listen: 127.0.0.1:0, service: orders, forwarded: {mode} }}\n"))
            .concat();
        let service = format!("trust_forwarded: {trusts}");
        let bridge = Bridge::with(Setup { facades: &facades, service: &service, ..Setup::default() }).await;
        for (facade, expected) in bridge.gateway.addresses("facade").into_iter().zip(expected) {
            assert_eq!(call(facade, "GET", "/echo", OWN).await.status(), 200);
            assert_eq!(said(&bridge.upstream.last_head()), expected, "{facade} {trusts}");
        }
    };
    let as_sent = [
        "forwarded: for=10.0.0.1",
        "x-forwarded-for: 10.0.0.1",
        "x-forwarded-for: 10.0.0.2",
        "x-forwarded-host: shop.example",
        "x-forwarded-proto: https",
        "x-real-ip: 10.0.0.1",
    ];
    let extended = [
        "forwarded: for=10.0.0.1, for=127.0.0.1;host=\"localhost\";proto=http",
        "x-forwarded-for: 10.0.0.1, 10.0.0.2, 127.0.0.1",
        "x-forwarded-host: shop.example",
        "x-forwarded-proto: https",
        "x-real-ip: 10.0.0.1",
    ];
    let replaced = [
        "forwarded: for=127.0.0.1;host=\"localhost\";proto=http",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-host: localhost",
        "x-forwarded-proto: http",
    ];
    check(true, [&as_sent, &extended, &replaced]).await;
    // An agent that trusts nobody lets none of it pass, whatever a gateway says.
    check(false, [&[], &[], &[]]).await;
}

#[tokio::test]
async fn by_default_nothing_is_added() {
    let bridge = Bridge::with(Setup { service: "trust_forwarded: true", ..Setup::default() }).await;
    assert_eq!(call(bridge.facade(), "GET", "/echo", "").await.status(), 200);
    assert_eq!(said(&bridge.upstream.last_head()), [""; 0]);
}

#[tokio::test]
async fn nothing_takes_away_what_the_facade_says() {
    let facades = "  - { listen: 127.0.0.1:0, service: orders, forwarded: replace }\n";
    let bridge = Bridge::with(Setup { facades, service: "trust_forwarded: true", ..Setup::default() }).await;
    let nominated =
        "Connection: X-Forwarded-For, Forwarded\r\nX-Forwarded-For: 10.0.0.1\r\nX.Forwarded.For: 10.0.0.1\r\n";
    assert_eq!(call(bridge.facade(), "GET", "/echo", nominated).await.status(), 200);
    let head = bridge.upstream.last_head();
    assert_eq!((head.all("x-forwarded-for"), head.all("x.forwarded.for")), (vec!["127.0.0.1"], vec![]));
    assert_eq!(head.all("forwarded"), ["for=127.0.0.1;host=\"localhost\";proto=http"]);
}

#[tokio::test]
async fn via_names_the_version_and_ends_a_loop() {
    let bridge = Bridge::start().await;
    let check = async |version: &str, via: &str, expected: Result<&[&str], &str>| {
        let mut client = Raw::connect(bridge.facade()).await;
        client.send(format!("GET /echo HTTP/{version}\r\nHost: a\r\n{via}\r\n")).await;
        let answer = client.answer("GET").await;
        match expected {
            Ok(via) => {
                assert_eq!(answer.status(), 200, "{answer:?}");
                assert_eq!(bridge.upstream.last_head().all("via"), via);
            }
            Err(code) => assert_eq!(answer.failure(), Some(code), "{via}"),
        }
        assert_eq!(answer.head.all("via"), [""; 0], "answers name nobody");
    };
    check("1.1", "", Ok(&["1.1 reachback"])).await;
    check("1.0", "", Ok(&["1.0 reachback"])).await;
    check("1.1", "Via: 1.1 shop (x)\r\n", Ok(&["1.1 shop (x)", "1.1 reachback"])).await;
    check("1.1", "Via: 1.1 reachback\r\n", Ok(&["1.1 reachback", "1.1 reachback"])).await;
    check("1.1", "Via: 1.1 reachback\r\nVia: 1.0 shop, 1.0 reachback\r\n", Err("bad_request")).await;
    check("1.1", "Via: 1.1 reachback, 2 reachback (again)\r\n", Err("bad_request")).await;
}

/// A bridge whose upstream is its own facade.
#[tokio::test]
async fn a_real_loop_ends() {
    use reachback_tests::bridge::{Sidecar, agent_yaml, gateway_yaml};
    let gateway = Sidecar::gateway(&gateway_yaml(""));
    let yaml = agent_yaml(gateway.address("tunnel"), gateway.address("facade"), Setup::default());
    let _agent = Sidecar::agent(&yaml, "".as_ref());
    gateway.until_links(1).await;
    let answer = call(gateway.address("facade"), "GET", "/echo", "").await;
    // Each facade on the way takes the answer of the one behind it for an upstream's.
    assert_eq!(answer.status(), 400, "{answer:?}");
    assert!(answer.text().contains("loop"), "{}", answer.text());
}
