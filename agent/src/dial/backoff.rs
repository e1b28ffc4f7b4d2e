//! When to dial again. Pure: what happened and a random number in, a wait out.

use std::time::Duration;

use crate::limits::{
    FIRST_REDIAL, HOLD_OFF, LONGEST_HOLD_OFF, LONGEST_REDIAL, LONGEST_REDIAL_AWAY, REDIAL, SHORTEST_HOLD_OFF,
};

/// How a dial, or the link it made, ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There was a link, and it lived long enough to count.
    Lasted,
    /// The gateway is away and probably back soon: nobody listens, its ingress says so, or the link was short.
    Away,
    /// The gateway said no, and perhaps when to ask again.
    Rejected(Option<Duration>),
    /// Anything else.
    Failed,
}

/// Full jitter: each wait is anywhere between nothing and a ceiling that doubles.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait before the next dial. `random` is uniform over all numbers.
    pub(super) fn next(&mut self, outcome: Outcome, random: u64) -> Duration {
        let ceiling = match outcome {
            Outcome::Lasted => {
                self.failures = 0;
                return jitter(FIRST_REDIAL, random);
            }
            Outcome::Rejected(after) => {
                // A tenth more at most, so that those rejected together do not come back together.
                let after = after.unwrap_or(HOLD_OFF).clamp(SHORTEST_HOLD_OFF, LONGEST_HOLD_OFF);
                return after + jitter(after / 10, random);
            }
            Outcome::Away => LONGEST_REDIAL_AWAY,
            Outcome::Failed => LONGEST_REDIAL,
        };
        let doubled = REDIAL.saturating_mul(1 << self.failures.min(16));
        self.failures = self.failures.saturating_add(1);
        jitter(doubled.min(ceiling), random)
    }
}

fn jitter(ceiling: Duration, random: u64) -> Duration {
    let nanos = ceiling.as_nanos() * u128::from(random) / u128::from(u64::MAX);
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The ceilings of a sequence of outcomes: the waits that the largest random number gives.
    fn check(outcomes: &[Outcome], ceilings_ms: &[u64]) {
        let mut backoff = Backoff::default();
        for (outcome, ceiling) in outcomes.iter().zip(ceilings_ms) {
            assert_eq!(backoff.next(*outcome, u64::MAX), Duration::from_millis(*ceiling), "{outcomes:?}");
        }
    }

    #[test]
    fn ceilings() {
        use Outcome::{Away, Failed, Lasted, Rejected};
        check(&[Failed; 9], &[500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
        check(&[Away; 4], &[500, 1000, 1500, 1500]);
        check(&[Failed, Failed, Lasted, Failed], &[500, 1000, 250, 500]);
        check(&[Rejected(Some(Duration::from_secs(5))), Rejected(None)], &[5500, 66_000]);
        check(&[Rejected(Some(Duration::MAX))], &[3_960_000]);
        check(&[Rejected(Some(Duration::ZERO))], &[1100]);
        check(&[Failed, Rejected(None), Failed], &[500, 66_000, 1000]);
    }

    #[test]
    fn every_wait_is_possible() {
        for random in [0, u64::MAX / 2, u64::MAX] {
            let wait = Backoff::default().next(Outcome::Failed, random);
            assert!(wait <= REDIAL);
        }
        assert_eq!(Backoff::default().next(Outcome::Failed, 0), Duration::ZERO);
        assert!(Backoff::default().next(Outcome::Rejected(None), 0) >= HOLD_OFF);
    }
}
