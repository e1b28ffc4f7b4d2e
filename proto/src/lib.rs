//! The tunnel between Reachback's gateway and agent, written once for both sides.
//!
//! - [`wire`]: frames and their encoding. Types in, bytes out, every cap checked before allocation.
//! - [`session`]: the multiplexer as a pure state machine. It reads no clock, spawns no task, touches no socket.
//! - [`link`]: the thin tokio driver that moves packets between a WebSocket and a session.
//! - [`hop`]: which header fields concern one hop only.
//! - [`trailers`]: which may stand behind a body.
//!
//! The layers depend on each other in one direction only: `link` on `session`, `session` on `wire`.
//! `proto/PROTOCOL.md` is the normative specification and changes in the same commit as this code.

pub mod hop;
pub mod link;
pub mod session;
pub mod trailers;
pub mod wire;
