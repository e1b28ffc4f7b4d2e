//! A token bucket, written as the time at which the link is free again.

use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How far behind its schedule a link may be and still catch up. It makes good the lateness of `sleep`, and is short
/// enough that a burst is 40 KB at 20 MB/s.
const CATCH_UP: Duration = Duration::from_millis(2);

/// The turn-taking of all connections in one direction of a link.
pub(crate) struct Pace {
    bytes_a_second: f64,
    free_at: Mutex<Option<Instant>>,
}

impl Pace {
    pub(crate) fn new(bytes_a_second: f64) -> Self {
        Self { bytes_a_second, free_at: Mutex::new(None) }
    }

    /// Takes the next free slot for so many bytes and says when its last byte has left.
    pub(crate) fn reserve(&self, bytes: usize, now: Instant) -> Instant {
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(CATCH_UP).unwrap_or(now);
        let begin = free_at.map_or(now, |free_at| free_at.max(earliest));
        let end = begin + Duration::from_secs_f64(bytes as f64 / self.bytes_a_second);
        *free_at = Some(end);
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_follow_each_other_and_idle_time_is_not_saved_up() {
        let pace = Pace::new(1_000_000.0);
        let start = Instant::now();
        let ms = Duration::from_millis;
        assert_eq!(pace.reserve(10_000, start), start + ms(10));
        assert_eq!(pace.reserve(10_000, start), start + ms(20), "a second connection waits its turn");
        assert_eq!(pace.reserve(10_000, start + ms(21)), start + ms(30), "lateness is made good");
        assert_eq!(pace.reserve(10_000, start + ms(1000)), start + ms(1008), "idle time is not");
    }
}
