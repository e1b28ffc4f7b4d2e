//! The sending half of a stream: one chunk in hand, the credit for it, and how the half ends.

use bytes::Bytes;
use http::HeaderMap;

use super::{StreamError, limits::MAX_PEER_WINDOW, limits::MIN_CHARGE, recv::charge};
use crate::wire::{Frame, StreamId, limits::CHUNK_BYTES};

#[derive(Debug)]
pub(super) struct SendHalf {
    credit: u32,
    /// What the application handed over and the driver has not yet taken. Empty: room for more.
    chunk: Bytes,
    state: State,
    /// The stream stands in the round robin.
    pub(super) queued: bool,
    /// The writer found no room and wants to be told when there is some.
    waiting: bool,
    /// The writer wants to be told when the half is stopped, or its body invited, whatever else it does meanwhile.
    pub(super) watching: bool,
}

#[derive(Debug)]
enum State {
    Open,
    /// The application has finished; these go out behind the chunk.
    Ending(Option<HeaderMap>),
    Ended,
    Stopped(StreamError),
}

impl SendHalf {
    pub(super) fn new(credit: u32, ended: bool) -> Self {
        Self {
            credit,
            chunk: Bytes::new(),
            state: if ended { State::Ended } else { State::Open },
            queued: false,
            waiting: false,
            watching: false,
        }
    }

    /// Whether nothing more will be sent.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Ended | State::Stopped(_))
    }

    /// Whether the application has said that its half is complete.
    pub(super) fn is_finished(&self) -> bool {
        matches!(self.state, State::Ending(_) | State::Ended)
    }

    pub(super) fn stop(&mut self, error: StreamError) {
        if !self.is_closed() {
            self.chunk = Bytes::new();
            self.state = State::Stopped(error);
        }
    }

    /// Takes from the front of `data` what one frame can hold, if there is room.
    pub(super) fn write(&mut self, data: &mut Bytes) -> Result<bool, StreamError> {
        match &self.state {
            State::Stopped(error) => return Err(error.clone()),
            State::Open => {}
            State::Ending(_) | State::Ended => unreachable!("a handle writes nothing after it has finished"),
        }
        self.waiting = !self.chunk.is_empty();
        if self.waiting {
            return Ok(false);
        }
        self.chunk = data.split_to(data.len().min(CHUNK_BYTES));
        Ok(true)
    }

    /// Why the half was stopped, if it was.
    pub(super) fn error(&self) -> Option<StreamError> {
        match &self.state {
            State::Stopped(error) => Some(error.clone()),
            _ => None,
        }
    }

    /// Ends the half with the head that goes before it.
    pub(super) fn end(&mut self) {
        debug_assert!(self.chunk.is_empty(), "a head goes before the body");
        self.state = State::Ended;
    }

    pub(super) fn finish(&mut self, trailers: Option<HeaderMap>) {
        if matches!(self.state, State::Open) {
            self.state = State::Ending(trailers);
        }
    }

    /// Adds credit, or says that it is more than any peer may lend.
    #[must_use]
    pub(super) fn add_credit(&mut self, bytes: u32) -> bool {
        match self.credit.checked_add(bytes) {
            Some(credit) if credit <= MAX_PEER_WINDOW => {
                self.credit = credit;
                true
            }
            _ => false,
        }
    }

    /// Whether a frame can be taken now.
    pub(super) fn is_ready(&self) -> bool {
        match &self.state {
            State::Ending(Some(_)) if self.chunk.is_empty() => true,
            State::Ending(_) => self.credit >= MIN_CHARGE,
            State::Open => !self.chunk.is_empty() && self.credit >= MIN_CHARGE,
            State::Ended | State::Stopped(_) => false,
        }
    }

    /// The next frame, as much as the credit allows.
    pub(super) fn next_frame(&mut self, id: StreamId) -> Option<Frame> {
        if !self.is_ready() {
            return None;
        }
        if self.chunk.is_empty()
            && let State::Ending(trailers @ Some(_)) = &mut self.state
        {
            let headers = trailers.take().unwrap_or_default();
            self.state = State::Ended;
            return Some(Frame::Trailers { id, headers });
        }
        let affordable = usize::try_from(self.credit).unwrap_or(usize::MAX);
        let chunk = self.chunk.split_to(self.chunk.len().min(affordable));
        self.credit -= charge(chunk.len());
        let end = self.chunk.is_empty() && matches!(self.state, State::Ending(None));
        if end {
            self.state = State::Ended;
        }
        Some(Frame::Data { id, end, chunk })
    }

    /// Whether the writer waits and there is room for it again, or nothing more to wait for.
    pub(super) fn take_wakeup(&mut self) -> bool {
        let room = self.waiting && self.chunk.is_empty();
        let stopped = (self.waiting || self.watching) && matches!(self.state, State::Stopped(_));
        self.waiting &= !(room || stopped);
        self.watching &= !stopped;
        room || stopped
    }
}

#[cfg(test)]
impl SendHalf {
    pub(super) fn credit(&self) -> u32 {
        self.credit
    }
}
