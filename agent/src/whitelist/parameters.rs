//! The condition that a rule puts on the query: none at all, or named parameters only.

use std::{fmt, ops::Range};

use super::{limits::PARAMETERS, segment};

/// What a rule says of the query.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum QueryRule {
    /// Nothing: whatever it holds passes as it is.
    Opaque,
    /// There must be none, not even an empty one.
    None,
    /// These parameters and no others, each at most once; in order of their names.
    Only(Box<[Parameter]>),
}

/// One parameter that a rule names.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Parameter {
    pub(super) name: Box<str>,
    /// The values that it may have, in order; `None` for any.
    pub(super) values: Option<Box<[Box<str>]>>,
    pub(super) required: bool,
}

impl Parameter {
    /// The values as a list, for people.
    pub(super) fn value_list(&self) -> String {
        self.values.as_ref().map_or("*".to_owned(), |values| values.join("|"))
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let required = if self.required { " (required)" } else { "" };
        write!(f, "{}={}{required}", self.name, self.value_list())
    }
}

/// Why a rule does not allow a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Objection {
    /// There is one.
    Query,
    /// It holds `;`, which some upstreams take for `&`.
    Semicolon,
    /// A `%` begins no triplet.
    Triplet,
    /// A parameter that is not named, by its name once decoded.
    Unknown(Vec<u8>),
    /// There are more parameters than any rule can name.
    TooMany,
    /// A named one comes twice.
    Twice(usize),
    /// A named one has a value that is not listed.
    Value(usize),
    /// A required one is not there.
    Missing(usize),
}

impl QueryRule {
    /// Whether a query is allowed, or what is wrong with it. `parsed` parses it, once for all rules.
    pub(super) fn judge<'p>(
        &self,
        query: Option<&[u8]>,
        parsed: impl FnOnce() -> &'p Result<Pairs, Objection>,
    ) -> Result<(), Objection> {
        match self {
            Self::Opaque => Ok(()),
            Self::None => query.map_or(Ok(()), |_| Err(Objection::Query)),
            Self::Only(named) => parsed().as_ref().map_err(Clone::clone).and_then(|pairs| judge(named, pairs)),
        }
    }
}

fn judge(named: &[Parameter], pairs: &Pairs) -> Result<(), Objection> {
    let mut seen = 0_u64;
    for pair in &pairs.pairs {
        let name = &pairs.decoded[pair.name.clone()];
        let Ok(at) = named.binary_search_by(|parameter| parameter.name.as_bytes().cmp(name)) else {
            return Err(Objection::Unknown(name.to_vec()));
        };
        if seen >> at & 1 == 1 {
            return Err(Objection::Twice(at));
        }
        seen |= 1 << at;
        let listed = |values: &[Box<str>], value: &Range<usize>| {
            values.binary_search_by(|listed| listed.as_bytes().cmp(&pairs.decoded[value.clone()])).is_ok()
        };
        if let Some(values) = &named[at].values
            && !(listed(values, &pair.value) && pair.spaced.as_ref().is_none_or(|spaced| listed(values, spaced)))
        {
            return Err(Objection::Value(at));
        }
    }
    match (0..named.len()).find(|at| named[*at].required && seen >> at & 1 == 0) {
        Some(missing) => Err(Objection::Missing(missing)),
        None => Ok(()),
    }
}

/// A query taken apart: `name=value` pairs, decoded once.
#[derive(Debug)]
pub(super) struct Pairs {
    decoded: Vec<u8>,
    pairs: Vec<Pair>,
}

/// One pair: where its parts stand in what was decoded.
#[derive(Debug)]
struct Pair {
    name: Range<usize>,
    value: Range<usize>,
    /// The value as it is read by those who take a raw `+` for a space, if it holds one. Both readings must be listed.
    spaced: Option<Range<usize>>,
}

impl Pairs {
    /// Takes a query apart. One that is empty holds no pair; an empty piece of one that is not is a nameless parameter.
    pub(super) fn parse(query: Option<&[u8]>) -> Result<Self, Objection> {
        let query = query.unwrap_or_default();
        if query.contains(&b';') {
            return Err(Objection::Semicolon);
        }
        if (0..query.len()).any(|at| query[at] == b'%' && segment::triplet(&query[at..]).is_none()) {
            return Err(Objection::Triplet);
        }
        let mut parsed = Self { decoded: Vec::with_capacity(query.len()), pairs: Vec::new() };
        for pair in query.split(|&byte| byte == b'&').filter(|_| !query.is_empty()) {
            if parsed.pairs.len() == PARAMETERS {
                return Err(Objection::TooMany);
            }
            let equals = pair.iter().position(|&byte| byte == b'=').unwrap_or(pair.len());
            let (name, value) = (&pair[..equals], pair.get(equals + 1..).unwrap_or_default());
            if name.contains(&b'+') {
                // Is it a space? A name that can be read in two ways is none that was named.
                return Err(Objection::Unknown(name.to_vec()));
            }
            let spaced: Option<Vec<u8>> =
                value.contains(&b'+').then(|| value.iter().map(|b| if *b == b'+' { b' ' } else { *b }).collect());
            let pair = Pair {
                name: parsed.decode(name),
                value: parsed.decode(value),
                spaced: spaced.map(|spaced| parsed.decode(&spaced)),
            };
            parsed.pairs.push(pair);
        }
        Ok(parsed)
    }

