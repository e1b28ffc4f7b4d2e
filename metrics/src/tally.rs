//! What became of requests, and how long that took. Counting costs a few additions and nothing else: it is done for
//! every request.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

use http::StatusCode;
use proto::wire::FailureCode;

use crate::Durations;

/// The first digits of a status; others than those of RFC 9110 §15 pass as well.
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "other"];

/// The counts of one facade, or of one service.
#[derive(Debug)]
pub struct Tally {
    answered: [AtomicU64; CLASSES.len()],
    /// In the order of [`FailureCode::all`].
    failed: Box<[AtomicU64]>,
    cancelled: AtomicU64,
    cut: AtomicU64,
    durations: Durations,
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream answered with this status.
    Answered(StatusCode),
    /// The bridge answered itself.
    Failed(FailureCode),
    /// Nobody waited for an answer any more.
    Cancelled,
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            answered: Default::default(),
            failed: FailureCode::all().map(|_| AtomicU64::default()).collect(),
            cancelled: AtomicU64::default(),
            cut: AtomicU64::default(),
            durations: Durations::default(),
        }
    }
}

impl Tally {
    /// Begins to count a request.
    pub fn begin(&self) -> Counting<'_> {
        Counting { tally: self, started: Instant::now() }
    }

    /// Counts an answer that broke off. Its status has been counted, or will be.
    pub fn cut(&self) {
        self.cut.fetch_add(1, Relaxed);
    }

    /// How many answers broke off.
    pub fn cuts(&self) -> u64 {
        self.cut.load(Relaxed)
    }

    /// Every outcome there can be, as it is told, and how often it came.
    pub fn outcomes(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let answered = CLASSES.into_iter().zip(&self.answered);
        let failed = FailureCode::all().map(FailureCode::as_str).zip(&self.failed);
        let all = answered.chain(failed).chain([("cancelled", &self.cancelled)]);
        all.map(|(outcome, count)| (outcome, count.load(Relaxed)))
    }

    /// How long all of them took.
    pub fn durations(&self) -> &Durations {
        &self.durations
    }

    fn count(&self, outcome: Outcome, took: Duration) {
        let counter = match outcome {
            Outcome::Answered(status) => {
                let class = usize::from(status.as_u16() / 100).saturating_sub(1);
                &self.answered[class.min(CLASSES.len() - 1)]
            }
            Outcome::Failed(code) => {
                let place = FailureCode::all().position(|known| known == code);
                &self.failed[place.expect("every code is among all of them")]
            }
            Outcome::Cancelled => &self.cancelled,
        };
        counter.fetch_add(1, Relaxed);
        self.durations.observe(took);
    }
}

/// A request that is being counted. If it is dropped, nobody waited for its end.
#[derive(Debug)]
pub struct Counting<'a> {
    tally: &'a Tally,
    started: Instant,
}

impl Counting<'_> {
    /// This became of it; gives the time that it took.
    pub fn ended(self, outcome: Outcome) -> Duration {
        let took = self.started.elapsed();
        self.tally.count(outcome, took);
        // It holds nothing that would have to be given back.
        std::mem::forget(self);
        took
    }
}

impl Drop for Counting<'_> {
    fn drop(&mut self) {
        self.tally.count(Outcome::Cancelled, self.started.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_counted_once() {
        let tally = Tally::default();
        let status = |code| Outcome::Answered(StatusCode::from_u16(code).unwrap());
        let answered = [(101, "1xx"), (200, "2xx"), (304, "3xx"), (499, "4xx"), (500, "5xx"), (600, "other")];
        let answered = answered.map(|(code, told)| (status(code), told)).into_iter();
        let failed = FailureCode::all().map(|code| (Outcome::Failed(code), code.as_str()));
        let mut expected = Vec::new();
        for (outcome, told) in answered.chain(failed) {
            tally.begin().ended(outcome);
            expected.push((told, 1));
        }
        drop(tally.begin());
        expected.push(("cancelled", 1));
        assert_eq!(tally.outcomes().collect::<Vec<_>>(), expected);
        assert_eq!(tally.durations().read().map(|(_, count)| count).sum::<u64>(), expected.len() as u64);
        tally.begin().ended(status(999));
        assert_eq!(tally.outcomes().nth(5), Some(("other", 2)));
    }
}
