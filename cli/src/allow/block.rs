//! Proposed rules as YAML that can be pasted: what must be quoted is, and no comment can become a line of its own.

use std::fmt::Write as _;

/// Most characters of somebody else's text, such as a title, that a comment repeats.
const COMMENT_CHARS: usize = 100;

/// Comments begin at the same column, unless a rule is longer than this.
const RULE_COLUMNS: usize = 48;

/// One line of a list of rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// The rule.
    pub(super) rule: String,
    /// What is said of it. It must be [`tame`], or our own words.
    pub(super) comment: String,
}

/// The items of an `allow:` list, for a service that is indented by two.
pub(super) fn list(lines: &[Line]) -> String {
    let scalars: Vec<String> = lines.iter().map(|line| scalar(&line.rule)).collect();
    let fitting = scalars.iter().map(String::len).filter(|&width| width <= RULE_COLUMNS);
    let width = fitting.max().unwrap_or(0);
    let mut text = String::new();
    for (scalar, Line { comment, .. }) in scalars.iter().zip(lines) {
        let item = if comment.is_empty() { scalar.clone() } else { format!("{scalar:width$}  # {comment}") };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "      - {item}");
    }
    text
}

/// A rule as YAML. A plain scalar may hold braces and commas in a list with dashes, but not begin with a sign, not end
/// with a colon, and not hold what looks like a comment or a key.
pub(super) fn scalar(text: &str) -> String {
    let starts_plainly = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    let plain = |c: char| c.is_ascii_graphic() || c == ' ';
    if starts_plainly && text.chars().all(plain) && !text.ends_with(':') && !text.contains(": ") && !text.contains(" #")
    {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "''"))
    }
}

/// Somebody else's text, fit for a comment or a terminal: one line, nothing invisible, not too long.
pub(super) fn tame(text: &str) -> String {
    let mut shown: String = text.chars().take(COMMENT_CHARS).flat_map(char::escape_debug).collect();
    if text.chars().nth(COMMENT_CHARS).is_some() {
        shown.push('…');
    }
    // Quotes and backslashes steer nothing in a comment.
    shown.replace("\\'", "'").replace("\\\"", "\"")
}

/// `1 request`, `2 requests`.
pub(super) fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use settings::{Source, Text, yaml};

    use super::*;

    #[test]
    fn every_rule_is_read_back_as_it_was() {
        let rules = [
            "GET /orders/{id}",
            "GET,HEAD /a,b",
            "GET /a:",
            "GET /a:b",
            "GET /it's",
            "GET /%C3%A9",
            "#X /a",
            "*Y /a",
            "'Z /a",
            "!T /a",
            "&A /a",
            "%D /a",
            "|P /a",
            "`B /a",
            "- /a",
            "-M /a",
            "OPTIONS *",
            "GET /[x]",
            "GET /a #b",
            "GET /a: b",
            "GET /caf\u{e9}",
        ];
        let lines = rules.map(|rule| Line { rule: rule.to_owned(), comment: tame("x\n      - GET /**") });
        let source = Source::file("f", &list(&lines), Path::new(""));
        let read: Vec<Text> = yaml::read(&source).unwrap();
        assert_eq!(read.iter().map(|text| text.value.as_str()).collect::<Vec<_>>(), rules);
    }

    #[test]
    fn foreign_text_is_tamed() {
        let check = |text: &str, shown: &str| assert_eq!(tame(text), shown);
        check("Pets 'n' \"more\" caf\u{e9}", "Pets 'n' \"more\" caf\u{e9}");
        check("a\nb\r\u{1b}[2J\u{202e}", "a\\nb\\r\\u{1b}[2J\\u{202e}");
        check(&"x".repeat(COMMENT_CHARS), &"x".repeat(COMMENT_CHARS));
        check(&"x".repeat(COMMENT_CHARS + 1), &format!("{}…", "x".repeat(COMMENT_CHARS)));
    }

    #[test]
    fn comments_stand_below_each_other() {
        let line = |rule: &str, comment: &str| Line { rule: rule.to_owned(), comment: comment.to_owned() };
        let long = format!("GET /{}", "x".repeat(RULE_COLUMNS));
        let text = list(&[line("GET /a", "one"), line("GET /long", "two"), line("PUT /b", ""), line(&long, "three")]);
        let expected =
            format!("      - GET /a     # one\n      - GET /long  # two\n      - PUT /b\n      - {long}  # three\n");
        assert_eq!(text, expected);
    }
}
