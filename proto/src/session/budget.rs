//! A token bucket: how often a peer may do what costs work.

use std::time::{Duration, Instant};

/// Holds up to `burst` tokens and regains `per_second` of them each second.
#[derive(Debug)]
pub(super) struct Budget {
    burst: u32,
    interval: Duration,
    /// When the bucket would be full again: one instant says it all.
    full_at: Instant,
}

impl Budget {
    pub(super) fn new(burst: u32, per_second: u32, now: Instant) -> Self {
        Self { burst, interval: Duration::from_secs(1) / per_second, full_at: now }
    }

    /// Takes one token, or says that there is none.
    pub(super) fn spend(&mut self, now: Instant) -> bool {
        let affordable = self.affords(1, now);
        if affordable {
            self.full_at = self.full_at.max(now) + self.interval;
        }
        affordable
    }

    /// Whether there are so many tokens.
    pub(super) fn affords(&self, count: u32, now: Instant) -> bool {
        self.full_at.saturating_duration_since(now) + self.interval * count <= self.interval * self.burst
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let start = Instant::now();
        let mut budget = Budget::new(3, 2, start);
        let at = |ms| start + Duration::from_millis(ms);
        for (ms, allowed) in
            [(0, true), (0, true), (0, true), (0, false), (499, false), (500, true), (500, false), (60_000, true)]
        {
            assert_eq!(budget.affords(1, at(ms)), allowed, "at {ms} ms");
            assert_eq!(budget.spend(at(ms)), allowed, "at {ms} ms");
        }
        assert!(budget.affords(2, at(60_000)) && !budget.affords(3, at(60_000)));
    }
}
