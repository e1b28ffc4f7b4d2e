//! What the end-to-end tests stand on: a bridge, in one process or in several, and everything that can be at its ends.
//!
//! - [`bridge`]: both sidecars in one process, each on a thread and a runtime of its own.
//! - [`process`]: the same as processes of the real binary, which can be killed.
//! - [`upstream`]: a server that answers by script and keeps account of everything.
//! - [`client`]: an application that sees every byte, and reqwest for ordinary calls.
//! - [`exposition`]: a page of metrics.
//! - [`http2`]: both of them in HTTP/2.
//! - [`peer`]: a gateway or an agent that says whatever a test tells it to.
//! - [`issuer`]: somebody who signs tokens.
//! - [`proxy`]: a proxy on the way to a gateway.
//! - [`scratch`]: a folder for files, and the files of the documentation.
//! - [`targets`]: what an attacker tries as a request target, and what must pass.
//! - [`tls`]: an authority, what ends TLS in front of a gateway, and a client for facades that speak it.
//!
//! A test asserts no timing. Deadlines are there to fail instead of hanging.

pub mod bridge;
pub mod client;
pub mod exposition;
pub mod http1;
pub mod http2;
pub mod issuer;
pub mod oracle;
pub mod pattern;
pub mod peer;
pub mod process;
pub mod proxy;
pub mod targets;
pub mod tls;
pub mod upstream;
pub mod wait;

pub use settings::scratch;
