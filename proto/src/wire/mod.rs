//! What travels: typed frames and their encoding (`PROTOCOL.md`, "Frames").

mod codec;
mod failure;
mod frame;
mod head;
mod json;
pub mod limits;
mod names;
mod plain;
#[cfg(test)]
mod tests;
mod writer;

pub use codec::{Malformed, Packet, decode_data, decode_text, encode};
pub use failure::{Failure, FailureCode};
pub use frame::{AgentHello, Credential, Frame, GatewayHello, Hello, Reject, ResetCode, StreamId};
pub use head::{Oversize, RequestHead, ResponseHead, oversize};
pub use names::{InvalidName, RequestId, ServiceName, can_name_agent};
