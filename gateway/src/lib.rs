//! The gateway: accepts agents, and offers their services to applications as plain local HTTP.
//!
//! A request comes to a `facade`, which finds the service it is for; the `registry` knows the links that serve
//! it; `accept` is where those links come from.

mod accept;
mod admin;
mod admission;
mod auth;
mod certificates;
mod client;
mod complaints;
pub mod config;
mod drain;
mod expiry;
mod facade;
mod failure;
mod idle;
mod limits;
mod listener;
mod raw;
mod refusal;
mod registration;
mod registry;
mod rejects;
mod room;
mod serve;
mod serving;
mod socket;
mod turned_away;
mod unix;
mod unreadable;

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use tokio::net::TcpStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service;
use tracing::{info, warn};

use self::{
    accept::Tunnel,
    admin::{Known, Status},
    admission::Admission,
    config::{Agents, Tls},
    drain::Drain,
    facade::Facade,
    limits::{IDLE_CONNECTION, LAST_WORDS},
    registry::Registry,
    room::Room,
    serve::{Arrival, Server, Terms},
    serving::Serving,
};
pub use admission::StateError;
pub use config::{Config, Listen};

/// A gateway with its listeners bound.
#[derive(Debug)]
pub struct Gateway {
    config: Config,
    admission: Admission,
    tunnel: Server,
    facades: Vec<Server>,
    admin: Option<Server>,
    health: Option<Server>,
}

/// The gateway cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A listener could not be bound.
    #[error("cannot listen on {address} ({what}): {error}{}", remedy(address, error))]
    Listen {
        /// Which listener.
        what: &'static str,
        /// Its address.
        address: Listen,
        /// Why not.
        error: io::Error,
    },
    /// The state file cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
}

impl Gateway {
    /// Reads the state file, if there is one, and binds every listener of the configuration.
    ///
    /// # Errors
    /// [`BindError`] for the first that cannot be had.
    pub async fn bind(config: Config) -> Result<Self, BindError> {
        let names = match &config.agents {
            Agents::Anyone => None,
            Agents::Listed(agents) => Some(agents.iter().map(|agent| agent.name.clone()).collect()),
        };
        let admission = Admission::open(config.admission, names, config.state_file.as_deref())?;
        let tunnel = bind("tunnel", config.listen.into(), config.tls.as_ref(), None).await?;
        let descriptors = room::descriptors();
        let applications = Arc::new(Room::for_facades(config.facades.len(), descriptors));
        let mut facades = Vec::new();
        for facade in &config.facades {
            let server = bind("facade", facade.listen.clone(), facade.tls.as_ref(), Some(IDLE_CONNECTION)).await?;
            let terms = Terms { facade: Some(facade::refuse), room: applications.clone(), ..server.terms };
            facades.push(Server { terms, gives_way: applications.clone(), ..server });
        }
        let terms = Terms { room: Arc::new(Room::for_arrivals(descriptors)), ..tunnel.terms };
        let tunnel = Server { listener: tunnel.listener.in_turns(), terms, gives_way: applications };
        let admin = bind_optional("admin", config.admin).await?;
        let health = bind_optional("health", config.health).await?;
        Ok(Self { config, admission, tunnel, facades, admin, health })
    }

    /// Where it listens, as bound: the real ports where the configuration says 0.
    #[must_use]
    pub fn addresses(&self) -> Vec<(&'static str, Listen)> {
        let facades = self.facades.iter().map(|facade| ("facade", facade));
        let rest = [("admin", self.admin.as_ref()), ("health", self.health.as_ref())];
        let rest = rest.into_iter().filter_map(|(what, server)| Some((what, server?)));
        let servers = std::iter::once(("tunnel", &self.tunnel)).chain(facades).chain(rest);
        servers.filter_map(|(what, server)| Some((what, server.listener.address()?))).collect()
    }

    /// Runs until `shutdown`. It drains then, or earlier if the admin listener is asked to: clients are sent elsewhere,
    /// no new requests are taken, what is in flight finishes within the grace period, and the links close last.
    pub async fn run(self, shutdown: CancellationToken) {
        let (delay, grace) = (self.config.drain_delay, self.config.drain_grace);
        let drain = Drain::before(&shutdown);
        let running = self.start(&drain);
        drain.begun.cancelled().await;
        info!(grace_s = grace.as_secs(), "draining");
        if tokio::time::timeout(grace, running.drain(delay)).await.is_err() {
            warn!("the grace period is over: closing what is still in flight");
            running.cut();
            // Whoever has not listened by then learns it from the lost connection.
            let _ = tokio::time::timeout(LAST_WORDS, running.links.wait()).await;
        }
        info!("drained");
        drain.done.cancel();
        shutdown.cancelled().await;
    }

