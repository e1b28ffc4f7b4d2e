//! Both sidecars in one process, each on a thread and a runtime of its own, so that either can be stopped or killed.

use std::{
    collections::HashSet,
    net::SocketAddr,
    path::Path,
    sync::{
        LazyLock, Mutex, Once,
        atomic::{AtomicU32, Ordering},
        mpsc,
    },
    thread::{self, JoinHandle},
};

use agent::Agent;
use gateway::Gateway;
use serde_json::Value;
use settings::Source;
use tokio_util::sync::CancellationToken;

use crate::{client, upstream::Upstream, wait};

/// A gateway or an agent that runs. Dropping it kills it.
#[derive(Debug)]
pub struct Sidecar {
    name: String,
    addresses: Vec<(&'static str, SocketAddr)>,
    shutdown: CancellationToken,
    kill: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Sidecar {
    /// A gateway with this configuration.
    ///
    /// # Panics
    /// If the configuration is wrong or a port is taken.
    #[must_use]
    pub fn gateway(yaml: &str) -> Self {
        let source = Source::file("gateway.yaml", yaml, Path::new(""));
        let config = gateway::Config::from_source(&source).unwrap_or_else(|invalid| panic!("{invalid}"));
        Self::start(async move |started, shutdown| {
            let gateway = Gateway::bind(config).await.expect("the gateway's ports are free");
            let addresses = gateway.addresses().into_iter();
            let _ = started.send(addresses.filter_map(|(what, listen)| Some((what, listen.address()?))).collect());
            gateway.run(shutdown).await;
        })
    }

    /// An agent with this configuration; relative paths in it start at `folder`.
    ///
    /// # Panics
    /// If the configuration is wrong or a port is taken.
    #[must_use]
    pub fn agent(yaml: &str, folder: &Path) -> Self {
        let source = Source::file("agent.yaml", yaml, folder);
        let config = agent::Config::from_source(&source).unwrap_or_else(|invalid| panic!("{invalid}"));
        Self::run_agent(config)
    }

    /// An agent that follows a file.
    ///
    /// # Panics
    /// If the file is wrong or a port is taken.
    #[must_use]
    pub fn agent_of(file: &Path) -> Self {
        let config = agent::Config::load(file).unwrap_or_else(|invalid| panic!("{invalid}"));
        Self::run_agent(config)
    }

    /// Many agents with these configurations, all on one thread. They end together.
    ///
    /// # Panics
    /// If a configuration is wrong.
    #[must_use]
    pub fn agents(yamls: &[String]) -> Self {
        let read = |yaml: &String| agent::Config::from_source(&Source::file("agent.yaml", yaml, Path::new("")));
        let configs: Vec<_> =
            yamls.iter().map(|yaml| read(yaml).unwrap_or_else(|invalid| panic!("{invalid}"))).collect();
        Self::start(async move |started, shutdown| {
            let mut agents = tokio::task::JoinSet::new();
            for config in configs {
                let agent = Agent::bind(config).await.expect("an agent without listeners needs no port");
                agents.spawn(agent.run(shutdown.clone()));
            }
            let _ = started.send(Vec::new());
            agents.join_all().await;
        })
    }

    fn run_agent(config: agent::Config) -> Self {
        Self::start(async move |started, shutdown| {
            let agent = Agent::bind(config).await.expect("the agent's ports are free");
            let _ = started.send(agent.addresses());
            agent.run(shutdown).await;
        })
    }

    fn start<R>(run: R) -> Self
    where
        R: AsyncFnOnce(mpsc::Sender<Vec<(&'static str, SocketAddr)>>, CancellationToken) + Send + 'static,
    {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        watch_panics();
        let name = format!("sidecar-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let (shutdown, kill) = (CancellationToken::new(), CancellationToken::new());
        let (started, addresses) = mpsc::channel();
        let life = (shutdown.clone(), kill.clone());
        let thread = thread::Builder::new().name(name.clone()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.expect("a runtime can be made");
            runtime.block_on(life.1.run_until_cancelled(run(started, life.0)));
            // Whatever still runs ends here, in the middle of whatever it does.
        });
        let thread = Some(thread.expect("a thread can be made"));
        let addresses = addresses.recv().expect("the sidecar starts");
        Self { name, addresses, shutdown, kill, thread }
    }

    /// Where its listeners of a kind listen, in order.
    #[must_use]
    pub fn addresses(&self, what: &str) -> Vec<SocketAddr> {
        self.addresses.iter().filter(|(kind, _)| *kind == what).map(|(_, address)| *address).collect()
    }

    /// Where its first listener of a kind listens.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn address(&self, what: &str) -> SocketAddr {
        self.addresses(what)[0]
    }

    /// What it says about itself.
    pub async fn status(&self) -> Value {
        client::json(&format!("http://{}/status", self.address("admin"))).await
    }

    /// Waits until it says of itself what is looked for, and gives that.
    pub async fn until_status<T>(&self, what: &str, look: impl Fn(&Value) -> Option<T>) -> T {
        wait::until(what, async || look(&self.status().await)).await
    }

    /// Waits until it has so many links.
    pub async fn until_links(&self, count: usize) {
        let has = |status: &Value| (status["links"].as_array().map(Vec::len) == Some(count)).then_some(());
        self.until_status("the links", has).await;
    }

    /// Begins the drain.
    pub fn drain(&self) {
        self.shutdown.cancel();
    }

    /// Waits for its end.
    pub async fn ended(&self) {
        let over = || self.thread.as_ref().is_none_or(JoinHandle::is_finished);
        wait::until_so("the end of a drain", over).await;
    }

    /// Ends it at once, without a word to anybody.
    ///
    /// # Panics
    /// If something in it has panicked.
    pub fn kill(&mut self) {
        self.kill.cancel();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let panicked = PANICKED.lock().expect("nothing panics while it holds the list").contains(&self.name);
        assert!(!panicked || thread::panicking(), "something in {} panicked", self.name);
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Threads of sidecars in which something panicked: the runtime would swallow it.
static PANICKED: LazyLock<Mutex<HashSet<String>>> = LazyLock::new(Mutex::default);

fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if let Some(name) = thread::current().name().filter(|name| name.starts_with("sidecar-")) {
                PANICKED.lock().expect("nothing panics while it holds the list").insert(name.to_owned());
            }
            before(info);
        }));
    });
}

