//! The bridge end to end.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod bodies;
mod calls;
mod framing;
