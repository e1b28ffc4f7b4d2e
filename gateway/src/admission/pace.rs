//! How many agents are let in at once: a fleet that comes back all together must not hold up the calls of those that
//! are there.

use std::{sync::Mutex, time::Duration};

use tokio::time::Instant;

use crate::limits::PACE_SPREAD;

/// So many at once, and then one each so often.
#[derive(Debug)]
pub(crate) struct Pace {
    each: Duration,
    burst: u32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The leaky bucket, as the moment at which it will be empty.
    empty_at: Instant,
    refused: u16,
}

impl Pace {
    pub(crate) fn new((each, burst): (Duration, u32), now: Instant) -> Self {
        Self { each, burst, state: Mutex::new(State { empty_at: now, refused: 0 }) }
    }

    /// Lets one in, or says after how many seconds it may come back: some sooner, some later.
    pub(crate) fn admit(&self, now: Instant) -> Result<(), u16> {
        let mut state = self.state.lock().expect("nothing panics while it holds the pace");
        let empty_at = state.empty_at.max(now) + self.each;
        if empty_at <= now + self.burst * self.each {
            state.empty_at = empty_at;
            return Ok(());
        }
        state.refused = (state.refused + 1) % PACE_SPREAD;
        Err(1 + state.refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{PACE, PACE_BURST};

    #[test]
    fn a_burst_and_then_a_pace() {
        let start = Instant::now();
        let pace = Pace::new((PACE, PACE_BURST), start);
        for number in 0..PACE_BURST {
            assert_eq!(pace.admit(start), Ok(()), "{number}");
        }
        let told: Vec<u16> = (0..PACE_SPREAD).map(|_| pace.admit(start).unwrap_err()).collect();
        assert!(told.iter().all(|seconds| (1..=PACE_SPREAD).contains(seconds)), "{told:?}");
        assert!((1..=PACE_SPREAD).all(|seconds| told.contains(&seconds)), "{told:?}");
        assert_eq!(pace.admit(start + PACE), Ok(()));
        assert!(pace.admit(start + PACE).is_err());
        let later = start + PACE * PACE_BURST * 2;
        assert_eq!((0..PACE_BURST).filter(|_| pace.admit(later).is_ok()).count(), PACE_BURST as usize);
        assert!(pace.admit(later).is_err());
    }
}
