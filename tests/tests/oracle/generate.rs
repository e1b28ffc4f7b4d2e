//! Rules, and requests that are about them: half made to fit a rule, then spoiled a little.

use bytes::Bytes;
use proptest::{
    bool::weighted,
    collection::{btree_map, vec},
    option,
    prelude::{Just, Strategy, any, prop_oneof},
    sample::{Index, select, subsequence},
};
use reachback_tests::oracle::{Query, Rule};

/// A list of rules and a request.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    pub(crate) rules: Vec<Rule>,
    /// The same rules in another order.
    pub(crate) permuted: Vec<Rule>,
    pub(crate) request: Asked,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: Bytes,
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    pub(crate) upgrade: bool,
}

const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "OPTIONS", "M-SEARCH"];

/// A literal piece of a rule, as a rule may write it.
const LITERALS: [&str; 20] = [
    "a",
    "b",
    "ab",
    "public",
    "A",
    "a.b",
    "..a",
    ".well-known",
    "caf\u{e9}",
    "caf%C3%A9",
    "%C3%a9",
    "a%20b",
    "100%25",
    "%7Bid%7D",
    "%2A",
    "a%2Ab",
    "-._~!$&'()+,=:@",
    "%41",
    "\u{1F980}",
    "aab",
];

/// What may stand for a wildcard, and much that may not.
const VALUES: [&str; 24] = [
    "..%20",
    "%C2%A0..",
    "a",
    "b",
    "42",
    "aab",
    "a.b",
    "..a",
    "%41",
    "%7e",
    "caf%C3%A9",
    "%F0%9F%A6%80",
    "%20",
    "100%25",
    "*",
    "{id}",
    "",
    "a;b",
    "%2F",
    "a%2fb",
    "..",
    "%2e",
    "%3B",
    "x%2fy%2Fz",
];

/// What attackers put into a target.
pub(crate) const NASTY: [&str; 67] = [
    "/",
    "//",
    "/./",
    "/../",
    ".",
    "..",
    "...",
    "%2e",
    "%2E",
    "%2e%2e",
    "%2f",
    "%2F",
    "%5c",
    "%5C",
    "\\",
    ";",
    "..;",
    ";a=b",
    "%3b",
    "%3B",
    "%25",
    "%252e",
    "2e",
    "2F",
    "%20",
    " ",
    "%09",
    "%00",
    "\0",
    "\n",
    "\r\n",
    "%0d%0a",
    "%7f",
    "%C2%85",
    "%c2%a0",
    "%E3%80%80",
    "%c0%ae",
    "%c0%af",
    "%ed%a0%80",
    "%C3",
    "%A9",
    "%ef%bc%8f",
    "%ef%bc%8e",
    "%e2%80%a4",
    "%e2%88%95",
    "%E2%81%84",
    "%e2%88%96",
    "%e2%80%a2",
    "%c2%a5",
    "%E2%82%A9",
    "%d9%aa",
    "%e2%84%85",
    "%c2%b7",
    "%E2%80%A5",
    "%e3%80%82",
    "\u{e9}",
    "#",
    "?",
    "&",
    "=",
    "*",
    "%",
    "%u002e",
    "\"",
    "{",
    "http://x",
    "%ff",
];

const QUERIES: [&str; 18] = [
    "",
    "a=b",
    "a=b&c=d",
    "?",
    "a;b",
    "%zz",
    "_method=PUT",
    "a&_METHOD=PUT",
    "%5fmethod",
    ".method[]=x",
    "__method=1",
    "a=_method",
    "x-http-method-override=PUT",
    "a=%2e%2e/",
    "q=caf\u{e9}",
    "a b",
    "a#b",
    "+_method%00x=PUT",
];

fn segment() -> impl Strategy<Value = String> {
    let literal = || select(&LITERALS[..]).prop_map(str::to_owned);
    let star = || select(&["*", "{id}", "{order-id}"][..]);
    prop_oneof![
        4 => literal(),
        2 => star().prop_map(str::to_owned),
        1 => (literal(), star()).prop_map(|(a, star)| format!("{a}{star}")),
        1 => (star(), literal()).prop_map(|(star, a)| format!("{star}{a}")),
        1 => (literal(), star(), literal()).prop_map(|(a, star, b)| format!("{a}{star}{b}")),
        1 => (star(), literal(), star()).prop_map(|(one, a, other)| format!("{one}{a}{other}")),
    ]
}

