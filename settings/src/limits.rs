//! How much one link may hold: the same three bounds on both sides.

use serde::Deserialize;

use crate::{
    report::{Fault, Findings},
    source::Text,
    units::{bytes_within, count_within, show_bytes},
};

/// Streams on one link by default: the calls in flight of a busy application, with room.
pub const STREAMS: u32 = 1024;

/// The window a stream starts with, in bytes, by default: 256 KiB fill a LAN at once, and a long link grows it.
pub const WINDOW: u32 = 256 * 1024;

/// Memory for the bodies of one link, in bytes, by default: every stream's first window (256 MiB) and 64 MiB more, in
/// which four streams can grow to the largest window.
pub const MEMORY: u64 = 320 * 1024 * 1024;

/// Most streams on one link: more are better served by a second agent.
const MOST_STREAMS: u32 = 65_536;

/// Smallest and largest first window: one full data frame; and the size to which the protocol grows windows.
const WINDOWS: std::ops::RangeInclusive<u64> = 64 * 1024..=16 * 1024 * 1024;

/// Most memory for one link: beyond it the number is a mistake rather than a wish.
const MOST_MEMORY: u64 = 1 << 40;

/// The bounds of one link. `streams × window` never exceeds `memory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Streams open at once.
    pub streams: u32,
    /// Credit that a stream starts with, in bytes and in each direction.
    pub window: u32,
    /// Memory that bodies may take, in bytes.
    pub memory: u64,
}

impl Limits {
    /// What is left of the memory when every stream holds its first window: the budget in which windows grow.
    #[must_use]
    pub fn growth(&self) -> u64 {
        self.memory - u64::from(self.streams) * u64::from(self.window)
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { streams: STREAMS, window: WINDOW, memory: MEMORY }
    }
}

/// The keys of `limits` that both sides know, as written.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RawLimits {
    /// `streams_per_link`.
    pub streams_per_link: Option<Text>,
    /// `window`.
    pub window: Option<Text>,
    /// `memory_per_link`.
    pub memory_per_link: Option<Text>,
}

impl RawLimits {
    /// Checks the three together.
    pub fn check(&self, found: &mut Findings<'_>) -> Option<Limits> {
        let streams = found.or(self.streams_per_link.as_ref(), STREAMS, count_within(1..=MOST_STREAMS));
        let window = found.or(self.window.as_ref(), u64::from(WINDOW), bytes_within(WINDOWS));
        let memory = found.optional(self.memory_per_link.as_ref(), bytes_within(1..=MOST_MEMORY));
        let (streams, window, memory) = (streams?, window?, memory?);
        let least = u64::from(streams) * window;
        let memory = memory.unwrap_or(least.max(MEMORY));
        if memory < least {
            let place = self.memory_per_link.as_ref().map(|text| text.place);
            let what = format!(
                "the memory of a link cannot hold its streams: {streams} streams of {} need {}",
                show_bytes(window),
                show_bytes(least),
            );
            let remedy = format!(
                "raise `memory_per_link` to {} or more, or lower `streams_per_link` or `window`",
                show_bytes(least)
            );
            found.fault(place, Fault::new(what, remedy));
            return None;
        }
        let window = u32::try_from(window).expect("a window within its bounds fits 32 bits");
        Some(Limits { streams, window, memory })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{source::Source, yaml};

    #[test]
    fn the_memory_holds_the_streams() {
        let check = |text: &str, growth: Option<u64>| {
            let source = Source::file("f.yaml", text, Path::new(""));
            let raw: RawLimits = yaml::read(&source).unwrap();
            let mut found = Findings::new(&source);
            let limits = raw.check(&mut found);
            assert_eq!(found.finish(limits).ok().map(|(limits, _)| limits.growth()), growth, "{text}");
        };
        check("{}", Some(64 << 20));
        check("{ streams_per_link: 2, window: 64KiB, memory_per_link: 131072 }", Some(0));
        check("{ streams_per_link: 2, window: 64KiB, memory_per_link: 131071 }", None);
        check("{ streams_per_link: 65536, window: 16MiB }", Some(0));
        check("{ streams_per_link: 65537 }", None);
        check("{ window: 65535 }", None);
        check("{ window: 16777217 }", None);
        check("{ memory_per_link: 1025GiB }", None);
        assert_eq!(Limits::default().growth(), 64 << 20);
    }
}
