//! The text format of Prometheus, version 0.0.4: families of samples, each behind its help and its type.

use std::fmt::{self, Display, Write as _};

use crate::Durations;

/// The media type of a [`Page`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page of metrics, written from its top to its end.
#[derive(Debug, Default)]
pub struct Page(String);

/// A metric: its samples differ in their labels.
#[derive(Debug)]
pub struct Family<'a> {
    page: &'a mut String,
    name: &'static str,
}

impl Page {
    /// A number that only grows. By convention its name ends in `_total`.
    pub fn counter(&mut self, name: &'static str, help: &str) -> Family<'_> {
        assert!(name.ends_with("_total"), "the name of a counter ends in _total");
        self.family(name, "counter", help)
    }

    /// A number that comes and goes.
    pub fn gauge(&mut self, name: &'static str, help: &str) -> Family<'_> {
        assert!(!name.ends_with("_total"), "only the name of a counter ends in _total");
        self.family(name, "gauge", help)
    }

    /// How long things took; in seconds, as its name has to say.
    pub fn durations(&mut self, name: &'static str, help: &str) -> Family<'_> {
        assert!(name.ends_with("_seconds"), "a name ends in its unit");
        self.family(name, "histogram", help)
    }

    fn family(&mut self, name: &'static str, kind: &str, help: &str) -> Family<'_> {
        let help = Escaped { text: help, quotes: false };
        write(&mut self.0, format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Family { page: &mut self.0, name }
    }
}

/// All of it.
impl From<Page> for String {
    fn from(page: Page) -> Self {
        page.0
    }
}

impl Family<'_> {
    /// One sample; no other of the family has the same labels. An empty value says the same as no label.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, None, value);
    }

    /// One histogram of a family of [`Page::durations`].
    pub fn observed(&mut self, labels: &[(&str, &str)], durations: &Durations) {
        let mut count = 0;
        for (bound, observed) in durations.read() {
            count += observed;
            self.line("_bucket", labels, Some(("le", bound)), count);
        }
        self.line("_sum", labels, None, durations.sum().as_secs_f64());
        self.line("_count", labels, None, count);
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], more: Option<(&str, &str)>, value: impl Display) {
        write(self.page, format_args!("{}{suffix}", self.name));
        let mut separator = '{';
        for (name, text) in labels.iter().copied().chain(more) {
            let text = Escaped { text, quotes: true };
            write(self.page, format_args!("{separator}{name}=\"{text}\""));
            separator = ',';
        }
        write(self.page, format_args!("{} {value}\n", if separator == ',' { "}" } else { "" }));
    }
}

fn write(page: &mut String, text: fmt::Arguments<'_>) {
    page.write_fmt(text).expect("writing to a String cannot fail");
}

/// A label's value, or a help, which has no quotes around it.
struct Escaped<'a> {
    text: &'a str,
    quotes: bool,
}

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text.chars().try_for_each(|c| match c {
            '\\' => f.write_str("\\\\"),
            '\n' => f.write_str("\\n"),
            '"' if self.quotes => f.write_str("\\\""),
            c => f.write_char(c),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_page() {
        let mut page = Page::default();
        page.gauge("a", "One \"thing\".\nOr \\ two.").sample(&[], 1);
        let mut family = page.counter("b_total", "");
        family.sample(&[("x", "1"), ("y", "a\"\\\n\u{e9}")], u64::MAX);
        family.sample(&[], 0.5);
        page.counter("none_total", "Without samples.");
        let expected = "# HELP a One \"thing\".\\nOr \\\\ two.\n# TYPE a gauge\na 1\n\
                        # HELP b_total \n# TYPE b_total counter\n\
                        b_total{x=\"1\",y=\"a\\\"\\\\\\n\u{e9}\"} 18446744073709551615\nb_total 0.5\n\
                        # HELP none_total Without samples.\n# TYPE none_total counter\n";
        assert_eq!(String::from(page), expected);
    }

    #[test]
    fn buckets_add_up() {
        let durations = Durations::default();
        [0, 1000, 1001, 3_600_000_000].into_iter().for_each(|us| durations.observe(Duration::from_micros(us)));
        let mut page = Page::default();
        page.durations("t_seconds", "Time.").observed(&[("a", "b")], &durations);
        let text = String::from(page);
        let lines: Vec<&str> = text.lines().skip(2).collect();
        assert_eq!(lines.first(), Some(&"t_seconds_bucket{a=\"b\",le=\"0.001\"} 2"));
        assert_eq!(lines[1], "t_seconds_bucket{a=\"b\",le=\"0.005\"} 3");
        let end = ["t_seconds_bucket{a=\"b\",le=\"60\"} 3", "t_seconds_bucket{a=\"b\",le=\"+Inf\"} 4"];
        let end = [end[0], end[1], "t_seconds_sum{a=\"b\"} 3600.002001", "t_seconds_count{a=\"b\"} 4"];
        assert_eq!(lines[lines.len() - 4..], end);
    }
}
