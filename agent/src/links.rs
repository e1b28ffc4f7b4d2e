//! The agent's links, for whoever asks how it is.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard},
};

use proto::link::Connection;
use tokio::time::Instant;

use crate::{config::GatewayUrl, dial::Way};

/// Which links are up, and what went wrong with those that are not.
#[derive(Debug, Default)]
pub(crate) struct Links(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next_id: u64,
    up: HashMap<u64, Up>,
    gateways: BTreeMap<String, Trouble>,
}

/// What went wrong with one gateway.
#[derive(Debug, Default)]
struct Trouble {
    /// Why the last link ended, or the last dial failed or takes so long, if no link has come up since.
    last_error: Option<String>,
    /// How often a link ended or a dial failed.
    failures: u64,
}

/// A live link.
#[derive(Clone, Debug)]
pub(crate) struct Up {
    pub(crate) gateway: String,
    /// By what it was dialled.
    pub(crate) way: Way,
    pub(crate) since: Instant,
    pub(crate) connection: Connection,
}

/// A configured gateway.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    pub(crate) links: usize,
    /// Why the last link ended, or the last dial failed or takes so long, if no link has come up since.
    pub(crate) last_error: Option<String>,
    /// How often a link ended or a dial failed.
    pub(crate) failures: u64,
}

impl Links {
    /// Notes that a gateway is configured.
    pub(crate) fn expect(&self, url: &GatewayUrl) {
        self.lock().gateways.entry(url.to_string()).or_default();
    }

    /// Notes that a gateway is configured no more. Links to it that are still up stay until they end.
    pub(crate) fn forget(&self, url: &GatewayUrl) {
        self.lock().gateways.remove(&url.to_string());
    }

    /// Notes a failed dial, or the end of a link.
    pub(crate) fn failed(&self, url: &GatewayUrl, way: &Way, error: &str) {
        if let Some(gateway) = self.lock().gateways.get_mut(&url.to_string()) {
            gateway.last_error = Some(format!("{way}: {error}"));
            gateway.failures += 1;
        }
    }

    /// Notes why a dial that has not failed so far has made no link yet.
    pub(crate) fn waits(&self, url: &GatewayUrl, way: &Way, why: &str) {
        if let Some(gateway) = self.lock().gateways.get_mut(&url.to_string()) {
            gateway.last_error = Some(format!("{way}: {why}"));
        }
    }

    /// Adds a link. It stays until the returned guard is dropped.
    pub(crate) fn add(&self, up: Up) -> Registered<'_> {
        let mut state = self.lock();
        let id = state.next_id;
        state.next_id += 1;
        if let Some(gateway) = state.gateways.get_mut(&up.gateway) {
            gateway.last_error = None;
        }
        state.up.insert(id, up);
        Registered { links: self, id }
    }

    /// How many links there have been.
    pub(crate) fn ever(&self) -> u64 {
        self.lock().next_id
    }

    /// Every live link, in order of age.
    pub(crate) fn up(&self) -> Vec<Up> {
        let mut up: Vec<Up> = self.lock().up.values().cloned().collect();
        up.sort_by_key(|link| link.since);
        up
    }

    /// Every configured gateway.
    pub(crate) fn gateways(&self) -> BTreeMap<String, Gateway> {
        let state = self.lock();
        let links = |url: &String| state.up.values().filter(|up| up.gateway == *url).count();
        let gateway = |(url, Trouble { last_error, failures }): (&String, &Trouble)| {
            (url.clone(), Gateway { links: links(url), last_error: last_error.clone(), failures: *failures })
        };
        state.gateways.iter().map(gateway).collect()
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
        self.links.lock().up.remove(&self.id);
    }
}
