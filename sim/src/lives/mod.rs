//! The kinds of lives.

mod storm;

use std::fmt::Write as _;

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
pub(crate) const LIVES: [Life; 1] = [Life { name: "storm", usual_seeds: 4, live: storm::live }];

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
    let mut yaml = format!("token_env: {}\ngateways:\n", token_variable(number));
    for gateway in gateways {
        let _ = writeln!(yaml, "  - ws://{gateway}:{}", crate::machine::TUNNEL);
    }
    yaml
}
