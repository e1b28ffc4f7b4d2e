//! A delay line: bytes in, the same bytes out at the time each chunk is due.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// A queue of timestamped chunks with a bound in bytes. One thread pushes, another pops.
pub(crate) struct DelayLine {
    most_bytes: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    chunks: VecDeque<(Instant, Vec<u8>)>,
    bytes: usize,
    closed: bool,
}

impl DelayLine {
    pub(crate) fn new(most_bytes: usize) -> Self {
        Self { most_bytes, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Adds a chunk, once there is room. False: the line was closed and the chunk was not taken.
    pub(crate) fn push(&self, due: Instant, chunk: &[u8]) -> bool {
        let mut state = self.lock();
        while !state.closed && state.bytes >= self.most_bytes {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.closed {
            return false;
        }
        state.bytes += chunk.len();
        state.chunks.push_back((due, chunk.to_vec()));
        self.changed.notify_all();
        true
    }

    /// Takes the next chunk, due or not, once there is one. None: closed and empty.
    pub(crate) fn pop(&self) -> Option<(Instant, Vec<u8>)> {
        let mut state = self.lock();
        while !state.closed && state.chunks.is_empty() {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        let (due, chunk) = state.chunks.pop_front()?;
        state.bytes -= chunk.len();
        self.changed.notify_all();
        Some((due, chunk))
    }

    /// Nothing more is taken; what is on the line still comes out.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_come_out_in_order_and_after_the_close() {
        let line = DelayLine::new(10);
        let due = Instant::now();
        assert!(line.push(due, b"ab") && line.push(due, b"c"));
        line.close();
        assert!(!line.push(due, b"d"), "a closed line takes nothing");
        assert_eq!(line.pop(), Some((due, b"ab".to_vec())));
        assert_eq!(line.pop(), Some((due, b"c".to_vec())));
        assert_eq!(line.pop(), None);
    }

    #[test]
    fn a_full_line_holds_the_reader_until_the_writer_takes_something() {
        let line = DelayLine::new(4);
        assert!(line.push(Instant::now(), b"full"));
        std::thread::scope(|scope| {
            let pushed = scope.spawn(|| line.push(Instant::now(), b"more"));
            assert_eq!(line.pop().map(|(_, chunk)| chunk), Some(b"full".to_vec()));
            assert!(pushed.join().expect("the pushing thread does not panic"));
        });
        assert_eq!(line.pop().map(|(_, chunk)| chunk), Some(b"more".to_vec()));
    }
}