fn path() -> impl Strategy<Value = String> {
    let segments = vec(segment(), 0..4).prop_map(|segments| segments.iter().map(|s| format!("/{s}")).collect());
    let end = select(&["", "", "/", "/**", "/{*rest}"][..]);
    (segments, end).prop_map(|(segments, end): (String, _)| match (&*segments, end) {
        ("", "") => "/".to_owned(),
        _ => segments + end,
    })
}

fn plain_rule() -> impl Strategy<Value = Rule> {
    let methods = subsequence(&METHODS[..], 1..4).prop_map(|methods| methods.iter().map(|m| (*m).to_owned()).collect());
    (methods, path()).prop_map(|(methods, path)| Rule { methods, path, ..Rule::default() })
}

fn rule() -> impl Strategy<Value = Rule> {
    let asterisk = Just(Rule::short("OPTIONS *"));
    let max_body = option::weighted(0.2, select(&[1, 5, 100][..]));
    let flag = || weighted(0.3);
    let long = (plain_rule(), query(), flag(), flag(), headers(), flag(), max_body).prop_map(
        |(plain, query, matrix, encoded_slash, headers, upgrade, max_body)| {
            let owned = |values: &[&str]| values.iter().map(|value| (*value).to_owned()).collect();
            let headers = headers.into_iter().map(|(name, values)| (name.to_owned(), owned(values))).collect();
            Rule { query, matrix, encoded_slash, headers, upgrade, max_body, ..plain }
        },
    );
    prop_oneof![15 => plain_rule(), 1 => asterisk, 15 => long]
}

/// Names and values of parameters.
const WORDS: [&str; 12] = ["a", "a", "a", "b", "b", "type", "public", "", "a b", "a+b", "caf\u{e9}", "_method"];

pub(crate) fn query() -> impl Strategy<Value = Query> {
    let word = || select(&WORDS[..]).prop_map(str::to_owned);
    let values = option::of(vec(word(), 1..4));
    let only =
        (btree_map(word(), values, 1..4), any::<Index>(), any::<bool>()).prop_map(|(allow, which, is_required)| {
            let required = allow.keys().nth(which.index(allow.len())).filter(|_| is_required).cloned();
            Query::Only(allow.into_iter().collect(), required.into_iter().collect())
        });
    prop_oneof![4 => Just(Query::Opaque), 1 => Just(Query::None), 3 => only]
}

