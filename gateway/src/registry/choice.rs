//! Which link gets a request, and the wait until one can take it.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use proto::{
    link::Connection,
    session::{Burden, OpenError},
    wire::ServiceName,
};
use tokio::time::{Instant, timeout_at};

use super::{Entry, InFlight, LinkId, Registry, State, load::Load};
use crate::limits::QUEUE_LOOK;

/// A link that was chosen.
#[derive(Debug)]
pub(crate) struct Chosen {
    pub(crate) link: LinkId,
    pub(crate) connection: Connection,
    pub(crate) instance: Arc<str>,
    /// The request's place among those of its service. The first link that is chosen for it brings one.
    pub(crate) place: Option<InFlight>,
}

/// A link that a request was offered to before.
#[derive(Debug)]
pub(crate) struct Tried {
    pub(crate) link: LinkId,
    pub(crate) instance: Arc<str>,
    /// What the agent said holds for all of its links.
    pub(crate) whole_agent: bool,
}

/// Why no link can take a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// No link serves the name, or all that do are draining.
    NoAgent,
    /// Those that could take it have been tried.
    Tried,
    /// Those that serve it have as many streams as they take.
    Full,
    /// The service has this many requests in flight, as many as it may.
    Busy(u32),
    /// No link serves the name, and this many requests wait for one, as many as may.
    Crowded(u32),
}

/// What earlier tries say against a link; the less the better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Doubt {
    None,
    /// Another link to the same agent has failed just now.
    SameAgent,
    /// It is not asked again.
    Excluded,
}

impl Registry {
    /// A link for a request: see [`Registry::choose`]. Waits `wait` for an agent if there is none, and in the service's
    /// queue if there is no room.
    pub(crate) async fn choose_within(
        &self,
        service: &ServiceName,
        wait: Duration,
        tried: &[Tried],
    ) -> Result<Chosen, Unavailable> {
        match self.choose(service, tried, false) {
            Err(why) if why != Unavailable::Tried => Box::pin(self.wait(service, wait, tried, why)).await,
            chosen => chosen,
        }
    }

    /// The link that serves a name with the fewest streams in flight; among equals, each in its turn. Those that were
    /// `tried` already are not asked again, and other links to their agents, as those whose agent may be dead, only if
    /// there are no others. A request that does not stand `first` in the queue passes nobody who does.
    fn choose(&self, service: &ServiceName, tried: &[Tried], first: bool) -> Result<Chosen, Unavailable> {
        let mut state = self.lock();
        let State { links, by_service, .. } = &mut *state;
        let serving = by_service.get_mut(service).filter(|serving| !serving.links.is_empty());
        let serving = serving.ok_or(Unavailable::NoAgent)?;
        let is_new = tried.is_empty();
        if is_new {
            // Turns are the requests': a second try must not hand the next one to whoever has just refused.
            serving.turn = serving.turn.wrapping_add(1);
        }
        let (later, sooner) = serving.links.split_at(serving.turn % serving.links.len());
        let mut unavailable = Unavailable::NoAgent;
        let mut best: Option<((Doubt, Burden), LinkId, &Entry)> = None;
        for (id, entry) in sooner.iter().chain(later).map(|id| (*id, &links[id])) {
            match entry.connection.can_open() {
                Ok(()) => {
                    let doubt = doubt(tried, id, entry);
                    if doubt == Doubt::Excluded {
                        unavailable = if unavailable == Unavailable::Full { unavailable } else { Unavailable::Tried };
                        continue;
                    }
                    // One link is the usual case, and needs no comparison.
                    let burden = if serving.links.len() == 1 { Burden::default() } else { entry.connection.burden() };
                    if best.is_none_or(|(least, ..)| (doubt, burden) < least) {
                        best = Some(((doubt, burden), id, entry));
                    }
                }
                Err(OpenError::Full) => unavailable = Unavailable::Full,
                Err(OpenError::Draining | OpenError::Ended) => {}
            }
        }
        let (_, link, entry) = best.ok_or(unavailable)?;
        if is_new && !serving.load.has_room(first) {
            return Err(Unavailable::Busy(serving.load.settings.max_in_flight));
        }
        let place = is_new.then(|| {
            serving.budget.earn();
            serving.requests += 1;
            InFlight::take(&serving.load)
        });
        Ok(Chosen { link, connection: entry.connection.clone(), instance: entry.instance.clone(), place })
    }

