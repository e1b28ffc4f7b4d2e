//! Room for connections: applications take only so many file descriptors, and their idle connections give way.
//!
//! A process has a limit of descriptors. What agents' links, probes and files need is kept back from applications, so
//! that these cannot lock the agents out, and from strangers that knock at the tunnel; and whoever waits for room gets
//! that of a connection that lies idle.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    client::Activity,
    limits::{ACCEPT_REST, CONNECTIONS, GIVE_WAY, GIVE_WAY_AFTER},
};

/// The room of one listener, or of several together.
#[derive(Debug)]
pub(crate) struct Room {
    places: Arc<Semaphore>,
    next: AtomicU64,
    /// Connections by age.
    guests: Mutex<BTreeMap<u64, Guest>>,
}

/// A connection that can be asked to leave.
#[derive(Debug)]
struct Guest {
    activity: Arc<Activity>,
    leave: CancellationToken,
    /// What its activity has come to, and since which look.
    seen: Option<(u64, Instant)>,
}

impl Guest {
    /// Whether it has been idle for so long that it can be asked to leave. One that has never said anything soon can.
    /// Another's client may be about to send, and cannot know whether a request was read by whoever leaves.
    fn is_idle(&mut self, now: Instant) -> bool {
        let (quiet, mark) = self.activity.look();
        let unchanged = self.seen.filter(|(seen, _)| quiet && *seen == mark);
        let (_, since) = *self.seen.insert(unchanged.unwrap_or((mark, now)));
        let long_enough = if mark == 0 { ACCEPT_REST } else { GIVE_WAY_AFTER };
        quiet && now - since >= long_enough && !self.leave.is_cancelled()
    }
}

impl Room {
    pub(crate) fn new(places: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(places)), next: AtomicU64::default(), guests: Mutex::default() }
    }

    /// For the applications of so many facades, in a process that may have so many descriptors.
    pub(crate) fn for_facades(count: usize, descriptors: Option<usize>) -> Self {
        let most = CONNECTIONS.saturating_mul(count);
        Self::new(descriptors.map_or(most, |descriptors| most.min(descriptors / 4 * 3)).max(1))
    }

    /// For those that want to become agents' links, and are not yet, in such a process: strangers can be among them.
    pub(crate) fn for_arrivals(descriptors: Option<usize>) -> Self {
        Self::new(descriptors.map_or(CONNECTIONS, |descriptors| CONNECTIONS.min(descriptors / 8)).max(1))
    }

    /// A place for a connection, as soon as there is one: others that lie idle give way.
    pub(crate) async fn place(&self) -> OwnedSemaphorePermit {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return place;
        }
        let mut place = pin!(self.places.clone().acquire_owned());
        loop {
            tokio::select! {
                biased;
                place = &mut place => return place.expect("the semaphore is never closed"),
                () = tokio::time::sleep(ACCEPT_REST) => {
                    self.make();
                }
            }
        }
    }

    /// Notes a connection that leaves if it is asked to, while the returned guard lives.
    pub(crate) fn enter(&self, activity: &Arc<Activity>, leave: CancellationToken) -> Entered<'_> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.lock().insert(id, Guest { activity: activity.clone(), leave, seen: None });
        Entered { room: self, id }
    }

    /// Asks some connections to leave that were idle from look to look; whether there are any.
    pub(crate) fn make(&self) -> bool {
        let now = Instant::now();
        let mut idle = Vec::new();
        for guest in self.lock().values_mut() {
            if guest.is_idle(now) {
                idle.push(guest.leave.clone());
            }
        }
        idle.iter().take(GIVE_WAY).for_each(CancellationToken::cancel);
        !idle.is_empty()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Guest>> {
        self.guests.lock().expect("nothing panics while it holds the guests")
    }
}

/// A connection's entry; dropping it takes the connection out.
#[derive(Debug)]
pub(crate) struct Entered<'a> {
    room: &'a Room,
    id: u64,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.room.lock().remove(&self.id);
    }
}

/// How many descriptors this process may have; `None` if the system does not tell.
pub(crate) fn descriptors() -> Option<usize> {
    limit_in(&std::fs::read_to_string("/proc/self/limits").ok()?)
}

/// The first of the two numbers is the one in force.
fn limit_in(limits: &str) -> Option<usize> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use tokio::time::sleep;

    use super::*;
    use crate::client::Busy;

    fn enter(room: &Room) -> (Arc<Activity>, CancellationToken, Entered<'_>) {
        let (activity, leave) = (Arc::default(), CancellationToken::new());
        let entered = room.enter(&activity, leave.clone());
        (activity, leave, entered)
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_is_idle_leaves_and_nobody_else() {
        let room = Room::new(9);
        let (_silent, silent, _stays) = enter(&room);
        let (busy, held, _stays_too) = enter(&room);
        let (active, used, _stays_as_well) = enter(&room);
        let (_gone, gone, leaves) = enter(&room);
        drop(leaves);
        let request = Busy::new(&busy);
        drop(Busy::new(&active));
        let asked = || [&silent, &held, &used, &gone].map(CancellationToken::is_cancelled);
        assert!(!room.make(), "one look shows nothing");
        sleep(ACCEPT_REST).await;
        assert!(room.make());
        assert_eq!(asked(), [true, false, false, false]);
        sleep(GIVE_WAY_AFTER / 2).await;
        drop(Busy::new(&active));
        assert!(!room.make());
        sleep(GIVE_WAY_AFTER / 2).await;
        assert!(!room.make(), "something has happened meanwhile");
        sleep(GIVE_WAY_AFTER / 2).await;
        assert!(room.make());
        assert_eq!(asked(), [true, false, true, false]);
        assert!(!room.make(), "nobody is asked twice");
        drop(request);
        assert!(!room.make(), "its client has just been answered");
        sleep(GIVE_WAY_AFTER).await;
        assert!(room.make());
        assert_eq!(asked(), [true, true, true, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_leave_first_and_only_so_many() {
        let room = Room::new(9);
        let guests: Vec<_> = (0..=GIVE_WAY).map(|_| enter(&room)).collect();
        assert!(!room.make());
        sleep(ACCEPT_REST).await;
        assert!(room.make());
        let (last, others) = guests.split_last().unwrap();
        assert!(others.iter().all(|(_, leave, _)| leave.is_cancelled()) && !last.1.is_cancelled());
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_place_gets_that_of_an_idle_connection() {
        let room = Room::new(1);
        let place = room.place().await;
        let (_activity, leave, _entered) = enter(&room);
        let leaves = async {
            leave.cancelled().await;
            drop(place);
        };
        let (_place, ()) = tokio::join!(room.place(), leaves);
    }

    #[test]
    fn descriptors_are_kept_back_for_agents() {
        let places = |count, descriptors| Room::for_facades(count, descriptors).places.available_permits();
        assert_eq!(places(1, None), CONNECTIONS);
        assert_eq!(places(3, Some(1_000_000)), 3 * CONNECTIONS);
        assert_eq!(places(3, Some(1024)), 768);
        assert_eq!(places(1, Some(3)), 1);
        let arrivals = |descriptors| Room::for_arrivals(descriptors).places.available_permits();
        assert_eq!([None, Some(1_000_000), Some(1024), Some(3)].map(arrivals), [CONNECTIONS, CONNECTIONS, 128, 1]);
        let line = "Limit   Soft Limit  Hard Limit  Units\nMax open files            1024                 524288               files\n";
        assert_eq!(limit_in(line), Some(1024));
        assert_eq!(limit_in(&line.replace("1024  ", "unlimited")), None);
        assert_eq!(limit_in(""), None);
    }
}
