//! One line: what was asked, what was decided, and why. No header values, no values of a query, ASCII only.

use std::{collections::BTreeSet, time::SystemTime};

use proto::wire::{Failure, RequestHead};
use serde::Serialize;

use crate::{
    ascii,
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
    /// A rule allows it, but as many have come as may.
    Limited {
        /// Which, counted from 0.
        rule: usize,
        /// As it was written.
        text: &'a str,
        /// What the client is told.
        limit: &'a Failure,
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
    Limit { rule: usize, text: &'a str, code: &'static str, reason: &'a str },
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
        Decision::Limited { rule, text, limit } => {
            ("limited", Grounds::Limit { rule, text, code: limit.code.as_str(), reason: &limit.message })
        }
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
    let mut bytes = ascii::json(line);
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use http::{HeaderMap, HeaderValue, Method};
    use proto::wire::{RequestId, ServiceName};

    use super::*;
    use crate::whitelist::{Host, Service, Whitelist};

    fn head(target: &[u8]) -> RequestHead {
        let secret = HeaderValue::from_static("secret");
        RequestHead {
            service: ServiceName::new("orders").unwrap(),
            method: Method::GET,
            target: target.to_vec().into(),
            headers: HeaderMap::from_iter([(http::header::AUTHORIZATION, secret)]),
            request_id: RequestId::new("r-1").unwrap(),
            deadline: None,
            upgrade: false,
        }
    }

    /// The line of a refusal, which no rule can turn into anything else.
    fn refused(target: &[u8]) -> String {
        let orders = (ServiceName::new("orders").unwrap(), Service::new(Vec::new(), Host::Preserve));
        let denied = Whitelist::new([orders]).admit(&head(target)).unwrap_err();
        text(target, Decision::Denied(denied))
    }

    fn text(target: &[u8], decision: Decision<'_>) -> String {
        let line = line(&head(target), decision, UNIX_EPOCH + Duration::from_millis(1_795_174_116_181));
        let text = String::from_utf8(line).unwrap();
        let (line, rest) = text.split_once('\n').unwrap();
        assert_eq!(rest, "", "one line each");
        assert!(line.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{line}");
        assert!(!line.contains("secret"), "{line}");
        line.to_owned()
    }

    fn value(line: &str, key: &str) -> serde_json::Value {
        serde_json::from_str::<serde_json::Value>(line).unwrap()[key].clone()
    }

    #[test]
    fn keys_stand_in_their_order() {
        let always = r#"{"time":"2026-11-20T11:28:36.181Z","request_id":"r-1","service":"orders","method":"GET""#;
        assert_eq!(
            text(b"/orders/7?b=secret&a", Decision::Allowed { rule: 1, text: "GET /orders/{id}" }),
            format!(
                r#"{always},"path":"/orders/7","verdict":"allowed","rule":1,"text":"GET /orders/{{id}}","query":["a","b"]}}"#
            )
        );
        let reason = "the path holds ';', which no rule permits here (byte 2 of the target)";
        assert_eq!(
            refused(b"/a;b"),
            format!(r#"{always},"path":"/a;b","verdict":"denied","code":"denied","step":7,"reason":"{reason}"}}"#)
        );
        let would_deny = refused(b"/").replace("denied\",\"code", "would_deny\",\"code");
        let orders = (ServiceName::new("orders").unwrap(), Service::new(Vec::new(), Host::Preserve));
        let denied = Whitelist::new([orders]).admit(&head(b"/")).unwrap_err();
        assert_eq!(text(b"/", Decision::WouldDeny(denied)), would_deny);
        assert_eq!(value(&would_deny, "step"), "rules");
        assert_eq!(
            String::from_utf8(lost(7, UNIX_EPOCH)).unwrap(),
            "{\"time\":\"1970-01-01T00:00:00.000Z\",\"verdict\":\"lost\",\"lines\":7,\"reason\":\"the log could not be \
             written; none of these requests was sent to an upstream\"}\n"
        );
    }

    #[test]
    fn a_strangers_path_is_escaped_and_cut() {
        let path = |target: &[u8]| value(&refused(target), "path").as_str().unwrap().to_owned();
        assert_eq!(path(b"/a'b(c)%41~"), "/a'b(c)%41~", "what may pass stands as it is");
        assert_eq!(path(b"/a b\x1b[31m\n\\x\"\x7f\xff"), "/a\\x20b\\x1b[31m\\x0a\\x5cx\"\\x7f\\xff");
        assert_eq!(path("/\u{e9}".as_bytes()), "/\\xc3\\xa9");
        let long = [b"/".to_vec(), vec![b'a'; AUDIT_PATH]].concat();
        assert_eq!(path(&long[..AUDIT_PATH]).len(), AUDIT_PATH);
        assert_eq!(path(&long).len(), AUDIT_PATH);
        assert_eq!(path(&vec![0; 16_384]).len(), AUDIT_PATH);
    }

    #[test]
    fn of_a_query_only_names_are_told() {
        let check = |query: &str, expected: &[&str]| {
            let found = value(&refused(format!("/a?{query}").as_bytes()), "query");
            assert_eq!(found, serde_json::json!(expected), "{query}");
        };
        check("", &[]);
        check("b=secret&a=secret&b=secret", &["a", "b"]);
        check("&&flag&=secret", &["", "flag"]);
        check("a%20b+c=secret", &["a b c"]);
        check("caf%C3%A9=1&%F0%9F%98%80=2&%7f%00=3", &["caf\u{e9}", "\u{7f}\0", "\u{1f600}"]);
        check("%ff=1&%4=2&%=3&%4g=4&%2541=5", &["%", "%4", "%41", "%4g", "\u{fffd}"]);
        check("a=b?c=secret", &["a"]);
        assert_eq!(value(&refused(b"/a"), "query"), serde_json::Value::Null);
        let many: Vec<String> = (0..AUDIT_NAMES + 1).map(|n| format!("n{n:03}")).collect();
        assert_eq!(
            value(&refused(format!("/?{}", many.join("&")).as_bytes()), "query").as_array().unwrap().len(),
            AUDIT_NAMES
        );
        let long = format!("/?a&{}", "b".repeat(AUDIT_NAMES_BYTES));
        assert_eq!(value(&refused(long.as_bytes()), "query"), serde_json::json!(["a"]));
    }
}
