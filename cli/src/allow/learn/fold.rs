//! From a path that was seen to the pattern that is proposed for it: what is plainly an identifier becomes `{id}`.
//!
//! A wildcard lets more pass than was seen, and whoever could send requests had a say in what was seen. So only what
//! nobody would take for a word is folded, never more than one segment into one wildcard, and never into `**`.

use std::fmt;

use crate::allow::percent;

/// Shortest hexadecimal digits that are taken for a hash or key: shorter ones can be words or versions.
const HEX_DIGITS: usize = 8;

/// Shortest run of letters and digits that is taken for a random token; see [`is_random`].
const TOKEN_CHARS: usize = 12;

/// Most digits of a number that can be a word of the API, such as the version in `/rest/api/2/issue`.
const SHORT_DIGITS: usize = 2;

/// A path, segment by segment, as a rule would name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Shape {
    /// What stands between the slashes.
    pub(super) parts: Vec<Part>,
}

/// One segment of a [`Shape`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Part {
    /// These characters, as a rule writes them. Empty behind a trailing slash.
    Literal(Box<str>),
    /// Any one segment.
    Id,
}

impl Shape {
    /// The shape of a raw path; none of one that is no path.
    pub(super) fn of(path: &str) -> Option<Self> {
        if path == "*" {
            return Some(Self { parts: Vec::new() });
        }
        let part = |raw: &str| {
            let segment = String::from_utf8(percent::decoded(raw)).ok()?;
            Some(if is_id(&segment) { Part::Id } else { Part::Literal(percent::literal(&segment).into()) })
        };
        let parts: Option<_> = path.strip_prefix('/')?.split('/').map(part).collect();
        Some(Self { parts: parts? })
    }

    /// The places where any segment may stand.
    pub(super) fn ids(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().enumerate().filter(|(_, part)| **part == Part::Id).map(|(place, _)| place)
    }

    /// The same with any segment at this place, if a word stands there now.
    pub(super) fn opened_at(&self, place: usize) -> Option<Self> {
        let Part::Literal(word) = self.parts.get(place)? else { return None };
        if word.is_empty() {
            return None;
        }
        let mut opened = self.clone();
        opened.parts[place] = Part::Id;
        Some(opened)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.parts.is_empty() {
            return f.write_str("*");
        }
        self.parts.iter().try_for_each(|part| match part {
            Part::Literal(text) => write!(f, "/{text}"),
            Part::Id => f.write_str("/{id}"),
        })
    }
}

/// The segment at this place of a raw path, if it is a number that can be a word of the API.
pub(super) fn short_number(path: &str, place: usize) -> Option<Box<str>> {
    let segment = String::from_utf8(percent::decoded(path.strip_prefix('/')?.split('/').nth(place)?)).ok()?;
    (is_number(&segment) && segment.len() <= SHORT_DIGITS).then(|| segment.into())
}

fn is_id(segment: &str) -> bool {
    is_number(segment) || is_uuid(segment) || is_hash(segment) || is_date(segment) || is_random(segment)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// RFC 9562 §4, of any version, in any case.
fn is_uuid(text: &str) -> bool {
    let lengths = text.split('-').map(str::len);
    lengths.eq([8, 4, 4, 4, 12]) && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

/// Without a digit it may be a word, such as `defaced` or `facade`.
fn is_hash(text: &str) -> bool {
    text.len() >= HEX_DIGITS && text.bytes().all(|b| b.is_ascii_hexdigit()) && text.bytes().any(|b| b.is_ascii_digit())
}

/// A date, a month or a point in time, as in RFC 3339 §5.6: `2026-01-31`, `2026-01`, `2026-01-31T10:00:00Z`.
fn is_date(text: &str) -> bool {
    let digits = |range| text.get(range).is_some_and(is_number);
    let rest = text.get(7..).unwrap_or_default();
    digits(0..4)
        && text[4..].starts_with('-')
        && digits(5..7)
        && (rest.is_empty() || rest.starts_with('-'))
        && rest.bytes().all(|b| b.is_ascii_digit() || b"-:.+TZtz".contains(&b))
}

/// A long run of letters and digits in which digits stand at two places at least, as in keys of base 32, 58 or 64.
/// Words with a number behind them, such as `quarterly-report-2026` or `addressValidation2`, are none.
fn is_random(text: &str) -> bool {
    let well_formed = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let long = |run: &&str| run.len() >= TOKEN_CHARS;
    let mixed = |run: &str| run.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty()).count() >= 2;
    well_formed && text.split(['-', '_']).filter(long).any(mixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_folded() {
        let ids = [
            "0",
            "42",
            "20260131",
            "123e4567-e89b-12d3-a456-426614174000",
            "123E4567-E89B-12D3-A456-426614174000",
            "deadbeef1",
            "9E107D9D372BB6826BD81D3542A419D6",
            "2026-01-31",
            "2026-01",
            "2026-01-31T10:00:00.5+01:00",
            "01ARZ3NDEKTSV4RRFFQ69G5FAV",
            "cus_Nffr3FeUf9NV2Hib",
            "dQw4w9WgXcQx",
            "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9",
        ];
        for id in ids {
            assert_eq!(Shape::of(&format!("/a/{id}")).unwrap().to_string(), "/a/{id}", "{id}");
        }
    }

    #[test]
    fn words_are_not() {
        let words = [
            "orders",
            "v1",
            "1.0",
            "2.x",
            "defaced",
            "facade",
            "addedface",
            "oauth2",
            "sha256",
            "addressValidation2",
            "quarterly-report-2026",
            "report-2026-01-31-final",
            "get-user-by-id-2-and-name-3",
            "2026-01-31-report",
            "2026-1-31",
            "2026-01x",
            "42.json",
            "-1",
            "123e4567-e89b-12d3-a456",
            "a1b2c3d",
            ".well-known",
        ];
        for word in words {
            assert_eq!(Shape::of(&format!("/{word}/a")).unwrap().to_string(), format!("/{word}/a"));
        }
    }

    #[test]
    fn paths_are_written_as_rules() {
        let check = |path: &str, pattern: &str| assert_eq!(Shape::of(path).unwrap().to_string(), pattern);
        check("/", "/");
        check("/a/", "/a/");
        check("/a/42/", "/a/{id}/");
        check("*", "*");
        check("/%61%2a/a*b/%7Bid%7D", "/a%2A/a%2Ab/%7Bid%7D");
        check("/caf%c3%a9/100%25", "/caf%C3%A9/100%25");
        check("/%34%32", "/{id}");
        check("/a%2Fb/c;d", "/a%2Fb/c%3Bd");
        for path in ["", "a", "http://x/", "/%FF"] {
            assert_eq!(Shape::of(path), None, "{path}");
        }
    }

    #[test]
    fn a_word_can_be_opened() {
        let shape = Shape::of("/a/42/b/").unwrap();
        assert_eq!(shape.opened_at(2).unwrap().to_string(), "/a/{id}/{id}/");
        assert_eq!((shape.opened_at(1), shape.opened_at(3), shape.opened_at(4)), (None, None, None));
    }
}
