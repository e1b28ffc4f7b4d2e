//! Real programs, each direct and through the bridge: what they say, how they end and what the server saw of them must
//! be the same. The server is a web site of our own, `site.mjs`. And squid, as the way from one sidecar to the other; and
//! names with several addresses, in a file system of the agent's own. A program that is not there is skipped with a line
//! that says so; where `CI` or `REACHBACK_REQUIRE_PROGRAMS` is set, that is a failure.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod browser;
mod curl;
mod git;
mod grpc;
mod libraries;
mod packages;
mod program;
mod replicas;
mod squid;
mod websockets;
mod world;
