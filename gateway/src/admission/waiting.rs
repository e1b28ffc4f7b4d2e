//! Agents that nobody has decided about: those held on their links, and those that will come back.

use proto::wire::ServiceName;
use tokio::time::Instant;

use crate::{
    limits::{PENDING_AGENTS, PENDING_LINKS, PENDING_LINKS_PER_AGENT},
    listener::Peer,
};

/// An agent as it asks to be let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Applicant {
    /// What it is known by.
    pub(crate) name: String,
    /// What it calls itself.
    pub(crate) calls_itself: String,
    pub(crate) instance: String,
    pub(crate) address: Peer,
    pub(crate) services: Vec<ServiceName>,
    /// SHA-256 of its certificate, if it has shown one.
    pub(crate) fingerprint: Option<String>,
}

/// An agent that waits, or has waited and will be back.
#[derive(Clone, Debug)]
pub(crate) struct Waiter {
    id: u64,
    /// As it asked last.
    pub(crate) applicant: Applicant,
    /// Links on which it waits right now.
    pub(crate) links: usize,
    pub(crate) first: Instant,
    pub(crate) last: Instant,
}

/// Everyone who waits. One name waits once for each set of services that it claims.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    next_id: u64,
    /// Links that are held, of all agents together.
    links: usize,
    waiters: Vec<Waiter>,
}

/// A link that is held. Given back with [`Waiting::release`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits(u64);

impl Waiting {
    /// Takes one of the [`PENDING_LINKS`]; `None` if all are taken, or all that one name may have. Who asks is remembered
    /// all the same.
    pub(super) fn hold(&mut self, applicant: Applicant) -> Option<Waits> {
        let its: usize = self.of(&applicant.name).map(|waiter| waiter.links).sum();
        let at = self.remember(applicant)?;
        if its >= PENDING_LINKS_PER_AGENT || self.links >= PENDING_LINKS {
            return None;
        }
        self.links += 1;
        self.waiters[at].links += 1;
        Some(Waits(self.waiters[at].id))
    }

    /// Notes who asks, and where; `None` if its name waits on as many links with other services.
    fn remember(&mut self, mut applicant: Applicant) -> Option<usize> {
        applicant.services.sort();
        let now = Instant::now();
        let same =
            |known: &Waiter| known.applicant.name == applicant.name && known.applicant.services == applicant.services;
        if let Some(at) = self.waiters.iter().position(same) {
            let waiter = &mut self.waiters[at];
            (waiter.applicant, waiter.last) = (applicant, now);
            return Some(at);
        }
        if !self.make_room(&applicant.name) {
            return None;
        }
        let id = self.next_id;
        self.next_id += 1;
        self.waiters.push(Waiter { id, applicant, links: 0, first: now, last: now });
        Some(self.waiters.len() - 1)
    }

    /// Forgets whoever has been away the longest, if there are [`PENDING_AGENTS`]; one of this name, if it waits with as
    /// many sets of services as it may have links. `false` if that one is not away.
    fn make_room(&mut self, name: &str) -> bool {
        let is_many = self.of(name).count() >= PENDING_LINKS_PER_AGENT;
        if !is_many && self.waiters.len() < PENDING_AGENTS {
            return true;
        }
        let may_go = |waiter: &Waiter| waiter.links == 0 && (!is_many || waiter.applicant.name == name);
        let away = self.waiters.iter().enumerate().filter(|(_, waiter)| may_go(waiter));
        let oldest = away.min_by_key(|(_, waiter)| waiter.last).map(|(at, _)| at);
        oldest.map(|at| self.waiters.remove(at)).is_some()
    }

    fn of(&self, name: &str) -> impl Iterator<Item = &Waiter> {
        self.waiters.iter().filter(move |waiter| waiter.applicant.name == name)
    }

    pub(super) fn release(&mut self, Waits(id): Waits) {
        self.links -= 1;
        // It may have been decided about meanwhile.
        if let Some(waiter) = self.waiters.iter_mut().find(|waiter| waiter.id == id) {
            waiter.links -= 1;
        }
    }

