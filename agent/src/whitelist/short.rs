//! A rule in its short form, `METHODS PATH`: from text, and the methods for both forms.

use std::str::FromStr;

use http::Method;

use super::{
    limits::RULE_BYTES,
    parse,
    pattern::Pattern,
    rule::{Part, Rule, RuleError},
};

/// What may stand around the two halves of a rule, and stands between them.
const BLANK: [char; 2] = [' ', '\t'];

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        if text.len() > RULE_BYTES {
            return error(RULE_BYTES, format!("a rule is at most {RULE_BYTES} bytes long"));
        }
        let body = text.trim_matches(BLANK);
        let start = text.len() - text.trim_start_matches(BLANK).len();
        if body.starts_with('/') {
            return error(start, format!("the methods are missing: write `GET {body}`, say"));
        }
        let Some((methods, path)) = body.split_once(BLANK) else {
            return error(start + body.len(), "the path is missing: write a rule as `METHODS PATH`");
        };
        let parsed = parse_methods(methods, start)?;
        let path = path.trim_start_matches(BLANK);
        let pattern = parse::pattern(path, start + body.len() - path.len())
            .map_err(|error| RuleError { part: Part::Text, ..error })?;
        if is_misplaced(&pattern, &parsed) {
            return error(start + body.len() - 1, MISPLACED);
        }
        Ok(Self::plain(text, parsed, pattern))
    }
}

/// What is said if [`is_misplaced`].
pub(super) const MISPLACED: &str =
    "`*` as a path is for OPTIONS alone, in a rule of its own; every path is `/**`, and `/`";

/// Whether the target `*` is asked for by any method but `OPTIONS`.
pub(super) fn is_misplaced(pattern: &Pattern, methods: &[Method]) -> bool {
    *pattern == Pattern::Asterisk && *methods != [Method::OPTIONS]
}

fn error<T>(offset: usize, message: impl Into<String>) -> Result<T, RuleError> {
    Err(RuleError { message: message.into(), part: Part::Text, offset })
}

fn parse_methods(text: &str, start: usize) -> Result<Box<[Method]>, RuleError> {
    let mut methods = Vec::new();
    let mut at = start;
    for name in text.split(',') {
        let method = parse_method(name, at)?;
        if methods.contains(&method) {
            return error(at, format!("{method} is named twice"));
        }
        methods.push(method);
        at += name.len() + 1;
    }
    Ok(methods.into())
}

