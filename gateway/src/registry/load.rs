//! How much of one service is in flight, and who waits until there is room.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::SeqCst},
};

use proto::wire::ServiceName;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use crate::config;

/// The load of one service. Its queue is a line: only the first looks for room, and nobody who comes later passes those
/// who wait.
#[derive(Debug)]
pub(crate) struct Load {
    service: ServiceName,
    pub(crate) settings: config::Service,
    in_flight: AtomicU32,
    waiting: AtomicU32,
    /// Held by the first in line.
    front: Semaphore,
    /// Room was left while somebody waited.
    left: Notify,
}

impl Load {
    pub(crate) fn new(service: ServiceName, settings: config::Service) -> Self {
        let front = Semaphore::new(1);
        Self { service, settings, in_flight: AtomicU32::new(0), waiting: AtomicU32::new(0), front, left: Notify::new() }
    }

    /// Requests whose answers are not complete.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(SeqCst)
    }

    /// Requests that wait for room.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(SeqCst)
    }

    /// Whether anything is in flight or waits.
    pub(crate) fn is_used(&self) -> bool {
        self.in_flight() > 0 || self.waiting() > 0
    }

    /// Whether a request may go now: there is room, and nobody stands before it.
    pub(crate) fn has_room(&self, is_first: bool) -> bool {
        self.in_flight() < self.settings.max_in_flight && (is_first || self.waiting() == 0)
    }

    /// A place in the line; `None` if it is full.
    pub(crate) fn line_up(&self) -> Option<InLine<'_>> {
        if self.waiting.fetch_add(1, SeqCst) >= self.settings.queue {
            self.waiting.fetch_sub(1, SeqCst);
            return None;
        }
        Some(InLine { load: self })
    }
}

/// A request that waits for room.
#[derive(Debug)]
pub(crate) struct InLine<'a> {
    load: &'a Load,
}

impl InLine<'_> {
    /// Waits until nobody stands before it.
    pub(crate) async fn front(&self) -> SemaphorePermit<'_> {
        self.load.front.acquire().await.expect("the semaphore is never closed")
    }

    /// Waits until a request of the service has ended.
    pub(crate) async fn room(&self) {
        self.load.left.notified().await;
    }
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        self.load.waiting.fetch_sub(1, SeqCst);
    }
}

/// A request in flight, until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Load>);

impl InFlight {
    pub(crate) fn take(load: &Arc<Load>) -> Self {
        load.in_flight.fetch_add(1, SeqCst);
        Self(load.clone())
    }

    pub(crate) fn service(&self) -> &ServiceName {
        &self.0.service
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, SeqCst);
        if self.0.waiting() > 0 {
            self.0.left.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_as_are_permitted_and_none_past_those_who_wait() {
        let settings = config::Service { max_in_flight: 2, queue: 2, ..config::Service::default() };
        let load = Arc::new(Load::new("orders".parse().unwrap(), settings));
        let places = [InFlight::take(&load), InFlight::take(&load)];
        assert!(!load.has_room(true) && !load.has_room(false));
        let line = [load.line_up(), load.line_up()];
        assert!(line.iter().all(Option::is_some) && load.line_up().is_none());
        drop(places);
        assert!(load.has_room(true) && !load.has_room(false), "those who wait come first");
        drop(line);
        assert!(load.has_room(false));
        assert_eq!((load.in_flight(), load.waiting()), (0, 0));
    }
}
