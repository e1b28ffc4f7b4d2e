//! The kinds of lives.

mod approval;
mod away;
mod fleet;
mod held_off;
mod names;
mod one_way;
mod storm;

use std::{fmt::Write as _, time::Duration};

/// Most agents of any life.
pub(crate) const AGENTS: u32 = 500;

/// One kind.
pub(crate) struct Life {
    pub(crate) name: &'static str,
    /// How many are lived if nobody says.
    pub(crate) usual_seeds: u64,
    /// Lives one of this seed, and panics if it does not go as it must.
    pub(crate) live: fn(u64),
}

/// All of them.
pub(crate) const LIVES: [Life; 7] = [
    Life { name: "storm", usual_seeds: 4, live: storm::live },
    Life { name: "away", usual_seeds: 1, live: away::live },
    Life { name: "fleet", usual_seeds: 1, live: fleet::live },
    Life { name: "held-off", usual_seeds: 2, live: held_off::live },
    Life { name: "approval", usual_seeds: 4, live: approval::live },
    Life { name: "one-way", usual_seeds: 4, live: one_way::live },
    Life { name: "names", usual_seeds: 4, live: names::live },
];

/// When an agent is back on a link at the latest, once nothing is in its way any more: it notices within 25 s that the
/// old one is dead; a dial that was under way may take 10 s to fail, a greeting 20 s, and the wait behind it 30 s.
const BACK: Duration = Duration::from_secs(55);

/// The variable of the environment that holds the token of an agent.
pub(crate) fn token_variable(number: u32) -> String {
    format!("TOKEN_OF_AGENT_{number}")
}

/// The `agents` of a gateway's configuration.
fn agents_yaml(count: u32) -> String {
    let mut yaml = "agents:\n".to_owned();
    for number in 1..=count {
        let variable = token_variable(number);
        let line = format!("  - {{ name: agent-{number}, token_env: {variable}, services: [ orders ] }}\n");
        yaml.push_str(&line);
    }
    yaml
}

/// An agent's configuration: its token, and the gateways that it dials.
fn agent_yaml(number: u32, gateways: &[&str]) -> String {
    let mut yaml = format!("name: agent-{number}\ntoken_env: {}\ngateways:\n", token_variable(number));
    for gateway in gateways {
        let _ = writeln!(yaml, "  - ws://{gateway}:{}", crate::machine::TUNNEL);
    }
    yaml
}
