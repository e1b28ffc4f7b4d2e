//! Hashing of stream ids: one multiplication.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use crate::wire::StreamId;

/// A table by stream id.
pub(crate) type ById<T> = HashMap<StreamId, T, BuildHasherDefault<IdHasher>>;

/// Spreads ids over all bits (Fibonacci hashing). A gateway could choose ids that collide, but only among as many as
/// it may have open at once: that bounds what it gains, and the standard hash would cost every request.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, id: u32) {
        self.0 = (self.0.rotate_left(32) ^ u64::from(id)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }
}
