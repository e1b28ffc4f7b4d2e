//! One line: what was asked, what was decided, and why. No header values, no values of a query, ASCII only.

use std::{collections::BTreeSet, io, time::SystemTime};

use proto::wire::RequestHead;
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use crate::{
    limits::{AUDIT_NAMES, AUDIT_NAMES_BYTES, AUDIT_PATH},
    utc::rfc3339,
    whitelist::Denied,
};

/// What the whitelist has decided.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Decision<'a> {
    /// A rule allows it.
    Allowed {
        /// Which, counted from 0.
        rule: usize,
        /// As it was written.
        text: &'a str,
    },
    /// It was refused.
    Denied(Denied),
    /// It was sent, because the service is in audit mode.
    WouldDeny(Denied),
}

#[derive(Serialize)]
struct Line<'a> {
    time: String,
    request_id: &'a str,
    service: &'a str,
    method: &'a str,
    path: String,
    verdict: &'static str,
    #[serde(flatten)]
    grounds: Grounds<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<BTreeSet<String>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Grounds<'a> {
    Rule { rule: usize, text: &'a str },
    Refusal { code: &'static str, step: Step, reason: String },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Step {
    Number(u8),
    Word(&'static str),
}

#[derive(Serialize)]
struct Lost {
    time: String,
    verdict: &'static str,
    lines: u64,
    reason: &'static str,
}

/// The line of a decision, with its end.
pub(crate) fn line(head: &RequestHead, decision: Decision<'_>, now: SystemTime) -> Vec<u8> {
    let (verdict, grounds) = match decision {
        Decision::Allowed { rule, text } => ("allowed", Grounds::Rule { rule, text }),
        Decision::Denied(denied) => ("denied", refusal(&denied)),
        Decision::WouldDeny(denied) => ("would_deny", refusal(&denied)),
    };
    let mut parts = head.target.splitn(2, |byte| *byte == b'?');
    let path = escaped(parts.next().unwrap_or_default());
    written(&Line {
        time: rfc3339(now),
        request_id: head.request_id.as_str(),
        service: head.service.as_str(),
        method: head.method.as_str(),
        path,
        verdict,
        grounds,
        query: parts.next().map(names),
    })
}

/// The line that says how many are missing before it.
pub(super) fn lost(lines: u64, now: SystemTime) -> Vec<u8> {
    let reason = "the log could not be written; none of these requests was sent to an upstream";
    written(&Lost { time: rfc3339(now), verdict: "lost", lines, reason })
}

fn refusal(denied: &Denied) -> Grounds<'static> {
    let step = denied.step.number().map_or(Step::Word(denied.step.as_str()), Step::Number);
    Grounds::Refusal { code: denied.code.as_str(), step, reason: denied.to_string() }
}

/// A stranger's bytes: whatever is not visible ASCII becomes `\xHH`. A path that was admitted holds no such byte, and
/// no backslash.
fn escaped(path: &[u8]) -> String {
    let mut text = String::with_capacity(path.len());
    for &byte in path {
        if text.len() >= AUDIT_PATH {
            break;
        }
        match byte {
            b'!'..=b'~' if byte != b'\\' => text.push(char::from(byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text.truncate(AUDIT_PATH);
    text
}

/// The names of the parameters, decoded once as forms are.
fn names(query: &[u8]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut bytes = 0;
    for pair in query.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        let name = decoded(pair.split(|byte| *byte == b'=').next().unwrap_or_default());
        bytes += name.len();
        if names.len() == AUDIT_NAMES || bytes > AUDIT_NAMES_BYTES {
            break;
        }
        names.insert(name);
    }
    names
}

fn decoded(name: &[u8]) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name;
    while let [first, behind @ ..] = rest {
        let hex = |at: usize| behind.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        let (byte, used) = match (first, hex(0), hex(1)) {
            (b'%', Some(high), Some(low)) => ((high * 16 + low) as u8, 2),
            (b'+', ..) => (b' ', 0),
            _ => (*first, 0),
        };
        bytes.push(byte);
        rest = &behind[used..];
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn written(line: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    line.serialize(&mut Serializer::with_formatter(&mut bytes, Ascii)).expect("plain data always serialises");
    bytes.push(b'\n');
    bytes
}

/// Writes JSON in which every byte is visible ASCII or a space, whatever the strings hold.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let is_plain = |c: char| matches!(c, ' '..='~');
        if fragment.chars().all(is_plain) {
            return writer.write_all(fragment.as_bytes());
        }
        for c in fragment.chars() {
            if is_plain(c) {
                write!(writer, "{c}")?;
            } else {
                c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))?;
            }
        }
        Ok(())
    }
}