    fn decode(&mut self, raw: &[u8]) -> Range<usize> {
        let start = self.decoded.len();
        segment::decode(raw, &mut self.decoded);
        start..self.decoded.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str, values: Option<&[&str]>, required: bool) -> Parameter {
        let values = values.map(|values| values.iter().map(|value| (*value).into()).collect());
        Parameter { name: name.into(), values, required }
    }

    fn judge(query: &str) -> Result<(), Objection> {
        let rule = QueryRule::Only(Box::new([
            named("a[]", None, false),
            named("page", None, false),
            named("type", Some(&["", "a b", "caf\u{e9}", "public"]), true),
        ]));
        let pairs = Pairs::parse(Some(query.as_bytes()));
        rule.judge(Some(query.as_bytes()), || &pairs)
    }

    #[test]
    fn named_parameters_only() {
        let good = [
            "type=public",
            "page=2&type=public",
            "type=public&page=",
            "type=public&page",
            "type",
            "type=",
            "%74ype=%70ublic",
            "type=a%20b",
            "type=caf%C3%A9",
            "type=public&page=a=b",
            "type=public&page=a+b%00%ff?/",
            "type=public&a%5B%5d=1",
            "type=public&a[]=1",
        ];
        for query in good {
            assert_eq!(judge(query), Ok(()), "{query}");
        }
        let unknown = |name: &[u8]| Err(Objection::Unknown(name.to_vec()));
        let bad = [
            ("", Err(Objection::Missing(2))),
            ("page=1", Err(Objection::Missing(2))),
            ("type=Public", Err(Objection::Value(2))),
            ("type=publi", Err(Objection::Value(2))),
            ("type=%2570ublic", Err(Objection::Value(2))),
            ("type=a+b", Err(Objection::Value(2))), // "a+b" to some
            ("type=a%2Bb", Err(Objection::Value(2))),
            ("type=public&type=public", Err(Objection::Twice(2))),
            ("type=public&ty%70e=x", Err(Objection::Twice(2))),
            ("type=public&page=1&page=2", Err(Objection::Twice(1))),
            ("type=public&", unknown(b"")),
            ("&type=public", unknown(b"")),
            ("=&type=public", unknown(b"")),
            ("Type=public", unknown(b"Type")),
            ("type%00=public", unknown(b"type\0")),
            ("type =public", unknown(b"type ")),
            ("ty+pe=public", unknown(b"ty+pe")),
            ("type=public&a=1", unknown(b"a")),
            ("type=public&a[0]=1", unknown(b"a[0]")),
            ("type=public;page=1", Err(Objection::Semicolon)),
            ("type=public&page=;", Err(Objection::Semicolon)),
            ("type=public&page=%", Err(Objection::Triplet)),
            ("type=public&page=%zz", Err(Objection::Triplet)),
            ("type=public&page=%3B", Ok(())),
        ];
        for (query, expected) in bad {
            assert_eq!(judge(query), expected, "{query}");
        }
    }

    #[test]
    fn a_plus_is_read_both_ways() {
        let rule = QueryRule::Only(Box::new([named("q", Some(&["a b", "a+b", "c d"]), false)]));
        for (query, expected) in [
            ("q=a+b", Ok(())),
            ("q=a%20b", Ok(())),
            ("q=a%2Bb", Ok(())),
            ("q=c%20d", Ok(())),
            ("q=c+d", Err(Objection::Value(0))),
        ] {
            let pairs = Pairs::parse(Some(query.as_bytes()));
            assert_eq!(rule.judge(Some(query.as_bytes()), || &pairs), expected, "{query}");
        }
    }

    #[test]
    fn there_is_a_most() {
        let query = |count: usize| (0..count).map(|n| format!("p{n:02}=1")).collect::<Vec<_>>().join("&");
        let all: Vec<_> = (0..PARAMETERS).map(|n| named(&format!("p{n:02}"), None, true)).collect();
        let rule = QueryRule::Only(all.into());
        let check = |count: usize, expected| {
            let pairs = Pairs::parse(Some(query(count).as_bytes()));
            assert_eq!(rule.judge(Some(b""), || &pairs), expected, "{count}");
        };
        check(PARAMETERS, Ok(()));
        check(PARAMETERS - 1, Err(Objection::Missing(PARAMETERS - 1)));
        check(PARAMETERS + 1, Err(Objection::TooMany));
    }
}
