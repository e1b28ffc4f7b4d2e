//! Which links serve which services, and the wait for one that does.

mod budget;
mod choice;
mod load;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU32, Ordering},
    },
};

use proto::{link::Connection, wire::ServiceName};
use tokio::{sync::watch, time::Instant};

use self::{budget::Budget, load::Load};
pub(crate) use self::{
    choice::{Chosen, Tried, Unavailable},
    load::InFlight,
};
use crate::{auth::Means, config, limits::LINKS_PER_AGENT, listener::Peer};

/// Every live link of the gateway.
#[derive(Debug)]
pub(crate) struct Registry {
    state: Mutex<State>,
    /// Counts changes; whoever waits for an agent watches it.
    changes: watch::Sender<u64>,
    /// Requests that wait for an agent.
    waiting: AtomicU32,
    /// How many of them there may be.
    most_waiting: u32,
    /// What the configuration says of single services.
    settings: BTreeMap<ServiceName, config::Service>,
}

#[derive(Debug, Default)]
struct State {
    next_id: LinkId,
    links: HashMap<LinkId, Entry>,
    by_service: HashMap<ServiceName, Serving>,
    /// Links of each agent, those included that are about to be.
    places: HashMap<String, usize>,
}

/// The links that serve one name, and how much they have to do for it.
#[derive(Debug)]
struct Serving {
    links: Vec<LinkId>,
    /// Where the next search begins, so that equals take turns.
    turn: usize,
    load: Arc<Load>,
    budget: Budget,
    /// Requests that were given a link.
    requests: u64,
    /// Requests that were sent a second time.
    retries: u64,
}

/// The number of a link, never used again.
pub(crate) type LinkId = u64;

/// A live link, as the registry and `/status` know it.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) agent: String,
    pub(crate) instance: Arc<str>,
    pub(crate) version: String,
    pub(crate) address: Peer,
    /// How the agent has proved who it is, when the link began …
    pub(crate) proof: Means,
    /// … and the SHA-256 of its certificate, if it has shown one.
    pub(crate) fingerprint: Option<String>,
    pub(crate) since: Instant,
    pub(crate) services: Vec<ServiceName>,
    pub(crate) connection: Connection,
}

/// A service, as `/status` tells it.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) service: ServiceName,
    pub(crate) links: usize,
    pub(crate) requests: u64,
    pub(crate) in_flight: u32,
    pub(crate) waiting: u32,
    pub(crate) retries: u64,
}

impl Registry {
    /// Without links. At most `most_waiting` requests wait for one at once.
    pub(crate) fn new(settings: BTreeMap<ServiceName, config::Service>, most_waiting: u32) -> Self {
        let (state, changes) = (Mutex::default(), watch::Sender::default());
        Self { state, changes, waiting: AtomicU32::new(0), most_waiting, settings }
    }

    /// Requests that wait for an agent.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Closes every link of an agent, in the middle of whatever it does; how many there were.
    pub(crate) fn close(&self, agent: &str) -> usize {
        let state = self.lock();
        let links = state.links.values().filter(|entry| entry.agent == agent);
        links.map(|entry| entry.connection.close()).count()
    }

    /// Adds a link. It stays until the returned guard is dropped. A new instance of an agent is perhaps its successor:
    /// links of others have to show that they are alive.
    pub(crate) fn add(&self, entry: Entry) -> Registered<'_> {
        let mut state = self.lock();
        let predecessors = state.predecessors(&entry);
        let id = state.next_id;
        state.next_id += 1;
        self.index(&mut state, id, &entry.services);
        state.links.insert(id, entry);
        drop(state);
        predecessors.iter().for_each(Connection::doubt);
        self.changed();
        Registered { registry: self, id }
    }

    /// Pays for sending a request of a service a second time; `false` if there have been too many.
    pub(crate) fn pay_for_retry(&self, service: &ServiceName) -> bool {
        let mut state = self.lock();
        let Some(serving) = state.by_service.get_mut(service) else { return false };
        let paid = serving.load.settings.retry && serving.budget.spend(Instant::now());
        serving.retries += u64::from(paid);
        paid
    }

    /// How many links there have been.
    pub(crate) fn links_ever(&self) -> u64 {
        self.lock().next_id
    }

    /// Every service that has a link, by name.
    pub(crate) fn served(&self) -> Vec<Served> {
        let served = |(service, serving): (&ServiceName, &Serving)| Served {
            service: service.clone(),
            links: serving.links.len(),
            requests: serving.requests,
            in_flight: serving.load.in_flight(),
            waiting: serving.load.waiting(),
            retries: serving.retries,
        };
        self.lock().by_service.iter().map(served).collect()
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

    fn index(&self, state: &mut State, id: LinkId, services: &[ServiceName]) {
        for service in services {
            let serving = state.by_service.entry(service.clone()).or_insert_with(|| {
                let settings = self.settings.get(service).copied().unwrap_or_default();
                Serving::new(service.clone(), settings)
            });
            serving.links.push(id);
        }
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the registry")
    }
}

impl Serving {
    fn new(service: ServiceName, settings: config::Service) -> Self {
        let load = Arc::new(Load::new(service, settings));
        Self { links: Vec::new(), turn: 0, load, budget: Budget::new(Instant::now()), requests: 0, retries: 0 }
    }
}

impl State {
    /// The links of other instances of the agent, if this is the first link of its own.
    fn predecessors(&self, entry: &Entry) -> Vec<Connection> {
        let of_agent = || self.links.values().filter(|other| other.agent == entry.agent);
        if of_agent().any(|other| other.instance == entry.instance) {
            return Vec::new();
        }
        of_agent().map(|other| other.connection.clone()).collect()
    }

    /// Takes a link from its services, but leaves a service without any.
    fn unindex(&mut self, id: LinkId) {
        let Some(entry) = self.links.get(&id) else { return };
        for service in &entry.services {
            if let Some(serving) = self.by_service.get_mut(service) {
                serving.links.retain(|other| *other != id);
            }
        }
    }

    /// Forgets services that nobody serves and nobody uses.
    fn forget_unserved(&mut self) {
        self.by_service.retain(|_, serving| !serving.links.is_empty() || serving.load.is_used());
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
        self.registry.index(&mut state, self.id, &services);
        state.forget_unserved();
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
        state.forget_unserved();
        state.links.remove(&self.id);
    }
}
