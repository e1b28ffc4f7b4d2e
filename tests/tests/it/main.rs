//! The bridge end to end.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod admission;
mod approval;
mod audit;
mod bodies;
mod calls;
mod descriptors;
mod documents;
mod drain;
mod extended_connect;
mod failures;
mod fleet;
mod forwarded;
mod framing;
mod gone;
mod h2c;
mod hostile;
mod hostile_agent;
mod hostile_gateway;
mod hostile_stranger;
mod hostile_upgrades;
mod hostile_upstream;
mod http2;
mod identity;
mod lies;
mod lifecycle;
mod listeners;
mod metrics;
mod overload;
mod proxied;
mod proxy;
mod registration;
mod reload;
mod reload_load;
mod retry;
mod reviewed;
mod routing;
mod rule_limits;
mod sharing;
mod streams;
mod trust;
mod upgrades;
mod waiting;
mod websocket;
mod whitelist;