/// One method by its name, which stands at `at`.
pub(super) fn parse_method(name: &str, at: usize) -> Result<Method, RuleError> {
    let upper = name.to_ascii_uppercase();
    match upper.as_str() {
        "" => return error(at, "a method is missing: write them with a comma and no space between, as in `GET,HEAD`"),
        "TRACE" | "CONNECT" => return error(at, format!("{upper} never passes")),
        "ANY" | "ALL" | "*" => return error(at, "there is no word for all methods: write out those that you mean"),
        _ if upper != name => {
            return error(at, format!("methods are case-sensitive: did you mean {upper}?"));
        }
        _ => {}
    }
    Method::from_bytes(name.as_bytes()).or_else(|_| error(at, format!("{name:?} is not a method")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::whitelist::limits::{INNER_PIECE_BYTES, INNER_WILDCARDS, RULE_SEGMENTS};

    #[test]
    fn good_rules_are_given_back_as_written() {
        let good = [
            "GET /",
            "GET /orders",
            "GET,HEAD /orders/{id}",
            "POST /a/",
            "GET /**",
            "GET /a/{*rest}",
            "OPTIONS *",
            "OPTIONS /*",
            "GET /{id}.json",
            "GET /{a}-{b}",
            "GET /v1/{name}:cancel",
            "GET /caf\u{e9}",
            "GET /caf%C3%A9",
            "GET /a%20b",
            "GET /100%25",
            "GET /%7Bx%7D",
            "GET /...",
            "GET /.well-known/*",
            "GET /~user/$metadata(1)",
            "PROPFIND,MKCOL,M-SEARCH /dav/*",
            "GET  /two-spaces",
            "GET\t/tab",
            " GET /x ",
            "GET /{order_id.x-$}",
            "GET /{\u{e9}t\u{e9}}",
        ];
        for text in good {
            let rule: Rule = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(rule.to_string(), text);
        }
    }

    /// Each bad rule, where it is bad, and a word that its message must hold.
    #[test]
    fn bad_rules_say_what_and_where() {
        let bad = [
            ("", 0, "path is missing"),
            ("GET", 3, "path is missing"),
            ("GET ", 3, "path is missing"),
            ("/orders", 0, "GET /orders"),
            ("  /orders", 2, "GET /orders"),
            ("TRACE /a", 0, "never passes"),
            ("GET,CONNECT /a", 4, "never passes"),
            ("trace /a", 0, "never passes"),
            ("get /a", 0, "did you mean GET?"),
            ("GET,head /a", 4, "did you mean HEAD?"),
            ("Get /a", 0, "did you mean GET?"),
            (",GET /a", 0, "method is missing"),
            ("GET, /a", 4, "method is missing"),
            ("GET,,PUT /a", 4, "method is missing"),
            ("GET, HEAD /a", 4, "method is missing"),
            ("GET,HEAD,GET /a", 9, "twice"),
            ("ANY /a", 0, "write out"),
            ("* /a", 0, "write out"),
            ("GE(T /a", 0, "not a method"),
            ("GET\u{a0}/a", 7, "path is missing"),
            ("GET /a\tb", 6, "control"),
            ("GET a", 4, "begins with '/'"),
            ("GET http://x/a", 4, "upstream"),
            ("GET *", 4, "OPTIONS alone"),
            ("GET,OPTIONS *", 12, "OPTIONS alone"),
            ("GET **", 4, "begins with '/'"),
            ("GET %2Fa", 4, "begins with '/'"),
            ("GET //", 5, "`//`"),
            ("GET /a//b", 7, "`//`"),
            ("GET /a//", 7, "`//`"),
            ("GET   /a//", 9, "`//`"),
            ("GET /a/**/b", 7, "last segment"),
            ("GET /**/", 5, "last segment"),
            ("GET /{*x}/b", 5, "last segment"),
            ("GET /a**", 7, "side by side"),
            ("GET /***", 6, "side by side"),
            ("GET /{a}{b}", 8, "side by side"),
            ("GET /{a}*", 8, "side by side"),
            ("GET /a{*b}", 6, "stands alone"),
            ("GET /{}", 6, "parameter name"),
            ("GET /{id:[0-9]+}", 9, "regular"),
            ("GET /{id:int}", 6, "parameter name"),
            ("GET /{a*}", 6, "parameter name"),
            ("GET /{id", 5, "without its '}'"),
            ("GET /id}", 7, "without its '{'"),
            ("GET /{a/b}", 5, "without its '}'"),
            ("GET /{**}", 5, "stands alone"),
            ("GET /a?b=c", 6, "query"),
            ("GET /a#b", 6, "fragment"),
            ("GET /a;b", 6, "matrix"),
            ("GET /a\\b", 6, "backslash"),
            ("GET /a b", 6, "%20"),
            ("GET /[ab]", 5, "%5B"),
            ("GET /a|b", 6, "%7C"),
            ("GET /a\nb", 6, "control"),
            ("GET /a\u{85}", 6, "control"),
            ("GET /100%", 8, "%25"),
            ("GET /%zz", 5, "%25"),
            ("GET /%2*", 5, "%25"),
            ("GET /.", 5, "'..'"),
            ("GET /a/../b", 7, "'..'"),
            ("GET /%2e%2E", 5, "'..'"),
            ("GET /..%20", 5, "'..'"),
            ("GET /%2F", 5, "%2F"),
            ("GET /a/b%2fc", 7, "%2F"),
            ("GET /%3B", 5, "';'"),
            ("GET /%5C", 5, "backslash"),
            ("GET /%00", 5, "control"),
            ("GET /%252e", 5, "twice"),
            ("GET /*%2541", 6, "twice"),
            ("GET /%C3", 5, "UTF-8"),
            ("GET /%C3*%A9", 5, "UTF-8"),
            ("GET /\u{FF0E}", 5, "look-alike"),
            ("GET /a*\u{2026}", 7, "look-alike"),
        ];
        for (text, offset, word) in bad {
            let error = text.parse::<Rule>().expect_err(text);
            assert_eq!(error.offset, offset, "{text:?}: {error}");
            assert!(error.message.contains(word), "{text:?}: {error}");
        }
    }

    #[test]
    fn wildcards_have_bounds() {
        let check = |path: &str, bound: usize, past: usize| {
            let good = path.replace('#', &"x".repeat(bound));
            assert!(format!("GET {good}").parse::<Rule>().is_ok(), "{good}");
            let error = format!("GET {}", path.replace('#', &"x".repeat(bound + 1))).parse::<Rule>().unwrap_err();
            assert_eq!((error.part, error.offset), (Part::Text, past), "{error}");
        };
        check("/a*#*", INNER_PIECE_BYTES, 5);
        let segments = |count: usize| format!("GET {}", "/*".repeat(count)).parse::<Rule>();
        assert!(segments(RULE_SEGMENTS).is_ok());
        assert_eq!(segments(RULE_SEGMENTS + 1).unwrap_err().offset, 4 + 2 * RULE_SEGMENTS + 1);
        let wildcards = |count: usize| format!("GET /a{}/b*/*", "*x".repeat(count - 1)).parse::<Rule>();
        assert!(wildcards(INNER_WILDCARDS).is_ok());
        assert_eq!(wildcards(INNER_WILDCARDS + 1).unwrap_err().offset, 4 + 2 + 2 * INNER_WILDCARDS + 1);
    }

    #[test]
    fn a_rule_has_a_longest_length() {
        let longest = format!("GET /{}", "a".repeat(RULE_BYTES - 5));
        assert!(longest.parse::<Rule>().is_ok());
        assert_eq!(format!("{longest}a").parse::<Rule>().unwrap_err().offset, RULE_BYTES);
    }
}