    fn start(self, drain: &Drain) -> Running {
        let Self { config, admission, tunnel, facades, admin, health } = self;
        let admission = Arc::new(admission);
        let running = Running::new(Registry::new(config.services.clone(), config.waiting_requests));
        let registry = &running.registry;
        let facade = |(settings, server): (&config::Facade, &Server)| {
            let mut settings = settings.clone();
            settings.listen = server.listener.address().unwrap_or(settings.listen);
            Arc::new(Facade::new(settings, registry.clone(), config.requests))
        };
        let states: Vec<Arc<Facade>> = config.facades.iter().zip(&facades).map(facade).collect();
        let certificates: Vec<_> = std::iter::once(&tunnel)
            .chain(&facades)
            .filter_map(|server| server.listener.certificate().cloned())
            .collect();
        for certificate in &certificates {
            tokio::spawn(certificate.clone().follow());
        }
        let (stop, links) = (running.arrivals.stopped(), running.links.clone());
        let tunnel_state = Arc::new(Tunnel::new(&config, registry.clone(), admission.clone(), stop, links));
        for keys in tunnel_state.key_sets() {
            tokio::spawn(keys.clone().follow());
        }
        let status = Arc::new(Status {
            name: config.name.clone(),
            started: Instant::now(),
            since: SystemTime::now(),
            known: Known::new(&config),
            registry: registry.clone(),
            admission,
            facades: states.clone(),
            certificates,
            tunnel: tunnel_state.clone(),
            drain: drain.clone(),
        });
        for (server, state) in facades.into_iter().zip(states) {
            let answer = move |arrival| state.clone().answer(arrival);
            tokio::spawn(server.run(no_delay, answer, running.requests.clone()));
        }
        for (server, router) in [(admin, admin::admin(status.clone())), (health, admin::health(status))] {
            if let Some(server) = server {
                tokio::spawn(run_router(server, router));
            }
        }
        let answer = move |arrival| tunnel_state.clone().answer(arrival);
        tokio::spawn(tunnel.run(proto::link::tune, answer, running.arrivals.clone()));
        running
    }
}

/// What has to come to an end, in this order.
struct Running {
    registry: Arc<Registry>,
    requests: Serving,
    arrivals: Serving,
    links: TaskTracker,
}

impl Running {
    fn new(registry: Registry) -> Self {
        let registry = Arc::new(registry);
        Self { registry, requests: Serving::default(), arrivals: Serving::default(), links: TaskTracker::default() }
    }

    async fn drain(&self, delay: Duration) {
        self.requests.finish(delay).await;
        self.arrivals.stop();
        self.registry.entries().iter().for_each(|entry| entry.connection.drain("the gateway shuts down"));
        self.links.close();
        self.links.wait().await;
    }

    /// Ends what a drain has not brought to an end.
    fn cut(&self) {
        self.requests.stop();
        self.arrivals.stop();
        self.registry.entries().iter().for_each(|entry| entry.connection.close());
        self.links.close();
    }
}

async fn run_router(server: Server, router: axum::Router) {
    let answer = move |arrival: Arrival| {
        let mut router = router.clone();
        async move { router.call(arrival.request).await.unwrap_or_else(|never| match never {}) }
    };
    // It answers to the very end: a drain can be watched.
    server.run(no_delay, answer, Serving::default()).await;
}

fn no_delay(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)
}

/// What to do about it, on a line of its own. A socket's errors say it themselves.
fn remedy(address: &Listen, error: &io::Error) -> &'static str {
    address.address().map_or("", |address| settings::net::bind_remedy(address, error))
}

async fn bind(
    what: &'static str,
    address: Listen,
    tls: Option<&Tls>,
    idle: Option<Duration>,
) -> Result<Server, BindError> {
    Server::bind(&address, tls, idle).await.map_err(|error| BindError::Listen { what, address, error })
}

async fn bind_optional(what: &'static str, address: Option<SocketAddr>) -> Result<Option<Server>, BindError> {
    match address {
        Some(address) => bind(what, address.into(), None, Some(IDLE_CONNECTION)).await.map(Some),
        None => Ok(None),
    }
}
