//! tokio, with turmoil's network in the place of its own: what the agent and the gateway are given as `tokio` in a
//! simulation. They need not know of it, so that what is simulated is what is shipped.

pub mod net;
pub mod simulation;

pub use tokio::*;
