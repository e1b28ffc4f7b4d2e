//! One stream at a time over a long link: 25 ms each way between agent and gateway.

use std::{io, time::Instant};

use crate::{
    Plan,
    client::Client,
    cores::{Cores, Layout},
    lineup::{BULK_BYTES, FACADE, LONG_BYTES, Pair, SINK, SINK_FACADE, TUNNEL, Tools, UPSTREAM, Upstreams},
    process::Process,
    samples::{Key, Samples},
};

const TUNNEL_RELAY: u16 = 7300;
const UPSTREAM_RELAY: u16 = 7301;
const SINK_RELAY: u16 = 7302;
const CONDITIONS: [&str; 2] = ["--delay", "25ms"];

pub(crate) fn run(tools: &Tools, cores: &Cores, plan: &Plan, samples: &mut Samples) -> io::Result<()> {
    let upstreams = Upstreams::start(tools)?;
    // What the relay itself can carry: the client goes through it straight to the upstream.
    let (down, up) = (tools.relay(UPSTREAM_RELAY, UPSTREAM, &CONDITIONS)?, tools.relay(SINK_RELAY, SINK, &CONDITIONS)?);
    cores.place(Layout::Apart, [], upstreams.all().into_iter().chain([&down, &up]))?;
    for round in 0..plan.solo_rounds {
        eprintln!("distance: round {} of {}", round + 1, plan.solo_rounds);
        one_stream("relay alone", UPSTREAM_RELAY, SINK_RELAY, round, samples)?;
        // A fresh pair each round, so that no window has grown before.
        let (relay, pair) = far_pair(tools)?;
        let Some(pair) = pair else { continue };
        cores.place(Layout::Apart, pair.all(), [&relay])?;
        one_stream("Reachback", FACADE, SINK_FACADE, round, samples)?;
    }
    Ok(())
}

fn far_pair(tools: &Tools) -> io::Result<(Process, Option<Pair>)> {
    let relay = tools.relay(TUNNEL_RELAY, TUNNEL, &CONDITIONS)?;
    Ok((relay, Pair::start(tools, TUNNEL_RELAY)?))
}

fn one_stream(who: &str, port: u16, sink: u16, round: u32, samples: &mut Samples) -> io::Result<()> {
    let mut add = |case, bytes: u64, start: Instant| {
        let rate = bytes as f64 / 1e6 / start.elapsed().as_secs_f64();
        samples.add(Key { section: "distance", case, who, metric: "mbps" }, round, rate)
    };
    let mut client = Client::connect(port)?;
    let start = Instant::now();
    client.get("/files/bulk")?;
    add("100 MiB down", BULK_BYTES, start)?;
    let mut client = Client::connect(port)?;
    let start = Instant::now();
    client.get("/files/long")?;
    add("256 MiB down", LONG_BYTES, start)?;
    let mut client = Client::connect(sink)?;
    let start = Instant::now();
    client.put("/sink", BULK_BYTES)?;
    add("100 MiB up", BULK_BYTES, start)
}
