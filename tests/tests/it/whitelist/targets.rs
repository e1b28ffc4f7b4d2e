//! Request targets over the wire: each attack of the table leaves the upstream alone, each neighbour reaches it as it is.

use reachback_tests::targets::{Class, Line, RULES, classes};
use serde_json::json;

use super::{Gateway, Outcome};

#[tokio::test]
async fn attacks_open_no_connection() {
    let mut gateway = Gateway::with_rules(&RULES).await;
    let mut wrong = Vec::new();
    for Class { name, code, says, refused, .. } in classes() {
        for Line { method, target } in refused {
            let (found, words) = gateway.refusal(&method, &target).await;
            if found != code || !words.contains(&says) {
                wrong.push(format!("{name}: {method} {}: {found} {words}", target.escape_ascii()));
            }
        }
    }
    assert!(wrong.is_empty(), "not refused as they should be: {wrong:#?}");
    gateway.untouched().await;
}

#[tokio::test]
async fn their_neighbours_are_sent_byte_for_byte() {
    let mut gateway = Gateway::with_rules(&RULES).await;
    let mut sent = 0;
    for Line { method, target } in classes().into_iter().flat_map(|class| class.allowed) {
        let outcome = gateway.ask("orders", &method, &target, &[], &json!({})).await;
        let shown = target.escape_ascii().to_string();
        assert!(matches!(outcome, Outcome::Answered(_)), "{method} {shown}: {outcome:?}");
        let expected = gateway.head(&method, &target, &[]);
        sent += expected.len() as u64;
        assert_eq!(gateway.upstream.last_head().0, expected);
        let counts = gateway.upstream.counts();
        assert_eq!((counts.arrived, counts.connections), (sent, 1), "{method} {shown}: it alone");
    }
}

#[tokio::test]
async fn a_target_is_as_long_as_servers_take_and_no_longer() {
    let mut gateway = Gateway::with_rules(&RULES).await;
    for prefix in ["/files/", "/files/a/", "/files/a?", "/files/%2e", "/files/..?"] {
        let target = format!("{prefix}{}", "x".repeat(8193 - prefix.len()));
        let (code, _) = gateway.refusal("GET", target.as_bytes()).await;
        // What is malformed or ambiguous stays so, however long it is.
        assert_eq!(code, if prefix.contains("..") { "denied" } else { "uri_too_long" }, "{prefix}");
    }
    gateway.untouched().await;
    for prefix in ["/files/", "/files/a?", "/files/%20/", "/files/a/"] {
        let target = format!("{prefix}{}", "x".repeat(8192 - prefix.len()));
        let outcome = gateway.ask("orders", "GET", target.as_bytes(), &[], &json!({})).await;
        assert!(matches!(outcome, Outcome::Answered(_)), "{prefix}: {outcome:?}");
        assert_eq!(gateway.upstream.last_head().word(1), target);
    }
}

/// The numbers that the specification's author had: fewer would be a weaker proof.
#[test]
fn the_table_is_no_smaller_than_it_was() {
    let (mut refused, mut allowed) = (0, 0);
    for class in classes() {
        assert!(!class.refused.is_empty() && !class.allowed.is_empty(), "{} has both sides", class.name);
        refused += class.refused.len();
        allowed += class.allowed.len();
    }
    assert!(refused >= 214 && allowed >= 61, "{refused} attacks, {allowed} neighbours");
}
