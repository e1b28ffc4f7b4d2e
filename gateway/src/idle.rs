//! When a connection has been still for too long, with a request ahead or in the middle of its head.

use std::time::Duration;

use tokio::time::Instant;

use crate::client::Activity;

/// Returns when for a whole period no request was in flight, none began, and the client took no byte; or when one had
/// begun with a head, and did not end it within the time for that. One timer a connection that looks now and then,
/// instead of one for each request.
pub(crate) async fn idle(activity: &Activity, period: Duration, head: Duration) {
    let (mut quiet, mut in_head) = (Since::default(), Since::default());
    loop {
        let (is_quiet, mark) = activity.look();
        let has_part = is_quiet && activity.has_part_of_head();
        if quiet.lasted(is_quiet, mark) >= period || in_head.lasted(has_part, mark) >= head {
            return;
        }
        tokio::time::sleep(period.min(head) / 2).await;
    }
}

/// Since when something was so, with the same mark, whenever it was looked at.
#[derive(Default)]
struct Since(Option<(u64, Instant)>);

impl Since {
    fn lasted(&mut self, is_so: bool, mark: u64) -> Duration {
        let now = Instant::now();
        self.0 = is_so.then(|| self.0.filter(|(before, _)| *before == mark).unwrap_or((mark, now)));
        self.0.map_or(Duration::ZERO, |(_, since)| now - since)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        client::Busy,
        limits::{HEAD, IDLE_CONNECTION},
    };

    #[tokio::test(start_paused = true)]
    async fn idle_means_no_request_for_a_period_and_none_in_flight() {
        let activity = Arc::new(Activity::default());
        let watched = activity.clone();
        let started = tokio::time::Instant::now();
        let idle = tokio::spawn(async move {
            idle(&watched, IDLE_CONNECTION, HEAD).await;
            started.elapsed()
        });
        tokio::time::sleep(IDLE_CONNECTION / 2).await;
        let busy = Busy::new(&activity);
        tokio::time::sleep(IDLE_CONNECTION * 10).await;
        assert!(!idle.is_finished(), "a request in flight keeps the connection");
        drop(busy);
        let lasted = idle.await.unwrap();
        assert!(lasted >= IDLE_CONNECTION * 21 / 2 && lasted <= IDLE_CONNECTION * 12, "{lasted:?}");
    }
}
