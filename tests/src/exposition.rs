//! A page of metrics, read as strictly as the text format 0.0.4 and its conventions are written.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
};

use crate::client::http;

/// What a page says: each sample by its name and labels as they stand there, `up{a="b"}`.
#[derive(Debug)]
pub struct Exposition(BTreeMap<String, f64>);

impl Exposition {
    /// Asks a listener for its page.
    ///
    /// # Panics
    /// If there is none, or it is not as it should be.
    pub async fn of(listener: SocketAddr) -> Self {
        let answer = http().get(format!("http://{listener}/metrics")).send().await.expect("there are metrics");
        assert_eq!(answer.status(), 200);
        let content_type = answer.headers()["content-type"].to_str().expect("it is ASCII");
        assert_eq!(content_type, "text/plain; version=0.0.4; charset=utf-8");
        Self::read(&answer.text().await.expect("it is text"))
    }

    /// The value of a sample.
    ///
    /// # Panics
    /// If there is no such sample.
    #[must_use]
    pub fn value(&self, sample: &str) -> f64 {
        self.find(sample).unwrap_or_else(|| panic!("no {sample} among {:#?}", self.0.keys()))
    }

    /// The same, if it is there.
    #[must_use]
    pub fn find(&self, sample: &str) -> Option<f64> {
        self.0.get(sample).copied()
    }

    /// What the samples of a metric add up to.
    #[must_use]
    pub fn sum(&self, name: &str) -> f64 {
        let of_it = self.0.iter().filter(|(sample, _)| sample.split('{').next() == Some(name));
        of_it.map(|(_, value)| value).sum()
    }

    /// Every sample.
    pub fn samples(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// # Panics
    /// If the text is not a page of metrics.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let (mut samples, mut families) = (BTreeMap::new(), BTreeSet::new());
        assert!(text.ends_with('\n'), "the last line has an end");
        for family in text.strip_prefix("# HELP ").expect("it begins with a family").split("\n# HELP ") {
            let mut lines = family.lines();
            let (name, help) = lines.next().and_then(|line| line.split_once(' ')).expect("a family has a help");
            assert!(families.insert(name.to_owned()), "{name} comes twice");
            assert!(help.ends_with('.'), "{name}: {help}");
            let kind = lines.next().and_then(|line| line.strip_prefix("# TYPE ")?.strip_prefix(name));
            let kind = kind.unwrap_or_else(|| panic!("{name} has no type")).trim_start();
            let of_family: Vec<_> = lines.map(|line| sample(name, kind, line)).collect();
            if kind == "histogram" {
                check_histogram(&of_family);
            }
            for (sample, value) in of_family {
                let twice = samples.insert(sample.clone(), value);
                assert!(twice.is_none(), "{sample} comes twice");
            }
        }
        Self(samples)
    }
}

/// A line, and its value.
fn sample(family: &str, kind: &str, line: &str) -> (String, f64) {
    let (sample, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
    let name = sample.split('{').next().unwrap_or_default();
    let suffixes: &[&str] = match kind {
        "counter" | "gauge" => &[""],
        "histogram" => &["_bucket", "_sum", "_count"],
        _ => panic!("{family} is of the kind {kind}"),
    };
    assert!(suffixes.contains(&name.strip_prefix(family).unwrap_or("?")), "{line} stands in {family}");
    assert_eq!(family.ends_with("_total"), kind == "counter", "{family}");
    assert!(name.bytes().all(|c| matches!(c, b'a'..=b'z' | b'_')), "{line}");
    check_labels(&sample[name.len()..]);
    let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line} has no number"));
    assert!(value >= 0.0 && value.is_finite(), "{line}");
    (sample.to_owned(), value)
}

/// `{name="value",…}`, or nothing. In a value a quote, a backslash and a line end are escaped.
fn check_labels(labels: &str) {
    if labels.is_empty() {
        return;
    }
    let mut rest = labels.strip_prefix('{').expect("labels begin with a brace");
    loop {
        let (name, value) = rest.split_once("=\"").expect("a label has a value in quotes");
        assert!(!name.is_empty() && name.bytes().all(|c| c == b'_' || c.is_ascii_lowercase()), "{labels}");
        let mut escaped = false;
        let end = value.find(|c| {
            assert!(!escaped || matches!(c, '\\' | '"' | 'n'), "{labels}");
            let ends = c == '"' && !escaped;
            escaped = c == '\\' && !escaped;
            ends
        });
        rest = &value[end.expect("a value ends with a quote") + 1..];
        match rest.strip_prefix(',') {
            Some(more) => rest = more,
            None => return assert_eq!(rest, "}", "{labels}"),
        }
    }
}

/// Buckets grow to the count, which is that of the last one.
fn check_histogram(samples: &[(String, f64)]) {
    let (mut last, mut counted) = (0.0, true);
    for (sample, value) in samples {
        match sample.split('{').next().unwrap_or_default().rsplit('_').next() {
            Some("bucket") => {
                last = if counted { 0.0 } else { last };
                assert!(*value >= last, "{sample} is less than the one before");
                (last, counted) = (*value, false);
                assert!(sample.contains("le=\""), "{sample}");
            }
            Some("count") => {
                assert_eq!(*value, last, "{sample}");
                counted = true;
            }
            _ => {}
        }
    }
    assert!(counted, "the last histogram has no count");
}
