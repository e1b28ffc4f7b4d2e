//! Measures Reachback beside nginx and prints a table of medians and ratios. Started by `benches/run`, which builds
//! everything and makes the namespace; the method is in `benches/README.md`.

mod bars;
mod client;
mod cores;
mod lineup;
mod nginx;
mod process;
mod report;
mod samples;
mod sections;
mod wrk;

use std::{io, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, ValueEnum};

use cores::Cores;
use lineup::Tools;
use samples::Samples;

/// Measures Reachback beside nginx.
#[derive(Parser)]
struct Args {
    /// A folder for configurations, logs and raw results
    #[arg(long)]
    work: PathBuf,
    /// A folder for the files that the upstream serves
    #[arg(long)]
    data: PathBuf,
    /// The reachback binary; without it only nginx is measured
    #[arg(long)]
    reachback: Option<PathBuf>,
    /// Pin the proxies to one core, load and upstream to another
    #[arg(long)]
    pin: bool,
    /// About a minute in place of about ten
    #[arg(long)]
    quick: bool,
    /// Only these sections
    #[arg(long, value_enum)]
    only: Vec<Section>,
    /// Interleaved rounds
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: Option<u32>,
}

/// The parts of a run.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Section {
    /// Small answers at 1, 64 and 256 clients, proxies on a core of their own
    Requests,
    /// 100 MiB down and up, proxies on a core of their own
    Bulk,
    /// The main figures again with everything on the same two cores
    Shared,
    /// Resident memory: at rest, by idle link, by waiting stream
    Memory,
    /// One stream over 50 ms of round trip
    Distance,
    /// Small calls beside four downloads on 20 MB/s
    Narrow,
}

/// How much is measured.
struct Plan {
    rounds: u32,
    clients: &'static [u32],
    wrk_seconds: u32,
    /// Bulk transfers in one sample.
    transfers: u32,
    /// Rounds of the sections that need no ratio.
    solo_rounds: u32,
    /// How long small calls are timed on the narrow link.
    probe: Duration,
}

impl Plan {
    fn new(args: &Args) -> Self {
        let plan = if args.quick {
            let probe = Duration::from_secs(2);
            Self { rounds: 3, clients: &[1, 64], wrk_seconds: 1, transfers: 2, solo_rounds: 1, probe }
        } else {
            let probe = Duration::from_secs(6);
            Self { rounds: 7, clients: &[1, 64, 256], wrk_seconds: 3, transfers: 5, solo_rounds: 3, probe }
        };
        Self { rounds: args.rounds.unwrap_or(plan.rounds), ..plan }
    }
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("measure: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> io::Result<()> {
    let plan = Plan::new(args);
    let cores = Cores::new(args.pin)?;
    let tools = Tools::new(&args.work, &args.data, args.reachback.clone())?;
    let mut samples = Samples::new(&args.work.join("raw.jsonl"))?;
    let wanted = |section| args.only.is_empty() || args.only.contains(&section);

    if [Section::Requests, Section::Bulk, Section::Shared].into_iter().any(wanted) {
        sections::side_by_side(&tools, &cores, &plan, wanted, &mut samples)?;
    }
    if wanted(Section::Memory) {
        sections::memory::run(&tools, &cores, &plan, &mut samples)?;
    }
    if wanted(Section::Distance) {
        sections::distance::run(&tools, &cores, &plan, &mut samples)?;
    }
    if wanted(Section::Narrow) {
        sections::narrow::run(&tools, &cores, &plan, &mut samples)?;
    }
    let report = report::markdown(&samples, &cores, &plan);
    std::fs::write(args.work.join("table.md"), &report)?;
    print!("{report}");
    Ok(())
}
