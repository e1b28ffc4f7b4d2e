//! Every bound of a session, with its reason.

use std::time::Duration;

/// What one side of a link takes. The gateway and the agent each have their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Streams open at once.
    pub streams: u32,
    /// Bytes that a stream may receive before credit is returned, at first.
    pub window: u32,
    /// Bytes to which a stream's window may grow.
    pub max_window: u32,
    /// Bytes that all windows of a link may grow by, together.
    pub growth: u64,
}

impl Limits {
    /// The most body bytes that a peer can make this side hold on one link.
    #[must_use]
    pub fn memory(&self) -> u64 {
        u64::from(self.streams) * u64::from(self.window) + self.growth
    }
}

impl Default for Limits {
    /// 1,024 streams of 256 KiB and 64 MiB to grow: 320 MiB a link at the very worst.
    fn default() -> Self {
        Self { streams: 1024, window: 256 * 1024, max_window: 16 * 1024 * 1024, growth: 64 * 1024 * 1024 }
    }
}

/// The least that a data frame costs, in bytes of credit, so that credit bounds the count of frames as well as
/// their bytes.
pub const MIN_CHARGE: u32 = 1024;

/// The smallest window that works: a sender can always use what is lent although credit comes back in steps.
pub const MIN_WINDOW: u32 = 8 * MIN_CHARGE;

/// Credit returns once an eighth of the window was read (at a half the effective window would be half), but not in
/// smaller steps than this: a window frame costs both sides a few microseconds.
pub const CREDIT_STEP: u32 = 32 * 1024;

/// The largest window that a peer may announce or lend to one stream in total.
pub const MAX_PEER_WINDOW: u32 = 1 << 30;

/// Control frames that wait for a peer which does not read, beyond what its streams account for.
pub const CONTROL_FRAMES: usize = 4096;

/// Informational answers to one request: more than any server sends, few enough to cost nothing. The agent passes no
/// more on.
pub const INTERIMS: u8 = 64;

/// Frames for ended streams which a peer may have had in flight, for each such stream: every informational answer, the
/// final one, trailers, a reset, and one window frame for each step of credit.
pub const STRAYS_PER_STREAM: u32 = INTERIMS as u32 + 32;

/// The same for the link as a whole. What streams did not use is kept for later, up to twice what all may need.
pub const STRAYS: u32 = 256;

/// Streams that a peer may open and abandon: this many at once, and never fewer than twice the streams it may have,
/// for all its clients may hang up together …
pub const CANCEL_BURST: u32 = 8192;
/// … and this many a second for ever. The gateway keeps to half of either, because one stream may count twice (refused
/// for want of room, and reset before that was heard) and because what is sent over some time may arrive at once.
pub const CANCELS_PER_SECOND: u32 = 4096;

/// The burst for a link of so many streams.
pub(super) fn cancel_burst(streams: u32) -> u32 {
    CANCEL_BURST.max(streams.saturating_mul(2))
}

/// WebSocket pings: this many at once …
pub const PING_BURST: u32 = 32;
/// … and this many a second for ever: more than the shortest heartbeat takes.
pub const PINGS_PER_SECOND: u32 = 32;

/// Between two pings at least, also if the peer is doubted time and again; unless the heartbeat itself is shorter.
pub const PING_REST: Duration = Duration::from_millis(250);

/// New service lists and credentials: this many at once, and one a second for ever.
pub const NOTICE_BURST: u32 = 32;

/// Chunks shorter than this are copied if they have to queue. What they were read from may be as long as a message,
/// and would be held for as long as the chunk is.
pub const COPIED_CHUNK: usize = 16 * 1024;

/// Shortest and longest heartbeat that a gateway may ask for.
pub const HEARTBEAT: std::ops::RangeInclusive<Duration> = Duration::from_millis(50)..=Duration::from_secs(300);

/// How long a write may make no progress at all before the peer counts as dead, in heartbeats.
pub const STALL_HEARTBEATS: u32 = 3;
