//! Which lanes of one gateway may dial. Where the agent is let in, all may. Where it is not known to be, one does, and
//! the others wait for what comes of it; after a rejection none does before the hold-off is over, and then one.
//!
//! So an agent that is rejected dials once in a hold-off, whatever lanes and addresses there are and come to be. An
//! address that has let it in is dialled as ever, though others of the same name reject it.

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep_until, timeout},
};

use super::{backoff::Outcome, route::Route, standing::Standing};
use crate::limits::TURN;

/// What all lanes of one gateway go by.
#[derive(Debug)]
pub(super) struct Turns {
    /// Routes get it in the order in which they ask for it.
    turn: Arc<Semaphore>,
    known: watch::Sender<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// Whether the agent was let in or rejected, when it was last told.
    routes: HashMap<Route, bool>,
    /// The last one, which may be over.
    held: Option<HoldOff>,
    /// The routes of which a lane has the turn or waits for it. One of each is enough: others need not wait for eight
    /// hold-offs because somebody wants eight lanes.
    asking: HashSet<Route>,
}

#[derive(Debug)]
struct HoldOff {
    until: Instant,
    /// What was rejected. Another configuration or token may be let in.
    standing: Arc<Standing>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), known: watch::Sender::default() }
    }
}

impl Turns {
    /// Waits until a lane of this route may dial.
    pub(super) async fn take(self: &Arc<Self>, route: Route, standing: &Arc<Standing>) -> Turn {
        let mut known = self.known.subscribe();
        // What it gives locks what is known, and who asks writes to that when it asks no more. (The sender lives as long
        // as `self`.)
        let all_may = async { drop(known.wait_for(|known| known.is_free(route, standing)).await) };
        let asked = tokio::select! {
            biased;
            () = all_may => None,
            asked = self.ask(route, standing) => Some(asked),
        };
        let (asks, turn) = asked.unzip();
        Turn { turns: self.clone(), route, standing: standing.clone(), turn, _asks: asks }
    }

    async fn ask(self: &Arc<Self>, route: Route, standing: &Arc<Standing>) -> (Asks, OwnedSemaphorePermit) {
        let mut known = self.known.subscribe();
        while !self.known.send_if_modified(|known| known.asking.insert(route)) {
            let _ = known.wait_for(|known| !known.asking.contains(&route)).await;
        }
        let asks = Asks { turns: self.clone(), route };
        let turn = self.turn.clone().acquire_owned().await.expect("nobody closes it");
        loop {
            let Some(until) = self.known.borrow().held_until(standing) else { return (asks, turn) };
            sleep_until(until).await;
        }
    }

    /// Forgets what other routes than these were like.
    pub(super) fn keep(&self, routes: &[Route]) {
        self.known.send_modify(|known| known.routes.retain(|route, _| routes.contains(route)));
    }
}

impl Known {
    /// Whether all lanes of a route may dial. Where nothing is known of it, others must have let the agent in, and none
    /// have rejected it so far.
    fn is_free(&self, route: Route, standing: &Arc<Standing>) -> bool {
        let others = || self.hold_off(standing).is_none() && self.routes.values().any(|lets_in| *lets_in);
        self.routes.get(&route).copied().unwrap_or_else(others)
    }

    fn held_until(&self, standing: &Arc<Standing>) -> Option<Instant> {
        self.hold_off(standing).map(|held| held.until).filter(|until| *until > Instant::now())
    }

    fn hold_off(&self, standing: &Arc<Standing>) -> Option<&HoldOff> {
        self.held.as_ref().filter(|held| Arc::ptr_eq(&held.standing, standing))
    }
}

/// The leave to dial once.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    route: Route,
    standing: Arc<Standing>,
    /// `None` where all may dial.
    turn: Option<OwnedSemaphorePermit>,
    _asks: Option<Asks>,
}

impl Turn {
    /// Dials. Who says nothing for long may be away: other routes do not wait for that.
    pub(super) async fn dial<T>(&mut self, dial: impl Future<Output = T>) -> T {
        let mut dial = pin!(dial);
        if self.turn.is_some() {
            if let Ok(dialled) = timeout(TURN, &mut dial).await {
                return dialled;
            }
            self.turn = None;
        }
        dial.await
    }

    /// There is a link.
    pub(super) fn let_in(self) {
        self.turns.known.send_modify(|known| {
            known.routes.insert(self.route, true);
        });
    }

    /// There is none, and this lane waits for so long.
    pub(super) fn failed(self, outcome: Outcome, wait: Duration) {
        if !matches!(outcome, Outcome::Rejected(_)) {
            return;
        }
        self.turns.known.send_modify(|known| {
            known.routes.insert(self.route, false);
            let until = Some(Instant::now() + wait).max(known.held_until(&self.standing));
            known.held = until.map(|until| HoldOff { until, standing: self.standing.clone() });
        });
    }
}

/// A route's place among those that ask; dropping it gives it to another lane.
#[derive(Debug)]
struct Asks {
    turns: Arc<Turns>,
    route: Route,
}

impl Drop for Asks {
    fn drop(&mut self) {
        self.turns.known.send_modify(|known| {
            known.asking.remove(&self.route);
        });
    }
}
