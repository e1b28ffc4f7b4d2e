//! The account of every request: what the client asked for and got, and what reached the upstream.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use crate::body::Bodies;

/// The number of a request, in its path and in the bodies of both directions.
pub(crate) type Id = u64;

/// What became of a request, as its client saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// A whole answer of the upstream, and the right one.
    Whole,
    /// A whole answer that the bridge composed: its code.
    Refused { code: String, retry_safe: bool },
    /// The connection was taken, and closed without a byte of an answer.
    Closed,
    /// The answer broke off, visibly.
    Cut,
    /// No gateway took a connection for as long as the client had patience.
    Unreachable,
    /// The client gave it up on purpose.
    GivenUp,
    /// There was no end by the deadline.
    Late,
    /// An answer that called itself complete, and was not what the upstream had sent.
    Wrong(String),
}

/// The ledger of one drill.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    entries: Vec<Entry>,
    /// Requests that reached the upstream and that nobody had asked for.
    strangers: usize,
}

#[derive(Debug)]
struct Entry {
    method: &'static str,
    arrivals: u32,
    /// What arrived there was not what was sent.
    spoilt: bool,
    ended: Option<(Outcome, Duration)>,
}

/// The ledger's sums.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) asked: usize,
    pub(crate) whole: usize,
    pub(crate) given_up: usize,
    /// Whatever is neither whole nor given up.
    pub(crate) failed: usize,
    /// The failures by kind.
    pub(crate) kinds: BTreeMap<String, usize>,
    /// POSTs that reached the upstream more than once.
    pub(crate) doubled: usize,
    /// The longest that a request took to its end, whichever it was.
    pub(crate) worst: Duration,
    /// Broken invariants.
    pub(crate) broken: Vec<String>,
}

impl Ledger {
    /// A new request.
    pub(crate) fn ask(&self, method: &'static str) -> Id {
        let entries = &mut self.lock().entries;
        entries.push(Entry { method, arrivals: 0, spoilt: false, ended: None });
        entries.len() as Id - 1
    }

    /// It reached the upstream: its head did.
    pub(crate) fn arrive(&self, id: Id) {
        self.change(id, |entry| entry.arrivals += 1);
    }

    /// Its body reached the upstream as a whole, and was not what the client had sent.
    pub(crate) fn spoil(&self, id: Id) {
        self.change(id, |entry| entry.spoilt = true);
    }

    /// It is over for its client.
    pub(crate) fn end(&self, id: Id, outcome: Outcome, waited: Duration) {
        self.change(id, |entry| {
            assert!(entry.ended.is_none(), "a request ends once");
            entry.ended = Some((outcome, waited));
        });
    }

    /// What it comes to.
    pub(crate) fn sums(&self) -> Sums {
        let state = self.lock();
        let mut sums = Sums { asked: state.entries.len(), ..Sums::default() };
        let mut open = 0;
        for (id, entry) in state.entries.iter().enumerate() {
            match &entry.ended {
                None => open += 1,
                Some((outcome, waited)) => {
                    sums.worst = sums.worst.max(*waited);
                    sums.count(id, entry, outcome);
                }
            }
            if entry.method == "POST" && entry.arrivals > 1 {
                sums.doubled += 1;
                sums.broken.push(format!("POST {id} reached the upstream {} times", entry.arrivals));
            }
            if entry.spoilt {
                sums.broken.push(format!("{} {id} reached the upstream with another body", entry.method));
            }
        }
        if state.strangers > 0 {
            sums.broken.push(format!("{} requests reached the upstream that nobody had asked for", state.strangers));
        }
        if sums.asked != sums.whole + sums.failed + sums.given_up {
            sums.broken.push(format!("{open} of {} requests have no end", sums.asked));
        }
        sums
    }

    fn change(&self, id: Id, change: impl FnOnce(&mut Entry)) {
        let mut state = self.lock();
        match state.entries.get_mut(Bodies::index(id)) {
            Some(entry) => change(entry),
            None => state.strangers += 1,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the ledger")
    }
}

impl Sums {
    fn count(&mut self, id: usize, entry: &Entry, outcome: &Outcome) {
        let kind = match outcome {
            Outcome::Whole => return self.whole += 1,
            Outcome::GivenUp => return self.given_up += 1,
            Outcome::Refused { code, retry_safe } => {
                if *retry_safe && entry.arrivals > 0 {
                    self.broken
                        .push(format!("{} {id} is safe to retry, {code} says, and reached the upstream", entry.method));
                }
                code.clone()
            }
            Outcome::Closed => "closed".to_owned(),
            Outcome::Cut => "cut".to_owned(),
            Outcome::Unreachable => "unreachable".to_owned(),
            Outcome::Late => {
                self.broken.push(format!("{} {id} outlived its deadline", entry.method));
                "late".to_owned()
            }
            Outcome::Wrong(why) => {
                self.broken.push(format!("{} {id}: {why}", entry.method));
                "wrong".to_owned()
            }
        };
        self.failed += 1;
        *self.kinds.entry(kind).or_default() += 1;
    }
}
