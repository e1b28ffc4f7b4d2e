//! The drills, by name.

mod ends;
mod links;
mod processes;
mod scarcity;
mod steady;

use std::{pin::Pin, time::Duration};

use crate::report::Report;

/// What a request may end as when its link is lost: it was sent; or it was not, and no other link came in time; or its
/// answer broke off, visibly.
const LOST: [&str; 3] = ["link_lost", "no_agent", "cut"];

/// How long drills last.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Seconds, for every change, instead of minutes, for a release.
    pub(crate) short: bool,
    /// How long the soak lasts.
    pub(crate) minutes: u64,
}

impl Scale {
    /// One of two.
    pub(crate) fn of<T>(self, short: T, long: T) -> T {
        if self.short { short } else { long }
    }

    /// So many seconds.
    pub(crate) fn seconds(self, short: u64, long: u64) -> Duration {
        Duration::from_secs(self.of(short, long))
    }
}

/// One of them.
#[derive(Clone, Copy)]
pub(crate) struct Drill {
    pub(crate) name: &'static str,
    /// Why the short form leaves it out, if it does.
    pub(crate) only_long: Option<&'static str>,
    pub(crate) run: fn(Scale) -> Pin<Box<dyn Future<Output = Report>>>,
}

macro_rules! drill {
    ($name:literal, $run:path) => {
        Drill { name: $name, only_long: None, run: |scale| Box::pin($run(scale)) }
    };
    ($name:literal, $run:path, $only_long:literal) => {
        Drill { name: $name, only_long: Some($only_long), run: |scale| Box::pin($run(scale)) }
    };
}

/// In the order in which they are run.
pub(crate) const DRILLS: [Drill; 18] = [
    drill!("resets", links::resets),
    drill!("cuts", links::cuts),
    drill!("black-hole", links::black_hole),
    drill!("one-way-there", links::one_way_there),
    drill!("one-way-back", links::one_way_back),
    drill!("narrow", links::narrow),
    drill!("frozen-agent", processes::frozen_agent),
    drill!("frozen-gateway", processes::frozen_gateway),
    drill!("killed", processes::killed),
    drill!("rolling-200", processes::rolling_200),
    drill!("rolling-2000", processes::rolling_2000, "a debug build does not carry so much everywhere"),
    drill!("stalled", ends::stalled),
    drill!("upstreams", ends::upstreams),
    drill!("handshakes", scarcity::handshakes),
    drill!("descriptors-gateway", scarcity::descriptors_gateway),
    drill!("descriptors-agent", scarcity::descriptors_agent),
    drill!("reload", steady::reload),
    drill!("soak", steady::soak),
];
