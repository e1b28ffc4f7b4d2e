//! The stage of a life: machines, the network between them, and what may be done to both.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::SocketAddr,
    path::Path,
    rc::Rc,
    time::Duration,
};

use http::Method;
use serde_json::Value;
use settings::Source;
use tokio::simulation::dials;
use turmoil::Sim;

use crate::{
    app::App,
    ledger::{DEADLINE, Ledger},
    machine::{Machine, Question, TUNNEL},
    upstream,
};

/// What the admin listener of a machine may take to answer, which runs on the same machine.
const ADMIN_ANSWERS: Duration = Duration::from_secs(2);

/// Everything that a life plays on.
pub(crate) struct Stage {
    sim: Sim<'static>,
    machines: BTreeMap<String, Machine>,
    ledger: Rc<RefCell<Ledger>>,
    calls: Rc<Cell<bool>>,
}

impl Stage {
    /// An empty one. Packets take a tick or a few: what comes and goes by one tick takes no time in between, and a life
    /// of so many ticks takes so much real time.
    pub(crate) fn new(seed: u64, tick: Duration) -> Self {
        getrandom::seed(seed);
        let mut builder = turmoil::Builder::new();
        builder
            .rng_seed(seed)
            .tick_duration(tick)
            .min_message_latency(Duration::from_millis(1))
            .max_message_latency(tick * 3)
            // The first of them are used for a long time: turmoil never frees that of a refused dial.
            .ephemeral_ports(10_000..=65_535)
            .tcp_capacity(1 << 16)
            .simulation_duration(Duration::MAX);
        Self { sim: builder.build(), machines: BTreeMap::new(), ledger: Rc::default(), calls: Rc::new(Cell::new(true)) }
    }

    /// A machine with a gateway, running. The configuration is that of a gateway in front of which TLS ends.
    pub(crate) fn gateway(&mut self, name: &str, yaml: &str) {
        let yaml = format!(
            "name: {name}\nlisten: 0.0.0.0:7100\ninsecure_listen: true\nadmin: {{ listen: 127.0.0.1:7101 }}\n\
             facades: [ {{ listen: 0.0.0.0:7080, service: orders }} ]\n{yaml}"
        );
        let source = Source::file("gateway.yaml", &yaml, Path::new(""));
        let config = gateway::Config::from_source(&source).unwrap_or_else(|invalid| panic!("{invalid}"));
        let machine = self.machine(name);
        self.sim.host(name, move || machine.clone().run_gateway(config.clone()));
    }

    /// A machine with an agent, running.
    pub(crate) fn agent(&mut self, name: &str, yaml: &str) {
        self.agents(name, &[yaml.to_owned()]);
    }

    /// A machine with many agents, running. Turmoil looks at every pair of machines in every tick.
    pub(crate) fn agents(&mut self, name: &str, yamls: &[String]) {
        let config = |yaml: &String| {
            let yaml = format!(
                "{yaml}services:\n  orders:\n    upstream: http://upstream:3000\n    \
                 allow: [ 'GET,POST /orders/{{id}}' ]\n"
            );
            let source = Source::file("agent.yaml", &yaml, Path::new(""));
            agent::Config::from_source(&source).unwrap_or_else(|invalid| panic!("{invalid}"))
        };
        let configs: Vec<_> = yamls.iter().map(config).collect();
        let machine = self.machine(name);
        self.sim.host(name, move || machine.clone().run_agents(configs.clone()));
    }

    fn machine(&mut self, name: &str) -> Machine {
        let machine = Machine::default();
        machine.set_runs(true);
        self.machines.insert(name.to_owned(), machine.clone());
        machine
    }

    /// The server that agents stand beside.
    pub(crate) fn upstream(&mut self) {
        let ledger = self.ledger.clone();
        self.sim.host("upstream", move || upstream::run(ledger.clone()));
    }

    /// An application that calls these gateways until [`Stage::quiet`].
    pub(crate) fn app(&mut self, gateways: &[&str]) {
        let gateways = gateways.iter().map(ToString::to_string).collect();
        let app = App { gateways, ledger: self.ledger.clone(), calls: self.calls.clone() };
        self.sim.host("app", move || {
            let app = app.clone();
            async move {
                app.run().await;
                Ok(())
            }
        });
    }

