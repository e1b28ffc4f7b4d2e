//! How many requests each rule has allowed lately: the whitelist is pure and keeps no count.

use std::{num::NonZeroU32, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use tokio::time::Instant;

use crate::whitelist::{Rate, Rule};

/// The limiters of one service's rules: of those that have a rate.
pub(crate) struct Rates<C: Clock = Uptime> {
    clock: C,
    limiters: Vec<Option<Limiter<C>>>,
}

type Limiter<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Time since it was made.
#[derive(Clone, Debug)]
pub(crate) struct Uptime(Instant);

impl Clock for Uptime {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.elapsed()
    }
}

impl Rates {
    pub(crate) fn new(rules: &[Rule]) -> Self {
        Self::with_clock(rules, Uptime(Instant::now()))
    }
}

impl<C: Clock + Clone> Rates<C> {
    fn with_clock(rules: &[Rule], clock: C) -> Self {
        let limiter = |rule: &Rule| Some(RateLimiter::direct_with_clock(quota(rule.limits().rate?)?, clock.clone()));
        Self { limiters: rules.iter().map(limiter).collect(), clock }
    }

    /// Counts a request that a rule has allowed, or says how long it would have to wait.
    pub(crate) fn take(&self, rule: usize) -> Result<(), Duration> {
        let limiter = self.limiters.get(rule).and_then(Option::as_ref);
        limiter.map_or(Ok(()), |limiter| limiter.check().map_err(|until| until.wait_time_from(self.clock.now())))
    }
}

/// All at once if none came before; then one each part of the time.
fn quota(rate: Rate) -> Option<Quota> {
    let requests = NonZeroU32::new(rate.requests)?;
    Some(Quota::with_period(rate.per / rate.requests)?.allow_burst(requests))
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;
    use crate::whitelist::{Limits, LongForm};

    fn rule(rate: Option<Rate>) -> Rule {
        let limits = Limits { rate, ..Limits::default() };
        LongForm { path: "/a".to_owned(), methods: vec!["GET".to_owned()], limits, ..LongForm::default() }
            .rule()
            .unwrap()
    }

    #[test]
    fn a_burst_and_then_a_steady_flow() {
        let clock = FakeRelativeClock::default();
        let rate = Rate { requests: 3, per: Duration::from_secs(60) };
        let rules = [rule(None), rule(Some(rate)), rule(Some(Rate { requests: 1, ..rate }))];
        let rates = Rates::with_clock(&rules, clock.clone());
        for _ in 0..3 {
            assert_eq!(rates.take(1), Ok(()));
        }
        assert_eq!(rates.take(1), Err(Duration::from_secs(20)));
        assert_eq!(rates.take(2), Ok(()), "each rule has a count of its own");
        clock.advance(Duration::from_secs(19));
        assert_eq!(rates.take(1), Err(Duration::from_secs(1)), "what was refused does not count");
        clock.advance(Duration::from_secs(1));
        assert_eq!(rates.take(1), Ok(()));
        assert_eq!(rates.take(1), Err(Duration::from_secs(20)));
        for _ in 0..1000 {
            assert_eq!(rates.take(0), Ok(()));
        }
    }

    #[test]
    fn the_largest_rate_is_kept() {
        let clock = FakeRelativeClock::default();
        let rules = [rule(Some(Rate { requests: 1_000_000, per: Duration::from_secs(1) }))];
        let rates = Rates::with_clock(&rules, clock);
        assert!((0..1_000_000).all(|_| rates.take(0).is_ok()));
        assert_eq!(rates.take(0), Err(Duration::from_micros(1)));
    }
}
