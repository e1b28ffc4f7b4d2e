//! The frames: everything that one side can say to the other.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{Failure, RequestHead, ResponseHead, ServiceName};

/// The number of a stream: given by the gateway, strictly increasing, never reused in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamId(pub u32);

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One protocol message (`PROTOCOL.md`, "Frames").
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// Who the sender is and what it can take. Once, first.
    Hello(Hello),
    /// Instead of the gateway's hello: come back later.
    Reject(Reject),
    /// Opens a stream.
    Request {
        /// The new stream.
        id: StreamId,
        /// What is asked.
        head: Arc<RequestHead>,
        /// Whether the request has no body and no trailers.
        end: bool,
    },
    /// The final answer's head.
    Response {
        /// The stream it answers.
        id: StreamId,
        /// The answer.
        head: ResponseHead,
        /// Whether the answer has no body and no trailers.
        end: bool,
    },
    /// A failure that the agent answers with in place of the upstream. It ends the agent's half.
    Failure {
        /// The stream it answers.
        id: StreamId,
        /// What went wrong.
        failure: Failure,
    },
    /// An informational answer (1xx, not 101).
    Interim {
        /// The stream it belongs to.
        id: StreamId,
        /// 100 to 199, not 101.
        status: StatusCode,
        /// Its headers.
        headers: HeaderMap,
    },
    /// A piece of a body.
    Data {
        /// The stream it belongs to.
        id: StreamId,
        /// Whether it is the last of its half.
        end: bool,
        /// At most [`super::limits::CHUNK_BYTES`] bytes.
        chunk: Bytes,
    },
    /// The trailers; they end their half.
    Trailers {
        /// The stream they belong to.
        id: StreamId,
        /// The trailer fields.
        headers: HeaderMap,
    },
    /// More credit for the peer to send on a stream.
    Window {
        /// The stream.
        id: StreamId,
        /// How many bytes more.
        bytes: u32,
    },
    /// The sender abandons the stream.
    Reset {
        /// The stream.
        id: StreamId,
        /// Why.
        code: ResetCode,
        /// The same for people; may be empty.
        message: String,
    },
    /// No new streams; those above an agent's `last_id` were not processed.
    GoAway {
        /// The last stream that was opened (gateway) or will be taken (agent).
        last_id: StreamId,
        /// Why, for people.
        reason: String,
    },
    /// The agent's services from now on.
    Services(Vec<ServiceName>),
    /// A fresh credential for this link.
    Renew(Credential),
}

/// A bearer credential. Its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential(pub String);

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(…)")
    }
}

/// The first frame of either side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// The agent's.
    Agent(AgentHello),
    /// The gateway's.
    Gateway(GatewayHello),
}

/// How an agent introduces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentHello {
    /// Its configured name. The gateway trusts only the name of the credential.
    pub agent: String,
    /// Random, one for each process, so that a restarted agent is told from a second link.
    pub instance: String,
    /// The services it offers.
    pub services: Vec<ServiceName>,
    /// The software's version, for people.
    pub version: String,
    /// Bytes that it takes on each stream before it returns credit.
    pub window: u32,
    /// Streams that it takes at once.
    pub streams: u32,
}

/// How a gateway introduces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayHello {
    /// Its name, for people.
    pub gateway: String,
    /// Bytes that it takes on each stream before it returns credit.
    pub window: u32,
    /// Streams that it opens at once, at most.
    pub streams: u32,
    /// How often both sides send a heartbeat.
    pub heartbeat: Duration,
}

/// The gateway's refusal of an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// A short code, such as `service_not_permitted`.
    pub code: String,
    /// The same for people.
    pub message: String,
    /// How long the agent waits before it dials again.
    pub retry_after: Duration,
}

/// Why a stream was abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResetCode {
    /// Nobody wants the answer any more.
    Cancelled,
    /// Not processed: too many streams, or above a go-away. Safe to try elsewhere.
    Refused,
    /// The answer is complete; the rest of the request is not wanted.
    Complete,
    /// The body was cut short at its source.
    Aborted,
    /// The peer broke a rule of this stream.
    Violation,
    /// Our own fault, or a code that this version does not know.
    Internal,
}

impl ResetCode {
    const ALL: [(Self, &str); 6] = [
        (Self::Cancelled, "cancelled"),
        (Self::Refused, "refused"),
        (Self::Complete, "complete"),
        (Self::Aborted, "aborted"),
        (Self::Violation, "violation"),
        (Self::Internal, "internal"),
    ];

    /// The code as it is spelt on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(code, _)| *code == self).map_or("internal", |(_, name)| name)
    }

    pub(super) fn from_wire(name: &str) -> Self {
        Self::ALL.iter().find(|(_, known)| *known == name).map_or(Self::Internal, |(code, _)| *code)
    }
}
