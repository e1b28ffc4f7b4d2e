//! What a drill found, as a line of the table.

use std::{fmt, time::Duration};

use crate::{ledger::Sums, sidecar::Holds};

/// The result of one drill.
#[derive(Debug)]
pub(crate) struct Report {
    name: String,
    sums: Sums,
    /// Gateway and agent, before and after.
    before: (Holds, Holds),
    after: (Holds, Holds),
    /// Broken invariants, those of the ledger included.
    pub(crate) broken: Vec<String>,
}

/// The head of the table.
pub(crate) const HEAD: &str = "\
| drill | requests | whole | given up | failed, and how | POSTs doubled | worst wait | gateway, agent: MiB before → after | |
|---|---|---|---|---|---|---|---|---|";

impl Report {
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            sums: Sums::default(),
            before: Default::default(),
            after: Default::default(),
            broken: Vec::new(),
        }
    }

    /// Notes an invariant that must hold.
    pub(crate) fn expect(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.broken.push(what());
        }
    }

    /// No request may have failed.
    pub(crate) fn expect_no_failure(&mut self) {
        let (failed, kinds) = (self.sums.failed, format!("{:?}", self.sums.kinds));
        self.expect(failed == 0, || format!("{failed} requests failed: {kinds}"));
    }

    /// Requests may have failed in these ways and in no other.
    pub(crate) fn expect_only(&mut self, kinds: &[&str]) {
        let others: Vec<String> =
            self.sums.kinds.keys().filter(|kind| !kinds.contains(&kind.as_str())).cloned().collect();
        self.expect(others.is_empty(), || format!("failures that this drill does not explain: {others:?}"));
    }

    pub(crate) fn take(&mut self, mut sums: Sums, before: (Holds, Holds), after: (Holds, Holds)) {
        self.broken.append(&mut sums.broken);
        (self.sums, self.before, self.after) = (sums, before, after);
    }

    /// Several in one line.
    pub(crate) fn sum(name: &str, reports: Vec<Self>) -> Self {
        let mut all = Self::new(name);
        for mut report in reports {
            let Sums { asked, whole, given_up, failed, kinds, doubled, worst, .. } = report.sums;
            let sums = &mut all.sums;
            sums.asked += asked;
            sums.whole += whole;
            sums.given_up += given_up;
            sums.failed += failed;
            sums.doubled += doubled;
            sums.worst = sums.worst.max(worst);
            kinds.into_iter().for_each(|(kind, count)| *sums.kinds.entry(kind).or_default() += count);
            all.broken.append(&mut report.broken);
            (all.before, all.after) = (report.before, report.after);
        }
        all
    }

    pub(crate) fn whole(&self) -> usize {
        self.sums.whole
    }

    pub(crate) fn holds(&self) -> [(Holds, Holds); 2] {
        [(self.before.0, self.after.0), (self.before.1, self.after.1)]
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sums { asked, whole, given_up, failed, kinds, doubled, worst, .. } = &self.sums;
        let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let kinds = if kinds.is_empty() { String::new() } else { format!(": {}", kinds.join(", ")) };
        let mib = |holds: Holds| holds.resident_kib as f64 / 1024.0;
        let memory = |(before, after): (Holds, Holds)| format!("{:.1} → {:.1}", mib(before), mib(after));
        let [gateway, agent] = self.holds().map(memory);
        let verdict = if self.broken.is_empty() { "ok" } else { "**fails**" };
        let worst = Duration::as_secs_f64(worst);
        write!(
            f,
            "| {} | {asked} | {whole} | {given_up} | {failed}{kinds} | {doubled} | {worst:.2} s | {gateway}; {agent} | {verdict} |",
            self.name
        )
    }
}
