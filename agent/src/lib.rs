//! The agent: dials gateways, and serves what they ask if the whitelist admits it.
//!
//! `dial` keeps a link to every gateway; each request on a link is judged by the [`whitelist`] and, if
//! admitted, replayed to its `upstream`. The agent takes no work from anywhere else.

pub mod config;
mod dial;
mod limits;
mod links;
mod probes;
mod rates;
mod serve;
mod upstream;
pub mod whitelist;

use std::{io, net::SocketAddr, sync::Arc, time::Instant};

use proto::wire::AgentHello;
use tokio::net::TcpListener;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use self::{
    dial::Dialling,
    links::Links,
    probes::{Offer, ServiceStatus, Status},
    serve::Server,
};
pub use config::Config;

/// An agent with its listeners bound.
#[derive(Debug)]
pub struct Agent {
    config: Config,
    tls: Arc<rustls::ClientConfig>,
    admin: Option<TcpListener>,
    health: Option<TcpListener>,
}

/// The agent cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A listener could not be bound.
    #[error("cannot listen on {} ({what}): {error}", address.map(|address| address.to_string()).unwrap_or_default())]
    Listen {
        /// Which listener.
        what: &'static str,
        /// Its address.
        address: Option<SocketAddr>,
        /// Why not.
        error: io::Error,
    },
    /// A configured authority is not a usable certificate.
    #[error("a certificate of ca_file cannot be used: {0}")]
    Authorities(rustls::Error),
}

impl Agent {
    /// Binds the listeners of the configuration, if there are any.
    ///
    /// # Errors
    /// [`BindError`] for the first that cannot be bound.
    pub async fn bind(config: Config) -> Result<Self, BindError> {
        let tls = dial::tls::client(config.ca.as_deref()).map_err(BindError::Authorities)?;
        let failed = |what, address| move |error| BindError::Listen { what, address, error };
        let admin = probes::bind(config.admin).await.map_err(failed("admin", config.admin))?;
        let health = probes::bind(config.health).await.map_err(failed("health", config.health))?;
        Ok(Self { config, tls, admin, health })
    }

    /// Where it listens, as bound: the real ports where the configuration says 0.
    #[must_use]
    pub fn addresses(&self) -> Vec<(&'static str, SocketAddr)> {
        let listeners = [("admin", &self.admin), ("health", &self.health)];
        listeners
            .into_iter()
            .filter_map(|(what, listener)| Some((what, listener.as_ref()?.local_addr().ok()?)))
            .collect()
    }

    /// Runs until `shutdown`, then drains: gateways are told at once, what is in flight finishes within the grace
    /// period, and the links close.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { config, tls, admin, health } = self;
        let instance = format!("{:016x}", getrandom::u64().unwrap_or_else(|_| std::process::id().into()));
        let links = Arc::new(Links::default());
        let server = Arc::new(Server::new(&config.services));
        let status = Arc::new(Status {
            name: config.name.clone(),
            instance: instance.clone(),
            started: Instant::now(),
            links: links.clone(),
            services: config.services.iter().map(service_status).collect(),
            draining: shutdown.clone(),
        });
        for (listener, offer) in [(admin, Offer::Admin), (health, Offer::Health)] {
            if let Some(listener) = listener {
                tokio::spawn(probes::serve(listener, status.clone(), offer));
            }
        }
        tokio::spawn(sweep(server.clone()));
        let tasks = TaskTracker::new();
        let (stop, reresolve) = (shutdown.clone(), config.reresolve);
        let dialling = Dialling { server, links: links.clone(), tls, reresolve, stop, tasks: tasks.clone() };
        dialling.start(&config, &hello(&config, instance));

        shutdown.cancelled().await;
        info!(grace_s = config.drain_grace.as_secs(), "draining");
        links.up().iter().for_each(|link| link.connection.drain("the agent shuts down"));
        tasks.close();
        if tokio::time::timeout(config.drain_grace, tasks.wait()).await.is_err() {
            warn!("the grace period is over: closing what is still in flight");
            links.up().iter().for_each(|link| link.connection.close());
            // Whoever has not listened by then learns it from the lost connection.
            let _ = tokio::time::timeout(limits::LAST_WORDS, tasks.wait()).await;
        }
    }
}

fn hello(config: &Config, instance: String) -> AgentHello {
    AgentHello {
        agent: config.name.clone(),
        instance,
        services: config.services.iter().map(|service| service.name.clone()).collect(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        window: config.limits.window,
        streams: config.limits.streams,
    }
}

fn service_status(service: &config::Service) -> ServiceStatus {
    let rules = service.allow.len();
    ServiceStatus { name: service.name.to_string(), upstream: service.upstream.to_string(), rules }
}

async fn sweep(server: Arc<Server>) {
    loop {
        tokio::time::sleep(limits::SWEEP).await;
        server.sweep();
    }
}
