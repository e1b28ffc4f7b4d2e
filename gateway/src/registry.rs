//! Which links serve which services, and the wait for one that does.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use proto::{link::Connection, session::OpenError, wire::ServiceName};
use tokio::sync::watch;

use crate::{limits::LINKS_PER_AGENT, listener::Peer};

/// Every live link of the gateway.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    state: Mutex<State>,
    /// Counts changes; whoever waits for an agent watches it.
    changes: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    next_id: LinkId,
    links: HashMap<LinkId, Entry>,
    by_service: HashMap<ServiceName, Serving>,
    /// Links of each agent, those included that are about to be.
    places: HashMap<String, usize>,
}

/// The links that serve one name.
#[derive(Debug, Default)]
struct Serving {
    links: Vec<LinkId>,
    /// Where the next search begins, so that equals take turns.
    turn: usize,
}

/// The number of a link, never used again.
pub(crate) type LinkId = u64;

/// A link that was chosen.
#[derive(Clone, Debug)]
pub(crate) struct Chosen {
    pub(crate) link: LinkId,
    pub(crate) connection: Connection,
}

/// A live link, as the registry and `/status` know it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) agent: String,
    pub(crate) instance: String,
    pub(crate) version: String,
    pub(crate) address: Peer,
    pub(crate) since: Instant,
    pub(crate) services: Vec<ServiceName>,
    pub(crate) connection: Connection,
}

/// Why no link can take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// No link serves the name, or all that do are draining.
    NoAgent,
    /// Those that serve it have as many streams as they take, or have been tried.
    Full,
}

impl Registry {
    /// Adds a link. It stays until the returned guard is dropped.
    pub(crate) fn add(&self, entry: Entry) -> Registered<'_> {
        let mut state = self.lock();
        let id = state.next_id;
        state.next_id += 1;
        state.index(id, &entry.services);
        state.links.insert(id, entry);
        drop(state);
        self.changed();
        Registered { registry: self, id }
    }

    /// The link that serves a name with the fewest streams in flight; among equals, each in its turn. Those that were
    /// `tried` already are not asked again.
    pub(crate) fn choose(&self, service: &ServiceName, tried: &[LinkId]) -> Result<Chosen, Unavailable> {
        let mut state = self.lock();
        let State { links, by_service, .. } = &mut *state;
        let serving = by_service.get_mut(service).ok_or(Unavailable::NoAgent)?;
        if tried.is_empty() {
            // Turns are the requests': a second try must not hand the next one to whoever has just refused.
            serving.turn = serving.turn.wrapping_add(1);
        }
        let (later, first) = serving.links.split_at(serving.turn % serving.links.len());
        let mut unavailable = Unavailable::NoAgent;
        let mut best: Option<(usize, LinkId, &Connection)> = None;
        for (&id, connection) in first.iter().chain(later).map(|id| (id, &links[id].connection)) {
            match connection.can_open() {
                Ok(()) if tried.contains(&id) => unavailable = Unavailable::Full,
                Ok(()) => {
                    // One link is the usual case, and needs no comparison.
                    let streams = if serving.links.len() == 1 { 0 } else { connection.streams() };
                    if best.is_none_or(|(least, ..)| streams < least) {
                        best = Some((streams, id, connection));
                    }
                }
                Err(OpenError::Full) => unavailable = Unavailable::Full,
                Err(OpenError::Draining | OpenError::Ended) => {}
            }
        }
        best.map(|(_, link, connection)| Chosen { link, connection: connection.clone() }).ok_or(unavailable)
    }

    /// As [`Registry::choose`], but waits a while for an agent if there is none.
    pub(crate) async fn choose_within(
        &self,
        service: &ServiceName,
        wait: Duration,
        tried: &[LinkId],
    ) -> Result<Chosen, Unavailable> {
        match self.choose(service, tried) {
            Err(Unavailable::NoAgent) if !wait.is_zero() => {}
            chosen => return chosen,
        }
        tokio::time::timeout(wait, self.comes(service, tried)).await.unwrap_or(Err(Unavailable::NoAgent))
    }

    /// Waits until a service has a link, or has only full ones.
    async fn comes(&self, service: &ServiceName, tried: &[LinkId]) -> Result<Chosen, Unavailable> {
        let mut changes = self.changes.subscribe();
        loop {
            match self.choose(service, tried) {
                Err(Unavailable::NoAgent) => {}
                chosen => return chosen,
            }
            changes.changed().await.expect("the sender lives as long as the registry");
        }
    }

    /// Takes one of the [`LINKS_PER_AGENT`] places of an agent, for the link that is about to be; `None` if all are
    /// taken. Taken before the link is promised, so that those that come at once do not all find the last one free.
    pub(crate) fn place(&self, agent: &str) -> Option<Place<'_>> {
        let mut state = self.lock();
        let taken = state.places.entry(agent.to_owned()).or_default();
        if *taken >= LINKS_PER_AGENT {
            return None;
        }
        *taken += 1;
        Some(Place { registry: self, agent: agent.to_owned() })
    }

    /// A copy of every entry, in order of age.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        let mut entries: Vec<Entry> = self.lock().links.values().cloned().collect();
        entries.sort_by_key(|entry| entry.since);
        entries
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the registry")
    }
}

impl State {
    fn index(&mut self, id: LinkId, services: &[ServiceName]) {
        for service in services {
            self.by_service.entry(service.clone()).or_default().links.push(id);
        }
    }

    fn unindex(&mut self, id: LinkId) {
        let Some(entry) = self.links.get(&id) else { return };
        for service in &entry.services {
            if let Some(serving) = self.by_service.get_mut(service) {
                serving.links.retain(|other| *other != id);
                if serving.links.is_empty() {
                    self.by_service.remove(service);
                }
            }
        }
    }
}

/// One of the places that an agent has for links, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Place<'a> {
    registry: &'a Registry,
    agent: String,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.registry.lock();
        if let Some(taken) = state.places.get_mut(&self.agent) {
            *taken -= 1;
            if *taken == 0 {
                state.places.remove(&self.agent);
            }
        }
    }
}

/// A link's entry in the registry; dropping it takes the link out.
#[derive(Debug)]
pub(crate) struct Registered<'a> {
    registry: &'a Registry,
    id: LinkId,
}

impl Registered<'_> {
    /// Replaces the services of the link.
    pub(crate) fn replace_services(&self, services: Vec<ServiceName>) {
        let mut state = self.registry.lock();
        state.unindex(self.id);
        state.index(self.id, &services);
        if let Some(entry) = state.links.get_mut(&self.id) {
            entry.services = services;
        }
        drop(state);
        self.registry.changed();
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        let mut state = self.registry.lock();
        state.unindex(self.id);
        state.links.remove(&self.id);
    }
}
