//! Idle HTTP/1.1 connections to one upstream, the last used first.

use std::{collections::VecDeque, sync::Mutex};

use tokio::time::Instant;

use super::http1::Own;
use crate::limits::{IDLE_UPSTREAM, IDLE_UPSTREAMS};

#[derive(Default)]
pub(super) struct Pool(Mutex<State>);

#[derive(Default)]
struct State {
    idle: VecDeque<Idle>,
    /// Nothing is kept until then.
    scarce_until: Option<Instant>,
}

struct Idle {
    connection: Own,
    since: Instant,
}

impl Pool {
    /// An idle connection. The server may have closed it meanwhile: whoever drives it next reads before it writes, and
    /// gets its request back unsent.
    pub(super) fn take(&self) -> Option<Own> {
        loop {
            let Idle { connection, since } = self.lock().idle.pop_back()?;
            if since.elapsed() < IDLE_UPSTREAM {
                return Some(connection);
            }
        }
    }

    pub(super) fn put(&self, connection: Own) {
        let now = Instant::now();
        let mut state = self.lock();
        if state.scarce_until.is_some_and(|until| now < until) {
            return;
        }
        if state.idle.len() == IDLE_UPSTREAMS {
            state.idle.pop_front();
        }
        state.idle.push_back(Idle { connection, since: now });
    }

    /// The process has run out of file descriptors: those that idle connections would hold are wanted for links and
    /// probes. For a while none is kept.
    pub(super) fn give_way(&self) {
        let mut state = self.lock();
        state.scarce_until = Some(Instant::now() + IDLE_UPSTREAM);
        state.idle.clear();
    }

    /// Closes what has lain idle for too long.
    pub(super) fn sweep(&self) {
        let idle = &mut self.lock().idle;
        while idle.front().is_some_and(|idle| idle.since.elapsed() >= IDLE_UPSTREAM) {
            idle.pop_front();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while it holds the pool")
    }
}
