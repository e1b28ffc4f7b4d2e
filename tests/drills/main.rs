//! Drills: faults made on purpose while requests pass, and the proof that none was lost, doubled or left hanging.
//!
//! `README.md` says what each does and what must hold; `run` builds and starts this.

mod body;
mod client;
mod drills;
mod ledger;
mod load;
mod relay;
mod report;
mod sidecar;
mod stage;
mod upstream;

use std::{env, process::ExitCode, time::Instant};

use tokio::{
    signal::unix::{SignalKind, signal},
    task::LocalSet,
};

use crate::{
    drills::{DRILLS, Drill, Scale},
    report::{HEAD, Report},
};

const USAGE: &str = "usage: drills [--short] [--minutes N] [--only NAME]...\n\
    --short       seconds instead of minutes, without some drills that say why\n\
    --minutes N   how long the soak lasts (default 10)\n\
    --only NAME   this drill, or those whose names begin so";

/// What was asked for.
#[derive(Debug)]
struct Args {
    scale: Scale,
    only: Vec<String>,
}

fn main() -> ExitCode {
    let args = match parse(env::args().skip(1)) {
        Ok(args) => args,
        Err(wrong) => {
            eprintln!("error: {wrong}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("the system grants a runtime");
    let failed = LocalSet::new().block_on(&runtime, async {
        tokio::select! {
            failed = run(&args) => failed,
            // What is left of a drill ends its processes when it is dropped.
            () = interrupted() => true,
        }
    });
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Args, String> {
    let mut args = Args { scale: Scale { short: false, minutes: 10 }, only: Vec::new() };
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
        match word.as_str() {
            "--short" => args.scale.short = true,
            "--minutes" => args.scale.minutes = value()?.parse().map_err(|_| "--minutes takes a whole number")?,
            "--only" => args.only.push(value()?),
            _ => return Err(format!("{word} is not known")),
        }
    }
    let known = |only: &&String| DRILLS.iter().any(|drill| drill.name.starts_with(only.as_str()));
    let names = || DRILLS.map(|drill| drill.name).join(", ");
    match args.only.iter().find(|only| !known(only)) {
        Some(unknown) => Err(format!("there is no drill {unknown}; there are {}", names())),
        None => Ok(args),
    }
}

/// Runs the drills one after the other; whether any failed.
async fn run(args: &Args) -> bool {
    let chosen = |drill: &&Drill| match (&args.only[..], drill.only_long) {
        ([], Some(why)) if args.scale.short => {
            eprintln!("{}: left out: {why}", drill.name);
            false
        }
        ([], _) => true,
        (only, _) => only.iter().any(|only| drill.name.starts_with(only.as_str())),
    };
    let mut failed = false;
    println!("{HEAD}");
    for drill in DRILLS.iter().filter(chosen) {
        let started = Instant::now();
        // In a task of its own, so that one that panics does not end the others.
        let ended = tokio::task::spawn_local((drill.run)(args.scale)).await;
        let report = ended.unwrap_or_else(|error| {
            let mut report = Report::new(drill.name);
            report.broken.push(format!("it did not come to its end: {error}"));
            report
        });
        println!("{report}");
        eprintln!("{}: {} s", drill.name, started.elapsed().as_secs());
        for what in report.broken.iter().take(10) {
            eprintln!("{}: {what}", drill.name);
        }
        failed |= !report.broken.is_empty();
    }
    failed
}

async fn interrupted() {
    let mut terminated = signal(SignalKind::terminate()).expect("a signal can be waited for");
    tokio::select! {
        _ = terminated.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
