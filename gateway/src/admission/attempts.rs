//! Failed attempts to connect, counted by where they come from: a guesser gets a few a minute, and one line in the log.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::Mutex,
    time::Duration,
};

use tokio::time::Instant;

use super::Pace;
use crate::{
    limits::{ATTEMPT_SOURCES, VERIFY, VERIFY_BURST},
    listener::Peer,
};

/// What the number of attempts is counted against.
const PERIOD: Duration = Duration::from_secs(60);

/// Who failed lately. A table of bounded size: once it is full, newcomers share one count.
#[derive(Debug)]
pub(crate) struct Attempts {
    /// What one attempt uses up of a [`PERIOD`]; `None` if they are not counted.
    cost: Option<Duration>,
    sources: Mutex<HashMap<Source, Failures>>,
    /// Signatures that are verified for those who have failed too often, of all of them together.
    verifying: Pace,
}

/// What counts as one attacker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Source {
    V4(Ipv4Addr),
    /// The first 64 bits: whoever has one such address has all of them (RFC 6177 §2).
    V6(u64),
    Local,
    /// Everybody who did not fit into the table.
    Rest,
}

/// A leaky bucket, as the moment at which it will be empty.
#[derive(Clone, Copy, Debug)]
struct Failures {
    empty_at: Instant,
    told: bool,
}

/// What is to be done about a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failed {
    /// It may try again.
    Counted,
    /// It has failed too often. Whether this is the first to be told, since the last time that it was counted.
    TooOften { first: bool },
}

impl Attempts {
    /// So many from each address in a minute; any number with 0.
    pub(crate) fn new(per_minute: u32) -> Self {
        let cost = PERIOD.checked_div(per_minute);
        Self { cost, sources: Mutex::default(), verifying: Pace::new((VERIFY, VERIFY_BURST), Instant::now()) }
    }

    /// Whether the signature of somebody's token may be verified, which costs more than all else: for an address that
    /// has failed too often only now and then.
    pub(crate) fn may_verify(&self, peer: Peer, now: Instant) -> bool {
        !self.has_failed_too_often(peer, now) || self.verifying.admit(now).is_ok()
    }

    fn has_failed_too_often(&self, peer: Peer, now: Instant) -> bool {
        let Some(cost) = self.cost else { return false };
        let sources = self.sources.lock().expect("nothing panics while it holds the attempts");
        let is_full = sources.len() >= ATTEMPT_SOURCES;
        let failures = sources.get(&source(peer)).or_else(|| sources.get(&Source::Rest).filter(|_| is_full));
        failures.is_some_and(|failures| failures.empty_at.max(now) + cost > now + PERIOD)
    }

    /// Counts a failed attempt.
    pub(crate) fn failed(&self, peer: Peer, now: Instant) -> Failed {
        let Some(cost) = self.cost else { return Failed::Counted };
        let mut sources = self.sources.lock().expect("nothing panics while it holds the attempts");
        let mut source = source(peer);
        if !sources.contains_key(&source) && sources.len() >= ATTEMPT_SOURCES {
            sources.retain(|_, failures| failures.empty_at > now);
            if sources.len() >= ATTEMPT_SOURCES {
                source = Source::Rest;
            }
        }
        let failures = sources.entry(source).or_insert(Failures { empty_at: now, told: false });
        let empty_at = failures.empty_at.max(now) + cost;
        if empty_at <= now + PERIOD {
            *failures = Failures { empty_at, told: false };
            return Failed::Counted;
        }
        Failed::TooOften { first: !std::mem::replace(&mut failures.told, true) }
    }
}