    /// Since the life began.
    pub(crate) fn now(&self) -> Duration {
        self.sim.elapsed()
    }

    /// Lets time pass.
    pub(crate) fn run_for(&mut self, time: Duration) {
        let end = self.now() + time;
        while self.now() < end {
            self.step();
        }
    }

    fn step(&mut self) {
        if let Err(error) = self.sim.step() {
            panic!("after {:?} a machine failed: {error}", self.now());
        }
    }

    /// Lets time pass until it is so, and says how much. It is looked at once a second.
    pub(crate) fn until(&mut self, what: &str, within: Duration, mut is_so: impl FnMut(&mut Self) -> bool) -> Duration {
        let begun = self.now();
        while !is_so(self) {
            assert!(self.now() - begun <= within, "{what}: not within {within:?}, at {:?}", self.now());
            self.run_for(Duration::from_secs(1));
        }
        self.now() - begun
    }

    /// What runs on the machine is killed. The machine stays: it refuses connections.
    pub(crate) fn kill(&mut self, name: &str) {
        self.machines[name].set_runs(false);
        self.sim.bounce(name);
    }

    /// The machine breaks down: it does not even refuse.
    pub(crate) fn break_down(&mut self, name: &str) {
        self.machines[name].set_runs(false);
        self.sim.crash(name);
    }

    /// Begins anew, on a machine that was killed or has broken down.
    pub(crate) fn start(&mut self, name: &str) {
        self.machines[name].set_runs(true);
        self.sim.bounce(name);
    }

    /// Shuts it down, lets it drain, and begins anew.
    pub(crate) fn restart(&mut self, name: &str) {
        let machine = self.machines[name].clone();
        machine.drain();
        self.until("drained", Duration::from_secs(40), |_| machine.is_drained());
        self.kill(name);
        self.start(name);
    }

    /// The network between the machines, for turmoil's faults.
    pub(crate) fn network(&self) -> &Sim<'static> {
        &self.sim
    }

    /// What the admin listener on a machine says of it.
    pub(crate) fn status(&mut self, name: &str) -> Value {
        self.ask(name, Question { method: Method::GET, path: "/status", body: String::new() })
    }

    /// Asks the admin listener on a machine.
    pub(crate) fn ask(&mut self, name: &str, question: Question) -> Value {
        let machine = self.machines[name].clone();
        machine.ask(question);
        let end = self.now() + ADMIN_ANSWERS;
        loop {
            if let Some(answer) = machine.answer() {
                return answer;
            }
            assert!(self.now() < end, "the admin listener of {name} does not answer");
            self.step();
        }
    }

    /// How many links a gateway has.
    pub(crate) fn links(&mut self, gateway: &str) -> usize {
        self.status(gateway)["links"].as_array().map_or(0, Vec::len)
    }

    /// When a gateway's tunnel was dialled.
    pub(crate) fn dials(&self, gateway: &str) -> Vec<Duration> {
        let to = SocketAddr::new(self.sim.lookup(gateway), TUNNEL);
        dials().into_iter().filter(|dial| dial.to == to).map(|dial| dial.at).collect()
    }

    /// The books.
    pub(crate) fn ledger(&self) -> std::cell::Ref<'_, Ledger> {
        self.ledger.borrow()
    }

    /// Ends the calls, lets those in flight end, and looks whether all went as it must.
    pub(crate) fn quiet(&mut self, gateways: &[&str]) {
        self.calls.set(false);
        self.run_for(DEADLINE * 2);
        let mut broken = self.ledger().broken();
        for gateway in gateways {
            let status = self.status(gateway);
            let left = [&status["streams"], &status["waiting"], &status["facades"][0]["requests"]];
            if left.iter().any(|count| count.as_u64() != Some(0)) {
                broken.push(format!("{gateway}: streams, waiting and requests are {left:?}, not 0"));
            }
        }
        assert!(broken.is_empty(), "{} broken promises:\n{}", broken.len(), broken.join("\n"));
    }
}
