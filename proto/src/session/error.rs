//! How a session, a stream or an attempt to open one ends: one enum for each of these decisions.

use super::super::wire::ResetCode;

/// Why a session is over. Carries the WebSocket close code and reason to send.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The peer sent what the protocol forbids (close code 1002).
    #[error("protocol violation: {0}")]
    Violation(String),
    /// The peer does too much of something (close code 1008).
    #[error("over budget: {0}")]
    OverBudget(&'static str),
    /// Nothing was heard for more than two heartbeats (close code 1001).
    #[error("the peer is silent")]
    Silent,
    /// The peer takes no bytes (close code 1001).
    #[error("the peer reads nothing")]
    Stalled,
}

impl SessionError {
    /// The WebSocket close code (RFC 6455 §7.4.1).
    #[must_use]
    pub fn close_code(&self) -> u16 {
        match self {
            Self::Violation(_) => 1002,
            Self::OverBudget(_) => 1008,
            Self::Silent | Self::Stalled => 1001,
        }
    }

    pub(super) fn violation(what: impl Into<String>) -> Self {
        Self::Violation(what.into())
    }
}

/// Why a stream is over before both its halves ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The peer, or this side, abandoned it.
    #[error("the stream was reset ({}){}{}", code.as_str(), if message.is_empty() { "" } else { ": " }, message)]
    Reset {
        /// Why.
        code: ResetCode,
        /// The same for people; may be empty.
        message: String,
    },
    /// The peer declared that it did not process it. Safe to try elsewhere, whatever the method.
    #[error("the peer did not process the stream")]
    NotProcessed,
    /// The link ended.
    #[error("the link was lost")]
    LinkLost {
        /// Whether any byte of the stream had been handed to the socket. If not, it is safe to try elsewhere.
        sent: bool,
    },
}

/// Why a half should be written no further.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The peer wants no more of it, or is gone.
    Unwanted(StreamError),
    /// The deadline has passed that the application had set.
    Overdue,
}

/// Why no stream could be opened. Nothing was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// As many streams are open as either side takes, or too much waits to be sent.
    #[error("the link is at its limit of streams")]
    Full,
    /// One side is draining.
    #[error("the link is draining")]
    Draining,
    /// The link has ended.
    #[error("the link has ended")]
    Ended,
}
