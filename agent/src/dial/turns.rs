//! When the lanes of one address may dial. While the agent has a link there, each may. While it has none, one does, and
//! the others wait for what comes of it; after a rejection none does before the hold-off is over, and then one.
//!
//! So an agent that is rejected dials an address once in a hold-off, however many lanes it has.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, sleep_until},
};

use super::{complaints::Complaints, standing::Standing};

/// What all lanes of one address go by.
#[derive(Debug)]
pub(super) struct Turns {
    one: Arc<Semaphore>,
    known: watch::Sender<Known>,
    /// What the log has of dials there that came to nothing.
    pub(super) complaints: Complaints,
}

#[derive(Debug, Default)]
struct Known {
    /// Links that are up.
    links: usize,
    /// The last one, which may be over.
    held: Option<HoldOff>,
}

#[derive(Debug)]
struct HoldOff {
    until: Instant,
    /// What was rejected. Another configuration or token may be let in.
    standing: Arc<Standing>,
}

impl Default for Turns {
    fn default() -> Self {
        Self { one: Arc::new(Semaphore::new(1)), known: watch::Sender::default(), complaints: Complaints::default() }
    }
}

impl Turns {
    /// Waits until a lane may dial.
    pub(super) async fn take(self: &Arc<Self>, standing: &Arc<Standing>) -> Turn {
        let mut known = self.known.subscribe();
        // (The sender lives as long as `self`. What it gives locks what is known.)
        let all_may = async { drop(known.wait_for(|known| known.links > 0).await) };
        let one = tokio::select! {
            biased;
            () = all_may => None,
            one = self.one(standing) => Some(one),
        };
        Turn { turns: self.clone(), _one: one }
    }

    async fn one(&self, standing: &Arc<Standing>) -> OwnedSemaphorePermit {
        let one = self.one.clone().acquire_owned().await.expect("nobody closes it");
        loop {
            let until = self.known.borrow().held_until(standing);
            match until {
                Some(until) => sleep_until(until).await,
                None => return one,
            }
        }
    }

    /// Whether there is something to remember once the address is not dialled any more.
    pub(super) fn are_held(&self) -> bool {
        self.known.borrow().held.as_ref().is_some_and(|held| held.until > Instant::now())
    }
}

impl Known {
    fn held_until(&self, standing: &Arc<Standing>) -> Option<Instant> {
        let held = self.held.as_ref().filter(|held| Arc::ptr_eq(&held.standing, standing))?;
        Some(held.until).filter(|until| *until > Instant::now())
    }
}

/// The leave to dial once. Dropping it gives it to another lane.
#[derive(Debug)]
pub(super) struct Turn {
    turns: Arc<Turns>,
    /// `None` where all may dial.
    _one: Option<OwnedSemaphorePermit>,
}

impl Turn {
    /// There is a link, for as long as the returned guard lives. That ends a hold-off.
    pub(super) fn let_in(self) -> LetIn {
        self.turns.known.send_modify(|known| *known = Known { links: known.links + 1, held: None });
        LetIn(self.turns)
    }

    /// This was rejected, and the lane waits for so long. So do the others, unless the address lets in some and rejects
    /// what is too much.
    pub(super) fn rejected(self, standing: &Arc<Standing>, wait: Duration) {
        self.turns.known.send_modify(|known| {
            if known.links == 0 {
                let until = known.held_until(standing).max(Some(Instant::now() + wait));
                known.held = until.map(|until| HoldOff { until, standing: standing.clone() });
            }
        });
    }
}

/// A link that is up.
#[derive(Debug)]
pub(super) struct LetIn(Arc<Turns>);

impl Drop for LetIn {
    fn drop(&mut self) {
        self.0.known.send_modify(|known| known.links -= 1);
    }
}
