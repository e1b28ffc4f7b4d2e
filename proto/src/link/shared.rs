//! What the driver and the handles of a link share: the session, and who waits for what.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use crate::{
    session::{Event, Session, ids::ById},
    wire::{Credential, RequestHead, ServiceName, StreamId},
};

/// One lock, held for single calls into the session and never across an await.
#[derive(Debug)]
pub(super) struct Shared(Mutex<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) session: Session,
    readers: ById<Waker>,
    writers: ById<Waker>,
    pub(super) driver: Option<Waker>,
    /// What only the driver can hand on.
    pub(super) news: VecDeque<News>,
    /// Whoever holds a handle wants the link closed now.
    pub(super) close: bool,
    /// What the peer is told then, if it is sent away.
    pub(super) dismissal: Option<&'static str>,
}

/// Which handle of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Half {
    Reader,
    Writer,
}

#[derive(Debug)]
pub(super) enum News {
    Opened(StreamId, Arc<RequestHead>),
    Services(Vec<ServiceName>),
    Renewed(Credential),
    GoAway,
}

impl Shared {
    pub(super) fn new(session: Session) -> Self {
        Self(Mutex::new(Inner {
            session,
            readers: ById::default(),
            writers: ById::default(),
            driver: None,
            news: VecDeque::new(),
            close: false,
            dismissal: None,
        }))
    }

    /// Calls into the session, then wakes whom that concerns.
    pub(super) fn with<T>(&self, call: impl FnOnce(&mut Inner) -> T) -> T {
        let mut inner = self.lock();
        let result = call(&mut inner);
        inner.settle();
        result
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic in one call must not take every other one with it, nor become an abort when handles are dropped.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Wakes `waker` when the session has an event for this half.
    pub(super) fn wait(&mut self, id: StreamId, half: Half, waker: &Waker) {
        let tasks = self.tasks(half);
        match tasks.get_mut(&id) {
            Some(known) => known.clone_from(waker),
            None => {
                tasks.insert(id, waker.clone());
            }
        }
    }

    pub(super) fn forget(&mut self, id: StreamId, half: Half) {
        self.tasks(half).remove(&id);
    }

    fn settle(&mut self) {
        while let Some(event) = self.session.poll_event() {
            match event {
                Event::Readable(id) => self.wake(id, Half::Reader),
                Event::Writable(id) => self.wake(id, Half::Writer),
                Event::Opened(id, head) => self.news.push_back(News::Opened(id, head)),
                Event::Services(services) => self.news.push_back(News::Services(services)),
                Event::Renewed(credential) => self.news.push_back(News::Renewed(credential)),
                Event::GoAway => self.news.push_back(News::GoAway),
            }
        }
        let nearer = self.session.take_nearer_timeout();
        if (nearer || self.session.has_packets() || self.session.is_drained() || self.close)
            && let Some(driver) = self.driver.take()
        {
            driver.wake();
        }
    }

    fn tasks(&mut self, half: Half) -> &mut ById<Waker> {
        match half {
            Half::Reader => &mut self.readers,
            Half::Writer => &mut self.writers,
        }
    }

    fn wake(&mut self, id: StreamId, half: Half) {
        if let Some(waker) = self.tasks(half).remove(&id) {
            waker.wake();
        }
    }
}
