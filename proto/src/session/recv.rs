//! The receiving half of a stream: what the peer may send, what waits to be read, what was freed.
//!
//! `lent + held + freed = size` holds at every moment: credit is either with the peer, in the queue, or read and
//! not yet returned.

use std::{collections::VecDeque, time::Duration, time::Instant};

use bytes::Bytes;
use http::HeaderMap;

use super::{
    StreamError,
    limits::{COPIED_CHUNK, CREDIT_STEP, MIN_CHARGE},
};

/// What a data frame of this length costs.
pub(super) fn charge(len: usize) -> u32 {
    u32::try_from(len).expect("a chunk is at most 64 KiB").max(MIN_CHARGE)
}

#[derive(Debug)]
pub(super) struct RecvHalf {
    size: u32,
    lent: u32,
    held: u32,
    freed: u32,
    /// Credit to announce in the next window frame; already counted as lent.
    owed: u32,
    queue: VecDeque<Bytes>,
    state: State,
    /// Nobody reads: what comes is freed at once.
    discarding: bool,
    /// The reader found nothing and wants to be told.
    pub(super) waiting: bool,
    /// The reader has found nothing since the last look: it keeps up, whatever is queued at any one moment.
    starved: bool,
    /// Since when, and how much of, a window's worth has been read.
    epoch: Option<(Instant, u32)>,
}

#[derive(Debug)]
enum State {
    Open,
    Ended(Option<HeaderMap>),
    Failed(StreamError),
}

/// What a reader finds.
#[derive(Debug, PartialEq)]
pub enum Read {
    /// The next bytes.
    Data {
        /// Some of them, never none.
        chunk: Bytes,
        /// Whether the body ends here, without trailers.
        last: bool,
    },
    /// The whole body was read; its trailers, if any.
    End(Option<HeaderMap>),
    /// Nothing yet; an event will tell.
    Blocked,
}

impl RecvHalf {
    pub(super) fn new(window: u32, ended: bool) -> Self {
        Self {
            size: window,
            lent: window,
            held: 0,
            freed: 0,
            owed: 0,
            queue: VecDeque::new(),
            state: if ended { State::Ended(None) } else { State::Open },
            discarding: false,
            waiting: false,
            starved: false,
            epoch: None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Whether the peer said that its half is complete.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self.state, State::Ended(_))
    }

    /// Takes a data frame, or says that the peer had no credit for it.
    #[must_use]
    pub(super) fn receive(&mut self, chunk: Bytes, end: bool, now: Instant) -> bool {
        let cost = charge(chunk.len());
        // What was lent but not yet announced is not the peer's to spend.
        if cost > self.lent - self.owed {
            return false;
        }
        self.lent -= cost;
        if self.discarding || chunk.is_empty() {
            self.freed += cost;
        } else {
            self.held += cost;
            let copied = !self.queue.is_empty() && chunk.len() < COPIED_CHUNK;
            self.queue.push_back(if copied { Bytes::copy_from_slice(&chunk) } else { chunk });
            self.epoch.get_or_insert((now, 0));
        }
        if end {
            self.state = State::Ended(None);
        }
        self.assert_conserved();
        true
    }

    pub(super) fn end(&mut self, trailers: Option<HeaderMap>) {
        self.state = State::Ended(trailers);
    }

    /// Ends the half before its time; returns the credit that the peer still held. What waits can still be read.
    pub(super) fn fail(&mut self, error: StreamError) -> u32 {
        if !self.is_open() {
            return 0;
        }
        self.state = State::Failed(error);
        self.lent
    }

    pub(super) fn read(&mut self) -> Result<Read, StreamError> {
        self.waiting = false;
        if let Some(chunk) = self.queue.pop_front() {
            let cost = charge(chunk.len());
            self.held -= cost;
            self.freed += cost;
            if let Some((_, read)) = &mut self.epoch {
                *read += cost;
            }
            self.assert_conserved();
            return Ok(Read::Data { chunk, last: self.is_drained() });
        }
        match &mut self.state {
            State::Open => {
                self.waiting = true;
                self.starved = true;
                Ok(Read::Blocked)
            }
            State::Ended(trailers) => Ok(Read::End(trailers.take())),
            State::Failed(error) => Err(error.clone()),
        }
    }

    /// Whether nothing is left to read, not even trailers.
    pub(super) fn is_drained(&self) -> bool {
        self.queue.is_empty() && matches!(self.state, State::Ended(None))
    }

    /// Why the half failed, if it did.
    pub(super) fn error(&self) -> Option<StreamError> {
        match &self.state {
            State::Failed(error) => Some(error.clone()),
            _ => None,
        }
    }

    /// From now on nobody reads.
    pub(super) fn discard(&mut self) {
        self.discarding = true;
        self.queue.clear();
        self.freed += self.held;
        self.held = 0;
        self.assert_conserved();
    }

    /// Whether so much was read that its credit should go back to the peer.
    pub(super) fn is_credit_due(&self) -> bool {
        self.is_open() && self.freed >= (self.size / 8).max(CREDIT_STEP.min(self.size / 2))
    }

    /// Lends the freed credit again, and more if the window holds the stream back: a whole window was read in under
    /// two round trips, and the reader keeps up. It grows fourfold, so that a long link is filled within a few round
    /// trips. Draws what it grows by from `growth`.
    pub(super) fn lend(&mut self, max: u32, growth: &mut u64, rtt: Option<Duration>, now: Instant) {
        let mut more = 0;
        if let Some((since, read)) = self.epoch
            && read >= self.size
        {
            let keeps_up = std::mem::take(&mut self.starved);
            let limited = keeps_up && rtt.is_some_and(|rtt| now - since < 2 * rtt);
            if limited {
                let room = u64::from(self.size.saturating_mul(3).min(max.saturating_sub(self.size)));
                more = u32::try_from(room.min(*growth)).expect("bounded by the window");
            }
            self.epoch = Some((now, 0));
        }
        *growth -= u64::from(more);
        self.size += more;
        self.owed += self.freed + more;
        self.lent += self.freed + more;
        self.freed = 0;
        self.assert_conserved();
    }

    /// The credit to announce now.
    pub(super) fn take_owed(&mut self) -> Option<u32> {
        let owed = std::mem::take(&mut self.owed);
        (owed > 0 && self.is_open()).then_some(owed)
    }

    /// How much the window has grown by.
    pub(super) fn grown(&self, window: u32) -> u64 {
        u64::from(self.size - window)
    }

    pub(super) fn held(&self) -> u64 {
        u64::from(self.held)
    }

    fn assert_conserved(&self) {
        debug_assert!(
            self.lent + self.held + self.freed == self.size,
            "credit is lent ({}), held ({}) or freed ({}), and that is all of it ({})",
            self.lent,
            self.held,
            self.freed,
            self.size,
        );
    }
}

#[cfg(test)]
impl RecvHalf {
    pub(super) fn size(&self) -> u32 {
        self.size
    }

    /// The credit that is lent, and how much of it was not yet announced.
    pub(super) fn lent(&self) -> (u32, u32) {
        (self.lent, self.owed)
    }
}
