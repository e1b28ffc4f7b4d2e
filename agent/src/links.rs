//! The agent's links, for whoever asks how it is.

use std::{
    collections::{BTreeMap, HashMap},
    net::SocketAddr,
    sync::{Mutex, MutexGuard},
    time::Instant,
};

use proto::link::Connection;

use crate::config::GatewayUrl;

/// Which links are up, and what went wrong with those that are not.
#[derive(Debug, Default)]
pub(crate) struct Links(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    up: HashMap<u64, Up>,
    gateways: BTreeMap<String, Gateway>,
}

/// A live link.
#[derive(Clone, Debug)]
pub(crate) struct Up {
    pub(crate) gateway: String,
    pub(crate) address: SocketAddr,
    pub(crate) since: Instant,
    pub(crate) connection: Connection,
}

/// A configured gateway.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gateway {
    pub(crate) links: usize,
    /// Why the last link ended or the last dial failed, if no link has come up since.
    pub(crate) last_error: Option<String>,
}

impl Links {
    /// Notes that a gateway is configured.
    pub(crate) fn expect(&self, url: &GatewayUrl) {
        self.lock().gateways.entry(url.to_string()).or_default();
    }

    /// Notes a failed dial, or the end of a link.
    pub(crate) fn failed(&self, url: &GatewayUrl, address: SocketAddr, error: &str) {
        self.lock().gateways.entry(url.to_string()).or_default().last_error = Some(format!("{address}: {error}"));
    }

    /// Adds a link. It stays until the returned guard is dropped.
    pub(crate) fn add(&self, url: &GatewayUrl, up: Up) -> Registered<'_> {
        let mut state = self.lock();
        let id = state.next_id;
        state.next_id += 1;
        state.up.insert(id, up);
        let gateway = state.gateways.entry(url.to_string()).or_default();
        gateway.links += 1;
        gateway.last_error = None;
        Registered { links: self, id }
    }

    /// Every live link, in order of age.
    pub(crate) fn up(&self) -> Vec<Up> {
        let mut up: Vec<Up> = self.lock().up.values().cloned().collect();
        up.sort_by_key(|link| link.since);
        up
    }

    /// Every configured gateway.
    pub(crate) fn gateways(&self) -> BTreeMap<String, Gateway> {
        self.lock().gateways.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while it holds the links")
    }
}

/// A link's entry; dropping it takes the link out.
#[derive(Debug)]
pub(crate) struct Registered<'a> {
    links: &'a Links,
    id: u64,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        let mut state = self.links.lock();
        if let Some(up) = state.up.remove(&self.id)
            && let Some(gateway) = state.gateways.get_mut(&up.gateway)
        {
            gateway.links -= 1;
        }
    }
}
