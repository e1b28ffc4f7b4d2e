//! A request's body as it comes, its beginning kept for as long as it may have to be sent again.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use proto::trailers::to_travel;

use crate::{
    client::BodyEnd,
    limits::{KEPT_BODIES, KEPT_BODY},
};

/// Where a body comes from: what is to be sent again, then the client.
#[derive(Debug)]
pub(super) struct Source {
    client: Incoming,
    end: BodyEnd,
    again: Bytes,
    /// All that has come so far; `None` if that is not at hand any more.
    kept: Option<Kept>,
    pub(super) manner: Manner,
}

/// How a body comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// The client waits to be invited: nothing is read before.
    pub(super) held_back: bool,
    pub(super) is_http2: bool,
}

/// A piece of a body.
#[derive(Debug)]
pub(super) enum Piece {
    Data(Bytes),
    /// The end, and trailers if there are any.
    End(Option<HeaderMap>),
    /// The client sent less than it had said, or what is no body.
    CutShort(&'static str),
}

const CUT_SHORT: Piece = Piece::CutShort("the client cut its body short");

impl Source {
    pub(super) fn new(client: Incoming, end: BodyEnd, manner: Manner, room: &Arc<Room>) -> Self {
        // Of one that is known to be too long nothing is copied.
        let limit = if client.size_hint().lower() <= KEPT_BODY as u64 { KEPT_BODY } else { 0 };
        Self { client, end, again: Bytes::new(), kept: Some(Kept::new(room, limit)), manner }
    }

    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        if !self.again.is_empty() {
            return Poll::Ready(Piece::Data(std::mem::take(&mut self.again)));
        }
        let frame = ready!(Pin::new(&mut self.client).poll_frame(cx));
        if self.client.is_end_stream()
            || frame.as_ref().is_none_or(|frame| frame.as_ref().is_ok_and(Frame::is_trailers))
        {
            self.end.note();
        }
        let Some(frame) = frame else {
            // hyper takes a reset without an error (RFC 9113 §8.1) for an end, wherever it comes.
            let is_reset = self.manner.is_http2 && !self.client.is_end_stream();
            return Poll::Ready(if is_reset { CUT_SHORT } else { Piece::End(None) });
        };
        let Ok(frame) = frame else { return Poll::Ready(CUT_SHORT) };
        Poll::Ready(match frame.into_data() {
            Ok(chunk) => {
                if !self.kept.as_mut().is_some_and(|kept| kept.keep(&chunk)) {
                    self.kept = None;
                }
                Piece::Data(chunk)
            }
            Err(frame) => {
                // They cannot be read twice, and hardly a request has any.
                self.kept = None;
                let trailers = to_travel(frame.into_trailers().unwrap_or_default());
                trailers.map_or(Piece::CutShort("the client's trailers are too many or too long"), Piece::End)
            }
        })
    }

    /// Whether no piece is left.
    pub(super) fn is_at_end(&self) -> bool {
        self.again.is_empty() && self.client.is_end_stream()
    }

    /// Keeps nothing from now on: the answer has begun.
    pub(super) fn keep_nothing(&mut self) {
        self.kept = None;
    }

    /// From the beginning again; `None` if it is not at hand any more.
    pub(super) fn rewound(mut self) -> Option<Self> {
        self.again = self.kept.as_mut()?.all();
        Some(self)
    }
}

/// How many bytes a facade keeps for all its requests together.
#[derive(Debug, Default)]
pub(super) struct Room {
    taken: AtomicUsize,
}

impl Room {
    fn take(&self, bytes: usize) -> bool {
        let took = |taken: usize| taken.checked_add(bytes).filter(|taken| *taken <= KEPT_BODIES);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, took).is_ok()
    }

    fn give_back(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The beginning of a body.
#[derive(Debug)]
struct Kept {
    room: Arc<Room>,
    /// How many bytes it may have.
    limit: usize,
    /// Most bodies are one chunk, which is shared and not copied.
    first: Bytes,
    /// All of it, if there are more: many small chunks would hold much more memory than they have bytes.
    all: Vec<u8>,
}

impl Kept {
    fn new(room: &Arc<Room>, limit: usize) -> Self {
        Self { room: room.clone(), limit, first: Bytes::new(), all: Vec::new() }
    }

    /// Adds a chunk; `false` if there is no room for it.
    fn keep(&mut self, chunk: &Bytes) -> bool {
        if self.len() + chunk.len() > self.limit || !self.room.take(chunk.len()) {
            return false;
        }
        if self.len() == 0 {
            self.first = chunk.clone();
            return true;
        }
        if self.all.is_empty() {
            self.all.extend_from_slice(&self.first);
            self.first = Bytes::new();
        }
        self.all.extend_from_slice(chunk);
        true
    }

    fn all(&mut self) -> Bytes {
        if !self.all.is_empty() {
            self.first = std::mem::take(&mut self.all).into();
        }
        self.first.clone()
    }

    fn len(&self) -> usize {
        self.first.len() + self.all.len()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.room.give_back(self.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(room: &Arc<Room>) -> Kept {
        Kept::new(room, KEPT_BODY)
    }

    fn taken(room: &Room) -> usize {
        room.taken.load(Ordering::Relaxed)
    }

    #[test]
    fn to_the_bound_and_not_past_it() {
        let room = Arc::new(Room::default());
        let mut one = kept(&room);
        assert!(one.keep(&vec![1; KEPT_BODY].into()));
        assert!(!one.keep(&Bytes::from_static(b"x")));
        assert_eq!((one.all().len(), taken(&room)), (KEPT_BODY, KEPT_BODY));
        let mut many = kept(&room);
        for byte in 0..=u8::MAX {
            assert!(many.keep(&vec![byte; KEPT_BODY / 256].into()));
        }
        assert!(!many.keep(&Bytes::from_static(b"x")));
        let expected: Vec<u8> = (0..=u8::MAX).flat_map(|byte| vec![byte; KEPT_BODY / 256]).collect();
        assert_eq!(many.all(), expected);
        drop((one, many));
        assert_eq!(taken(&room), 0);
    }

    #[test]
    fn what_was_sent_again_goes_on_growing() {
        let room = Arc::new(Room::default());
        let mut kept = kept(&room);
        assert_eq!(kept.all(), "");
        for (chunk, all) in [("a", "a"), ("b", "ab"), ("cd", "abcd"), ("e", "abcde")] {
            assert!(kept.keep(&Bytes::from_static(chunk.as_bytes())));
            assert_eq!(kept.all(), all);
            assert_eq!(taken(&room), all.len());
        }
    }

    #[test]
    fn all_together_have_a_bound() {
        let room = Arc::new(Room::default());
        let chunk = Bytes::from(vec![0; KEPT_BODY]);
        let mut all = Vec::new();
        for _ in 0..KEPT_BODIES / KEPT_BODY {
            let mut one = kept(&room);
            assert!(one.keep(&chunk));
            all.push(one);
        }
        assert!(!kept(&room).keep(&Bytes::from_static(b"x")));
        all.pop();
        assert!(kept(&room).keep(&chunk));
    }
}
