//! How long things took, in few buckets.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// The upper bounds of the buckets, in microseconds and as they are written, in seconds. From less than the bridge
/// itself takes to the time after which most give up; five a thousandfold, because each is a series of its own.
const BOUNDS: [(u64, &str); 9] = [
    (1_000, "0.001"),
    (5_000, "0.005"),
    (20_000, "0.02"),
    (100_000, "0.1"),
    (300_000, "0.3"),
    (1_000_000, "1"),
    (3_000_000, "3"),
    (10_000_000, "10"),
    (60_000_000, "60"),
];

/// A histogram.
#[derive(Debug, Default)]
pub struct Durations {
    /// The last one has no bound.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    /// In microseconds: enough for half a million years.
    sum: AtomicU64,
}

impl Durations {
    /// Counts one.
    pub fn observe(&self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|(bound, _)| us <= *bound).unwrap_or(BOUNDS.len());
        self.buckets[bucket].fetch_add(1, Relaxed);
        self.sum.fetch_add(us, Relaxed);
    }

    /// How many lie in each bucket alone, with its upper bound in seconds.
    pub(crate) fn read(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let bounds = BOUNDS.iter().map(|(_, shown)| *shown).chain(["+Inf"]);
        bounds.zip(self.buckets.iter().map(|count| count.load(Relaxed)))
    }

    pub(crate) fn sum(&self) -> Duration {
        Duration::from_micros(self.sum.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_what_they_are_written_as() {
        for (us, shown) in BOUNDS {
            assert_eq!(Duration::from_micros(us).as_secs_f64(), shown.parse::<f64>().unwrap());
            let durations = Durations::default();
            let at = |durations: &Durations| durations.read().position(|(_, count)| count == 1).unwrap();
            durations.observe(Duration::from_micros(us));
            let past = Durations::default();
            past.observe(Duration::from_micros(us + 1));
            assert_eq!(at(&durations) + 1, at(&past), "{shown}");
        }
        assert!(BOUNDS.is_sorted());
    }
}