fn source(peer: Peer) -> Source {
    let Peer::Tcp(address) = peer else { return Source::Local };
    match address.ip().to_canonical() {
        IpAddr::V4(address) => Source::V4(address),
        IpAddr::V6(address) => Source::V6(u64::try_from(address.to_bits() >> 64).expect("64 bits are left")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(ip: &str) -> Peer {
        Peer::Tcp((ip.parse::<IpAddr>().unwrap(), 1).into())
    }

    #[test]
    fn a_few_a_minute() {
        let (attempts, start) = (Attempts::new(10), Instant::now());
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        for _ in 0..10 {
            assert_eq!(attempts.failed(peer("192.0.2.1"), at(0)), Failed::Counted);
        }
        assert_eq!(attempts.failed(peer("192.0.2.1"), at(0)), Failed::TooOften { first: true });
        assert_eq!(attempts.failed(peer("192.0.2.1"), at(5)), Failed::TooOften { first: false });
        assert_eq!(attempts.failed(peer("192.0.2.2"), at(5)), Failed::Counted, "another address");
        assert_eq!(attempts.failed(peer("192.0.2.1"), at(6)), Failed::Counted, "one more each six seconds");
        assert_eq!(attempts.failed(peer("192.0.2.1"), at(6)), Failed::TooOften { first: true });
        for _ in 0..10 {
            assert_eq!(attempts.failed(peer("192.0.2.1"), at(66)), Failed::Counted);
        }
        assert_eq!(attempts.failed(peer("192.0.2.1"), at(66)), Failed::TooOften { first: true });
    }

    #[test]
    fn signatures_are_verified_now_and_then_for_those_who_failed() {
        let attempts = Attempts::new(2);
        let now = Instant::now();
        let verified = |ip: &str, now| (0..1000).filter(|_| attempts.may_verify(peer(ip), now)).count();
        assert_eq!(verified("192.0.2.1", now), 1000);
        attempts.failed(peer("192.0.2.1"), now);
        assert_eq!(verified("192.0.2.1", now), 1000);
        attempts.failed(peer("192.0.2.1"), now);
        assert_eq!(verified("192.0.2.1", now), VERIFY_BURST as usize);
        assert_eq!(verified("192.0.2.1", now + VERIFY), 1);
        assert_eq!(verified("192.0.2.2", now), 1000, "another address");
        assert_eq!(verified("192.0.2.1", now + PERIOD / 2), 1000, "it may fail once more");
    }

    #[test]
    fn who_is_the_same() {
        let check = |a: &str, b: &str, expected: bool| {
            assert_eq!(source(peer(a)) == source(peer(b)), expected, "{a} {b}");
        };
        check("192.0.2.1", "192.0.2.2", false);
        check("192.0.2.1", "::ffff:192.0.2.1", true);
        check("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", true);
        check("2001:db8:0:1::1", "2001:db8:0:2::1", false);
    }

    #[test]
    fn the_table_is_bounded() {
        let (attempts, now) = (Attempts::new(1), Instant::now());
        let nth = |number: usize| Peer::Tcp((Ipv4Addr::from(u32::try_from(number).unwrap()), 1).into());
        for number in 0..ATTEMPT_SOURCES {
            assert_eq!(attempts.failed(nth(number), now), Failed::Counted);
        }
        assert_eq!(attempts.failed(nth(ATTEMPT_SOURCES), now), Failed::Counted, "the first that shares");
        assert_eq!(attempts.failed(nth(ATTEMPT_SOURCES + 1), now), Failed::TooOften { first: true });
        assert_eq!(attempts.sources.lock().unwrap().len(), ATTEMPT_SOURCES + 1);
        let later = now + PERIOD * 2;
        assert_eq!(attempts.failed(nth(ATTEMPT_SOURCES + 1), later), Failed::Counted);
        assert_eq!(attempts.sources.lock().unwrap().len(), 1, "who has done no more is forgotten");
    }

    #[test]
    fn it_can_be_switched_off() {
        let attempts = Attempts::new(0);
        for _ in 0..1000 {
            assert_eq!(attempts.failed(peer("192.0.2.1"), Instant::now()), Failed::Counted);
        }
    }
}
