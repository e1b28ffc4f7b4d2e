//! Whether the peer is alive: pings at a steady pace, silence and stalled writes measured against it.

use std::time::{Duration, Instant};

use super::{SessionError, limits::STALL_HEARTBEATS};

#[derive(Debug)]
pub(super) struct Heartbeat {
    every: Duration,
    next_ping: Instant,
    /// When the first ping that has no answer yet was sent.
    unanswered: Option<Instant>,
    heard: Instant,
    blocked_since: Option<Instant>,
    rtt: Option<Duration>,
    ping_due: bool,
}

impl Heartbeat {
    pub(super) fn new(every: Duration, now: Instant) -> Self {
        // The first ping goes out at once: windows grow only when the round trip is known.
        Self { every, next_ping: now, unanswered: None, heard: now, blocked_since: None, rtt: None, ping_due: false }
    }

    /// Anything at all came from the peer.
    pub(super) fn handle_heard(&mut self, now: Instant) {
        self.heard = now;
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
        if now >= self.silent_at() {
            return Err(SessionError::Silent);
        }
        if self.stalled_at().is_some_and(|at| now >= at) {
            return Err(SessionError::Stalled);
        }
        if now >= self.next_ping {
            self.next_ping = now + self.every;
            self.unanswered.get_or_insert(now);
            self.ping_due = true;
        }
        Ok(())
    }

    pub(super) fn poll_timeout(&self) -> Instant {
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

    /// Two pings were missed: the silence is longer than two periods and a half.
    fn silent_at(&self) -> Instant {
        self.heard + self.every * 5 / 2
    }

    fn stalled_at(&self) -> Option<Instant> {
        self.blocked_since.map(|since| since + self.every * STALL_HEARTBEATS)
    }
}
