//! Idle HTTP/1.1 connections to one upstream, the last used first.

use std::{collections::VecDeque, sync::Mutex, time::Instant};

use super::http1::Own;
use crate::limits::{IDLE_UPSTREAM, IDLE_UPSTREAMS};

#[derive(Default)]
pub(super) struct Pool(Mutex<VecDeque<Idle>>);

struct Idle {
    connection: Own,
    since: Instant,
}

impl Pool {
    /// An idle connection. The server may have closed it meanwhile: whoever drives it next reads before it writes, and
    /// gets its request back unsent.
    pub(super) fn take(&self) -> Option<Own> {
        loop {
            let Idle { connection, since } = self.lock().pop_back()?;
            if since.elapsed() < IDLE_UPSTREAM {
                return Some(connection);
            }
        }
    }

    pub(super) fn put(&self, connection: Own) {
        let mut idle = self.lock();
        if idle.len() == IDLE_UPSTREAMS {
            idle.pop_front();
        }
        idle.push_back(Idle { connection, since: Instant::now() });
    }

    /// Closes what has lain idle for too long.
    pub(super) fn sweep(&self) {
        let mut idle = self.lock();
        while idle.front().is_some_and(|idle| idle.since.elapsed() >= IDLE_UPSTREAM) {
            idle.pop_front();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Idle>> {
        self.0.lock().expect("nothing panics while it holds the pool")
    }
}
