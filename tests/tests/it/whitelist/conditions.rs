//! Conditions over the wire: what the long form permits is sent as it is, and its neighbours leave the upstream alone.

use reachback_tests::upstream::Upstream;
use serde_json::{Value, json};

use super::{Gateway, Outcome};

fn rules() -> Value {
    json!([
        "GET /",
        { "path": "/search", "methods": ["GET"],
          "query": { "allow": { "type": ["public", "a b"], "page": "*" }, "required": ["type"] } },
        { "path": "/plain", "methods": ["GET"], "query": "none" },
        { "path": "/map/{x}/**", "methods": ["GET"], "matrix": true },
        { "path": "/files/*", "methods": ["PUT"], "encoded_slash": "data" },
        { "path": "/vip", "methods": ["GET"], "headers": { "x-key": ["one", "two"] } },
    ])
}

#[tokio::test]
async fn what_misses_one_opens_no_connection() {
    let mut gateway = Gateway::beside(Upstream::start().await, &rules()).await;
    for line in [
        // The query.
        "GET /search",
        "GET /search?",
        "GET /search?page=2",
        "GET /search?type=private",
        "GET /search?type=Public",
        "GET /search?type=",
        "GET /search?type",
        "GET /search?Type=public",
        "GET /search?type=public&type=public",
        "GET /search?type=public&type=private",
        "GET /search?type=public&%74ype=private",
        "GET /search?type=public&page=1&page=2",
        "GET /search?type=public&admin=1",
        "GET /search?type=public&",
        "GET /search?&type=public",
        "GET /search?type=public;page=2",
        "GET /search?type=public%00",
        "GET /search?type=pub%lic",
        "GET /search?type=%2570ublic",
        "GET /search?type=a+b",
        "GET /search?type[]=public",
        "GET /search?type=public&+page=2",
        "GET /plain?",
        "GET /plain?a",
        // Parameters of a path.
        "GET /map/;a/b",
        "GET /map/a/;b",
        "GET /map/..;a/b",
        "GET /map/a/%2e%2e;b/c",
        "GET /map/a/b%3Bc",
        "GET /map/a/b;c%2f..",
        "GET /map/a;b",
        "GET /search;a?type=public",
        // Encoded slashes.
        "PUT /files/%2F",
        "PUT /files/a%2F",
        "PUT /files/%2Fa",
        "PUT /files/a%2F%2Fb",
        "PUT /files/a%2F..",
        "PUT /files/..%2fa",
        "PUT /files/a%2f%2e%2e%2fb",
        "PUT /files/a%2f.%20%2fb",
        "PUT /files/a%252Fb",
        "PUT /files/a%2Fb;c",
        "PUT /files%2Fa",
        "PUT /%2Ffiles/a",
        "GET /map/a/b%2Fc",
        "GET /vip",
    ] {
        let (method, target) = line.split_once(' ').unwrap();
        let (code, words) = gateway.refusal(method, target.as_bytes()).await;
        assert_eq!(code, "denied", "{line}: {words}");
    }
    let keys = [("x-key", "one"), ("x-key", "three"), ("connection", "x-key"), ("x_key", "one"), ("X-Key", "two")];
    for lines in [&keys[1..2], &keys[..2], &[keys[0], keys[4]], &[keys[0], keys[2]], &keys[3..4]] {
        let outcome = gateway.ask("orders", "GET", b"/vip", lines, &json!({})).await;
        assert_eq!(outcome, Outcome::Failed("denied"), "{lines:?}");
    }
    gateway.untouched().await;
}

#[tokio::test]
async fn what_meets_them_is_sent_byte_for_byte() {
    let mut gateway = Gateway::beside(Upstream::start().await, &rules()).await;
    for line in [
        "GET /search?type=public",
        "GET /search?page=2&type=public",
        "GET /search?type=%70ublic&page=",
        "GET /search?type=a%20b&page",
        "GET /search?%74ype=public&page=a+b%2F..%00",
        "GET /plain",
        "GET /map/a;v=1/b",
        "GET /map/a;v=1;w/b;x=y,z/c;/",
        "GET /map/a;../b",
        "PUT /files/a",
        "PUT /files/a%2Fb",
        "PUT /files/a%2fb%2F...%2f.c",
    ] {
        let (method, target) = line.split_once(' ').unwrap();
        let outcome = gateway.ask("orders", method, target.as_bytes(), &[], &json!({})).await;
        assert!(matches!(outcome, Outcome::Answered(_)), "{line}: {outcome:?}");
        assert_eq!(gateway.upstream.last_head().0, gateway.head(method, target.as_bytes(), &[]));
    }
    let key = [("x-key", "two")];
    gateway.ask("orders", "GET", b"/vip", &key, &json!({})).await;
    assert_eq!(gateway.upstream.last_head().0, gateway.head("GET", b"/vip", &key));
}
