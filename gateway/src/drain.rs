//! How far the gateway's drain has come, for those who begin it and those who wait for it.

use tokio_util::sync::CancellationToken;

/// The two points in time of a drain.
#[derive(Clone, Debug)]
pub(crate) struct Drain {
    /// Asked for: by a signal, or over the admin listener.
    pub(crate) begun: CancellationToken,
    /// Nothing is in flight any more. The process runs on until it is told to end.
    pub(crate) done: CancellationToken,
}

impl Drain {
    /// One that begins with `shutdown` at the latest.
    pub(crate) fn before(shutdown: &CancellationToken) -> Self {
        Self { begun: shutdown.child_token(), done: CancellationToken::new() }
    }

    /// Begins it unless it has begun, and returns when it is over.
    pub(crate) async fn run(&self) {
        self.begun.cancel();
        self.done.cancelled().await;
    }

    /// What the drain has come to, in a word; `None` while there is none.
    pub(crate) fn stage(&self) -> Option<&'static str> {
        match (self.begun.is_cancelled(), self.done.is_cancelled()) {
            (_, true) => Some("drained"),
            (true, false) => Some("draining"),
            (false, false) => None,
        }
    }
}
