//! What an upstream has seen, and what it was told to say.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use tokio::sync::Semaphore;

use super::Then;
use crate::http1::Head;

/// Everything that is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections ever accepted.
    pub connections: usize,
    /// Those that are open now.
    pub open: usize,
    /// Heads of requests.
    pub requests: usize,
    /// Requests that are being answered now.
    pub active: usize,
    /// The most of them at any moment.
    pub most_active: usize,
    /// Bytes that came, of whatever.
    pub arrived: u64,
    /// Bytes of answers that the socket took.
    pub sent: u64,
    /// Bytes of requests' bodies.
    pub received: u64,
    /// Requests' bodies that came whole.
    pub whole: usize,
    /// Requests' bodies that ended before their end.
    pub cut: usize,
}

/// Shared by all connections.
#[derive(Debug)]
pub(super) struct Account {
    state: Mutex<State>,
    pub(super) gate: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    counts: Counts,
    heads: Vec<Head>,
    trailers: Vec<String>,
    scripts: HashMap<String, (Vec<u8>, Then)>,
}

impl Default for Account {
    fn default() -> Self {
        Self { state: Mutex::default(), gate: Semaphore::new(0) }
    }
}

impl Account {
    pub(super) fn counts(&self) -> Counts {
        self.lock().counts
    }

    pub(super) fn heads(&self) -> Vec<Head> {
        self.lock().heads.clone()
    }

    pub(super) fn trailers(&self) -> Vec<String> {
        self.lock().trailers.clone()
    }

    pub(super) fn note_trailers(&self, trailers: &[String]) {
        self.lock().trailers = trailers.to_vec();
    }

    pub(super) fn count(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.lock().counts);
    }

    pub(super) fn script(&self, path: &str, bytes: &[u8], then: Then) {
        self.lock().scripts.insert(path.to_owned(), (bytes.to_owned(), then));
    }

    pub(super) fn scripted(&self, path: &str) -> Option<(Vec<u8>, Then)> {
        self.lock().scripts.get(path).cloned()
    }

    pub(super) fn request(&self, head: &Head) {
        let mut state = self.lock();
        state.heads.push(head.clone());
        let counts = &mut state.counts;
        counts.requests += 1;
        counts.active += 1;
        counts.most_active = counts.most_active.max(counts.active);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the account")
    }
}
