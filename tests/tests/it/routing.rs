//! A facade that routes by header.

use reachback_tests::{
    bridge::{Bridge, Setup},
    client::{Raw, call},
};

#[tokio::test]
async fn by_header() {
    let setup = Setup {
        facades: "  - { listen: 127.0.0.1:0, route: header }\n",
        gateway: "wait_for_agent: 0s",
        ..Setup::default()
    };
    let bridge = Bridge::with(setup).await;
    let check = async |lines: &str, expected: Result<(), (u16, &str)>| {
        let before = bridge.upstream.counts().requests;
        let answer = call(bridge.facade(), "GET", "/echo?a=%2F", lines).await;
        match expected {
            Ok(()) => {
                assert_eq!(answer.failure(), None, "{lines:?}: {}", answer.text());
                let head = bridge.upstream.last_head();
                assert_eq!(head.line(), "GET /echo?a=%2F HTTP/1.1");
                assert_eq!(head.all("reachback-service"), [""; 0], "it goes no further");
            }
            Err((status, code)) => {
                assert_eq!((answer.status(), answer.failure()), (status, Some(code)), "{lines:?}");
                assert_eq!(bridge.upstream.counts().requests, before, "{lines:?} reached the upstream");
            }
        }
    };
    check("Reachback-Service: orders\r\n", Ok(())).await;
    check("REACHBACK-SERVICE:   orders  \r\nConnection: Reachback-Service\r\n", Ok(())).await;
    check("", Err((404, "unknown_service"))).await;
    check("Reachback-Service: invoices\r\n", Err((503, "no_agent"))).await;
    // One header that names two services, or none that could be one.
    check("Reachback-Service: orders\r\nReachback-Service: invoices\r\n", Err((400, "bad_request"))).await;
    check("Reachback-Service: orders\r\nReachback-Service: orders\r\n", Err((400, "bad_request"))).await;
    for name in ["Orders", "orders, invoices", "orders\tinvoices", "orders\u{e9}", "", "*", "orders%00", "../orders"] {
        check(&format!("Reachback-Service: {name}\r\n"), Err((404, "unknown_service"))).await;
    }
    // Neither look-alikes nor other places count.
    check("Reachback_Service: orders\r\n", Err((404, "unknown_service"))).await;
    check("X-Reachback-Service: orders\r\n", Err((404, "unknown_service"))).await;
    let mut client = Raw::connect(bridge.facade()).await;
    client
        .send(
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nReachback-Service: orders\r\n\r\n",
        )
        .await;
    assert_eq!(client.answer("POST").await.failure(), Some("unknown_service"), "a trailer names no service");
}

#[tokio::test]
async fn elsewhere_the_header_says_nothing() {
    let bridge = Bridge::with(Setup { gateway: "wait_for_agent: 0s", ..Setup::default() }).await;
    let answer = call(bridge.facade(), "GET", "/echo", "Reachback-Service: invoices\r\n").await;
    assert_eq!(answer.failure(), None, "{}", answer.text());
    assert_eq!(bridge.upstream.last_head().all("reachback-service"), [""; 0]);
}
