//! Idle connections to one upstream, the last used first.

use std::{collections::VecDeque, sync::Mutex, time::Instant};

use super::conversation::Conversation;
use crate::limits::{IDLE_UPSTREAM, IDLE_UPSTREAMS};

#[derive(Default)]
pub(super) struct Pool(Mutex<VecDeque<Idle>>);

struct Idle {
    conversation: Conversation,
    since: Instant,
}

impl Pool {
    /// An idle connection that is still open, as far as can be known.
    pub(super) async fn take(&self) -> Option<Conversation> {
        loop {
            let Idle { mut conversation, since } = self.lock().pop_back()?;
            if since.elapsed() >= IDLE_UPSTREAM {
                continue;
            }
            // Nothing was driven while it lay idle: a look at the socket tells whether the server has closed it.
            conversation.look().await;
            if conversation.is_ready() {
                return Some(conversation);
            }
        }
    }

    pub(super) fn put(&self, conversation: Conversation) {
        let mut idle = self.lock();
        if idle.len() == IDLE_UPSTREAMS {
            idle.pop_front();
        }
        idle.push_back(Idle { conversation, since: Instant::now() });
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
