//! What was seen at either end, as lines of text, and what differs between two of them.

use reachback_tests::{client::Answer, http1::Head};

/// A message: its first line, its headers by name, its body and its trailers, a line each.
pub(crate) fn message(head: &Head, body: &[u8], trailers: &[String]) -> Vec<String> {
    let mut lines = vec![head.line().to_owned()];
    if !head.0.ends_with("\r\n") {
        lines.push("lines that end with LF alone".to_owned());
    }
    lines.extend(fields("header", head.0.lines().skip(1)));
    if !body.is_empty() {
        lines.push(format!("body {}", body.escape_ascii()));
    }
    lines.extend(fields("trailer", trailers.iter().map(String::as_str)));
    lines
}

/// Fields sorted by name, those of one name in their order on one line: the order of names means nothing.
fn fields<'a>(kind: &str, lines: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut fields: Vec<(String, Vec<&str>)> = Vec::new();
    for (name, value) in lines.filter(|line| !line.is_empty()).map(|line| line.split_once(':').unwrap_or((line, ""))) {
        let (name, value) = (name.to_ascii_lowercase(), value.trim_matches([' ', '\t']));
        match fields.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => values.push(value),
            None => fields.push((name, vec![value])),
        }
    }
    fields.sort();
    fields.into_iter().map(|(name, values)| format!("{kind} {name}: {}", values.join(" | "))).collect()
}

/// What the bridge's own answers are made of.
const PROBLEM: &str = "application/problem+json";

/// An answer as the client saw it. Of one that the bridge composed, which failure it is.
pub(crate) fn answer(answer: &Answer) -> Vec<String> {
    if let Some(code) = answer.failure().filter(|_| answer.head.one("content-type") == Some(PROBLEM)) {
        let problem: serde_json::Value = serde_json::from_slice(&answer.body).expect("a failure says why");
        assert!(problem["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{problem}");
        return vec![format!("{} {code}", answer.status())];
    }
    let mut lines: Vec<_> = answer.interim.iter().map(|head| format!("before it {}", head.line())).collect();
    lines.extend(message(&answer.head, &answer.body, &answer.trailers));
    lines
}

/// What only one of two has: `-` what only the direct run saw, `+` what only the run through the bridge did. Where
/// the bridge let nothing through, or composed the answer itself, what is missing is everything.
pub(crate) fn differences(end: &str, direct: &[String], bridged: &[String]) -> Vec<String> {
    let replaced =
        end == "client" && bridged.first().is_some_and(|line| line.starts_with(|c: char| c.is_ascii_digit()));
    if end == "upstream" && bridged.is_empty() && !direct.is_empty() {
        return vec!["upstream - everything".to_owned()];
    }
    let mut missing = direct.to_vec();
    let mut differences = Vec::new();
    for line in bridged {
        match missing.iter().position(|known| known == line) {
            Some(at) => drop(missing.remove(at)),
            None => differences.push(format!("{end} + {line}")),
        }
    }
    missing.retain(|_| !replaced);
    differences.extend(missing.iter().map(|line| format!("{end} - {line}")));
    differences
}
