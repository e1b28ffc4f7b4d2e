//! Requests and bulk, every way in turn in every round.

use std::{
    io,
    time::{Duration, Instant},
};

use crate::{
    Plan, Section,
    client::Client,
    cores::{Cores, Layout},
    lineup::{BULK_BYTES, Lineup, MIB, Tools, Way},
    process::Process,
    samples::{Key, Samples},
    wrk,
};

/// Starts everybody once and runs the wanted sections on them; their memory is read before and after.
pub(crate) fn side_by_side(
    tools: &Tools,
    cores: &Cores,
    plan: &Plan,
    wanted: impl Fn(Section) -> bool,
    samples: &mut Samples,
) -> io::Result<()> {
    let lineup = Lineup::start(tools)?;
    memory(&lineup, "fresh", samples)?;
    for way in lineup.ways(0) {
        wrk::run(way.port, 64, 1, &tools.work)?;
    }
    lineup.place(cores, Layout::Apart)?;
    for round in 0..plan.rounds {
        eprintln!("side by side: round {} of {}", round + 1, plan.rounds);
        if wanted(Section::Requests) {
            for clients in plan.clients {
                requests("requests", *clients, round, &lineup, tools, plan, samples)?;
            }
        }
        if wanted(Section::Bulk) {
            bulk("bulk", round, &lineup, plan, samples)?;
        }
        if wanted(Section::Shared) {
            lineup.place(cores, Layout::Shared)?;
            for clients in [1, 64] {
                requests("shared", clients, round, &lineup, tools, plan, samples)?;
            }
            bulk("shared", round, &lineup, plan, samples)?;
            lineup.place(cores, Layout::Apart)?;
        }
    }
    memory(&lineup, "loaded", samples)
}

fn requests(
    section: &str,
    clients: u32,
    round: u32,
    lineup: &Lineup,
    tools: &Tools,
    plan: &Plan,
    samples: &mut Samples,
) -> io::Result<()> {
    let case = clients.to_string();
    for way in lineup.ways(round) {
        let before = cpu(&way)?;
        let summary = wrk::run(way.port, clients, plan.wrk_seconds, &tools.work)?;
        let spent = cpu(&way)? - before;
        let values = [
            ("rps", summary.requests / summary.seconds),
            ("cpu_us", spent.as_secs_f64() * 1e6 / summary.requests),
            ("p50_us", summary.p50_us),
            ("p99_us", summary.p99_us),
            ("errors", summary.errors),
        ];
        for (metric, value) in values {
            samples.add(Key { section, case: &case, who: way.name, metric }, round, value)?;
        }
    }
    Ok(())
}

fn bulk(section: &str, round: u32, lineup: &Lineup, plan: &Plan, samples: &mut Samples) -> io::Result<()> {
    for way in lineup.ways(round) {
        let mut down = Client::connect(way.port)?;
        let download = || down.get("/files/bulk").map(drop);
        transfer(Key { section, case: "download", who: way.name, metric: "" }, round, &way, plan, samples, download)?;
        let mut up = Client::connect(way.sink_port)?;
        let upload = || up.put("/sink", BULK_BYTES);
        transfer(Key { section, case: "upload", who: way.name, metric: "" }, round, &way, plan, samples, upload)?;
    }
    Ok(())
}

fn transfer(
    key: Key<'_>,
    round: u32,
    way: &Way<'_>,
    plan: &Plan,
    samples: &mut Samples,
    mut once: impl FnMut() -> io::Result<()>,
) -> io::Result<()> {
    let (before, start) = (cpu(way)?, Instant::now());
    for _ in 0..plan.transfers {
        once().map_err(|error| io::Error::other(format!("{} {}: {error}", way.name, key.case)))?;
    }
    let (took, spent) = (start.elapsed().as_secs_f64(), (cpu(way)? - before).as_secs_f64());
    let bytes = (BULK_BYTES * u64::from(plan.transfers)) as f64;
    samples.add(Key { metric: "mbps", ..key }, round, bytes / 1e6 / took)?;
    samples.add(Key { metric: "cpu_ms", ..key }, round, spent * 1e3 / (bytes / MIB as f64))
}

fn cpu(way: &Way<'_>) -> io::Result<Duration> {
    way.processes.iter().copied().map(Process::cpu).sum()
}

fn memory(lineup: &Lineup, case: &str, samples: &mut Samples) -> io::Result<()> {
    for (who, process) in lineup.proxies() {
        let memory = process.memory()?;
        samples.add(Key { section: "resident", case, who, metric: "rss_mib" }, 0, memory.now / 1024.0)?;
        samples.add(Key { section: "resident", case, who, metric: "peak_mib" }, 0, memory.peak / 1024.0)?;
    }
    Ok(())
}
