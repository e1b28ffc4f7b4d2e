//! Agents that are not let in: one that shows a wrong token, and one whose approval was revoked. Each dials once per
//! hold-off, and no more.

use std::time::Duration;

use http::Method;

use super::{agent_yaml, agents_yaml};
use crate::{chance, machine::Question, stage::Stage};

const HALF_AN_HOUR: Duration = Duration::from_secs(1800);

/// What a refused agent waits, and how much longer at most: a tenth, and the time of the dial itself.
const HOLD_OFF: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_millis(66_500);

pub(super) fn live(seed: u64) {
    let mut stage = Stage::new(seed, Duration::from_millis(20));
    stage.gateway("refuses", &agents_yaml(1));
    stage.gateway("revokes", &agents_yaml(2));
    // However many links it would have: one lane dials for all.
    stage.agent("stranger", &format!("{}links: 8\n", agent_yaml(2, &["refuses"])));
    stage.agent("revoked", &agent_yaml(1, &["revokes"]));
    stage.until("a link", Duration::from_secs(5), |stage| stage.links("revokes") == 1);
    stage.run_for(chance::up_to(Duration::from_secs(60)));
    stage.ask("revokes", about("revoke"));
    let revoked = stage.now();
    stage.run_for(HALF_AN_HOUR);
    assert_eq!(stage.links("refuses") + stage.links("revokes"), 0, "nobody was let in");

    let refused = stage.dials("refuses");
    let after: Vec<_> = stage.dials("revokes").into_iter().filter(|at| *at > revoked).collect();
    // Its link was closed, so that the first dial comes at once: only the gateway's answer holds it off.
    let first = *after.first().expect("it dials again");
    assert!(first - revoked < Duration::from_secs(3), "the first dial after {:?}", first - revoked);
    for dials in [&refused, &after] {
        let gaps: Vec<_> = dials.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| (HOLD_OFF..=LONGEST).contains(gap)), "{gaps:?}");
        assert!((27..=31).contains(&dials.len()), "{} dials in half an hour", dials.len());
    }
    stage.ask("revokes", about("approve"));
    let back = stage.until("back", LONGEST, |stage| stage.links("revokes") == 1);
    println!("{} and {} dials in half an hour, back {} s after approval", refused.len(), after.len(), back.as_secs());
}

fn about(verb: &str) -> Question {
    let path = if verb == "approve" { "/agents/approve" } else { "/agents/revoke" };
    Question { method: Method::POST, path, body: r#"{"agent":"agent-1"}"#.to_owned() }
}
