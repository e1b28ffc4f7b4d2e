//! The keys that say who lets an agent in, and where that is remembered.

use std::{path::PathBuf, time::Duration};

use http::HeaderName;
use settings::{Fault, Findings, file, report::one_of, units::duration_within};

use super::raw::RawConfig;

/// How long an agent is held for approval at most: it waits 20 s for the gateway's answer to its hello.
pub const LONGEST_HOLD: Duration = Duration::from_secs(15);

/// Failed attempts from one address in a minute: a dozen agents with a wrong token, each of which tries once a minute.
pub const FAILED_ATTEMPTS: u32 = 12;

/// Whether an agent that has proved who it is needs anybody's approval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admission {
    /// None, unless it was rejected.
    #[default]
    Auto,
    /// Somebody's, once.
    Approve {
        /// How long a link is held for it; at most [`LONGEST_HOLD`].
        hold: Duration,
    },
}

/// Checks `admission`, `admission_hold` and `state_file`.
pub(super) fn check(raw: &RawConfig, found: &mut Findings<'_>) -> Option<(Admission, Option<PathBuf>)> {
    let held = duration_within(Duration::ZERO..=LONGEST_HOLD);
    let hold = found.or(raw.admission_hold.as_ref(), LONGEST_HOLD, held);
    let words = [("auto", false), ("approve", true)];
    let approve = found.or(raw.admission.as_ref(), false, |text| one_of(text, &words));
    let source = found.source();
    let state_file = found.optional(raw.state_file.as_ref(), |path| {
        let path = source.resolve(path);
        file::within_a_folder(&path).map(|()| path)
    });
    let (approve, hold, state_file) = (approve?, hold?, state_file?);
    let place = raw.admission.as_ref().map(|text| text.place);
    if approve && raw.admin.is_none() {
        let what = "with `admission: approve` and no `admin` listener nobody could approve an agent";
        found.fault(place, Fault::new(what, "add admin: { listen: 127.0.0.1:7101 }"));
        return None;
    }
    if approve && state_file.is_none() {
        found.warn(place, "without `state_file` approvals are forgotten when the gateway stops");
    }
    if let (false, Some(hold)) = (approve, &raw.admission_hold) {
        found.warn(hold.place, "`admission_hold` has no meaning without `admission: approve`");
    }
    let admission = if approve { Admission::Approve { hold } } else { Admission::Auto };
    Some((admission, state_file))
}

/// The name of a header.
pub(super) fn header(text: &str) -> Result<HeaderName, Fault> {
    let remedy = "write the name of the header that your ingress sets, such as X-Forwarded-For";
    text.parse().map_err(|_| Fault::new(format!("{text:?} is not the name of a header"), remedy))
}