/// What a bridge's configuration says besides the usual. Each is whole lines of YAML.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup<'a> {
    /// Top-level keys of the gateway's.
    pub gateway: &'a str,
    /// The gateway's facades, as items of a list; the usual three if it is empty.
    pub facades: &'a str,
    /// Top-level keys of the agent's.
    pub agent: &'a str,
    /// Keys of the service `orders`, as a flow mapping's inside: `host: preserve, response_timeout: 1s`.
    pub service: &'a str,
    /// The rules of the service, as a list; [`ALLOW`] if it is empty.
    pub allow: &'a str,
}

/// A gateway, an agent and an upstream. The service is `orders`; by default every path is allowed with the usual
/// methods, PATCH is not.
#[derive(Debug)]
pub struct Bridge {
    /// The server.
    pub upstream: Upstream,
    /// The agent beside it.
    pub agent: Sidecar,
    /// The gateway: its facades are one for `orders`, one by host (`*.localhost`), one by path.
    pub gateway: Sidecar,
}

/// What an agent allows unless a test says otherwise.
pub const ALLOW: &str = r#"[ "GET,HEAD,POST,PUT,DELETE,OPTIONS /**", "GET /" ]"#;

impl Bridge {
    /// With a usual configuration, and a link.
    pub async fn start() -> Self {
        Self::with(Setup::default()).await
    }

    /// With a special configuration, and a link.
    pub async fn with(setup: Setup<'_>) -> Self {
        Self::within(Path::new(""), setup).await
    }

    /// The same; relative paths in the agent's configuration start at `folder`.
    pub async fn within(folder: &Path, setup: Setup<'_>) -> Self {
        let upstream = Upstream::start().await;
        let (gateway, agent) = pair(upstream.address(), folder, setup).await;
        Self { upstream, agent, gateway }
    }

    /// A URL at the facade for `orders`.
    #[must_use]
    pub fn url(&self, target: &str) -> String {
        format!("http://{}{target}", self.facade())
    }

    /// The facade for `orders`.
    #[must_use]
    pub fn facade(&self) -> SocketAddr {
        self.gateway.address("facade")
    }
}

/// A gateway, and an agent before any upstream, with a link between them; relative paths in the agent's configuration
/// start at `folder`.
pub async fn pair(upstream: SocketAddr, folder: &Path, setup: Setup<'_>) -> (Sidecar, Sidecar) {
    let facades = if setup.facades.is_empty() { FACADES } else { setup.facades };
    let gateway = Sidecar::gateway(&gateway_with(facades, setup.gateway));
    let agent = Sidecar::agent(&agent_yaml(gateway.address("tunnel"), upstream, setup), folder);
    gateway.until_links(1).await;
    (gateway, agent)
}

/// A gateway's usual configuration.
#[must_use]
pub fn gateway_yaml(more: &str) -> String {
    gateway_with(FACADES, more)
}

/// One facade for `orders`, one by host, one by path.
const FACADES: &str = "  - { listen: 127.0.0.1:0, service: orders }
  - { listen: 127.0.0.1:0, route: host, suffix: localhost }
  - { listen: 127.0.0.1:0, route: path }
";

/// A gateway with facades of its own; waits for agents are long, so that no test depends on them.
#[must_use]
pub fn gateway_with(facades: &str, more: &str) -> String {
    let wait = if more.contains("wait_for_agent") { "" } else { "wait_for_agent: 60s\n" };
    format!("name: gateway\nlisten: 127.0.0.1:0\nadmin: {{ listen: 127.0.0.1:0 }}\n{wait}facades:\n{facades}\n{more}\n")
}

/// An agent's usual configuration.
#[must_use]
pub fn agent_yaml(tunnel: SocketAddr, upstream: SocketAddr, setup: Setup<'_>) -> String {
    let Setup { agent, service, allow, .. } = setup;
    let allow = if allow.is_empty() { ALLOW } else { allow };
    format!(
        "name: agent\ngateways: [ ws://{tunnel} ]\nadmin: {{ listen: 127.0.0.1:0 }}\n{agent}\n\
         services:\n  orders: {{ upstream: \"http://{upstream}\", allow: {allow}, {service} }}\n"
    )
}
