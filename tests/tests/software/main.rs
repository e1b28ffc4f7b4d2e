//! Real programs, each direct and through the bridge: what they say, how they end and what the server saw of them must
//! be the same. The server is a web site of our own, `site.mjs`. And squid, as the way from one sidecar to the other; and two hosts with a firewall between them. A program that is not there is skipped with a line
//! that says so; where `CI` or `REACHBACK_REQUIRE_PROGRAMS` is set, that is a failure.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod browser;
mod curl;
mod git;
mod grpc;
mod hosts;
mod libraries;
mod packages;
mod program;
mod prometheus;
mod squid;
mod two_hosts;
mod websockets;
mod world;
