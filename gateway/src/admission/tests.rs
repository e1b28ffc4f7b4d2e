//! Verdicts, holds and decisions, without links.

use std::{sync::Arc, time::Duration};

use settings::scratch::Scratch;

use super::*;
use crate::listener::Peer;

const HOLD: Duration = Duration::from_secs(15);

/// What gateway.yaml lists.
fn names() -> Vec<String> {
    ["a", "b", "warehouse-7"].map(str::to_owned).to_vec()
}

fn approving(proven: bool) -> Arc<Admission> {
    let names = proven.then(names);
    Arc::new(Admission::open(config::Admission::Approve { hold: HOLD }, names, None).unwrap())
}

fn services(names: &[&str]) -> Vec<ServiceName> {
    names.iter().map(|name| ServiceName::new(name).unwrap()).collect()
}

fn applicant(name: &str, claims: &[&str]) -> Applicant {
    Applicant {
        name: name.to_owned(),
        calls_itself: "pod-1".to_owned(),
        instance: "i".to_owned(),
        address: Peer::Local,
        services: services(claims),
        fingerprint: None,
    }
}

/// The code of the reject, or nothing if the agent is let in.
async fn admit(admission: &Admission, name: &str, claims: &[&str]) -> Option<String> {
    admission.admit(applicant(name, claims)).await.err().map(|reject| reject.code)
}

async fn decide(admission: &Admission, verb: Verb, name: &str) -> Result<Record, Undecided> {
    admission.decide(verb, name, &[], || 0).await.map(|(record, _)| record)
}

/// An agent that asks in a task of its own, once it is held.
async fn held(admission: &Arc<Admission>, claims: &'static [&str]) -> tokio::task::JoinHandle<Option<String>> {
    let before = admission.lock().waiting.claims("a").len();
    let asking = tokio::spawn({
        let admission = admission.clone();
        async move { admit(&admission, "a", claims).await }
    });
    while admission.lock().waiting.claims("a").len() == before {
        tokio::task::yield_now().await;
    }
    asking
}

#[tokio::test(start_paused = true)]
async fn without_a_rule_everybody_is_let_in_until_revoked() {
    let admission = Admission::open(config::Admission::Auto, Some(names()), None).unwrap();
    assert_eq!(admit(&admission, "a", &["x"]).await, None);
    assert!(decide(&admission, Verb::Reject, "a").await.is_err(), "nobody waits");
    decide(&admission, Verb::Revoke, "a").await.unwrap();
    assert_eq!(admit(&admission, "a", &["x"]).await.as_deref(), Some("rejected"));
    assert!(!admission.permits("a", &[]) && admission.permits("b", &[]));
    decide(&admission, Verb::Approve, "a").await.unwrap();
    assert_eq!(admit(&admission, "a", &["x"]).await, None);
}

#[tokio::test(start_paused = true)]
async fn nobody_decides_in_time() {
    let admission = approving(true);
    let started = tokio::time::Instant::now();
    assert_eq!(admit(&admission, "a", &["x"]).await.as_deref(), Some("approval_pending"));
    assert_eq!(started.elapsed(), HOLD);
    let (waiters, _) = admission.overview();
    assert_eq!((waiters.len(), waiters[0].links), (1, 0), "it is remembered, and holds nothing");
    decide(&admission, Verb::Approve, "a").await.unwrap();
    assert!(admission.overview().0.is_empty());
    assert_eq!(admit(&admission, "a", &["x"]).await, None, "when it comes back");
    assert_eq!(started.elapsed(), HOLD, "at once");
}