    /// Each kind of waiting has a time of its own, counted from when it was first needed.
    async fn wait(
        &self,
        service: &ServiceName,
        wait: Duration,
        tried: &[Tried],
        mut why: Unavailable,
    ) -> Result<Chosen, Unavailable> {
        let (mut agent_by, mut room_by) = (None, None);
        loop {
            let waited = match (why, self.load(service)) {
                (Unavailable::Tried | Unavailable::Crowded(_), _) => return Err(why),
                (Unavailable::NoAgent, _) | (_, None) => {
                    let by = *agent_by.get_or_insert_with(|| Instant::now() + wait);
                    timeout_at(by, self.agent_comes(service, tried)).await
                }
                (Unavailable::Full | Unavailable::Busy(_), Some(load)) => {
                    let by = *room_by.get_or_insert_with(|| Instant::now() + load.settings.queue_timeout);
                    timeout_at(by, self.queue(service, tried, &load)).await.map(|queued| queued.unwrap_or(Err(why)))
                }
            };
            match waited {
                Ok(Err(next)) if next != why => why = next,
                Ok(chosen) => return chosen,
                Err(_) => return Err(why),
            }
        }
    }

    /// Waits until a service has an agent, or there is another reason why no link can be had.
    async fn agent_comes(&self, service: &ServiceName, tried: &[Tried]) -> Result<Chosen, Unavailable> {
        // Dropped, and so given back, when an agent comes, the time is up, or the client gives up.
        let _waits = Waits::begin(self)?;
        let mut changes = self.changes.subscribe();
        loop {
            match self.choose(service, tried, false) {
                Err(Unavailable::NoAgent) => {}
                chosen => return chosen,
            }
            changes.changed().await.expect("the sender lives as long as the registry");
        }
    }

    /// Waits in line until there is room, or another reason why no link can be had. `None`: the line is full.
    async fn queue(&self, service: &ServiceName, tried: &[Tried], load: &Load) -> Option<Result<Chosen, Unavailable>> {
        let in_line = load.line_up()?;
        let _front = in_line.front().await;
        let mut changes = self.changes.subscribe();
        loop {
            match self.choose(service, tried, true) {
                Err(Unavailable::Full | Unavailable::Busy(_)) => {}
                chosen => return Some(chosen),
            }
            tokio::select! {
                () = in_line.room() => {}
                _ = changes.changed() => {}
                () = tokio::time::sleep(QUEUE_LOOK) => {}
            }
        }
    }

    fn load(&self, service: &ServiceName) -> Option<Arc<Load>> {
        self.lock().by_service.get(service).map(|serving| serving.load.clone())
    }
}

/// A request that waits for an agent.
struct Waits<'a>(&'a Registry);

impl<'a> Waits<'a> {
    fn begin(registry: &'a Registry) -> Result<Self, Unavailable> {
        let before = registry.waiting.fetch_add(1, Ordering::Relaxed);
        let waits = Self(registry);
        if before < registry.most_waiting { Ok(waits) } else { Err(Unavailable::Crowded(registry.most_waiting)) }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

fn doubt(tried: &[Tried], id: LinkId, entry: &Entry) -> Doubt {
    let doubt = |tried: &Tried| match (tried.link == id, tried.instance == entry.instance) {
        (true, _) => Doubt::Excluded,
        (false, true) if tried.whole_agent => Doubt::Excluded,
        (false, true) => Doubt::SameAgent,
        (false, false) => Doubt::None,
    };
    tried.iter().map(doubt).max().unwrap_or(Doubt::None)
}
