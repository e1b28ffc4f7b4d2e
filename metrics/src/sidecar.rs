//! What every sidecar says of itself.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::Page;

/// One side, at this moment.
#[derive(Clone, Copy, Debug)]
pub struct Sidecar {
    /// `gateway` or `agent`.
    pub side: &'static str,
    /// The software's.
    pub version: &'static str,
    /// When it was started.
    pub started: SystemTime,
    /// What `/readyz` says.
    pub ready: bool,
    /// A drain has begun.
    pub draining: bool,
    /// A drain is over.
    pub drained: bool,
    /// Of the runtime: whatever is under way or waits is one or a few.
    pub tasks: usize,
}

impl Sidecar {
    /// Begins a page with it.
    #[must_use]
    pub fn page(self) -> Page {
        let Self { side, version, started, ready, draining, drained, tasks } = self;
        let mut page = Page::default();
        let started = started.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        page.gauge("reachback_build_info", "Which side this is, and its version; always 1.")
            .sample(&[("side", side), ("version", version)], 1);
        page.gauge("process_start_time_seconds", "When the process was started, in Unix time.").sample(&[], started);
        page.gauge("reachback_ready", "What /readyz says: 1 or 0.").sample(&[], u8::from(ready));
        page.gauge("reachback_draining", "1 from the beginning of a drain on.").sample(&[], u8::from(draining));
        page.gauge("reachback_drained", "1 once a drain is over.").sample(&[], u8::from(drained));
        page.gauge("reachback_tasks", "Tasks of the runtime: they grow with connections and requests.")
            .sample(&[], tasks);
        page
    }
}
