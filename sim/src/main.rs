//! Lives of real agents and gateways in a simulated network, on a simulated clock: days in seconds.
//!
//! `README.md` says what each life is and how to live one again. Each is lived by a process of its own, so that nothing
//! but its seed decides how it goes.

mod app;
mod chance;
mod http1;
mod ledger;
mod lives;
mod logs;
mod machine;
mod runner;
mod stage;
mod upstream;

use std::{env, process::ExitCode};

use crate::lives::{LIVES, Life};

const USAGE: &str = "usage: sim [--seeds N] [--from SEED] [NAME]\n\
    --seeds N     how many lives of each kind (default: a few)\n\
    --from SEED   the seed of the first (default 1)\n\
    NAME          this kind only\n\
       sim NAME SEED\n\
    lives this one again, with the logs of all (RUST_LOG=debug for more)";

fn main() -> ExitCode {
    let words: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words[..] {
        // One life, as the runner has it lived.
        ["life", name, seed] => known(name).and_then(|life| {
            logs::prepare();
            (life.live)(number(seed)?);
            Ok(true)
        }),
        [name, seed] if !name.starts_with('-') => {
            known(name).and_then(|life| number(seed).map(|seed| runner::again(life, seed)))
        }
        _ => parse(&words).map(|(lives, from, seeds)| runner::run(&lives, from, seeds)),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(wrong) => {
            eprintln!("error: {wrong}\n{USAGE}");
            ExitCode::from(2)
        }
    }
}

type Asked = (Vec<&'static Life>, u64, Option<u64>);

fn parse(mut words: &[&str]) -> Result<Asked, String> {
    let (mut from, mut seeds, mut lives) = (1, None, LIVES.iter().collect());
    loop {
        words = match words {
            [] => return Ok((lives, from, seeds)),
            ["--seeds", value, rest @ ..] => {
                seeds = Some(number(value)?);
                rest
            }
            ["--from", value, rest @ ..] => {
                from = number(value)?;
                rest
            }
            [name, rest @ ..] => {
                lives = vec![known(name)?];
                rest
            }
        }
    }
}

fn known(name: &str) -> Result<&'static Life, String> {
    let names = || LIVES.map(|life| life.name).join(", ");
    let found = LIVES.iter().find(|life| life.name == name);
    found.ok_or_else(|| format!("there is no life {name}; there are {}", names()))
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text} is not a whole number"))
}
