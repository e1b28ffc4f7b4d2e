//! Whether the peer is alive: pings at a steady pace, silence and stalled writes measured against it.

use std::time::{Duration, Instant};

use super::{
    SessionError,
    limits::{PING_REST, STALL_HEARTBEATS},
};

#[derive(Debug)]
pub(super) struct Heartbeat {
    every: Duration,
    next_ping: Instant,
    pinged: Option<Instant>,
    /// When the first ping that has no answer yet was sent.
    unanswered: Option<Instant>,
    heard: Instant,
    blocked_since: Option<Instant>,
    rtt: Option<Duration>,
    ping_due: bool,
    doubt: Doubt,
}

/// Whether there is a reason to think that the peer is dead, besides its silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doubt {
    None,
    /// There is, and the next look at the time begins the wait for a sign of life.
    New,
    /// Nothing was heard since; at that time it counts as dead.
    Until(Instant),
}

impl Heartbeat {
    pub(super) fn new(every: Duration, now: Instant) -> Self {
        // The first ping goes out at once: windows grow only when the round trip is known.
        Self {
            every,
            next_ping: now,
            pinged: None,
            unanswered: None,
            heard: now,
            blocked_since: None,
            rtt: None,
            ping_due: false,
            doubt: Doubt::None,
        }
    }

    /// Anything at all came from the peer.
    pub(super) fn handle_heard(&mut self, now: Instant) {
        self.heard = now;
        if let Doubt::Until(_) = self.doubt {
            self.doubt = Doubt::None;
        }
    }

    /// The peer is to show that it is alive, within half a heartbeat. Asked again before it has, it gets no more time.
    pub(super) fn doubt(&mut self) {
        if self.doubt == Doubt::None {
            self.doubt = Doubt::New;
        }
    }

    pub(super) fn is_doubted(&self) -> bool {
        self.doubt != Doubt::None
    }

    pub(super) fn handle_pong(&mut self, now: Instant) {
        if let Some(sent) = self.unanswered.take() {
            let sample = now - sent;
            self.rtt = Some(self.rtt.map_or(sample, |rtt| (rtt * 7 + sample) / 8));
        }
    }

    /// The socket takes no more (`true`), or has taken everything or at least something.
    pub(super) fn handle_blocked(&mut self, blocked: bool, now: Instant) {
        self.blocked_since = blocked.then(|| self.blocked_since.unwrap_or(now));
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) -> Result<(), SessionError> {
        self.forgive_own_absence(now);
        if self.doubt == Doubt::New {
            // Peers bear only so many pings, and doubts may come one after the other.
            let earliest = self.pinged.map_or(now, |pinged| pinged + self.every.min(PING_REST));
            self.next_ping = earliest.max(now).min(self.next_ping);
            self.doubt = Doubt::Until(self.next_ping + self.every / 2);
        }
        if now >= self.silent_at() {
            return Err(SessionError::Silent);
        }
        if self.stalled_at().is_some_and(|at| now >= at) {
            return Err(SessionError::Stalled);
        }
        if now >= self.next_ping {
            self.next_ping = now + self.every;
            self.pinged = Some(now);
            self.unanswered.get_or_insert(now);
            self.ping_due = true;
        }
        Ok(())
    }

    /// If this side was not running for long (stopped, or the machine was asleep), it has not listened either: the peer
    /// begins anew. A peer that lives was heard after the last ping but one, so that its silence seems too long only to
    /// a side that is at least half a heartbeat late.
    fn forgive_own_absence(&mut self, now: Instant) {
        if now < self.due() + self.every / 2 {
            return;
        }
        self.heard = now;
        self.next_ping = now;
        // Its answer may have waited here all the time.
        self.unanswered = None;
        self.blocked_since = self.blocked_since.map(|_| now);
        if let Doubt::Until(_) = self.doubt {
            self.doubt = Doubt::New;
        }
    }

    pub(super) fn poll_timeout(&self) -> Instant {
        match self.doubt {
            // At once: this is in the past.
            Doubt::New => self.heard,
            _ => self.due(),
        }
    }

    fn due(&self) -> Instant {
        let next = self.next_ping.min(self.silent_at());
        self.stalled_at().map_or(next, |stalled| next.min(stalled))
    }

    pub(super) fn is_ping_due(&self) -> bool {
        self.ping_due
    }

    pub(super) fn poll_ping(&mut self) -> bool {
        std::mem::take(&mut self.ping_due)
    }

    pub(super) fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Two pings were missed: the silence is longer than two periods and a half. Or it was doubted, and did not answer.
    fn silent_at(&self) -> Instant {
        let silent = self.heard + self.every * 5 / 2;
        match self.doubt {
            Doubt::Until(at) => silent.min(at),
            _ => silent,
        }
    }

    fn stalled_at(&self) -> Option<Instant> {
        self.blocked_since.map(|since| since + self.every * STALL_HEARTBEATS)
    }
}
