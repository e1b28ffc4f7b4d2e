//! Where a drill takes place: gateways and agents as processes, a relay before each gateway, an upstream, a client, and
//! the ledger of all of them.

use std::{
    fmt::Write as _,
    net::SocketAddr,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use reachback_tests::{process::own_address, scratch::Scratch, wait::until};
use serde_json::Value;
use tokio::{task::JoinHandle, time::sleep};

use crate::{
    client::{Call, Client, Gate},
    ledger::{Id, Ledger, Outcome},
    relay::Relay,
    report::Report,
    sidecar::{Holds, Sidecar, free_port, probe},
    upstream::Upstream,
};

/// What the bridge adds to a request's deadline at most besides the times that are configured: a machine that is busy.
const SLACK: Duration = Duration::from_secs(5);

/// How long a request waits for an agent, and an upstream may take to begin its answer.
const WAIT_FOR_AGENT: Duration = Duration::from_secs(5);
/// See [`WAIT_FOR_AGENT`].
pub(crate) const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long everything may take to come to rest after the load: redials, the allocator's own ten seconds, and the minute
/// for which an agent keeps idle connections to its upstream, each with its buffers.
const REST: Duration = Duration::from_secs(75);

/// Requests of the warm-up and of the proof at the end that everything works.
const WARM_UP: usize = 400;
const PROOF: usize = 20;

/// More than a tenth of what it was, memory may grow by this: pages of code that were never needed before, and in a
/// debug build the larger state of everything.
const MEMORY_SLACK_KIB: u64 = if cfg!(debug_assertions) { 6 * 1024 } else { 2 * 1024 };

/// How often the client's balancer asks whether a gateway is ready.
const READINESS: Duration = Duration::from_millis(100);

/// What a drill needs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) gateways: usize,
    pub(crate) agents: usize,
    pub(crate) heartbeat: Duration,
    /// Relays with small buffers, for low rates.
    pub(crate) narrow: bool,
    /// Most file descriptors of each gateway, and of each agent.
    pub(crate) descriptors: (Option<u32>, Option<u32>),
}

impl Default for Plan {
    fn default() -> Self {
        Self { gateways: 1, agents: 1, heartbeat: Duration::from_secs(2), narrow: false, descriptors: (None, None) }
    }
}

impl Plan {
    /// How long any request may take: an agent is awaited, the link dies in silence, another is awaited, the upstream
    /// does not answer.
    pub(crate) fn deadline(&self) -> Duration {
        WAIT_FOR_AGENT * 2 + self.death() + RESPONSE_TIMEOUT + SLACK
    }

    /// How long a silent link lives.
    pub(crate) fn death(&self) -> Duration {
        self.heartbeat * 5 / 2
    }
}

/// The stage, set.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) plan: Plan,
    // The processes end before the folder they log into.
    pub(crate) gateways: Vec<Sidecar>,
    pub(crate) agents: Vec<Sidecar>,
    pub(crate) facades: Vec<SocketAddr>,
    pub(crate) tunnels: Vec<SocketAddr>,
    pub(crate) relays: Vec<Relay>,
    pub(crate) upstream: Upstream,
    pub(crate) client: Arc<Client>,
    ledger: Arc<Ledger>,
    /// What the largest of each role held before the drill.
    before: (Holds, Holds),
    readiness: JoinHandle<()>,
    _folder: Scratch,
}