/// Conditions on headers: a name, and the values that it may have.
fn headers() -> impl Strategy<Value = Vec<(&'static str, &'static [&'static str])>> {
    subsequence(vec![("accept", &["a", "b"][..]), ("x-a", &["1"]), ("x-forwarded-for", &["::1"])], 0..2)
}

/// Header lines of a request.
const LINES: [(&str, &str); 12] = [
    ("accept", "a"),
    ("accept", "b"),
    ("accept", "c"),
    ("x-a", "1"),
    ("x-a", "1"),
    ("x-a", "2"),
    ("connection", "x-a"),
    ("connection", "close"),
    ("x-forwarded-for", "::1"),
    ("content-length", "5"),
    ("content-length", "6"),
    ("te", "trailers"),
];

/// A small change of a target.
#[derive(Clone, Debug)]
enum Edit {
    Insert(Index, &'static str),
    Remove(Index),
    Set(Index, u8),
    /// Changes the case of a letter.
    Flip(Index),
    /// Writes a byte as a triplet.
    Encode(Index),
    /// Cuts it there.
    Cut(Index),
    /// Makes its query so long that the end of what may be is near.
    Stretch(i8),
}

fn edit() -> impl Strategy<Value = Edit> {
    let place = any::<Index>;
    prop_oneof![
        8 => (place(), select(&NASTY[..])).prop_map(|(at, text)| Edit::Insert(at, text)),
        2 => place().prop_map(Edit::Remove),
        2 => (place(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        2 => place().prop_map(Edit::Flip),
        4 => place().prop_map(Edit::Encode),
        1 => place().prop_map(Edit::Cut),
        1 => (-2..3_i8).prop_map(Edit::Stretch),
    ]
}

impl Edit {
    fn apply(&self, target: &mut Vec<u8>) {
        let length = target.len();
        match self {
            Self::Insert(at, text) => insert(target, at.index(length + 1), text.as_bytes()),
            _ if target.is_empty() => {}
            Self::Remove(at) => drop(target.remove(at.index(length))),
            Self::Set(at, byte) => target[at.index(length)] = *byte,
            Self::Flip(at) => {
                let byte = &mut target[at.index(length)];
                *byte ^= if byte.is_ascii_alphabetic() { 0x20 } else { 0 };
            }
            Self::Encode(at) => {
                let byte = target.remove(at.index(length));
                insert(target, at.index(length), format!("%{byte:02x}").as_bytes());
            }
            Self::Cut(at) => target.truncate(at.index(length)),
            Self::Stretch(beyond) => {
                target.push(b'?');
                target.resize(8192_usize.saturating_add_signed((*beyond).into()), b'x');
            }
        }
    }
}

fn insert(target: &mut Vec<u8>, at: usize, bytes: &[u8]) {
    target.splice(at..at, bytes.iter().copied());
}

/// A target that a rule's path allows, if the values are good.
fn fitting(path: &str, values: &[&str], slash: bool) -> Vec<u8> {
    let mut values = values.iter().cycle();
    let mut value = || *values.next().expect("there are values");
    let mut target = String::new();
    let mut rest = path;
    while let Some(at) = rest.find(['*', '{']) {
        target.push_str(&rest[..at]);
        let star = &rest[at..];
        let length = if star.starts_with('{') { star.find('}').expect("it closes") + 1 } else { 1 };
        let is_rest = star.starts_with("**") || star.starts_with("{*");
        target.push_str(value());
        if is_rest {
            target.push_str(&format!("/{}{}", value(), if slash { "/" } else { "" }));
            break;
        }
        rest = &star[length..];
    }
    if !path.contains("**") && !path.contains("{*") {
        target.push_str(rest);
    }
    let encode = |byte: u8| if byte.is_ascii() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    target.bytes().map(encode).collect::<String>().into_bytes()
}

/// A query about a rule: parameters that it may name.
pub(crate) fn pairs() -> impl Strategy<Value = String> {
    let names = select(
        &["a", "a", "a", "a", "b", "b", "type", "%61", "", "a%20b", "a+b", "caf%C3%A9", "_method", "c", "%zz"][..],
    );
    let values = select(
        &[
            "",
            "",
            "=",
            "=",
            "=a",
            "=b",
            "=a+b",
            "=a",
            "=public",
            "=a%20b",
            "=a+b",
            "=%62",
            "=caf%C3%A9",
            "=c",
            "=%",
            "=a;b",
        ][..],
    );
    vec((names, values), 0..4).prop_map(|pairs| {
        let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{name}{value}")).collect();
        pairs.join("&")
    })
}

fn asked(rules: &[Rule], (which, method, values, slash): (Index, Index, Vec<&str>, bool)) -> (String, Vec<u8>) {
    let Rule { methods, path, .. } = which.get(rules);
    // Mostly one of the rule's own.
    let methods: Vec<_> = methods.iter().map(String::as_str).cycle().take(12).chain(METHODS).collect();
    let target = if path == "*" { b"*".to_vec() } else { fitting(path, &values, slash) };
    ((*method.get(&methods)).to_owned(), target)
}

/// Any case.
pub(crate) fn case() -> impl Strategy<Value = Case> {
    let rules = (vec(rule(), 1..6), weighted(0.3)).prop_map(|(mut rules, are_siblings)| {
        // The same path under other conditions.
        let Rule { methods, path, .. } = rules[0].clone();
        rules.iter_mut().skip(1).filter(|_| are_siblings).for_each(|rule| {
            (rule.methods, rule.path) = (methods.clone(), path.clone());
        });
        rules
    });
    let rules = rules.prop_flat_map(|rules| (Just(rules.clone()), Just(rules).prop_shuffle()));
    let query = option::weighted(0.5, prop_oneof![select(&QUERIES[..]).prop_map(str::to_owned), pairs()]);
    let about = (any::<Index>(), any::<Index>(), vec(select(&VALUES[..]), 1..4), any::<bool>());
    let edits = prop_oneof![3 => Just(Vec::new()), 2 => vec(edit(), 1..4)];
    let headers = subsequence(&LINES[..], 0..6);
    (rules, about, query, edits, headers, weighted(0.1)).prop_map(
        |((rules, permuted), about, query, edits, headers, upgrade)| {
            let (method, mut target) = asked(&rules, about);
            if let Some(query) = query {
                target.extend(format!("?{query}").bytes());
            }
            edits.iter().for_each(|edit| edit.apply(&mut target));
            Case { rules, permuted, request: Asked { method, target: target.into(), headers, upgrade } }
        },
    )
}
