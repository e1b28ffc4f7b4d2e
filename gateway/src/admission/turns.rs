//! When a connection may begin with TLS: of all that strangers can ask for, a handshake costs the most, so that many at
//! once would hold up the calls of agents that are there.

use std::{sync::Mutex, time::Duration};

use tokio::time::Instant;

use crate::limits::{TURN, TURN_BURST, TURN_PATIENCE};

/// The turns of one listener's connections, first come, first served.
#[derive(Debug)]
pub(crate) struct Turns {
    /// The leaky bucket, as the moment at which it will be empty.
    empty_at: Mutex<Instant>,
}

impl Turns {
    pub(crate) fn new(now: Instant) -> Self {
        Self { empty_at: Mutex::new(now) }
    }

    /// How long the next connection has to wait for its turn; `None` if that is too long.
    pub(crate) fn take(&self, now: Instant) -> Option<Duration> {
        let mut empty_at = self.empty_at.lock().expect("nothing panics while it holds the turns");
        let after = (*empty_at).max(now) + TURN;
        let wait = after.saturating_duration_since(now + TURN * TURN_BURST);
        (wait <= TURN_PATIENCE).then(|| {
            *empty_at = after;
            wait
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_at_once_and_others_in_turn() {
        let start = Instant::now();
        let turns = Turns::new(start);
        for number in 0..TURN_BURST {
            assert_eq!(turns.take(start), Some(Duration::ZERO), "{number}");
        }
        assert_eq!(turns.take(start), Some(TURN));
        assert_eq!(turns.take(start), Some(TURN * 2));
        let mut last = TURN * 2;
        while let Some(wait) = turns.take(start) {
            assert_eq!(wait, last + TURN);
            last = wait;
        }
        assert_eq!(last, TURN_PATIENCE, "and no longer than that");
        assert_eq!(turns.take(start + TURN), Some(TURN_PATIENCE), "a place has come free");
        let later = start + TURN_PATIENCE * 3;
        assert_eq!(turns.take(later), Some(Duration::ZERO));
    }
}