impl Stage {
    /// Sets the stage, and warms it up.
    pub(crate) async fn set(plan: Plan) -> Self {
        let ledger = Arc::new(Ledger::default());
        let upstream = Upstream::start(ledger.clone()).await;
        let folder = Scratch::new();
        let (mut gateways, mut facades, mut tunnels, mut relays) = (vec![], vec![], vec![], vec![]);
        for number in 0..plan.gateways {
            let own = own_address();
            let (tunnel, facade, admin) = (free_port(own), free_port(own), free_port(own));
            let yaml = gateway_yaml(&plan, tunnel, facade, admin);
            let name = format!("gateway-{number}");
            gateways.push(Sidecar::start("gateway", &name, folder.path(), &yaml, admin, plan.descriptors.0));
            relays.push(Relay::start(tunnel, plan.narrow).await.expect("loopback has a free port"));
            facades.push(facade);
            tunnels.push(tunnel);
        }
        let mut agents = Vec::new();
        for number in 0..plan.agents {
            let (name, admin) = (format!("agent-{number}"), free_port(own_address()));
            let yaml = agent_yaml(&name, admin, &relays, upstream.address, "/d/**");
            agents.push(Sidecar::start("agent", &name, folder.path(), &yaml, admin, plan.descriptors.1));
        }
        let client = Arc::new(Client::new(&facades, ledger.clone(), plan.deadline()));
        let admins = gateways.iter().map(|gateway: &Sidecar| gateway.admin).collect();
        let readiness = tokio::spawn(watch_readiness(client.clone(), admins));
        let before = (Holds::default(), Holds::default());
        let mut stage = Self {
            plan,
            gateways,
            agents,
            facades,
            tunnels,
            relays,
            upstream,
            client,
            ledger,
            before,
            readiness,
            _folder: folder,
        };
        stage.linked().await;
        stage.warm_up().await;
        stage
    }

    pub(crate) fn gateways_mut(&mut self) -> &mut [Sidecar] {
        &mut self.gateways
    }

    pub(crate) fn agents_mut(&mut self) -> &mut [Sidecar] {
        &mut self.agents
    }

    /// The number of a request whose end is looked at elsewhere.
    pub(crate) fn unread(&self) -> Id {
        let id = self.ledger.ask("GET");
        self.ledger.end(id, Outcome::GivenUp, Duration::ZERO);
        id
    }

    /// The text of an agent's configuration with another rule first.
    pub(crate) fn agent_yaml(&self, number: usize, rule: &str) -> String {
        let admin = self.agents[number].admin;
        agent_yaml(&format!("agent-{number}"), admin, &self.relays, self.upstream.address, rule)
    }

    /// Waits until every gateway has a link of every agent.
    pub(crate) async fn linked(&self) {
        for gateway in &self.gateways {
            let all = async || (links(&gateway.status().await?) == self.plan.agents).then_some(());
            until("a link of every agent", all).await;
        }
    }

    /// So many calls at once, through every gateway; how many were not answered.
    pub(crate) async fn calls(&self, count: usize, call: Call) -> usize {
        let calls = (0..count).map(|_| self.client.call(call));
        futures_util::future::join_all(calls).await.iter().filter(|outcome| **outcome != Outcome::Whole).count()
    }

    async fn warm_up(&mut self) {
        for _ in 0..WARM_UP / 100 {
            let failed = self.calls(50, Call::get(64 * 1024)).await + self.calls(50, Call::post(64 * 1024)).await;
            assert!(failed == 0, "the bridge works before the drill");
        }
        self.client.gates.iter().for_each(Gate::close_idle);
        self.before = self.holds().await;
    }

    /// The most that any gateway and any agent holds.
    pub(crate) async fn holds(&self) -> (Holds, Holds) {
        (largest(&self.gateways).await, largest(&self.agents).await)
    }

    /// Waits for rest, and looks whether every invariant holds. The load must have ended.
    pub(crate) async fn finish(&self, name: &'static str) -> Report {
        let mut report = Report::new(name);
        self.client.gates.iter().for_each(Gate::close_idle);
        let mut restless = String::new();
        let started = tokio::time::Instant::now();
        loop {
            restless.clear();
            self.restlessness(&mut restless).await;
            if restless.is_empty() || started.elapsed() > REST {
                break;
            }
            sleep(Duration::from_millis(100)).await;
        }
        let after = self.holds().await;
        report.expect(restless.is_empty(), || format!("no rest within {} s: {restless}", REST.as_secs()));
        let failed = self.calls(PROOF, Call::get(1000)).await;
        self.client.gates.iter().for_each(Gate::close_idle);
        report.expect(failed == 0, || format!("{failed} of {PROOF} calls after the drill failed"));
        report.take(self.ledger.sums(), self.before, after);
        if !report.broken.is_empty() {
            for sidecar in self.gateways.iter().chain(&self.agents) {
                eprintln!("the end of a log:\n{}", sidecar.last_words());
            }
        }
        report
    }

