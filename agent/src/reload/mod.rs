//! Hot reload: what the file says from now on is in force from the next request on, all of it at once, or none of it.
//!
//! `watch` says when to read, `settle` how long to leave a file alone that is being written. What is read is checked as
//! at the start; only then anything is replaced. Requests under way end as they began.

mod settle;
mod status;
mod watch;

use std::{sync::Arc, time::Duration};

use settings::{Fault, Findings, Invalid, Source, Token};
use tokio::{
    sync::{Notify, watch::Sender},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub(crate) use self::status::{ReloadStatus, Reloads};
use self::watch::{Watch, Why};
use crate::{
    config::{Config, Origin},
    dial::{Gateways, Standing},
    limits::RELOAD_POLL,
    offer::Offer,
    serve::Server,
};

/// Keeps an agent to its file.
pub(crate) struct Reloader {
    /// What is in force, but for what needs a restart.
    pub(crate) current: Config,
    pub(crate) server: Arc<Server>,
    pub(crate) standing: Arc<Sender<Arc<Standing>>>,
    pub(crate) gateways: Gateways,
    pub(crate) reloads: Arc<Reloads>,
    /// Somebody asks to read the file, and to open the audit log, anew.
    pub(crate) asked: Arc<Notify>,
}

impl Reloader {
    /// Follows the file until `shutdown`; gives how long a drain may take by then.
    pub(crate) async fn run(mut self, shutdown: &CancellationToken) -> Duration {
        let follow = async {
            match self.current.origin.clone() {
                Some(origin) => self.follow(&origin).await,
                None => loop {
                    let _ = timeout(RELOAD_POLL, self.asked.notified()).await;
                    self.take_fresh_token().await;
                },
            }
        };
        shutdown.run_until_cancelled(follow).await;
        self.current.drain_grace
    }

    /// Without a file there is one thing that may have changed.
    async fn take_fresh_token(&mut self) {
        let Some(path) = self.current.token_file.clone() else { return };
        let Ok(Ok(token)) = tokio::task::spawn_blocking(move || Token::from_file(&path)).await else {
            // The next dial says what is wrong with it.
            return;
        };
        if self.current.token.as_ref() == Some(&token) {
            return;
        }
        self.current.token = Some(token);
        let before = self.standing.borrow().clone();
        match Standing::new(&self.current, &before.hello.agent, &before.hello.instance) {
            Ok(standing) => {
                info!("the token has changed");
                self.standing.send_replace(Arc::new(standing));
            }
            Err(error) => warn!(%error, "the token has changed, and cannot be taken"),
        }
    }

    async fn follow(&mut self, origin: &Origin) {
        let mut watch = Watch::new(&origin.path, self.asked.clone());
        // Between the first reading and the beginning of the watch it may have changed.
        watch.poll_soon();
        let (mut seen, mut asked) = (None, false);
        loop {
            let why = watch.next().await;
            if why == Why::Asked {
                self.reopen_audit();
                asked = true;
                if !watch.is_quiet() {
                    // Not while it is being written.
                    continue;
                }
            }
            let path = origin.path.clone();
            let loaded = tokio::task::spawn_blocking(move || Config::load(&path)).await;
            let loaded = loaded.unwrap_or_else(|panic| Err(unreadable(&panic.to_string())));
            if why == Why::Polled && self.is_news(&loaded) && seen.replace(text(&loaded)) != Some(text(&loaded)) {
                watch.poll_soon();
                continue;
            }
            seen = None;
            self.take(loaded, std::mem::take(&mut asked));
        }
    }

    fn reopen_audit(&self) {
        if let Some(audit) = self.server.audit() {
            audit.reopen();
            info!("the audit log is opened anew");
        }
    }

    /// Whether it is not what is in force already.
    fn is_news(&self, loaded: &Result<Config, Invalid>) -> bool {
        loaded.as_ref().map_or(true, |config| !is_same(config, &self.current))
    }

    fn take(&mut self, loaded: Result<Config, Invalid>, asked: bool) {
        let applied = match loaded {
            Ok(config) if is_same(&config, &self.current) => return self.reloads.unchanged(asked),
            Ok(config) => self.apply(config),
            Err(invalid) => Err(invalid),
        };
        if let Err(invalid) = applied {
            self.reloads.failed(&invalid, asked);
        }
    }

    /// First what may fail, then everything at once. Services are offered before any gateway hears of them.
    fn apply(&mut self, config: Config) -> Result<(), Invalid> {
        let before = self.standing.borrow().clone();
        let standing = Standing::new(&config, &before.hello.agent, &before.hello.instance)
            .map_err(|error| unreadable(&error.to_string()))?;
        self.server.replace(Offer::new(&config.services, Some(&self.server.offer())));
        self.standing.send_replace(Arc::new(standing));
        self.gateways.follow(&config.gateways, config.drain_grace);
        let needs_restart = needs_restart(&config, &self.current);
        config.warnings.iter().for_each(|warning| warn!("{warning}"));
        for key in &needs_restart {
            warn!(key, "this key has changed, which takes effect at the next start");
        }
        let generation = self.reloads.succeeded(needs_restart);
        let rules: usize = config.services.iter().map(|service| service.allow.len()).sum();
        info!(generation, services = config.services.len(), rules, "the configuration is reloaded");
        self.current = keep_what_needs_a_restart(config, &self.current);
        Ok(())
    }
}

/// Whether nothing has changed, in the file or in those that it names.
fn is_same(new: &Config, old: &Config) -> bool {
    new.origin == old.origin && new.ca == old.ca && new.proxies == old.proxies && new.token == old.token
}

/// What the file now says, or what is wrong with it.
fn text(loaded: &Result<Config, Invalid>) -> String {
    match loaded {
        Ok(config) => config.origin.as_ref().map(|origin| origin.text.to_string()).unwrap_or_default(),
        Err(invalid) => invalid.to_string(),
    }
}

/// The keys that cannot change while the agent runs, and have.
fn needs_restart(new: &Config, running: &Config) -> Vec<&'static str> {
    let keys = [
        ("name", new.name != running.name),
        ("admin", new.admin != running.admin),
        ("health", new.health != running.health),
        ("audit_log", new.audit_log != running.audit_log),
    ];
    keys.into_iter().filter_map(|(key, changed)| changed.then_some(key)).collect()
}

fn keep_what_needs_a_restart(new: Config, running: &Config) -> Config {
    let Config { name, admin, health, audit_log, .. } = running.clone();
    Config { name, admin, health, audit_log, ..new }
}

fn unreadable(why: &str) -> Invalid {
    let source = Source::file("the configuration file", "", std::path::Path::new(""));
    Findings::new(&source).fail(None, Fault::new(format!("it cannot be used: {why}"), "please report this"))
}
