//! An agent that nobody has approved: held for 15 s, sent away for 15 s, and so on. Approved while it is held it has its
//! link at once; approved while it is away, when it comes back.

use std::time::Duration;

use http::Method;

use super::{agent_yaml, agents_yaml};
use crate::{chance, machine::Question, stage::Stage};

const HOLD: Duration = Duration::from_secs(15);
const HOLD_OFF: Duration = Duration::from_secs(15);
/// A tenth of the hold-off, and the time of the dial itself.
const MORE: Duration = Duration::from_secs(2);

pub(super) fn live(seed: u64) {
    let mut stage = Stage::new(seed, Duration::from_millis(20));
    stage.gateway("gateway", &format!("{}admission: approve\n", agents_yaml(1)));
    stage.agent("agent", &agent_yaml(1, &["gateway"]));
    stage.upstream();
    stage.app(&["gateway"]);
    stage.run_for(Duration::from_secs(120) + chance::up_to(Duration::from_secs(300)));
    assert_eq!(stage.links("gateway"), 0, "nobody has approved it");
    assert_eq!(stage.ledger().answered(), 0, "nobody has approved it");

    let dials = stage.dials("gateway");
    let gaps: Vec<_> = dials.windows(2).map(|pair| pair[1] - pair[0]).collect();
    let round = HOLD + HOLD_OFF..=HOLD + HOLD_OFF + MORE;
    assert!(gaps.len() >= 2 && gaps.iter().all(|gap| round.contains(gap)), "{gaps:?}");

    let pending = &stage.status("gateway")["pending"];
    assert_eq!(pending[0]["agent"], "agent-1", "{pending}");
    let is_held = pending[0]["links"] == 1;
    let about = Question { method: Method::POST, path: "/agents/approve", body: r#"{"agent":"agent-1"}"#.to_owned() };
    assert_eq!(stage.ask("gateway", about)["decision"], "approved");
    let within = if is_held { Duration::from_secs(1) } else { HOLD_OFF + MORE };
    let took = stage.until("a link", within, |stage| stage.links("gateway") == 1);
    stage.run_for(Duration::from_secs(60));
    assert!(stage.ledger().answered() > 0, "it serves from then on");
    stage.quiet(&["gateway"]);
    let how = if is_held { "held" } else { "away" };
    println!("approved while {how} after {} dials, a link after {} s", dials.len(), took.as_secs());
}
