//! The whitelist on any rules and any request: it never panics, and what `properties` asserts holds.
//!
//! An input is text, so that a person can read and write one: a rule a line, an empty line, headers, an empty line, and
//! the method and target, which may be any bytes. Conditions stand behind a rule's path, as words: see [`condition`].

#![no_main]

// The whitelist depends on nothing of the agent: so this is built in a minute, and without the agent's TLS.
#[allow(dead_code, unused_imports)]
#[path = "../../agent/src/whitelist/mod.rs"]
mod whitelist;

#[allow(dead_code, unused_imports)]
#[path = "../../tests/src/oracle/mod.rs"]
mod oracle;

#[path = "../../tests/tests/oracle/properties.rs"]
mod properties;

use http::{HeaderName, HeaderValue, Method};
use libfuzzer_sys::fuzz_target;
use oracle::{Query, Rule};
use proto::wire::RequestHead;

/// More than a request may be long, so that the bound is tried, and no more than that.
const LONGEST: usize = 10_000;

/// The oracle tries every length for every star.
const MOST_STARS: usize = 3;

fuzz_target!(|input: &[u8]| {
    if input.len() <= LONGEST {
        let _ = judge(input);
    }
});

fn judge(input: &[u8]) -> Option<()> {
    let (rules, rest) = block(input)?;
    let (headers, asked) = block(rest)?;
    let rules: Vec<Rule> = rules.filter_map(rule).filter(|rule| properties::built(rule).is_some()).collect();
    let mut permuted = rules.clone();
    permuted.reverse();
    let head = request(headers, asked)?;
    properties::hold(&rules, &permuted, &head);
    Some(())
}

/// The lines before an empty one, and what stands behind it.
fn block(text: &[u8]) -> Option<(impl Iterator<Item = &[u8]>, &[u8])> {
    let end = if text.starts_with(b"\n") { 0 } else { text.windows(2).position(|two| two == b"\n\n")? + 1 };
    Some((text[..end].split(|&byte| byte == b'\n').filter(|line| !line.is_empty()), &text[end + 1..]))
}

fn rule(line: &[u8]) -> Option<Rule> {
    // What the agent takes for blanks between and around words is none of a word for the oracle either.
    let mut words = std::str::from_utf8(line).ok()?.split([' ', '\t']).filter(|word| !word.is_empty());
    let (methods, path) = (words.next()?, words.next()?);
    let methods = methods.split(',').map(str::to_owned).collect();
    let mut rule = Rule { methods, path: path.to_owned(), ..Rule::default() };
    words.for_each(|word| condition(&mut rule, word));
    (path.matches(['*', '{']).count() <= MOST_STARS).then_some(rule)
}

/// `matrix`, `slash`, `upgrade`, `none` (no query), `q:name` or `q:name=value` (a parameter), `r:name` (it is required),
/// `h:name=value` (a header), `b:5` (the longest body).
fn condition(rule: &mut Rule, word: &str) {
    let (kind, text) = word.split_once(':').unwrap_or((word, ""));
    let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value.to_owned())));
    match kind {
        "matrix" => rule.matrix = true,
        "slash" => rule.encoded_slash = true,
        "upgrade" => rule.upgrade = true,
        "none" => rule.query = Query::None,
        "b" => rule.max_body = text.parse().ok(),
        "h" => rule.headers.push((name.to_ascii_lowercase(), value.into_iter().collect())),
        "q" | "r" => {
            if !matches!(rule.query, Query::Only(..)) {
                rule.query = Query::Only(Vec::new(), Vec::new());
            }
            if let Query::Only(allow, required) = &mut rule.query {
                match kind {
                    "q" => allow.push((name.to_owned(), value.map(|value| vec![value]))),
                    _ => required.push(name.to_owned()),
                }
            }
        }
        _ => {}
    }
}

fn request<'a>(headers: impl Iterator<Item = &'a [u8]>, asked: &[u8]) -> Option<RequestHead> {
    let space = asked.iter().position(|&byte| byte == b' ')?;
    let method = Method::from_bytes(&asked[..space]).ok()?;
    let mut head = properties::head(method.as_str(), &asked[space + 1..]);
    for line in headers {
        let colon = line.iter().position(|&byte| byte == b':')?;
        let (name, value) = (HeaderName::from_bytes(&line[..colon]).ok()?, line[colon + 1..].trim_ascii());
        // What becomes of these is framing, which the oracle knows nothing of.
        let is_framing = matches!(name.as_str(), "content-length" | "transfer-encoding" | "expect" | "destination");
        if is_framing && head.headers.contains_key(&name) || !is_plain(name.as_str(), value) {
            return None;
        }
        head.headers.append(name, HeaderValue::from_bytes(value).ok()?);
    }
    Some(head)
}

fn is_plain(name: &str, value: &[u8]) -> bool {
    match name {
        "content-length" => !value.is_empty() && value.len() < 19 && value.iter().all(u8::is_ascii_digit),
        "transfer-encoding" | "expect" | "destination" => false,
        _ => true,
    }
}
