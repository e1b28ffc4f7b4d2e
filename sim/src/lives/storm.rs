//! Three gateways and two agents, an hour of everything that can go wrong, and again and again a moment of peace in
//! which all must come back.

use std::time::Duration;

use super::{BACK, agent_yaml, agents_yaml};
use crate::{chance, stage::Stage};

const GATEWAYS: [&str; 3] = ["gateway-1", "gateway-2", "gateway-3"];
const AGENTS: [&str; 2] = ["agent-1", "agent-2"];

/// How often there is peace.
const PEACES: usize = 6;
/// Faults between two.
const FAULTS: usize = 25;
/// Time between two faults, at most.
const CALM: Duration = Duration::from_secs(40);

/// How long a gateway may take for alive a link whose agent is gone, or has another.
const GHOSTS: Duration = Duration::from_secs(27);

/// How long all goes well.
const PEACE: Duration = Duration::from_secs(20);

/// What is wrong between an agent and a gateway.
#[derive(Clone, Copy, PartialEq)]
enum Between {
    Nothing,
    /// Packets wait, and come through in the end.
    Held,
    /// Packets are lost, perhaps in one direction only.
    Lost,
}

pub(super) fn live(seed: u64) {
    let mut storm = Storm::new(seed);
    let mut slowest = Duration::ZERO;
    for _ in 0..PEACES {
        for _ in 0..FAULTS {
            storm.stage.run_for(chance::up_to(CALM));
            storm.fault();
        }
        storm.heal();
        let back = storm.stage.until("all links are back", BACK, |stage| {
            GATEWAYS.iter().all(|gateway| stage.links(gateway) == AGENTS.len())
        });
        slowest = slowest.max(back);
        storm.peace();
    }
    storm.stage.quiet(&GATEWAYS);
    let minutes = storm.stage.now().as_secs() / 60;
    println!("{minutes} minutes, back within {} s, {}", slowest.as_secs(), storm.stage.ledger());
}

struct Storm {
    stage: Stage,
    between: [[Between; GATEWAYS.len()]; AGENTS.len()],
    down: Vec<&'static str>,
}

impl Storm {
    fn new(seed: u64) -> Self {
        let mut stage = Stage::new(seed, Duration::from_millis(20));
        for gateway in GATEWAYS {
            stage.gateway(gateway, &agents_yaml(2));
        }
        for (number, agent) in (1..).zip(AGENTS) {
            stage.agent(agent, &agent_yaml(number, &GATEWAYS));
        }
        stage.upstream();
        stage.app(&GATEWAYS);
        Self { stage, between: [[Between::Nothing; GATEWAYS.len()]; AGENTS.len()], down: Vec::new() }
    }

    fn fault(&mut self) {
        let machine = chance::one_of(&[&GATEWAYS[..], &AGENTS[..]].concat());
        match chance::below(10) {
            0 if self.is_up(machine) => self.stage.restart(machine),
            1 | 2 if self.is_up(machine) => {
                self.stage.kill(machine);
                self.down.push(machine);
            }
            3 if self.is_up(machine) => {
                self.stage.break_down(machine);
                self.down.push(machine);
            }
            0..=5 => self.repair_one(),
            _ => self.part(),
        }
    }

    fn is_up(&self, machine: &str) -> bool {
        !self.down.contains(&machine)
    }

    /// Something comes back, if anything is away.
    fn repair_one(&mut self) {
        if let Some(machine) = self.down.pop() {
            return self.stage.start(machine);
        }
        let (agent, gateway) = any_pair();
        self.mend(agent, gateway);
    }

    /// Something comes between an agent and a gateway.
    fn part(&mut self) {
        let (agent, gateway) = any_pair();
        if self.between[agent][gateway] != Between::Nothing {
            return self.mend(agent, gateway);
        }
        let network = self.stage.network();
        let (near, far) = (AGENTS[agent], GATEWAYS[gateway]);
        self.between[agent][gateway] = match chance::below(4) {
            0 => {
                network.partition(near, far);
                Between::Lost
            }
            1 => {
                network.partition_oneway(near, far);
                Between::Lost
            }
            2 => {
                network.partition_oneway(far, near);
                Between::Lost
            }
            _ => {
                network.hold(near, far);
                Between::Held
            }
        };
    }

    fn mend(&mut self, agent: usize, gateway: usize) {
        let network = self.stage.network();
        match std::mem::replace(&mut self.between[agent][gateway], Between::Nothing) {
            Between::Nothing => {}
            Between::Held => network.release(AGENTS[agent], GATEWAYS[gateway]),
            Between::Lost => network.repair(AGENTS[agent], GATEWAYS[gateway]),
        }
    }

    /// All is well: every link is there, and every request is answered.
    fn peace(&mut self) {
        self.stage.run_for(GHOSTS);
        for gateway in GATEWAYS {
            assert_eq!(
                self.stage.links(gateway),
                AGENTS.len(),
                "links of {gateway} in peace, at {:?}",
                self.stage.now()
            );
        }
        let begun = self.stage.now();
        self.stage.run_for(PEACE);
        let failed = self.stage.ledger().failed_since(begun);
        assert!(failed.is_empty(), "in peace, at {:?}:\n{}", self.stage.now(), failed.join("\n"));
    }

    fn heal(&mut self) {
        for machine in std::mem::take(&mut self.down) {
            self.stage.start(machine);
        }
        for agent in 0..AGENTS.len() {
            (0..GATEWAYS.len()).for_each(|gateway| self.mend(agent, gateway));
        }
    }
}

fn any_pair() -> (usize, usize) {
    let index = |bound: usize| usize::try_from(chance::below(bound as u64)).expect("it came from a usize");
    (index(AGENTS.len()), index(GATEWAYS.len()))
}
