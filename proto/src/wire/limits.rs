//! Every bound on what one frame may hold. A frame past one of these is a violation and ends the link.

/// Longest text message (a head or control frame), in bytes: whatever keeps to the other bounds fits. A header byte
/// takes at most two in JSON, a byte of a target six, a service name and its punctuation 256.
pub const TEXT_BYTES: usize = 320 * 1024;

/// Most payload bytes in one data frame: large enough that system calls are few, small enough that a head never
/// waits long behind a body.
pub const CHUNK_BYTES: usize = 64 * 1024;

/// Bytes before the payload of a data frame: stream id and flags.
pub const DATA_PREFIX: usize = 5;

/// Largest WebSocket message and frame that either side accepts, in bytes.
pub const MESSAGE_BYTES: usize = TEXT_BYTES;

/// Most header lines in one head. The whitelist's own limit is lower and answers 431; this one only bounds work.
pub const HEADER_LINES: usize = 256;

/// Most bytes of header names and values in one head, before they are encoded; see [`HEADER_LINES`].
pub const HEADER_BYTES: usize = 96 * 1024;

/// Longest request target, in bytes before it is encoded. The whitelist answers 414 past 8,192; this one only bounds
/// work.
pub const TARGET_BYTES: usize = 16 * 1024;

/// Longest method, in bytes.
pub const METHOD_BYTES: usize = 64;

/// Longest request id, in bytes.
pub const REQUEST_ID_BYTES: usize = 128;

/// Longest service, agent or gateway name, in bytes: that of a DNS name.
pub const NAME_BYTES: usize = 253;

/// Most services that one agent announces.
pub const SERVICES: usize = 1024;

/// Longest human-readable message in a control frame, in bytes. A sender cuts its own to this.
pub const MESSAGE_TEXT_BYTES: usize = 1024;
