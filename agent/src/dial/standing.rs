//! What the agent says of itself at a dial, and how it verifies whom it says it to.

use std::{collections::HashMap, path::PathBuf, sync::Arc, time::Duration};

use http::HeaderValue;
use proto::{session, wire::AgentHello};
use rustls::ClientConfig;
use settings::Token;
use tokio::time::timeout;
use tracing::warn;

use super::tls::{self, Tls};
use crate::{
    config::{Config, GatewayUrl, Proxy},
    limits::READ_CREDENTIAL,
};

/// What one configuration says about links. A link keeps what it began with, but for the services.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) hello: AgentHello,
    /// The token, as the configuration was read …
    pub(super) token: Option<Token>,
    /// … and where to look for a fresher one.
    token_file: Option<PathBuf>,
    pub(super) tls: Tls,
    /// By which proxy each gateway is dialled that is not dialled directly.
    pub(super) proxies: HashMap<GatewayUrl, Proxy>,
    /// How proxies are verified that speak TLS. It shows no certificate and skips nothing: both are for gateways.
    pub(super) proxy_tls: Arc<ClientConfig>,
    pub(super) limits: session::Limits,
    /// How often names are resolved again.
    pub(super) reresolve: Duration,
    /// Links to each address.
    pub(super) lanes: u32,
}

impl Standing {
    /// # Errors
    /// Those of rustls, if a configured authority is not a usable certificate.
    pub(crate) fn new(config: &Config, name: &str, instance: &str) -> Result<Self, rustls::Error> {
        let limits = session::Limits {
            streams: config.limits.streams,
            window: config.limits.window,
            growth: config.limits.growth(),
            ..session::Limits::default()
        };
        let hello = AgentHello {
            agent: name.to_owned(),
            instance: instance.to_owned(),
            services: config.services.iter().map(|service| service.name.clone()).collect(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            window: limits.window,
            streams: limits.streams,
        };
        Ok(Self {
            hello,
            token: config.token.clone(),
            token_file: config.token_file.clone(),
            tls: Tls::new(config)?,
            proxies: config.proxies.clone(),
            proxy_tls: tls::for_proxies(config)?,
            limits,
            reresolve: config.reresolve,
            lanes: config.links,
        })
    }

    /// The token of the next dial: the one that the file holds now.
    pub(super) async fn token(&self) -> Option<Token> {
        let mut token = self.token.clone()?;
        if let Some(path) = self.token_file.clone() {
            match in_time(move || Token::from_file(&path))
                .await
                .and_then(|read| read.map_err(|fault| fault.to_string()))
            {
                Ok(fresh) => token = fresh,
                Err(fault) => warn!(fault, "the token cannot be read again: the last one is shown"),
            }
        }
        Some(token)
    }
}

/// What a reading of files gives, which may have to wait for a file system.
///
/// # Errors
/// Why there is nothing: it takes too long.
pub(super) async fn in_time<T: Send + 'static>(read: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
    let read = timeout(READ_CREDENTIAL, tokio::task::spawn_blocking(read)).await;
    let read = read.map_err(|_| format!("reading it takes longer than {} s", READ_CREDENTIAL.as_secs()))?;
    read.map_err(|panic| panic.to_string())
}

/// A secret as the value of a header: what prints headers hides it.
///
/// # Panics
/// If it is not visible ASCII: reading it has checked that.
pub(super) fn sensitive(secret: &str) -> HeaderValue {
    let mut value = HeaderValue::from_str(secret).expect("reading the secret has checked that it is visible ASCII");
    value.set_sensitive(true);
    value
}
