//! Who is measured: the upstreams, nginx's hops and Reachback's pair, and on which ports they stand.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use crate::{
    client::Client,
    cores::{Cores, Layout},
    nginx,
    process::Process,
    samples::YARDSTICK,
};

pub(crate) const UPSTREAM: u16 = 3000;
pub(crate) const SINK: u16 = 3001;
const HOP: u16 = 8001;
const SECOND_HOP: u16 = 8002;
pub(crate) const TUNNEL: u16 = 7100;
pub(crate) const FACADE: u16 = 7080;
pub(crate) const SINK_FACADE: u16 = 7081;

/// The size of the file that is downloaded, of the upload, and of the longer file.
pub(crate) const MIB: u64 = 1024 * 1024;
pub(crate) const BULK_BYTES: u64 = 100 * MIB;
pub(crate) const LONG_BYTES: u64 = 256 * MIB;

/// How long a fresh pair may take until a call passes.
const FIRST_CALL: Duration = Duration::from_secs(15);

/// Programs and folders.
pub(crate) struct Tools {
    pub(crate) work: PathBuf,
    pub(crate) data: PathBuf,
    reachback: Option<PathBuf>,
    /// Where the other binaries of this package lie: beside this one.
    bin: PathBuf,
}

impl Tools {
    pub(crate) fn new(work: &Path, data: &Path, reachback: Option<PathBuf>) -> io::Result<Self> {
        let this = std::env::current_exe()?;
        let bin = this.parent().ok_or_else(|| io::Error::other("a program lies in a folder"))?.to_owned();
        fill(&data.join("bulk"), BULK_BYTES)?;
        fill(&data.join("long"), LONG_BYTES)?;
        Ok(Self { work: work.to_owned(), data: data.to_owned(), reachback, bin })
    }

    /// A binary of this package.
    pub(crate) fn own(&self, name: &str) -> Command {
        Command::new(self.bin.join(name))
    }

    /// The bridge, if there is one to measure.
    pub(crate) fn reachback(&self) -> Option<Command> {
        self.reachback.as_ref().map(Command::new)
    }

    pub(crate) fn relay(&self, listen: u16, to: u16, conditions: &[&str]) -> io::Result<Process> {
        let mut command = self.own("relay");
        command.args(["--listen", &local(listen), "--to", &local(to)]).args(conditions);
        let mut relay = Process::start(&format!("relay-{listen}"), &mut command, &self.work)?;
        relay.wait_for_port(listen)?;
        Ok(relay)
    }
}

