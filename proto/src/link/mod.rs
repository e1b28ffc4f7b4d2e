//! A live link: one WebSocket, its session, and the tokio driver between them.
//!
//! The agent calls [`greet`] and runs the [`Link`]; each [`Notice::Request`] is an [`Incoming`] to answer. The gateway
//! calls [`receive_hello`], decides, and opens streams through the link's [`Connection`].

mod carry;
mod connection;
mod driver;
mod handles;
mod handshake;
mod incoming;
pub mod limits;
mod shared;
mod socket;
pub mod upgrade;

pub use carry::{Broken, carry};
pub use connection::{Answered, Connection, Response};
pub use driver::{Link, LinkEnd, Notice};
pub use handles::{Body, BodyError, BodyWriter};
pub use handshake::{GreetingError, Pending, greet, receive_hello};
pub use incoming::{Incoming, Responder};
pub use socket::{is_exhaustion, reset_when_closed, tune};
