//! How much a request may take that a rule allows, and which of several rules leaves the most room.

use std::{cmp::Reverse, fmt, time::Duration};

use super::rule::Rule;

/// How much a request that a rule allows may take. Nothing is limited by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Longest body of a request, in bytes.
    pub max_body: Option<u64>,
    /// How long it may take.
    pub times: Times,
    /// How many requests may begin. Whoever holds the [`Admitted`](super::Admitted) keeps count.
    pub rate: Option<Rate>,
}

/// How long an exchange may take. A rule says only what is to be other than its service says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// `response_timeout`: from when the request last moved to the beginning of the answer.
    pub response: Option<Duration>,
    /// `idle_timeout`: how long a body or an upgraded stream may stand still. Zero is for ever, in a rule too.
    pub idle: Option<Duration>,
    /// `total_timeout`: the whole exchange, unless it goes on by its nature. Zero is for ever, in a rule too.
    pub total: Option<Duration>,
    /// `timeout`: the whole exchange, also one that goes on by its nature. It takes the place of the service's own
    /// `response` and `total`.
    pub whole: Option<Duration>,
}

/// So many requests in so long a time: at once, if none came before, and evenly on average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least 1.
    pub requests: u32,
    /// In how long a time; not zero.
    pub per: Duration,
}

impl Times {
    /// What holds for a request: what its rule says, and elsewhere what the service says. Nothing is zero in it.
    fn or(self, service: Self) -> Self {
        let limit = |own: Option<Duration>, service| own.or(service).filter(|limit| !limit.is_zero());
        let service = if self.whole.is_some() { Self { response: None, total: None, ..service } } else { service };
        Self {
            response: limit(self.response, service.response),
            idle: limit(self.idle, service.idle),
            total: limit(self.total, service.total),
            whole: self.whole,
        }
    }

    /// How long an exchange may take that has an end by its nature.
    #[must_use]
    pub fn usual(&self) -> Option<Duration> {
        self.whole.or(self.total)
    }
}

/// The room that a rule leaves in its service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// What holds: the rule's limits, and the service's times where it says nothing.
    pub(super) limits: Limits,
    /// How many sizes of room there are above it in the service. Of several rules that allow a request the roomiest
    /// counts, so that their order never does.
    pub(super) rank: usize,
}

/// The room of each rule. It is compared here once, so that judging a request compares numbers.
pub(super) fn rooms(rules: &[Rule], service: Times) -> Vec<Room> {
    let limits: Vec<_> =
        rules.iter().map(|rule| Limits { times: rule.limits.times.or(service), ..rule.limits }).collect();
    let mut sizes: Vec<_> = limits.iter().map(|limits| Reverse(limits.size())).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let rank = |limits: &Limits| sizes.partition_point(|size| *size < Reverse(limits.size()));
    limits.iter().map(|limits| Room { limits: *limits, rank: rank(limits) }).collect()
}

impl Limits {
    /// To compare by: first the body, then the time, then the number, over long and at once. No limit is the most.
    fn size(&self) -> impl Ord + use<> {
        let Self { max_body, times, rate } = *self;
        let ever = |limit: Option<Duration>| limit.unwrap_or(Duration::MAX);
        let hour = Duration::from_secs(3600).as_nanos();
        let hourly = rate.map_or(u128::MAX, |rate| u128::from(rate.requests) * hour / rate.per.as_nanos());
        let time = (ever(times.usual()), ever(times.whole), ever(times.response), ever(times.idle));
        (max_body.unwrap_or(u64::MAX), time, hourly, rate.map_or(u32::MAX, |rate| rate.requests))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, per } = self;
        match per.as_secs() {
            1 => write!(f, "{requests}/s"),
            60 => write!(f, "{requests}/m"),
            3600 => write!(f, "{requests}/h"),
            _ => write!(f, "{requests}/{per:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_says_what_is_to_be_other_than_the_service_says() {
        let times = |response: u64, idle: u64, total: u64, whole: u64| {
            let [response, idle, total, whole] = [response, idle, total, whole]
                .map(|seconds| Some(Duration::from_secs(seconds)).filter(|_| seconds > 0));
            Times { response, idle, total, whole }
        };
        let service = times(60, 9, 90, 0);
        let zero = Some(Duration::ZERO);
        let check = |rule: Times, expected: Times| assert_eq!(rule.or(service), expected, "{rule:?}");
        check(Times::default(), service);
        check(times(5, 0, 0, 0), times(5, 9, 90, 0));
        check(times(0, 5, 0, 0), times(60, 5, 90, 0));
        check(times(0, 0, 500, 0), times(60, 9, 500, 0));
        check(times(0, 0, 0, 30), times(0, 9, 0, 30));
        check(times(5, 0, 0, 30), times(5, 9, 0, 30));
        check(Times { idle: zero, total: zero, ..Times::default() }, times(60, 0, 0, 0));
    }
}