pub(crate) fn local(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// The upstreams, which every way leads to.
pub(crate) struct Upstreams {
    pub(crate) nginx: Process,
    pub(crate) sink: Process,
}

impl Upstreams {
    pub(crate) fn start(tools: &Tools) -> io::Result<Self> {
        let nginx = nginx::upstream(UPSTREAM, &tools.data, &tools.work)?;
        let mut sink = Process::start("sink", tools.own("sink").args(["--listen", &local(SINK)]), &tools.work)?;
        sink.wait_for_port(SINK)?;
        Ok(Self { nginx, sink })
    }

    pub(crate) fn all(&self) -> [&Process; 2] {
        [&self.nginx, &self.sink]
    }
}

/// Reachback's two sidecars.
pub(crate) struct Pair {
    pub(crate) gateway: Process,
    pub(crate) agent: Process,
}

impl Pair {
    /// Starts both and waits until a call passes; None without a binary. The agent dials `dials`, the tunnel's own
    /// port or a relay before it.
    pub(crate) fn start(tools: &Tools, dials: u16) -> io::Result<Option<Self>> {
        let (Some(gateway), Some(mut agent)) = (tools.reachback(), tools.reachback()) else { return Ok(None) };
        let gateway = start_gateway(gateway, "gateway", TUNNEL, FACADE, SINK_FACADE, &tools.work)?;
        agent.args(["agent", "--log-level", "warn", "--gateway", &format!("ws://{}", local(dials))]);
        agent.args(["--service", &format!("bench=http://{}", local(UPSTREAM)), "--allow", "bench: GET /**"]);
        agent.args(["--service", &format!("sink=http://{}", local(SINK)), "--allow", "sink: GET,PUT /**"]);
        let agent = Process::start("agent", &mut agent, &tools.work)?;
        let pair = Self { gateway, agent };
        pair.wait_for_call()?;
        Ok(Some(pair))
    }

    pub(crate) fn all(&self) -> [&Process; 2] {
        [&self.gateway, &self.agent]
    }

    fn wait_for_call(&self) -> io::Result<()> {
        let give_up = Instant::now() + FIRST_CALL;
        while let Err(error) = Client::connect(FACADE).and_then(|mut client| client.get("/small")) {
            if Instant::now() > give_up {
                let gateway = self.gateway.failure("lets no call pass");
                return Err(self.agent.failure(&format!("is not reached: {error}\n{gateway}")));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

/// Starts a gateway with two facades and waits until it listens.
pub(crate) fn start_gateway(
    mut reachback: Command,
    name: &str,
    tunnel: u16,
    facade: u16,
    sink_facade: u16,
    work: &Path,
) -> io::Result<Process> {
    reachback.args(["gateway", "--log-level", "warn", "--listen", &local(tunnel)]);
    reachback.args(["--facade", &format!("{}=bench", local(facade))]);
    reachback.args(["--facade", &format!("{}=sink", local(sink_facade))]);
    let mut gateway = Process::start(name, &mut reachback, work)?;
    gateway.wait_for_port(tunnel)?;
    gateway.wait_for_port(facade)?;
    Ok(gateway)
}

/// One way from the client to the upstreams.
pub(crate) struct Way<'a> {
    pub(crate) name: &'static str,
    /// Leads to nginx.
    pub(crate) port: u16,
    /// Leads to the sink.
    pub(crate) sink_port: u16,
    /// Whose CPU time counts: the proxies, or on the direct way the upstreams themselves.
    pub(crate) processes: Vec<&'a Process>,
}

/// Everybody, side by side.
pub(crate) struct Lineup {
    upstreams: Upstreams,
    hop: Process,
    second_hop: Process,
    pair: Option<Pair>,
}

impl Lineup {
    pub(crate) fn start(tools: &Tools) -> io::Result<Self> {
        let upstreams = Upstreams::start(tools)?;
        let hop = nginx::hop("hop", HOP, UPSTREAM, SINK, &tools.work)?;
        let second_hop = nginx::hop("second-hop", SECOND_HOP, HOP, HOP, &tools.work)?;
        Ok(Self { upstreams, hop, second_hop, pair: Pair::start(tools, TUNNEL)? })
    }

    pub(crate) fn place(&self, cores: &Cores, layout: Layout) -> io::Result<()> {
        let proxies = [&self.hop, &self.second_hop].into_iter().chain(self.pair.iter().flat_map(Pair::all));
        cores.place(layout, proxies, self.upstreams.all())
    }

    /// The ways to measure, beginning with another one each round.
    pub(crate) fn ways(&self, round: u32) -> Vec<Way<'_>> {
        let Self { upstreams, hop, second_hop, pair } = self;
        let mut ways = vec![
            Way { name: "direct", port: UPSTREAM, sink_port: SINK, processes: upstreams.all().to_vec() },
            Way { name: YARDSTICK, port: HOP, sink_port: HOP, processes: vec![hop] },
            Way { name: "nginx, two hops", port: SECOND_HOP, sink_port: SECOND_HOP, processes: vec![hop, second_hop] },
        ];
        if let Some(pair) = pair {
            let processes = pair.all().to_vec();
            ways.push(Way { name: "Reachback", port: FACADE, sink_port: SINK_FACADE, processes });
        }
        let first = round as usize % ways.len();
        ways.rotate_left(first);
        ways
    }

    /// The proxies by name, for their memory.
    pub(crate) fn proxies(&self) -> Vec<(&'static str, &Process)> {
        let pair = self.pair.iter().flat_map(|pair| [("gateway", &pair.gateway), ("agent", &pair.agent)]);
        std::iter::once((YARDSTICK, &self.hop)).chain(pair).collect()
    }
}

/// Writes a file of numbers that no cache can cheat with: every page is its own.
fn fill(path: &Path, bytes: u64) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..bytes / 8 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        file.write_all(&state.to_le_bytes())?;
    }
    file.flush()
}
