//! Bodies of any length that need no memory: a block without order, over and over.

use std::{fmt::Write as _, sync::LazyLock};

use bytes::Bytes;
use sha2::{Digest, Sha256};

/// A prime number of bytes, so that it never falls into step with frames, chunks or buffers.
const BLOCK: usize = 65_521;

static BLOCK_BYTES: LazyLock<Bytes> = LazyLock::new(|| {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let next = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..BLOCK).map(next).collect()
});

/// The first `length` bytes of the pattern, in pieces.
pub fn pieces(length: u64) -> impl Iterator<Item = Bytes> + Send + 'static {
    let mut left = length;
    std::iter::from_fn(move || {
        let piece = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        left -= piece as u64;
        (piece > 0).then(|| BLOCK_BYTES.slice(..piece))
    })
}

/// The same in one.
#[must_use]
pub fn bytes(length: u64) -> Vec<u8> {
    pieces(length).flatten().collect()
}

/// Length and SHA-256 of a body, while it passes.
#[derive(Debug, Default)]
pub struct Sum {
    length: u64,
    hash: Sha256,
}

impl Sum {
    /// Takes the next piece.
    pub fn add(&mut self, piece: &[u8]) {
        self.length += piece.len() as u64;
        self.hash.update(piece);
    }

    /// As a text: the length and the hash.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn show(self) -> String {
        let mut text = self.length.to_string();
        text.push(' ');
        for byte in self.hash.finalize() {
            write!(text, "{byte:02x}").expect("writing to memory cannot fail");
        }
        text
    }
}

/// The sum of the first `length` bytes of the pattern.
#[must_use]
pub fn sum(length: u64) -> String {
    let mut sum = Sum::default();
    pieces(length).for_each(|piece| sum.add(&piece));
    sum.show()
}
