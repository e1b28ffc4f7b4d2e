//! How many requests may be sent a second time: a share of the traffic. Without a bound, clients would multiply the load
//! of a service exactly when it fails.

use std::time::Duration;

use tokio::time::Instant;

use crate::limits::{RETRIES_PER_SECOND, RETRY_SHARE, RETRY_WINDOW};

/// The budget of one service. Pure: whoever asks says what time it is.
#[derive(Debug)]
pub(crate) struct Budget {
    /// What may be spent, counted in retries.
    balance: f64,
    /// Requests since the balance was last drawn up.
    requests: u32,
    drawn_up: Instant,
}

impl Budget {
    /// Begins with what a quiet service has saved.
    pub(crate) fn new(now: Instant) -> Self {
        Self { balance: RETRIES_PER_SECOND * RETRY_WINDOW.as_secs_f64(), requests: 0, drawn_up: now }
    }

    /// Counts a request, which earns a part of a retry.
    pub(crate) fn earn(&mut self) {
        self.requests = self.requests.saturating_add(1);
    }

    /// Pays for one retry; `false` if there is not enough.
    pub(crate) fn spend(&mut self, now: Instant) -> bool {
        self.draw_up(now);
        let enough = self.balance >= 1.0;
        if enough {
            self.balance -= 1.0;
        }
        enough
    }

    /// Adds what was earned, and lets fade what is older than the window: at a steady rate it comes to one window's.
    fn draw_up(&mut self, now: Instant) {
        let elapsed = now.saturating_duration_since(self.drawn_up);
        let earned = f64::from(self.requests) * RETRY_SHARE + elapsed.as_secs_f64() * RETRIES_PER_SECOND;
        let windows = windows(elapsed);
        self.balance = self.balance * (1.0 - windows).max(0.0) + earned / windows.max(1.0);
        (self.requests, self.drawn_up) = (0, now);
    }
}

fn windows(elapsed: Duration) -> f64 {
    elapsed.as_secs_f64() / RETRY_WINDOW.as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A service on a virtual clock.
    struct Service {
        budget: Budget,
        now: Instant,
    }

    impl Service {
        fn new() -> Self {
            let now = Instant::now();
            Self { budget: Budget::new(now), now }
        }

        fn runs(&mut self, seconds: u32, requests_a_second: u32) {
            for _ in 0..seconds {
                (0..requests_a_second).for_each(|_| self.budget.earn());
                self.now += SECOND;
            }
        }

        /// Retries until there are no more.
        fn spend_all(&mut self) -> u32 {
            (0..1_000_000).take_while(|_| self.budget.spend(self.now)).count().try_into().unwrap()
        }
    }

    #[test]
    fn a_quiet_service_has_ten_a_second() {
        let mut service = Service::new();
        assert_eq!(service.spend_all(), 100, "ten seconds' worth from the beginning");
        assert_eq!(service.spend_all(), 0);
        for _ in 0..30 {
            service.runs(1, 0);
            assert_eq!(service.spend_all(), 10);
        }
        service.runs(3600, 0);
        assert_eq!(service.spend_all(), 100, "no more is saved");
    }

    #[test]
    fn a_busy_one_has_a_fifth_of_its_traffic_more() {
        let mut service = Service::new();
        service.spend_all();
        for _ in 0..30 {
            service.runs(1, 1000);
            assert_eq!(service.spend_all(), 210);
        }
        service.runs(10, 1000);
        assert_eq!(service.spend_all(), 2100);
        service.runs(1000, 1000);
        assert_eq!(service.spend_all(), 2100, "only a window's worth is saved");
    }

    #[test]
    fn what_is_saved_does_not_grow_with_how_often_it_is_looked_at() {
        let mut service = Service::new();
        for _ in 0..600 {
            service.runs(1, 1000);
            assert!(service.budget.spend(service.now));
        }
        let left = service.spend_all();
        assert!((1900..=2100).contains(&left), "{left}");
    }

    #[test]
    fn old_traffic_fades() {
        let mut service = Service::new();
        service.runs(10, 1000);
        assert!(service.budget.spend(service.now));
        service.runs(10, 0);
        assert_eq!(service.spend_all(), 100, "of the busy time nothing is left");
    }

    #[test]
    fn a_clock_that_stands_still_or_goes_back_does_no_harm() {
        let mut service = Service::new();
        service.now += SECOND;
        service.spend_all();
        service.now -= SECOND;
        assert_eq!(service.spend_all(), 0);
        (0..5).for_each(|_| service.budget.earn());
        assert_eq!(service.spend_all(), 1);
    }
}
