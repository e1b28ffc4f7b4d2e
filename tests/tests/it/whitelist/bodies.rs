//! Bodies over the wire: none becomes a request that nobody judged.

use serde_json::json;

use super::{Gateway, Outcome};

const RULES: [&str; 3] = ["GET /orders/{id}", "POST /orders", "POST /early/{status}"];

/// A body that is not what the head declared never becomes a second request.
#[tokio::test]
async fn a_body_is_framed_by_what_it_is() {
    let mut gateway = Gateway::with_rules(&RULES).await;
    let smuggled = b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    for (length, end) in [("0", true), ("3", true), ("1000", true), ("3", false)] {
        let prefix = [&gateway.next_id.to_be_bytes()[..], &[u8::from(end)]].concat();
        let declared = [("content-length", length)];
        let id = gateway.say("orders", "POST", b"/orders", &declared, &json!({"end": false})).await;
        gateway.peer.binary([&prefix[..], smuggled].concat()).await;
        gateway.outcome(id).await;
        assert!(gateway.peer.lives().await);
    }
    // Whatever the upstream could make of it would stand here.
    let outcome = gateway.ask("orders", "GET", b"/orders/last", &[], &json!({})).await;
    assert_eq!(outcome, Outcome::Answered(404));
    let seen: Vec<String> = gateway.upstream.heads().iter().map(|head| head.word(1).to_owned()).collect();
    assert!(seen.iter().all(|target| target.starts_with("/orders")), "{seen:?}");
    gateway.upstream.until("the cut ones to end", |counts| counts.active == 0).await;
}

/// An upstream that answers before it has read a body waits for the rest of it on the same connection: the next head
/// would be taken for that rest, and the next body for a request that nobody judged.
#[tokio::test]
async fn a_body_that_never_comes_smuggles_nothing() {
    let mut gateway = Gateway::with_rules(&RULES).await;
    let smuggled = "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n";
    let length = smuggled.len().to_string();
    // How long the head of the second request will be.
    let outcome = gateway.ask_with_body("/orders", &length, smuggled).await;
    assert_eq!(outcome, Outcome::Answered(404));
    let head = gateway.upstream.last_head().0.len().to_string();

    // It ends at once: with its head, or with an empty frame right behind it.
    for end in [true, false] {
        let declared = [("content-length", &*head)];
        let data = [&gateway.next_id.to_be_bytes()[..], &[1]].concat();
        let id = gateway.say("orders", "POST", b"/early/200", &declared, &json!({"end": end})).await;
        if !end {
            gateway.peer.binary(data).await;
        }
        gateway.outcome(id).await;
        gateway.ask_with_body("/orders", &length, smuggled).await;
        gateway.ask("orders", "GET", b"/orders/last", &[], &json!({})).await;
    }
    for head in gateway.upstream.heads() {
        assert_ne!(head.word(1), "/admin", "a request that no rule allows has reached the upstream");
    }
}

#[tokio::test]
async fn a_bodiless_request_that_declares_one_hangs_nobody() {
    let mut gateway = Gateway::with_rules(&RULES).await;
    let outcome = gateway.ask("orders", "POST", b"/orders", &[("content-length", "5")], &json!({})).await;
    assert_eq!(outcome, Outcome::Failed("bad_request"));
    let outcome = gateway.ask("orders", "GET", b"/orders/last", &[], &json!({})).await;
    assert_eq!(outcome, Outcome::Answered(404));
}
