//! The bridge end to end.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod admission;
mod audit;
mod bodies;
mod calls;
mod failures;
mod framing;
mod h2c;
mod hostile;
mod hostile_agent;
mod hostile_gateway;
mod http2;
mod lies;
mod lifecycle;
mod reload;
mod reload_load;
mod reviewed;
mod rule_limits;
mod streams;
mod whitelist;
