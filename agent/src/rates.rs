//! How many requests each rule has allowed lately: the whitelist is pure and keeps no count.

use std::{
    collections::HashMap,
    num::NonZeroU32,
    time::{Duration, Instant},
};

use governor::{
    Quota, RateLimiter,
    clock::Clock,
    middleware::NoOpMiddleware,
    state::{InMemoryState, NotKeyed},
};
use proto::wire::ServiceName;

use crate::whitelist::{Rate, Rule};

/// The limiters of all rules that have a rate.
pub(crate) struct Rates<C: Clock = Uptime> {
    clock: C,
    limiters: HashMap<ServiceName, Vec<Option<Limiter<C>>>>,
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
    pub(crate) fn new<'a>(services: impl Iterator<Item = (&'a ServiceName, &'a [Rule])>) -> Self {
        Self::with_clock(services, Uptime(Instant::now()))
    }
}

impl<C: Clock + Clone> Rates<C> {
    fn with_clock<'a>(services: impl Iterator<Item = (&'a ServiceName, &'a [Rule])>, clock: C) -> Self {
        let limiter = |rule: &Rule| Some(RateLimiter::direct_with_clock(quota(rule.limits().rate?)?, clock.clone()));
        let limiters = services
            .filter(|(_, rules)| rules.iter().any(|rule| rule.limits().rate.is_some()))
            .map(|(name, rules)| (name.clone(), rules.iter().map(limiter).collect()))
            .collect();
        Self { limiters, clock }
    }

    /// Counts a request that a rule of a service has allowed, or says how long it would have to wait.
    pub(crate) fn take(&self, service: &ServiceName, rule: usize) -> Result<(), Duration> {
        let limiter = self.limiters.get(service).and_then(|rules| rules.get(rule)?.as_ref());
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
        let (limited, free) = (ServiceName::new("limited").unwrap(), ServiceName::new("free").unwrap());
        let rate = Rate { requests: 3, per: Duration::from_secs(60) };
        let rules = [rule(None), rule(Some(rate)), rule(Some(Rate { requests: 1, ..rate }))];
        let services = [(&limited, &rules[..]), (&free, &rules[..1])];
        let rates = Rates::with_clock(services.into_iter(), clock.clone());
        for _ in 0..3 {
            assert_eq!(rates.take(&limited, 1), Ok(()));
        }
        assert_eq!(rates.take(&limited, 1), Err(Duration::from_secs(20)));
        assert_eq!(rates.take(&limited, 2), Ok(()), "each rule has a count of its own");
        clock.advance(Duration::from_secs(19));
        assert_eq!(rates.take(&limited, 1), Err(Duration::from_secs(1)), "what was refused does not count");
        clock.advance(Duration::from_secs(1));
        assert_eq!(rates.take(&limited, 1), Ok(()));
        assert_eq!(rates.take(&limited, 1), Err(Duration::from_secs(20)));
        for _ in 0..1000 {
            assert_eq!((rates.take(&limited, 0), rates.take(&free, 0)), (Ok(()), Ok(())));
        }
    }

    #[test]
    fn the_largest_rate_is_kept() {
        let clock = FakeRelativeClock::default();
        let name = ServiceName::new("s").unwrap();
        let rules = [rule(Some(Rate { requests: 1_000_000, per: Duration::from_secs(1) }))];
        let rates = Rates::with_clock([(&name, &rules[..])].into_iter(), clock);
        assert!((0..1_000_000).all(|_| rates.take(&name, 0).is_ok()));
        assert_eq!(rates.take(&name, 0), Err(Duration::from_micros(1)));
    }
}
