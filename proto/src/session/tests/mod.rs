//! The session's tests: by hand as a pair, alone against a hostile peer, and by random schedules on a virtual clock.
#![allow(clippy::unwrap_used)]

mod deadlines;
mod endings;
mod flow;
mod heartbeat;
mod hostile;
mod hostile_budgets;
mod lifecycle;
mod nonsense;
mod pair;
mod rng;
mod simulation;
mod upgraded;
