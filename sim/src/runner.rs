//! Has lives lived, each by a process of its own, as many at once as there are processors.

use std::{
    env,
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Instant,
};

use crate::{
    lives::{AGENTS, Life, token_variable},
    logs,
};

/// Lives all of them; whether all went as they must.
pub(crate) fn run(lives: &[&'static Life], from: u64, seeds: Option<u64>) -> bool {
    let mut all = Vec::new();
    for life in lives {
        all.extend((from..).take(seeds.unwrap_or(life.usual_seeds) as usize).map(|seed| (*life, seed)));
    }
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some((life, seed)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if !lived(life, *seed) {
                        failed.lock().expect("nothing panics while it holds the list").push((life.name, *seed));
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().expect("nothing panics while it holds the list");
    println!("{} lives in {} s, {} of them failed", all.len(), begun.elapsed().as_secs(), failed.len());
    for (name, seed) in &failed {
        println!("FAILED: live it again with: sim/run {name} {seed}");
    }
    failed.is_empty()
}

/// Lives one, with the logs of all.
pub(crate) fn again(life: &Life, seed: u64) -> bool {
    let child = command(life, seed).env(logs::VARIABLE, "1").spawn();
    child.and_then(|mut child| child.wait()).is_ok_and(|status| status.success())
}

/// Says what came of it in one piece, so that those of others do not stand in between.
fn lived(life: &Life, seed: u64) -> bool {
    let begun = Instant::now();
    let child = command(life, seed).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let output = child.and_then(Child::wait_with_output).expect("a process can be started");
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let took = begun.elapsed().as_millis();
    let well = output.status.success();
    println!("{} {seed}: {}, {took} ms: {}{}", life.name, if well { "ok" } else { "FAILED" }, said.trim_end(), wrong);
    well
}

fn command(life: &Life, seed: u64) -> Command {
    let mut command = Command::new(env::current_exe().expect("the program knows where it is"));
    command.args(["life", life.name, &seed.to_string()]);
    // Secrets come from the environment. These are none.
    command.envs((1..=AGENTS).map(|number| (token_variable(number), format!("the-token-of-agent-{number}"))));
    command
}
