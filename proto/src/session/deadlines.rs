//! When to look whether streams are overdue: one coarse tick for all of them, because a timer for each would cost more
//! than anything else that a small request needs.

use std::time::{Duration, Instant};

/// How coarse: a deadline is noticed at most two of these late, one to begin and one to end.
const TICK: Duration = Duration::from_millis(250);

/// When one stream is overdue.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deadline {
    /// So long after the next look. Whoever set it does so between two packets, when the session's own time may be a
    /// heartbeat old.
    After(Duration),
    At(Instant),
}

impl Deadline {
    /// Begins to count, and says whether it has passed.
    pub(super) fn look(&mut self, now: Instant) -> bool {
        match *self {
            Self::After(after) => *self = Self::At(now + after),
            Self::At(at) => return now >= at,
        }
        false
    }

    pub(super) fn is_past(self, now: Instant) -> bool {
        matches!(self, Self::At(at) if now >= at)
    }
}

#[derive(Debug, Default)]
pub(super) struct Deadlines {
    next_look: Option<Instant>,
    /// There is a next look where there was none: the driver has to hear of it.
    is_news: bool,
}

impl Deadlines {
    /// Some stream has a deadline.
    pub(super) fn watch(&mut self, now: Instant) {
        if self.next_look.is_none() {
            self.next_look = Some(now + TICK);
            self.is_news = true;
        }
    }

    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next_look.is_some_and(|at| now >= at)
    }

    /// The streams were looked at, and some still have a deadline, or none.
    pub(super) fn looked(&mut self, any_left: bool, now: Instant) {
        self.next_look = any_left.then(|| now + TICK);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next_look
    }

    pub(super) fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.is_news)
    }
}
