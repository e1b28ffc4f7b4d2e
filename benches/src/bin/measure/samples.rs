//! Every measured number, kept in memory for the report and appended to a file of JSON lines as it comes.

use std::{
    fs::File,
    io::{self, Write},
    path::Path,
};

use serde_json::json;

/// What every ratio is taken to.
pub(crate) const YARDSTICK: &str = "nginx, one hop";

/// What a number is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Key<'a> {
    pub(crate) section: &'a str,
    /// The work within the section, such as the number of clients.
    pub(crate) case: &'a str,
    /// Who was measured.
    pub(crate) who: &'a str,
    pub(crate) metric: &'a str,
}

struct Sample {
    section: String,
    case: String,
    who: String,
    metric: String,
    round: u32,
    value: f64,
}

impl Sample {
    fn is(&self, key: Key<'_>) -> bool {
        Key { section: &self.section, case: &self.case, who: &self.who, metric: &self.metric } == key
    }
}

/// All samples of a run.
pub(crate) struct Samples {
    all: Vec<Sample>,
    raw: File,
}

impl Samples {
    pub(crate) fn new(raw: &Path) -> io::Result<Self> {
        Ok(Self { all: Vec::new(), raw: File::create(raw)? })
    }

    pub(crate) fn add(&mut self, key: Key<'_>, round: u32, value: f64) -> io::Result<()> {
        let Key { section, case, who, metric } = key;
        let line = json!({
            "section": section, "case": case, "who": who, "metric": metric, "round": round, "value": value
        });
        writeln!(self.raw, "{line}")?;
        self.all.push(Sample {
            section: section.to_owned(),
            case: case.to_owned(),
            who: who.to_owned(),
            metric: metric.to_owned(),
            round,
            value,
        });
        Ok(())
    }

    pub(crate) fn median(&self, key: Key<'_>) -> Option<f64> {
        median(self.of(key).map(|sample| sample.value).collect())
    }

    /// The median over rounds of this figure divided by the yardstick's in the same round: neighbours on the machine
    /// slow both, so the quotient is steadier than the quotient of two medians.
    pub(crate) fn ratio(&self, key: Key<'_>) -> Option<f64> {
        let yardstick = |round| self.of(Key { who: YARDSTICK, ..key }).find(move |sample| sample.round == round);
        median(self.of(key).filter_map(|sample| Some(sample.value / yardstick(sample.round)?.value)).collect())
    }

    /// Who and where a metric was above zero, for warnings.
    pub(crate) fn above_zero(&self, metric: &str) -> Vec<String> {
        let bad = self.all.iter().filter(|sample| sample.metric == metric && sample.value > 0.0);
        bad.map(|s| format!("{}, {} {}, round {}: {} {metric}", s.who, s.section, s.case, s.round, s.value)).collect()
    }

    fn of<'a>(&'a self, key: Key<'a>) -> impl Iterator<Item = &'a Sample> {
        self.all.iter().filter(move |sample| sample.is(key))
    }
}

/// The value that `part` (0 to 1) of the values do not exceed.
pub(crate) fn percentile(mut values: Vec<f64>, part: f64) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let rank = (part * values.len() as f64).ceil() as usize;
    values.get(rank.saturating_sub(1)).copied()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = values.len() / 2;
    if values.len().is_multiple_of(2) {
        Some((values.get(upper.checked_sub(1)?)? + values.get(upper)?) / 2.0)
    } else {
        values.get(upper).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_percentiles() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        for (part, expected) in [(0.0, 1.0), (0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            assert_eq!(percentile(hundred.clone(), part), Some(expected), "{part}");
        }
        assert_eq!(percentile(vec![], 0.5), None);
    }
}
