//! Resident memory of the sidecars: at rest, by idle link, by waiting stream.

use std::{
    io::{self, BufRead, BufReader},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Plan,
    client::Client,
    cores::{Cores, Layout},
    lineup::{Pair, SINK, SINK_FACADE, TUNNEL, Tools, Upstreams, start_gateway},
    process::Process,
    samples::{Key, Samples},
};

const IDLE_LINKS: usize = 200;
const WAITING_STREAMS: usize = 500;

/// Where the gateway of the idle links stands.
const SPARE: [u16; 3] = [7110, 7090, 7091];

/// How long a process may take to come to rest after something changed, before its memory is read.
const REST: Duration = Duration::from_secs(1);

/// How long all streams may take to begin or to end.
const GATHER: Duration = Duration::from_secs(15);

pub(crate) fn run(tools: &Tools, cores: &Cores, plan: &Plan, samples: &mut Samples) -> io::Result<()> {
    for round in 0..plan.solo_rounds {
        eprintln!("memory: round {} of {}", round + 1, plan.solo_rounds);
        let upstreams = Upstreams::start(tools)?;
        let Some(pair) = Pair::start(tools, TUNNEL)? else { return Ok(()) };
        cores.place(Layout::Apart, pair.all(), upstreams.all())?;
        thread::sleep(REST);
        for (who, process) in [("gateway", &pair.gateway), ("agent", &pair.agent)] {
            let memory = process.memory()?;
            add(samples, "rest", who, "rss_mib", round, memory.now / 1024.0)?;
            add(samples, "rest", who, "peak_mib", round, memory.peak / 1024.0)?;
        }
        waiting_streams(&pair, round, samples)?;
        idle_links(tools, round, samples)?;
    }
    Ok(())
}

/// Requests to an upstream that never answers.
fn waiting_streams(pair: &Pair, round: u32, samples: &mut Samples) -> io::Result<()> {
    let before = (rss(&pair.gateway)?, rss(&pair.agent)?);
    let mut clients = Vec::with_capacity(WAITING_STREAMS);
    for _ in 0..WAITING_STREAMS {
        let mut client = Client::connect(SINK_FACADE)?;
        client.ask("/hang")?;
        clients.push(client);
    }
    wait_for_hanging(WAITING_STREAMS)?;
    thread::sleep(REST);
    let each = |before, after| (after - before) / WAITING_STREAMS as f64;
    let case = "waiting stream";
    add(samples, case, "gateway", "each_kib", round, each(before.0, rss(&pair.gateway)?))?;
    add(samples, case, "agent", "each_kib", round, each(before.1, rss(&pair.agent)?))?;
    drop(clients);
    wait_for_hanging(0)?;
    thread::sleep(REST);
    let case = "after waiting streams";
    add(samples, case, "gateway", "rss_mib", round, rss(&pair.gateway)? / 1024.0)?;
    add(samples, case, "agent", "rss_mib", round, rss(&pair.agent)? / 1024.0)
}

/// Links that say hello and then nothing, to a gateway of their own.
fn idle_links(tools: &Tools, round: u32, samples: &mut Samples) -> io::Result<()> {
    let Some(reachback) = tools.reachback() else { return Ok(()) };
    let [tunnel, facade, sink_facade] = SPARE;
    let gateway = start_gateway(reachback, "idle-gateway", tunnel, facade, sink_facade, &tools.work)?;
    thread::sleep(REST);
    let before = rss(&gateway)?;
    let mut command = tools.own("idle-links");
    command.args(["--to", &format!("127.0.0.1:{tunnel}"), "--count", &IDLE_LINKS.to_string()]);
    let (links, _held_open, stdout) = Process::start_piped("idle-links", &mut command, &tools.work)?;
    let mut ready = String::new();
    BufReader::new(stdout).read_line(&mut ready)?;
    if ready.trim_end() != format!("ready {IDLE_LINKS}") {
        return Err(links.failure("does not hold its links"));
    }
    thread::sleep(REST);
    let each = (rss(&gateway)? - before) / IDLE_LINKS as f64;
    add(samples, "idle link", "gateway", "each_kib", round, each)
}

fn wait_for_hanging(count: usize) -> io::Result<()> {
    let mut sink = Client::connect(SINK)?;
    let give_up = Instant::now() + GATHER;
    loop {
        let hanging = sink.get_text("/hanging")?;
        if hanging == count.to_string() {
            return Ok(());
        }
        if Instant::now() > give_up {
            return Err(io::Error::other(format!("{hanging} requests wait at the upstream in place of {count}")));
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn rss(process: &Process) -> io::Result<f64> {
    process.memory().map(|memory| memory.now)
}

fn add(samples: &mut Samples, case: &str, who: &str, metric: &str, round: u32, value: f64) -> io::Result<()> {
    samples.add(Key { section: "memory", case, who, metric }, round, value)
}
