//! Gateways that come and go under one name, which is looked up every 30 s: those that appear have a link within that
//! time, and those that vanish are dialled no more. When the name itself is not known, what it said last still counts.

use std::{net::IpAddr, time::Duration};

use tokio::simulation::set_name;

use super::{agent_yaml, agents_yaml};
use crate::{chance, stage::Stage};

const REPLICAS: [&str; 4] = ["replica-1", "replica-2", "replica-3", "replica-4"];

/// How often the name changes.
const CHANGES: usize = 12;

/// How long until the name was looked up again, and dialled what it says.
const SEEN: Duration = Duration::from_secs(32);

pub(super) fn live(seed: u64) {
    let mut stage = Stage::new(seed, Duration::from_millis(20));
    for replica in REPLICAS {
        stage.gateway(replica, &agents_yaml(1));
    }
    set_name("gateways", Vec::new());
    stage.agent("agent", &agent_yaml(1, &["gateways"]));
    stage.upstream();
    stage.app(&REPLICAS);
    let (mut up, mut known) = (REPLICAS.to_vec(), Vec::new());
    for _ in 0..CHANGES {
        let there: Vec<&str> = REPLICAS.into_iter().filter(|_| chance::below(2) == 0).collect();
        for replica in REPLICAS {
            match (up.contains(&replica), there.contains(&replica)) {
                (false, true) => stage.start(replica),
                (true, false) => stage.kill(replica),
                _ => {}
            }
        }
        up.clone_from(&there);
        set_name("gateways", addresses(&stage, &there));
        stage.run_for(SEEN);
        for replica in &there {
            assert_eq!(stage.links(replica), 1, "{replica} of {there:?} has its link, at {:?}", stage.now());
        }
        let before: Vec<_> = REPLICAS.iter().map(|replica| stage.dials(replica).len()).collect();
        stage.run_for(Duration::from_secs(30) + chance::up_to(Duration::from_secs(60)));
        let dialled = |(replica, before): &(&&str, usize)| stage.dials(replica).len() > *before;
        let dialled: Vec<_> = REPLICAS.iter().zip(before).filter(dialled).map(|(replica, _)| *replica).collect();
        if there.is_empty() {
            assert_eq!(dialled, known, "without a name the agent keeps to what it knew");
        } else {
            assert!(dialled.is_empty(), "{dialled:?} was dialled: it has a link, or has vanished from {there:?}");
            known.clone_from(&there);
        }
    }
    stage.quiet(&up);
    let dials: usize = REPLICAS.iter().map(|replica| stage.dials(replica).len()).sum();
    println!("{} minutes, {dials} dials, {}", stage.now().as_secs() / 60, stage.ledger());
}

fn addresses(stage: &Stage, replicas: &[&str]) -> Vec<IpAddr> {
    replicas.iter().map(|replica| stage.network().lookup(*replica)).collect()
}
