//! The anatomy of a stream.
//!
//! ```text
//!              gateway                                   agent
//!   open ──▶ Asked ──request──────────────▶ Asked ──▶ (application judges and replays)
//!              │  ◀──────────interim*─────────┤
//!            Answered ◀───response────────────┤ respond ──▶ Answered
//!              │                              │
//!   send half: Open ─▶ Ending ─▶ Ended        recv half: Open ─▶ Ended
//!   recv half: Open ─▶ Ended                  send half: Open ─▶ Ending ─▶ Ended
//!              └── reset, go-away or loss: send half Stopped, recv half Failed (unless already complete)
//! ```
//!
//! A stream stays in the table until both halves are over *and* both its handles are gone, so that what the peer
//! can make us hold is always counted against the limit of streams.

use std::time::Instant;

use super::{Limits, deadlines::Deadline, recv::RecvHalf, send::SendHalf};
use crate::wire::{Failure, ResponseHead};

#[derive(Debug)]
pub(super) struct Stream {
    pub(super) send: SendHalf,
    pub(super) recv: RecvHalf,
    pub(super) head: Head,
    /// The gateway's: the agent has invited a body that was held back.
    pub(super) invited: bool,
    /// How many came (gateway), or were sent (agent).
    pub(super) interims: u8,
    pub(super) reader: bool,
    pub(super) writer: bool,
    /// The application wants to be told at that point in time (agent).
    pub(super) deadline: Option<Deadline>,
    /// A window frame for this stream is queued.
    pub(super) window_queued: bool,
    /// The agent's: it has answered with 101, and either half goes on to its own end.
    pub(super) upgraded: bool,
}

/// Where the answer's head is.
#[derive(Debug)]
pub(super) enum Head {
    /// None yet.
    Asked,
    /// It came and was not yet taken by the application.
    Waiting(Answer),
    /// It was taken (gateway), or given (agent).
    Answered,
}

/// What the agent answered with.
#[derive(Debug)]
pub enum Answer {
    /// The upstream's answer.
    Response(ResponseHead),
    /// A failure that the agent composed.
    Failure(Failure),
}

impl Stream {
    pub(super) fn opened(local: &Limits, peer_window: u32, end: bool) -> Self {
        Self::new(RecvHalf::new(local.window, false), SendHalf::new(peer_window, end))
    }

    pub(super) fn accepted(local: &Limits, peer_window: u32, end: bool) -> Self {
        Self::new(RecvHalf::new(local.window, end), SendHalf::new(peer_window, false))
    }

    fn new(recv: RecvHalf, send: SendHalf) -> Self {
        Self {
            send,
            recv,
            head: Head::Asked,
            invited: false,
            interims: 0,
            reader: true,
            writer: true,
            deadline: None,
            window_queued: false,
            upgraded: false,
        }
    }

    /// Whether the deadline has passed.
    pub(super) fn is_overdue(&self, now: Instant) -> bool {
        self.deadline.is_some_and(|deadline| deadline.is_past(now))
    }

    /// Whether nothing more will travel in either direction.
    pub(super) fn is_over(&self) -> bool {
        self.send.is_closed() && !self.recv.is_open()
    }

    /// Whether the stream can be forgotten.
    pub(super) fn is_done(&self) -> bool {
        self.is_over() && !self.reader && !self.writer
    }

    /// The peer's head of an answer, taken by the application once.
    pub(super) fn take_answer(&mut self) -> Option<Answer> {
        match std::mem::replace(&mut self.head, Head::Answered) {
            Head::Waiting(answer) => Some(answer),
            other => {
                self.head = other;
                None
            }
        }
    }
}
