//! Waiting for something to be so, with a deadline that only a failure meets.

use std::time::{Duration, Instant};

/// Far longer than anything here takes, on a loaded machine too.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// How often a state that nobody announces is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Waits for a future.
///
/// # Panics
/// If it is not ready by the deadline.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("it took too long: {what}"))
}

/// Looks until there is something.
///
/// # Panics
/// If there is nothing by the deadline.
pub async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(started.elapsed() < DEADLINE, "it never came: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Looks until a condition holds.
///
/// # Panics
/// If it does not by the deadline.
pub async fn until_so(what: &str, mut holds: impl FnMut() -> bool) {
    until(what, async || holds().then_some(())).await;
}
