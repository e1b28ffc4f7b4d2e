//! Wildcards within one segment, such as `report-*.pdf`: matched in linear time, without backtracking.

use super::text::Text;

/// Literal pieces with a star between each two.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Glob {
    first: Box<str>,
    /// Never empty strings: two stars do not stand side by side.
    middle: Box<[Box<str>]>,
    last: Box<str>,
}

impl Glob {
    /// A glob of decoded pieces: what stands before the first star, between stars, and behind the last one.
    pub(super) fn new(first: &str, middle: &[String], last: &str) -> Self {
        assert!(middle.iter().all(|piece| !piece.is_empty()), "the parser refuses two stars side by side");
        Self {
            first: first.into(),
            middle: middle.iter().map(|piece| piece.as_str().into()).collect(),
            last: last.into(),
        }
    }

    /// Whether the whole text matches, each star standing for one or more bytes.
    ///
    /// The leftmost place for each piece leaves the most room to those behind it, so no choice is ever taken back.
    /// Pieces and text are UTF-8, so a piece is only ever found at a character's edge, and one byte or more is one
    /// character or more.
    pub(super) fn matches(&self, text: &Text<'_>) -> bool {
        let whole = text.as_str();
        let inner = whole.strip_prefix(&*self.first).and_then(|rest| rest.strip_suffix(&*self.last));
        let Some(inner) = inner else { return false };
        let end = self.first.len() + inner.len();
        let mut at = self.first.len();
        for piece in &self.middle {
            let Some(star) = whole[at..end].chars().next() else { return false };
            let Some(found) = text.find(piece, at + star.len_utf8()) else { return false };
            at = found + piece.len();
            if at > end {
                return false;
            }
        }
        at < end
    }

    /// How many stars it has.
    pub(super) fn stars(&self) -> usize {
        self.middle.len() + 1
    }

    /// The glob as a rule would write it, for people.
    pub(super) fn text(&self) -> String {
        let middle: String = self.middle.iter().flat_map(|piece| [piece, "*"]).collect();
        format!("{}*{middle}{}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(pattern: &str) -> Glob {
        let pieces: Vec<_> = pattern.split('*').map(str::to_owned).collect();
        let [first, middle @ .., last] = &*pieces else { panic!("{pattern} has no star") };
        Glob::new(first, middle, last)
    }

    #[test]
    fn each_star_is_one_or_more_bytes() {
        let matching = [
            ("pre*post", "pre-post"),
            ("pre*", "prepre"),
            ("*.json", "a.json"),
            ("*.json", ".json.json"),
            ("a*b*c", "aXbXc"),
            ("a*b*c", "abbbc"),
            ("*a*", "xax"),
            ("*a*", "aaa"),
            ("*ab*ab", "xab\u{e9}ab"),
            ("\u{e9}*", "\u{e9}\u{e9}"),
            ("*:cancel", "job:cancel"),
        ];
        for (pattern, text) in matching {
            assert!(glob(pattern).matches(&Text::new(text)), "{pattern} {text}");
            assert_eq!(glob(pattern).text(), pattern);
        }
        let other = [
            ("pre*post", "prepost"),
            ("aba*aba", "aba"),
            ("aba*aba", "ababa"),
            ("pre*", "pre"),
            ("*.json", ".json"),
            ("a*b*c", "abc"),
            ("a*b*c", "aXbc"),
            ("a*b*c", "abXc"),
            ("*a*", "a"),
            ("*a*", "aa"),
            ("*a*", "xa"),
            ("*A*", "xax"),
            ("*b*c*b", "xb"), // the first piece is found only within the last one
            ("\u{e9}*", "\u{e9}"),
        ];
        for (pattern, text) in other {
            assert!(!glob(pattern).matches(&Text::new(text)), "{pattern} {text}");
        }
    }

    /// Every split of every short text, tried one by one.
    fn matches_by_trying(pieces: &[&str], text: &str) -> bool {
        match pieces {
            [last] => text == *last,
            [first, rest @ ..] => text.strip_prefix(first).is_some_and(|behind| {
                (1..=behind.len())
                    .filter(|&n| behind.is_char_boundary(n))
                    .any(|n| matches_by_trying(rest, &behind[n..]))
            }),
            [] => false,
        }
    }

    #[test]
    fn agrees_with_trying_everything() {
        let patterns = [
            "*",
            "a*",
            "*a",
            "a*a",
            "*a*",
            "*ab*",
            "*ab*a*",
            "a*b*a",
            "*a*a*a*",
            "*a*b*a",
            "a*ab*b*ab",
            "*aab*b",
            "ab*ba*ab",
        ];
        for length in 0..11_u32 {
            for bits in 0..1_u32 << length {
                let text: String = (0..length).map(|i| if bits >> i & 1 == 1 { 'a' } else { 'b' }).collect();
                for pattern in patterns {
                    let pieces: Vec<_> = pattern.split('*').collect();
                    assert_eq!(
                        glob(pattern).matches(&Text::new(&text)),
                        matches_by_trying(&pieces, &text),
                        "{pattern} {text}"
                    );
                }
            }
        }
    }
}
