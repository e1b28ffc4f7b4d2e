//! Which names a credential may carry: a name as it stands, in which each `*` is one piece.

use std::fmt;

use settings::Fault;

/// Longest pattern, in bytes.
const PATTERN_BYTES: usize = 1024;

/// A pattern of names: DNS names, URIs and subjects. Each `*` stands for one byte or more that are none of `.`, `:`
/// and `/`, so that it never reaches beyond its own part of the name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern(String);

impl NamePattern {
    /// # Errors
    /// A [`Fault`] for a pattern that means nothing, or everything.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let remedy = "write the name as the credential has it, with `*` for a piece that varies: *.agents.example.org";
        if text.is_empty() || text.len() > PATTERN_BYTES || text.chars().any(char::is_control) {
            return Err(Fault::new(format!("{text:?} is not a name"), remedy));
        }
        if text.contains("**") {
            return Err(Fault::new(format!("{text:?} has two `*` side by side"), remedy));
        }
        if text.split(is_separator).all(|piece| piece == "*") {
            return Err(Fault::new(format!("{text:?} would take any name"), remedy));
        }
        Ok(Self(text.to_owned()))
    }

    pub(super) fn lower_case(self) -> Self {
        Self(self.0.to_ascii_lowercase())
    }

    /// Whether a name is one of these. Takes time in proportion to both lengths at most.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        // The last `*`, and how far into the name it reaches: no earlier one ever has to reach further.
        let (pattern, name) = (self.0.as_bytes(), name.as_bytes());
        let (mut p, mut n) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        loop {
            match (pattern.get(p), name.get(n)) {
                (None, None) => return true,
                (Some(b'*'), Some(byte)) if !is_separator(char::from(*byte)) => {
                    star = Some((p, n + 1));
                    (p, n) = (p + 1, n + 1);
                    continue;
                }
                (Some(expected), Some(byte)) if expected == byte && *byte != b'*' => {
                    (p, n) = (p + 1, n + 1);
                    continue;
                }
                _ => {}
            }
            match star {
                Some((at, reach)) if name.get(reach).is_some_and(|byte| !is_separator(char::from(*byte))) => {
                    star = Some((at, reach + 1));
                    (p, n) = (at + 1, reach + 1);
                }
                _ => return false,
            }
        }
    }
}

fn is_separator(c: char) -> bool {
    matches!(c, '.' | ':' | '/')
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matching() {
        let check = |pattern: &str, name: &str, expected: bool| {
            assert_eq!(NamePattern::parse(pattern).unwrap().matches(name), expected, "{pattern} {name}");
        };
        check("edge.example.org", "edge.example.org", true);
        check("edge.example.org", "edgeXexample.org", false);
        check("*.example.org", "a.example.org", true);
        check("*.example.org", "a.b.example.org", false);
        check("*.example.org", ".example.org", false);
        check("*.example.org", "example.org", false);
        check("edge-*.example.org", "edge-7.example.org", true);
        check("edge-*.example.org", "edge-.example.org", false);
        check("edge-*.example.org", "edge-7.example.org.evil", false);
        check("spiffe://acme/ns/*/sa/agent", "spiffe://acme/ns/shop/sa/agent", true);
        check("spiffe://acme/ns/*/sa/agent", "spiffe://acme/ns/shop/x/sa/agent", false);
        check("spiffe://acme/*", "spiffe://acme/ns/shop", false);
        check("system:serviceaccount:shop:*-agent", "system:serviceaccount:shop:a-agent-agent", true);
        check("system:serviceaccount:*:agent", "system:serviceaccount:a:b:agent", false);
        check("a*b*c", "aXbXbXc", true);
        check("a*b*c", "aXbXbX", false);
        check("a*", "a*", true);
        check("a", "a*", false);
        check("x*y", "x*y", true);
    }

    #[test]
    fn spelling() {
        for bad in ["", "*", "*.*", "a.**", "a\nb", &"x".repeat(PATTERN_BYTES + 1)] {
            assert!(NamePattern::parse(bad).is_err(), "{bad}");
        }
        assert!(NamePattern::parse(&"x".repeat(PATTERN_BYTES)).is_ok());
    }
}
