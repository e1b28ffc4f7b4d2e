//! Bodies that tell whose they are: each request's is another stretch of one block without order.

use std::sync::LazyLock;

use reachback_tests::pattern;

use crate::ledger::Id;

/// The prime length of the block: no two of as many consecutive requests have the same body.
const BLOCK: u64 = 65_521;

/// How far the bodies of neighbours lie apart.
const STEP: u64 = 7_919;

static BLOCK_BYTES: LazyLock<Vec<u8>> = LazyLock::new(|| pattern::bytes(BLOCK));

/// The bodies of all requests.
pub(crate) struct Bodies;

impl Bodies {
    /// What a request's body has at a place, as far as it is in one piece and no longer than `most`.
    pub(crate) fn piece(id: Id, at: u64, most: u64) -> &'static [u8] {
        let from = (id * STEP + at) % BLOCK;
        let to = BLOCK.min(from + most);
        &BLOCK_BYTES[Self::index(from)..Self::index(to)]
    }

    /// A whole body.
    pub(crate) fn whole(id: Id, length: u64) -> Vec<u8> {
        let mut body = Vec::with_capacity(Self::index(length));
        while (body.len() as u64) < length {
            body.extend_from_slice(Self::piece(id, body.len() as u64, length - body.len() as u64));
        }
        body
    }

    /// A number of a request or of a byte as an index.
    pub(crate) fn index(number: u64) -> usize {
        usize::try_from(number).expect("drills run where an index has 64 bits")
    }
}

/// Compares a body with what it should be, piece by piece.
#[derive(Debug)]
pub(crate) struct Check {
    id: Id,
    seen: u64,
    right: bool,
}

impl Check {
    pub(crate) fn new(id: Id) -> Self {
        Self { id, seen: 0, right: true }
    }

    /// The next piece.
    pub(crate) fn add(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let expected = Bodies::piece(self.id, self.seen, piece.len() as u64);
            self.right &= piece.starts_with(expected);
            self.seen += expected.len() as u64;
            piece = &piece[expected.len()..];
        }
    }

    /// Whether it was the body of this length, every byte of it.
    pub(crate) fn is(&self, length: u64) -> bool {
        self.right && self.seen == length
    }

    /// Bytes so far.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }
}
