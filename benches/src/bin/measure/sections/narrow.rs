//! Small calls while four downloads fill a narrow link.

use std::{
    io,
    ops::ControlFlow,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    Plan,
    client::Client,
    cores::{Cores, Layout},
    lineup::{FACADE, Pair, TUNNEL, Tools, UPSTREAM, Upstreams},
    samples::{Key, Samples, percentile},
};

const TUNNEL_RELAY: u16 = 7310;
const UPSTREAM_RELAY: u16 = 7311;
const CONDITIONS: [&str; 2] = ["--rate", "20MB/s"];
const DOWNLOADS: usize = 4;

/// Between two small calls.
const PAUSE: Duration = Duration::from_millis(20);

/// How long the downloads run before calls are timed: windows and queues are full by then.
const FILL: Duration = Duration::from_secs(2);

pub(crate) fn run(tools: &Tools, cores: &Cores, plan: &Plan, samples: &mut Samples) -> io::Result<()> {
    let upstreams = Upstreams::start(tools)?;
    let direct = tools.relay(UPSTREAM_RELAY, UPSTREAM, &CONDITIONS)?;
    let relay = tools.relay(TUNNEL_RELAY, TUNNEL, &CONDITIONS)?;
    cores.place(Layout::Apart, [], upstreams.all().into_iter().chain([&direct, &relay]))?;
    for round in 0..plan.solo_rounds {
        eprintln!("narrow: round {} of {}", round + 1, plan.solo_rounds);
        busy_link("relay alone", UPSTREAM_RELAY, round, plan, samples)?;
        let Some(pair) = Pair::start(tools, TUNNEL_RELAY)? else { continue };
        cores.place(Layout::Apart, pair.all(), [])?;
        busy_link("Reachback", FACADE, round, plan, samples)?;
    }
    Ok(())
}

fn busy_link(who: &str, port: u16, round: u32, plan: &Plan, samples: &mut Samples) -> io::Result<()> {
    let mut add = |case, metric, value| samples.add(Key { section: "narrow", case, who, metric }, round, value);
    for (metric, value) in spread(probe(port, plan.probe / 4)?) {
        add("quiet", metric, value)?;
    }
    let (stop, bytes) = (AtomicBool::new(false), AtomicU64::new(0));
    let (latencies, rate) = thread::scope(|scope| {
        let downloads: Vec<_> = (0..DOWNLOADS).map(|_| scope.spawn(|| download(port, &stop, &bytes))).collect();
        thread::sleep(FILL);
        let (start, already) = (Instant::now(), bytes.load(Ordering::Relaxed));
        let latencies = probe(port, plan.probe);
        let rate = (bytes.load(Ordering::Relaxed) - already) as f64 / 1e6 / start.elapsed().as_secs_f64();
        stop.store(true, Ordering::Relaxed);
        for download in downloads {
            download.join().map_err(|_| io::Error::other("a download panicked"))??;
        }
        Ok::<_, io::Error>((latencies?, rate))
    })?;
    add("busy", "mbps", rate)?;
    for (metric, value) in spread(latencies) {
        add("busy", metric, value)?;
    }
    Ok(())
}

fn download(port: u16, stop: &AtomicBool, bytes: &AtomicU64) -> io::Result<()> {
    let mut client = Client::connect(port)?;
    while !stop.load(Ordering::Relaxed) {
        client.get_while("/files/bulk", |read| {
            bytes.fetch_add(read as u64, Ordering::Relaxed);
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
    }
    Ok(())
}

/// Times small calls, one after another, in milliseconds.
fn probe(port: u16, how_long: Duration) -> io::Result<Vec<f64>> {
    let mut client = Client::connect(port)?;
    let begin = Instant::now();
    let mut latencies = Vec::new();
    while begin.elapsed() < how_long {
        let start = Instant::now();
        client.get("/small")?;
        latencies.push(start.elapsed().as_secs_f64() * 1e3);
        thread::sleep(PAUSE);
    }
    Ok(latencies)
}

fn spread(latencies: Vec<f64>) -> impl Iterator<Item = (&'static str, f64)> {
    let p50 = percentile(latencies.clone(), 0.5);
    let p99 = percentile(latencies, 0.99);
    [("p50_ms", p50), ("p99_ms", p99)].into_iter().filter_map(|(metric, value)| Some((metric, value?)))
}
