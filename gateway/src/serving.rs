//! The life of a listener: it sends its clients elsewhere, takes nothing new, and ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::limits::LAST_CALL;

/// The life of one listener, or of several that end together.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    /// Whether each answer is the last of its connection: it says `Connection: close`. Not a token, because it is looked
    /// at with each request.
    pub(crate) leaving: Arc<AtomicBool>,
    /// No new connections from then on.
    pub(crate) closed: CancellationToken,
    /// Quiet connections end, and others with the answer that they wait for.
    pub(crate) stop: CancellationToken,
    pub(crate) connections: TaskTracker,
}

impl Default for Serving {
    fn default() -> Self {
        let stop = CancellationToken::new();
        Self { leaving: Arc::default(), closed: stop.child_token(), stop, connections: TaskTracker::new() }
    }
}

impl Serving {
    /// Serves on for `delay`, but sends clients elsewhere; then takes nothing new, and returns when every connection has
    /// finished.
    pub(crate) async fn finish(&self, delay: Duration) {
        self.leaving.store(true, Ordering::Relaxed);
        tokio::time::sleep(delay).await;
        self.closed.cancel();
        self.connections.close();
        // A request that is on its way already is still answered.
        let _ = tokio::time::timeout(LAST_CALL, self.connections.wait()).await;
        self.stop.cancel();
        self.connections.wait().await;
    }

    /// Takes nothing new from now on, and keeps no connection alive.
    pub(crate) fn stop(&self) {
        self.leaving.store(true, Ordering::Relaxed);
        self.stop.cancel();
    }

    /// Cancelled by [`Serving::stop`].
    pub(crate) fn stopped(&self) -> CancellationToken {
        self.stop.clone()
    }
}