#[tokio::test(start_paused = true)]
async fn whoever_is_held_hears_the_decision_at_once() {
    for (verb, expected) in [(Verb::Approve, None), (Verb::Reject, Some("rejected")), (Verb::Revoke, Some("rejected"))]
    {
        let admission = approving(true);
        let started = tokio::time::Instant::now();
        let asking = held(&admission, &["x"]).await;
        decide(&admission, verb, "a").await.unwrap();
        assert_eq!(asking.await.unwrap().as_deref(), expected, "{verb:?}");
        assert_eq!(started.elapsed(), Duration::ZERO);
        assert_eq!(admission.lock().waiting.waiters().len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_leaves_is_held_no_more() {
    let admission = approving(true);
    let asking = held(&admission, &["x"]).await;
    asking.abort();
    let _ = asking.await;
    assert_eq!(admission.overview().0[0].links, 0);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_nothing_proves_is_approved_with_what_it_claims() {
    let admission = approving(false);
    let asking = held(&admission, &["x"]).await;
    decide(&admission, Verb::Approve, "a").await.unwrap();
    assert_eq!(asking.await.unwrap(), None);
    assert!(admission.permits("a", &services(&["x"])) && !admission.permits("a", &services(&["x", "y"])));
    assert_eq!(admit(&admission, "a", &["y"]).await.as_deref(), Some("approval_pending"));
    assert_eq!(admit(&admission, "a", &["x", "y"]).await.as_deref(), Some("approval_pending"));
    assert!(matches!(decide(&admission, Verb::Approve, "a").await, Err(Undecided::Ambiguous(_))), "which of them?");
    let proved = approving(true);
    held(&proved, &["x"]).await;
    decide(&proved, Verb::Approve, "a").await.unwrap();
    assert!(proved.permits("a", &services(&["x", "y"])), "the credential says how far it goes");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_decided() {
    let anyone = approving(false);
    for verb in [Verb::Approve, Verb::Reject] {
        assert!(matches!(decide(&anyone, verb, "a").await, Err(Undecided::Unknown(..))), "{verb:?}");
    }
    let admission = approving(true);
    let unknown = decide(&admission, Verb::Reject, "warehouse-7").await.unwrap_err();
    assert!(matches!(unknown, Undecided::Unknown(..)), "nobody waits");
    assert!(!unknown.to_string().contains("did you mean"), "that is what was meant: {unknown}");
    assert!(matches!(decide(&admission, Verb::Approve, "warehuose-7").await, Err(Undecided::NoSuch(..))));
    held(&admission, &["x"]).await;
    decide(&admission, Verb::Approve, "a").await.unwrap();
    assert!(matches!(decide(&admission, Verb::Reject, "a").await, Err(Undecided::Approved(_))));
    let record = decide(&admission, Verb::Revoke, "a").await.unwrap();
    assert_eq!((record.decision, record.services), (Decision::Rejected, vec!["x".to_owned()]));
}

#[tokio::test]
async fn a_slip_of_the_pen_revokes_nobody() {
    let listed = Admission::open(config::Admission::Auto, Some(names()), None).unwrap();
    let slip = decide(&listed, Verb::Revoke, "warehuose-7").await.unwrap_err();
    assert!(
        matches!(slip, Undecided::NoSuch(..)) && slip.to_string().contains("did you mean \"warehouse-7\"?"),
        "{slip}"
    );
    let strange = decide(&listed, Verb::Revoke, "x").await.unwrap_err();
    assert!(matches!(strange, Undecided::NoSuch(..)) && !strange.to_string().contains("did you mean"), "{strange}");
    assert_eq!(listed.overview().1, [], "nothing was decided");
    decide(&listed, Verb::Revoke, "warehouse-7").await.unwrap();

    let gone = Admission::open(config::Admission::Auto, Some(names()), None).unwrap();
    assert!(gone.register("gone", 1, TokenDigest::of(b"token")).await.unwrap());
    decide(&gone, Verb::Revoke, "gone").await.unwrap();
    assert_eq!(gone.registered(&TokenDigest::of(b"token")), None, "though no entry names it any more");

    let anyone = Admission::open(config::Admission::Auto, None, None).unwrap();
    decide(&anyone, Verb::Revoke, "x").await.unwrap();
    assert!(!anyone.permits("x", &[]), "where nothing proves a name, any may yet come");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_a_credential_proves_can_be_approved_before_it_comes() {
    let admission = approving(true);
    decide(&admission, Verb::Approve, "a").await.unwrap();
    assert_eq!(admit(&admission, "a", &["x"]).await, None);
}

#[tokio::test]
async fn what_cannot_be_written_lets_nobody_in_and_keeps_nobody_from_being_sent_away() {
    let folder = Scratch::new();
    let file = folder.file("state.json");
    let admission = Admission::open(config::Admission::Auto, Some(names()), Some(&file)).unwrap();
    decide(&admission, Verb::Revoke, "a").await.unwrap();
    drop(folder);
    assert!(matches!(decide(&admission, Verb::Approve, "a").await, Err(Undecided::NotWritten(_))));
    assert!(!admission.permits("a", &[]) && admission.permits("b", &[]));
    let mut closed = false;
    let close = || {
        closed = true;
        2
    };
    let revoked = admission.decide(Verb::Revoke, "b", &[], close).await;
    let Err(not_kept @ Undecided::NotKept { links_closed: 2, .. }) = revoked else { panic!("{revoked:?}") };
    assert!(not_kept.to_string().contains("only until the gateway restarts"), "{not_kept}");
    assert!(closed && !admission.permits("b", &[]));
}

#[tokio::test]
async fn a_disk_that_hangs_keeps_nobody_from_being_sent_away() {
    let admission = Arc::new(Admission::open(config::Admission::Auto, Some(names()), None).unwrap());
    let hangs = admission.file.lock().await;
    let approving = tokio::spawn({
        let admission = admission.clone();
        async move { decide(&admission, Verb::Approve, "a").await }
    });
    let (closed, is_closed) = tokio::sync::oneshot::channel();
    let revoking = tokio::spawn({
        let admission = admission.clone();
        async move {
            let close = || {
                closed.send(()).unwrap();
                0
            };
            admission.decide(Verb::Revoke, "b", &[], close).await
        }
    });
    is_closed.await.unwrap();
    assert!(!admission.permits("b", &[]) && !revoking.is_finished());
    drop(hangs);
    approving.await.unwrap().unwrap();
    revoking.await.unwrap().unwrap();
    let decided = |name: &str| admission.lock().decisions.of(name).map(|record| record.decision);
    assert_eq!((decided("a"), decided("b")), (Some(Decision::Approved), Some(Decision::Rejected)));
}

#[tokio::test]
async fn who_is_sent_away_is_not_let_in_by_an_approval_that_was_on_its_way() {
    let admission = Arc::new(Admission::open(config::Admission::Auto, Some(names()), None).unwrap());
    for _ in 0..2 {
        let hangs = admission.file.lock().await;
        let approving = tokio::spawn({
            let admission = admission.clone();
            async move { decide(&admission, Verb::Approve, "a").await }
        });
        tokio::task::yield_now().await;
        let revoking = tokio::spawn({
            let admission = admission.clone();
            async move { decide(&admission, Verb::Revoke, "a").await }
        });
        tokio::task::yield_now().await;
        drop(hangs);
        assert!(matches!(approving.await.unwrap(), Err(Undecided::Overtaken(_))));
        revoking.await.unwrap().unwrap();
        assert!(!admission.permits("a", &[]), "also if it was away before");
    }
}

#[tokio::test]
async fn where_any_name_may_come_it_must_be_one() {
    let anyone = Admission::open(config::Admission::Auto, None, None).unwrap();
    for slip in ["", "\u{1b}[2J", &"x".repeat(4000)] {
        assert!(matches!(decide(&anyone, Verb::Revoke, slip).await, Err(Undecided::NoName(_))), "{slip:?}");
    }
    decide(&anyone, Verb::Revoke, "a b").await.unwrap();
}
