//! What both sides count, and the page on which Prometheus reads it.
//!
//! The gateway and the agent each know what there is to tell; neither sees the other. In common they have how it is
//! written ([`Page`]), what becomes of a request and how long that takes ([`Tally`]), and what every sidecar says of
//! itself ([`Sidecar`]). `docs/operations.md` explains every metric.

mod durations;
mod page;
mod sidecar;
mod tally;

pub use durations::Durations;
pub use page::{CONTENT_TYPE, Family, Page};
pub use sidecar::Sidecar;
pub use tally::{Counting, Outcome, Tally};
