//! Five hundred agents that lose their gateway all at once, again and again: all are back within ten seconds.

use std::time::Duration;

use super::{AGENTS, agent_yaml, agents_yaml};
use crate::{chance, stage::Stage};

/// How often it happens.
const TIMES: usize = 3;

/// When all must be back, and what the first of them takes after the gateway is.
const ALL_BACK: Duration = Duration::from_secs(10);

/// Machines that they share.
const MACHINES: u32 = 5;

pub(super) fn live(seed: u64) {
    let mut stage = Stage::new(seed, Duration::from_millis(20));
    stage.gateway("gateway", &agents_yaml(AGENTS));
    for machine in 0..MACHINES {
        let own = (1..=AGENTS).filter(|number| number % MACHINES == machine);
        let yamls: Vec<_> = own.map(|number| agent_yaml(number, &["gateway"])).collect();
        stage.agents(&format!("machine-{machine}"), &yamls);
    }
    let mut slowest = Duration::ZERO;
    for _ in 0..TIMES {
        let all = |stage: &mut Stage| stage.links("gateway") == AGENTS as usize;
        slowest = slowest.max(stage.until("all are back", ALL_BACK, all));
        stage.run_for(chance::up_to(Duration::from_secs(20)));
        stage.kill("gateway");
        stage.run_for(chance::up_to(Duration::from_secs(30)));
        stage.start("gateway");
    }
    let dials = stage.dials("gateway").len();
    println!("all back within {} s, {dials} dials", slowest.as_secs());
}
