//! How many agents, and strangers, were turned away at the tunnel, by what they were told.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
};

/// The statuses before an upgrade and the codes of a `reject` after it: `proto/PROTOCOL.md` has both lists. Each stands
/// here so that it is counted from 0.
const REASONS: [&str; 15] = [
    "400",
    "401",
    "403",
    "404",
    "405",
    "426",
    "429",
    "500",
    "503",
    "approval_pending",
    "draining",
    "rejected",
    "service_not_permitted",
    "too_many_links",
    "too_many_pending",
];

/// The counts.
#[derive(Debug)]
pub(crate) struct TurnedAway(Mutex<BTreeMap<&'static str, u64>>);

impl Default for TurnedAway {
    fn default() -> Self {
        Self(Mutex::new(REASONS.into_iter().map(|reason| (reason, 0)).collect()))
    }
}

impl TurnedAway {
    /// Counts one.
    pub(crate) fn count(&self, reason: &str) {
        let mut counts = self.lock();
        let count = counts.get_mut(reason);
        debug_assert!(count.is_some(), "every reason is listed: {reason}");
        if let Some(count) = count {
            *count += 1;
        }
    }

    pub(crate) fn read(&self) -> BTreeMap<&'static str, u64> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.0.lock().expect("nothing panics while it holds the counts")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_the_protocol_is_counted() {
        let page = include_str!("../../proto/PROTOCOL.md");
        let (_, upgrade) = page.split_once("\n## Upgrade\n").unwrap();
        let (upgrade, greeting) = upgrade.split_once("\n## Greeting\n").unwrap();
        let rows = upgrade.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" |"));
        let statuses = rows.flat_map(|(statuses, _)| statuses.split(", ")).filter(|status| *status != "status");
        let (_, codes) = greeting.split_once("The codes of a `reject` are ").unwrap();
        let codes = codes.split(';').next().unwrap().split('`').skip(1).step_by(2);
        let mut written: Vec<&str> = statuses.chain(codes).collect();
        written.sort_unstable();
        assert_eq!(written, REASONS);
        let counts = TurnedAway::default();
        counts.count("401");
        assert_eq!((counts.read()["401"], counts.read()["429"]), (1, 0));
    }
}
