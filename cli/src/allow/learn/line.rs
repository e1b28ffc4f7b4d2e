//! One line of an audit log, and reading lines from what may be anything.

use std::io::{self, BufRead, Read as _};

use http::Method;
use proto::wire::ServiceName;
use serde::Deserialize;

use crate::allow::percent;

/// Longest line, in bytes: a path of 8 KiB with every byte escaped, a rule as long, and names of parameters.
const LINE_BYTES: u64 = 256 * 1024;

/// What of an audit line proposals are made of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) service: ServiceName,
    pub(super) method: Method,
    /// The raw path, without the query.
    pub(super) path: String,
    pub(super) verdict: Verdict,
    /// The rule that allowed it, as it was written.
    pub(super) rule: Option<String>,
    /// The names of the query's parameters.
    pub(super) query: Vec<String>,
}

/// What the agent decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    /// By a rule, though perhaps too many came.
    #[serde(alias = "limited")]
    Allowed,
    /// It was sent, because the service is in audit mode.
    WouldDeny,
    /// No upstream has seen it.
    Denied,
}

/// What the agent writes where it could not write lines.
#[derive(Deserialize)]
struct Lost {
    lines: u64,
}

#[derive(Deserialize)]
struct AsWritten {
    service: String,
    method: String,
    path: String,
    verdict: Verdict,
    text: Option<String>,
    query: Option<Vec<String>>,
}

impl Line {
    /// What was asked for, as far as the log tells it: the query has its names, and no values.
    pub(super) fn target(&self) -> String {
        let names: Vec<String> = self.query.iter().map(|name| percent::parameter(name)).collect();
        if names.is_empty() { self.path.clone() } else { format!("{}?{}", self.path, names.join("&")) }
    }

    fn parse(text: &[u8]) -> Result<Self, String> {
        let line: AsWritten = serde_json::from_slice(text).map_err(|error| {
            // Its own message can repeat a piece of the line.
            match serde_json::from_slice(text) {
                _ if !error.is_data() => "it is not JSON".to_owned(),
                Ok(Lost { lines }) => format!("{lines} lines before it are lost"),
                Err(_) => "it is no line of an audit log".to_owned(),
            }
        })?;
        Ok(Self {
            service: ServiceName::new(&line.service).map_err(|_| "its service has no proper name")?,
            method: Method::from_bytes(line.method.as_bytes()).map_err(|_| "its method is none")?,
            path: line.path,
            verdict: line.verdict,
            rule: line.text,
            query: line.query.unwrap_or_default(),
        })
    }
}

/// Hands over every line that is not blank with its number, or with what is wrong with it.
pub(super) fn each(mut input: impl BufRead, mut take: impl FnMut(u64, Result<Line, String>)) -> io::Result<()> {
    let mut text = Vec::new();
    for number in 1.. {
        text.clear();
        if input.by_ref().take(LINE_BYTES).read_until(b'\n', &mut text)? == 0 {
            break;
        }
        if !text.ends_with(b"\n") && text.len() as u64 == LINE_BYTES {
            input.skip_until(b'\n')?;
            take(number, Err(format!("it is longer than {} KiB", LINE_BYTES / 1024)));
        } else if !text.trim_ascii().is_empty() {
            take(number, Line::parse(&text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(log: &[u8]) -> Vec<(u64, Result<String, String>)> {
        let mut all = Vec::new();
        each(log, |number, line| all.push((number, line.map(|line| line.path)))).unwrap();
        all
    }

    #[test]
    fn a_line_is_taken_apart() {
        let mut taken = None;
        let log = br#"{"time":"2026-01-31T10:00:00.000Z","request_id":"r","service":"orders","method":"GET","path":"/a","verdict":"allowed","rule":3,"text":"GET /a","query":["x[]","y"],"more":{"a":[1]}}"#;
        each(&log[..], |_, line| taken = Some(line)).unwrap();
        let line = Line {
            service: ServiceName::new("orders").unwrap(),
            method: Method::GET,
            path: "/a".to_owned(),
            verdict: Verdict::Allowed,
            rule: Some("GET /a".to_owned()),
            query: vec!["x[]".to_owned(), "y".to_owned()],
        };
        assert_eq!(line.target(), "/a?x%5B%5D&y");
        assert_eq!(taken, Some(Ok(line)));
    }

    #[test]
    fn bad_lines_are_numbered_and_passed_over() {
        let good = br#"{"service":"s","method":"GET","path":"/a","verdict":"denied"}"#;
        let bad: [(&[u8], &str); 11] = [
            (br#"{"time":"t","verdict":"lost","lines":7,"reason":"r"}"#, "7 lines before it are lost"),
            (b"\0\x1b[2J\xff", "not JSON"),
            (b"{\"service\":\"s\"", "not JSON"),
            (b"[]", "no line of an audit log"),
            (b"7", "no line of an audit log"),
            (br#"{"level":"INFO"}"#, "no line of an audit log"),
            (br#"{"service":"s","method":"GET","path":"/a","verdict":"maybe"}"#, "no line of an audit log"),
            (br#"{"service":"s","method":7,"path":"/a","verdict":"denied"}"#, "no line of an audit log"),
            (br#"{"service":"S S","method":"GET","path":"/a","verdict":"denied"}"#, "proper name"),
            (br#"{"service":"s","method":"G T","path":"/a","verdict":"denied"}"#, "method"),
            (&[b'['; 10_000], "no line of an audit log"),
        ];
        for (line, why) in bad {
            let lines = lines(&[good, &b"\n\n \t\r\n"[..], line, b"\r\n", good].concat());
            let [(1, Ok(_)), (4, Err(said)), (5, Ok(_))] = &*lines else { panic!("{lines:?}") };
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn a_line_has_a_longest_length() {
        let padded = |length: u64| {
            let mut line = br#"{"service":"s","method":"GET","path":"/a","verdict":"denied"}"#.to_vec();
            line.resize(usize::try_from(length).unwrap() - 1, b' ');
            [&line, &b"\n"[..]].concat()
        };
        let both = [padded(LINE_BYTES), padded(LINE_BYTES + 1), padded(100)].concat();
        let lines = lines(&both);
        assert!(matches!(&*lines, [(1, Ok(_)), (2, Err(_)), (3, Ok(_))]), "{lines:?}");
    }
}