    /// It was decided.
    pub(super) fn forget(&mut self, agent: &str) {
        self.waiters.retain(|waiter| waiter.applicant.name != agent);
    }

    /// What an agent claims: more than one set if it waits with several.
    pub(super) fn claims(&self, agent: &str) -> Vec<&[ServiceName]> {
        self.of(agent).map(|waiter| &*waiter.applicant.services).collect()
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.waiters.iter().map(|waiter| waiter.applicant.name.as_str())
    }

    pub(super) fn waiters(&self) -> Vec<Waiter> {
        self.waiters.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applicant(name: &str, services: &[&str]) -> Applicant {
        Applicant {
            name: name.to_owned(),
            calls_itself: "pod-1".to_owned(),
            instance: "i".to_owned(),
            address: Peer::Local,
            services: services.iter().map(|name| ServiceName::new(name).unwrap()).collect(),
            fingerprint: None,
        }
    }

    #[test]
    fn links_are_counted_by_agent_and_in_all() {
        let mut waiting = Waiting::default();
        let first = waiting.hold(applicant("a", &["x", "y"])).unwrap();
        let second = waiting.hold(applicant("a", &["y", "x"])).unwrap();
        assert_eq!((waiting.waiters.len(), waiting.waiters[0].links, waiting.links), (1, 2, 2));
        let other = waiting.hold(applicant("a", &["x"])).unwrap();
        assert_eq!(waiting.claims("a").len(), 2);
        waiting.forget("a");
        waiting.hold(applicant("a", &["x"])).unwrap();
        for held in [first, second, other] {
            waiting.release(held);
        }
        assert_eq!((waiting.waiters.len(), waiting.waiters[0].links, waiting.links), (1, 1, 1), "the new one stays");
    }

    #[test]
    fn links_are_bounded() {
        let mut waiting = Waiting::default();
        let held: Vec<_> = (0..PENDING_LINKS).map(|n| waiting.hold(applicant(&n.to_string(), &[])).unwrap()).collect();
        assert!(waiting.hold(applicant("one more", &[])).is_none());
        waiting.release(held[0]);
        assert!(waiting.hold(applicant("one more", &[])).is_some());
    }

    #[test]
    fn one_name_takes_neither_all_links_nor_the_whole_list() {
        let mut waiting = Waiting::default();
        for number in 0..PENDING_LINKS {
            let held = waiting.hold(applicant("greedy", &[&format!("s{number}")]));
            assert_eq!(held.is_some(), number < PENDING_LINKS_PER_AGENT, "{number}");
        }
        assert_eq!(waiting.waiters.len(), PENDING_LINKS_PER_AGENT, "all of them wait");
        let last = waiting.waiters.pop().unwrap();
        waiting.waiters.push(Waiter { links: 0, ..last });
        let held = waiting.hold(applicant("greedy", &["another"])).unwrap();
        assert_eq!(waiting.waiters.len(), PENDING_LINKS_PER_AGENT, "in the place of the one that is away");
        assert!(waiting.hold(applicant("honest", &[])).is_some());
        waiting.release(held);
    }

    #[test]
    fn who_finds_no_place_is_remembered() {
        let mut waiting = Waiting::default();
        for number in 0..PENDING_LINKS {
            waiting.hold(applicant(&number.to_string(), &[])).unwrap();
        }
        assert!(waiting.hold(applicant("honest", &["x"])).is_none());
        assert_eq!(waiting.claims("honest").len(), 1);
        assert_eq!(waiting.waiters.last().unwrap().links, 0);
    }

    #[test]
    fn whoever_was_away_the_longest_is_forgotten() {
        let mut waiting = Waiting::default();
        let stays = waiting.hold(applicant("stays", &[])).unwrap();
        for number in 0..PENDING_AGENTS {
            let held = waiting.hold(applicant(&number.to_string(), &[])).unwrap();
            waiting.release(held);
        }
        assert_eq!(waiting.waiters.len(), PENDING_AGENTS);
        assert!(waiting.claims("0").is_empty(), "it was the first to leave");
        assert!(!waiting.claims("1").is_empty() && !waiting.claims("stays").is_empty());
        waiting.release(stays);
    }
}
