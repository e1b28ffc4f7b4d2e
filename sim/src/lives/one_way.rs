//! A network that loses every packet in one direction: both sides find out within two and a half heartbeats, and are
//! together again once it has healed.

use std::time::Duration;

use super::{BACK, agent_yaml, agents_yaml};
use crate::{chance, stage::Stage};

/// How often it happens.
const TIMES: usize = 8;

/// How long the side that hears nothing waits for a farewell, and how long packets take.
const FAREWELL: Duration = Duration::from_secs(3);

pub(super) fn live(seed: u64) {
    let heartbeat = chance_of_heartbeat(seed);
    let mut stage = Stage::new(seed, Duration::from_millis(20));
    stage.gateway("gateway", &format!("{}heartbeat: {}s\n", agents_yaml(1), heartbeat.as_secs()));
    stage.agent("agent", &agent_yaml(1, &["gateway"]));
    stage.upstream();
    stage.app(&["gateway"]);
    let silence = heartbeat * 5 / 2 + FAREWELL;
    let mut slowest = Duration::ZERO;
    for _ in 0..TIMES {
        stage.until("a link", BACK, |stage| stage.links("gateway") == 1);
        stage.run_for(Duration::from_secs(6) + chance::up_to(heartbeat * 3));
        let (from, to) = chance::one_of(&[("agent", "gateway"), ("gateway", "agent")]);
        stage.network().partition_oneway(from, to);
        let found = stage.until("the gateway finds out", silence, |stage| stage.links("gateway") == 0);
        assert!(found >= heartbeat / 2, "{found:?} is too soon: a link that is merely quiet is not dead");
        slowest = slowest.max(found);
        stage.run_for(chance::up_to(Duration::from_secs(60)));
        stage.network().repair(from, to);
    }
    stage.until("a link", BACK, |stage| stage.links("gateway") == 1);
    stage.quiet(&["gateway"]);
    println!("heartbeat {} s, found within {} s, {}", heartbeat.as_secs(), slowest.as_secs(), stage.ledger());
}

/// The usual one, and others.
fn chance_of_heartbeat(seed: u64) -> Duration {
    Duration::from_secs([10, 1, 5, 3][usize::try_from(seed % 4).expect("it is small")])
}
