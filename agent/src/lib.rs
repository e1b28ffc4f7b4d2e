//! The agent: dials gateways, and serves what they ask if the whitelist admits it.
//!
//! `dial` keeps a link to every gateway; each request on a link is judged by the [`whitelist`] and, if
//! admitted, replayed to its `upstream`. The agent takes no work from anywhere else.

mod ascii;
mod audit;
pub mod config;
mod counters;
mod dial;
mod limits;
mod links;
mod offer;
mod places;
mod probes;
mod rates;
pub mod register;
mod reload;
mod secrets;
mod serve;
mod upstream;
mod utc;
pub mod whitelist;

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Instant, SystemTime},
};

use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use self::{
    audit::AuditLog,
    dial::{Dialling, Gateways, Standing},
    links::Links,
    offer::Offer,
    probes::{Drain, Extent, Status},
    reload::{Reloader, Reloads},
    secrets::Secrets,
    serve::Server,
};
pub use config::Config;

/// An agent with its listeners bound.
#[derive(Debug)]
pub struct Agent {
    config: Config,
    standing: Standing,
    admin: Option<TcpListener>,
    health: Option<TcpListener>,
    audit: Option<AuditLog>,
    hangup: Arc<Notify>,
}

/// The agent cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A listener could not be bound.
    #[error("cannot listen on {address} ({what}): {error}{}", settings::net::bind_remedy(*address, error))]
    Listen {
        /// Which listener.
        what: &'static str,
        /// Its address.
        address: SocketAddr,
        /// Why not.
        error: io::Error,
    },
    /// A configured authority is not a usable certificate.
    #[error("a certificate of ca_file cannot be used: {0}")]
    Authorities(rustls::Error),
    /// The audit log cannot be written.
    #[error(
        "cannot write the audit log to {target} (audit_log): {error}\n = its folder must exist, and be writable for the user that the agent runs as"
    )]
    Audit {
        /// Where it should go.
        target: String,
        /// Why it cannot.
        error: io::Error,
    },
}

impl Agent {
    /// Binds the listeners of the configuration, and opens the audit log, if there are any.
    ///
    /// # Errors
    /// [`BindError`] for the first that cannot be had.
    pub async fn bind(config: Config) -> Result<Self, BindError> {
        let instance = format!("{:016x}", getrandom::u64().unwrap_or_else(|_| std::process::id().into()));
        let standing = Standing::new(&config, &config.name, &instance).map_err(BindError::Authorities)?;
        let admin = bind("admin", config.admin).await?;
        let health = bind("health", config.health).await?;
        let audit = config.audit_log.as_ref().map(|target| {
            AuditLog::open(target).map_err(|error| BindError::Audit { target: target.to_string(), error })
        });
        Ok(Self { config, standing, admin, health, audit: audit.transpose()?, hangup: Arc::default() })
    }

    /// Each time this is notified the audit log is opened anew, and the configuration file read again.
    #[must_use]
    pub fn with_hangup(self, hangup: Arc<Notify>) -> Self {
        Self { hangup, ..self }
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

    /// Runs until `shutdown`, and follows the configuration's file if it has one. It drains then, or earlier if the
    /// admin listener is asked to: gateways are told at once, what is in flight finishes within the grace period, the
    /// links close, and no gateway is dialled again.
    pub async fn run(self, shutdown: CancellationToken) {
        let links = Arc::new(Links::default());
        let tasks = TaskTracker::new();
        let drain = Drain { begun: shutdown.child_token(), done: CancellationToken::new() };
        let (reloader, server) = self.start(&links, &tasks, &drain);
        let grace = reloader.run(&drain.begun).await;
        info!(grace_s = grace.as_secs(), "draining");
        links.up().iter().for_each(|link| link.connection.drain("the agent shuts down"));
        tasks.close();
        if tokio::time::timeout(grace, tasks.wait()).await.is_err() {
            warn!("the grace period is over: closing what is still in flight");
            links.up().iter().for_each(|link| link.connection.close());
            // Whoever has not listened by then learns it from the lost connection.
            let _ = tokio::time::timeout(limits::LAST_WORDS, tasks.wait()).await;
        }
        info!("drained");
        drain.done.cancel();
        shutdown.cancelled().await;
        if let Some(audit) = server.audit() {
            audit.close().await;
        }
    }

    fn start(self, links: &Arc<Links>, tasks: &TaskTracker, drain: &Drain) -> (Reloader, Arc<Server>) {
        let Self { config, standing, admin, health, audit, hangup } = self;
        let secrets = Arc::new(Secrets::default());
        let server = Arc::new(Server::new(Offer::new(&config.services, None), audit, secrets.clone()));
        let reloads = Arc::new(Reloads::new(config.origin.is_some()));
        let status = Arc::new(Status {
            name: config.name.clone(),
            instance: standing.hello.instance.clone(),
            started: Instant::now(),
            since: SystemTime::now(),
            links: links.clone(),
            server: server.clone(),
            reloads: reloads.clone(),
            drain: drain.clone(),
        });
        for (listener, extent) in [(admin, Extent::Admin), (health, Extent::Health)] {
            if let Some(listener) = listener {
                tokio::spawn(probes::serve(listener, status.clone(), extent));
            }
        }
        tokio::spawn(sweep(server.clone()));
        let (standing, news) = watch::channel(Arc::new(standing));
        tokio::spawn(dial::announce(links.clone(), news, secrets.clone()));
        let standing = Arc::new(standing);
        let mut gateways = Gateways::new(Dialling {
            server: server.clone(),
            links: links.clone(),
            standing: standing.clone(),
            secrets,
            stop: drain.begun.clone(),
            tasks: tasks.clone(),
        });
        gateways.follow(&config.gateways, config.drain_grace);
        let reloader = Reloader { current: config, server: server.clone(), standing, gateways, reloads, asked: hangup };
        (reloader, server)
    }
}

/// Binds a listener that may not be configured.
async fn bind(what: &'static str, address: Option<SocketAddr>) -> Result<Option<TcpListener>, BindError> {
    let Some(address) = address else { return Ok(None) };
    let bound = TcpListener::bind(address).await;
    bound.map(Some).map_err(|error| BindError::Listen { what, address, error })
}

async fn sweep(server: Arc<Server>) {
    loop {
        tokio::time::sleep(limits::SWEEP).await;
        server.offer().sweep();
    }
}