    /// What is not at rest.
    async fn restlessness(&self, what: &mut String) {
        if self.upstream.active() > 0 {
            let _ = write!(what, "{} requests at the upstream; ", self.upstream.active());
        }
        for (sidecars, before) in [(&self.gateways, self.before.0), (&self.agents, self.before.1)] {
            for sidecar in sidecars {
                let Some(status) = sidecar.status().await else {
                    let _ = write!(what, "no status; ");
                    continue;
                };
                let streams = status["streams"].as_u64().unwrap_or(u64::MAX);
                let requests = status["facades"][0]["requests"].as_u64().unwrap_or(0);
                let expected = if status["facades"].is_array() { self.plan.agents } else { self.plan.gateways };
                if streams > 0 || requests > 0 || links(&status) != expected {
                    let _ = write!(what, "{} links, {streams} streams, {requests} requests; ", links(&status));
                }
                let holds = sidecar.holds().await;
                if holds.resident_kib > before.resident_kib * 11 / 10 + MEMORY_SLACK_KIB {
                    let _ = write!(what, "{} KiB, before {}; ", holds.resident_kib, before.resident_kib);
                }
            }
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.readiness.abort();
    }
}

async fn largest(sidecars: &[Sidecar]) -> Holds {
    let mut most = Holds::default();
    for sidecar in sidecars {
        let holds = sidecar.holds().await;
        most = Holds {
            resident_kib: most.resident_kib.max(holds.resident_kib),
            descriptors: most.descriptors.max(holds.descriptors),
            threads: most.threads.max(holds.threads),
            tasks: most.tasks.max(holds.tasks),
        };
    }
    most
}

fn links(status: &Value) -> usize {
    status["links"].as_array().map_or(0, Vec::len)
}

/// What a load balancer does: a gateway that says that it is not ready gets nothing new.
async fn watch_readiness(client: Arc<Client>, admins: Vec<SocketAddr>) {
    loop {
        for (gate, admin) in client.gates.iter().zip(&admins) {
            let ready = probe(*admin, "/readyz").await.is_none_or(|(status, _)| status == 200);
            gate.ready.store(ready, Ordering::Relaxed);
        }
        sleep(READINESS).await;
    }
}

fn gateway_yaml(plan: &Plan, tunnel: SocketAddr, facade: SocketAddr, admin: SocketAddr) -> String {
    let (heartbeat, wait) = (plan.heartbeat.as_secs(), WAIT_FOR_AGENT.as_secs());
    format!(
        "listen: {tunnel}\nheartbeat: {heartbeat}s\nwait_for_agent: {wait}s\nadmin: {{ listen: \"{admin}\" }}\n\
         facades:\n  - {{ listen: \"{facade}\", service: orders }}\n"
    )
}

fn agent_yaml(name: &str, admin: SocketAddr, relays: &[Relay], upstream: SocketAddr, rule: &str) -> String {
    let gateways: Vec<String> = relays.iter().map(|relay| format!("\"ws://{}\"", relay.address)).collect();
    let rules = ["/never/**", "/dribble/**", "/close/**", "/half/**", "/garbage/**"].map(|path| format!("GET {path}"));
    format!(
        "name: {name}\ngateways: [{}]\nadmin: {{ listen: \"{admin}\" }}\nservices:\n  orders:\n    \
         upstream: http://{upstream}\n    response_timeout: {}s\n    allow: [\"GET,POST {rule}\", \"{}\"]\n",
        gateways.join(", "),
        RESPONSE_TIMEOUT.as_secs(),
        rules.join("\", \""),
    )
}
