//! Every bound of the driver, with its reason.

use std::time::Duration;

use crate::wire::limits::CHUNK_BYTES;

/// Messages read in one round before others get their turn.
pub(super) const MESSAGES_PER_ROUND: usize = 256;

/// Bytes handed to the socket in one round: large enough for few system calls, small enough that reading and other
/// links get their turn.
pub(super) const BYTES_PER_ROUND: usize = 128 * 1024;

/// The WebSocket library writes to the socket of its own accord once this much is buffered: many small messages, or one
/// chunk. What the socket does not take at once is moved to the front of the buffer, so that a larger one costs bulk.
pub(super) const WRITE_BUFFER: usize = 32 * 1024;

/// The read buffer of a link. The library clears as much before each read, and an idle link keeps it: larger ones cost
/// small messages and many links, and move bulk no faster.
pub(super) const READ_BUFFER: usize = 24 * 1024;

/// How long a closing handshake may take once nothing else is left to do.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// What the kernel may hold of the tunnel's unsent bytes. More would make small calls wait behind bulk in the
/// socket, where no round robin reaches.
pub const UNSENT_BYTES: u32 = 64 * 1024;

/// What is read at once of a connection that was upgraded: most messages are smaller, and most of these connections
/// wait, each with a buffer of this size …
pub(super) const CARRY_SMALL: usize = 4 * 1024;

/// … until so much comes at once: then one chunk, as a data frame holds it.
pub(super) const CARRY_LARGE: usize = CHUNK_BYTES;
