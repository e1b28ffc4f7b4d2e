//! What the agent says of itself at a dial, and how it verifies whom it says it to.

use std::{sync::Arc, time::Duration};

use http::HeaderValue;
use proto::{session, wire::AgentHello};
use rustls::ClientConfig;

use super::tls;
use crate::config::Config;

/// What one configuration says about links. A link keeps what it began with, but for the services.
#[derive(Debug)]
pub(crate) struct Standing {
    pub(crate) hello: AgentHello,
    /// The `Authorization` that is shown, marked as sensitive.
    pub(super) authorization: Option<HeaderValue>,
    pub(super) tls: Arc<ClientConfig>,
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
        let authorization = config.token.as_ref().map(|token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose()))
                .expect("a token is visible ASCII: the configuration has checked that");
            value.set_sensitive(true);
            value
        });
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
        let tls = tls::client(config.ca.as_deref())?;
        Ok(Self { hello, authorization, tls, limits, reresolve: config.reresolve, lanes: config.links })
    }
}
