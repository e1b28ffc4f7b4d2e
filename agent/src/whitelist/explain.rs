//! Why a request is allowed or not, for people: the rule, or the refusal and the rule that comes nearest.

use std::fmt;

use http::header::CONTENT_LENGTH;
use proto::wire::ServiceName;

use super::{
    Rule,
    denied::Denied,
    limits::{EXCERPT_CHARS, PARAMETERS},
    parameters::{Objection, QueryRule},
    pattern::{End, PathPattern, Pattern, Segment},
    rule::Asked,
    target::{Path, Target},
};

/// What the whitelist says to a request. `Display` writes it as `reachback allow test` does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The service that was asked for.
    pub service: ServiceName,
    /// What the rules say, and why.
    pub verdict: Verdict,
    /// Whether a refused request is sent all the same, because the service is in audit mode.
    pub would_deny: bool,
}

/// Yes or no, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A rule allows it.
    Allowed {
        /// Which rule of the service allows it, counted from 0.
        rule: usize,
        /// That rule as the user wrote it.
        text: String,
    },
    /// None does, or none is asked.
    Refused {
        /// Where and why.
        denied: Denied,
        /// The rule that comes nearest, if the request got as far as the rules and there are any.
        nearest: Option<NearMiss>,
    },
}

/// A rule that almost allows a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NearMiss {
    /// Which rule of the service, counted from 0.
    pub rule: usize,
    /// That rule as the user wrote it.
    pub text: String,
    /// How it differs from the request.
    pub differs: String,
}

impl Explanation {
    /// Whether a rule allows the request.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        matches!(self.verdict, Verdict::Allowed { .. })
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let service = &self.service;
        match &self.verdict {
            Verdict::Allowed { rule, text } => write!(f, "allowed by {service}.allow[{rule}] \"{text}\"")?,
            Verdict::Refused { denied, nearest } => {
                match denied.step.number() {
                    Some(step) => write!(f, "refused at step {step}: {denied}")?,
                    None => write!(f, "refused: {denied}")?,
                }
                if let Some(NearMiss { rule, text, differs }) = nearest {
                    write!(f, "\nnearest: {service}.allow[{rule}] \"{text}\": {differs}")?;
                }
            }
        }
        if self.would_deny {
            write!(f, "\nSENT ALL THE SAME: {service} is in audit mode")?;
        }
        Ok(())
    }
}

/// The rule with the least to change, the first of equals.
pub(super) fn nearest(rules: &[Rule], asked: &Asked<'_>) -> Option<NearMiss> {
    let misses = rules.iter().map(|rule| Difference::between(rule, asked));
    let (rule, difference) = misses.enumerate().min_by_key(|(_, difference)| difference.cost)?;
    Some(NearMiss { rule, text: rules[rule].to_string(), differs: difference.notes.join("; ") })
}

/// What would have to change, and how far that is: a condition, a slash or a letter's case is nearer than a method, and
/// a method nearer than another path.
#[derive(Default)]
struct Difference {
    cost: usize,
    notes: Vec<String>,
}

impl Difference {
    fn between(rule: &Rule, asked: &Asked<'_>) -> Self {
        let mut difference = Self::default();
        let method = &asked.head.method;
        if asked.head.upgrade && !rule.permits_upgrade(method) {
            difference.add(1, "it does not permit an upgrade".to_owned());
        }
        if !rule.methods.contains(method) {
            difference.add(3, format!("{} is not one of {}", excerpt(method.as_str()), rule.method_list()));
        }
        match (&rule.pattern, &asked.target) {
            (Pattern::Path(pattern), Target::Path(path)) => {
                difference.add_path(pattern, path);
                difference.add_permissions(rule, path);
            }
            (Pattern::Asterisk, Target::Asterisk) => {}
            (Pattern::Asterisk, _) => difference.add(100, "it is about the target '*' alone".to_owned()),
            (_, Target::Asterisk) => difference.add(100, "the target '*' needs the rule `OPTIONS *`".to_owned()),
        }
        difference.add_query(rule, asked);
        for header in rule.conditions.headers.iter().filter(|header| !header.is_met(&asked.passing)) {
            difference.add(1, format!("it demands one header {header}"));
        }
        if rule.destination_is_unjudged(asked) {
            difference.add(1, "it does not list `destination` under `headers`".to_owned());
        }
        let length =
            asked.head.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if let Some(most) = rule.limits.max_body.filter(|most| length.is_some_and(|length| length > *most)) {
            difference.add(1, format!("it allows a body of {most} bytes"));
        }
        difference
    }

    /// Step 7.
    fn add_permissions(&mut self, rule: &Rule, path: &Path<'_>) {
        if path.parameters.is_some() && !rule.conditions.matrix {
            self.add(1, "it does not say `matrix: true`, which permits ';'".to_owned());
        }
        if path.encoded_slash.is_some() && !rule.conditions.encoded_slash {
            self.add(1, "it does not say `encoded_slash: data`, which permits '%2F' in a `*` segment".to_owned());
        }
    }

    fn add_query(&mut self, rule: &Rule, asked: &Asked<'_>) {
        let Some(objection) = rule.objection(asked) else { return };
        let named = match &rule.conditions.query {
            QueryRule::Only(named) => named,
            _ => &Box::default(),
        };
        self.add(
            1,
            match objection {
                Objection::Query => "it allows no query".to_owned(),
                Objection::Semicolon => "the query holds ';', which some servers take for '&'".to_owned(),
                Objection::Triplet => "a '%' in the query is not followed by two hex digits".to_owned(),
                Objection::Unknown(name) => {
                    format!("query parameter {} is not allowed", excerpt(&String::from_utf8_lossy(&name)))
                }
                Objection::TooMany => format!("the query has more than {PARAMETERS} parameters"),
                Objection::Twice(at) => format!("query parameter {:?} comes more than once", named[at].name),
                Objection::Value(at) => {
                    format!("query parameter {:?} is not one of {}", named[at].name, named[at].value_list())
                }
                Objection::Missing(at) => format!("query parameter {:?} is required", named[at].name),
            },
        );
    }

    fn add(&mut self, cost: usize, note: String) {
        self.cost += cost;
        self.notes.push(note);
    }

    fn add_path(&mut self, pattern: &PathPattern, path: &Path<'_>) {
        let (wanted, found) = (pattern.segments.len(), path.segments.len());
        for (index, (segment, text)) in pattern.segments.iter().zip(&path.segments).enumerate() {
            if text.is_slashed() && *segment != Segment::Any {
                self.add(2, format!("segment {} holds '%2F' and is not a `*`", index + 1));
            } else if !segment.matches(text) {
                self.add_segment(index + 1, segment, text.as_str());
            }
        }
        match pattern.end {
            End::Rest if found <= wanted => {
                let note = format!("`**` needs at least one more segment: {}, not {found}", wanted + 1);
                self.add(2 + 4 * (wanted - found), note);
            }
            End::Exact | End::Slash if found != wanted => {
                self.add(4 * found.abs_diff(wanted), format!("the path has {found} segments, the rule has {wanted}"));
            }
            End::Exact if path.trailing_slash => self.add(1, "the path ends with '/', the rule does not".to_owned()),
            End::Slash if !path.trailing_slash => self.add(1, "the rule ends with '/', the path does not".to_owned()),
            End::Exact | End::Slash | End::Rest => {}
        }
    }

    fn add_segment(&mut self, number: usize, segment: &Segment, text: &str) {
        let wanted = segment.text();
        let (cost, hint) = match segment {
            Segment::Literal(literal) if literal.eq_ignore_ascii_case(text) => (1, " (case matters)"),
            Segment::Literal(literal) if is_similar(literal, text) => (4, ""),
            _ => (6, ""),
        };
        self.add(cost, format!("segment {number} is {}, the rule wants {}{hint}", excerpt(text), excerpt(&wanted)));
    }
}

/// Whether the two begin alike for at least half of the longer: a guess at a slip of the pen.
fn is_similar(a: &str, b: &str) -> bool {
    let alike = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    alike * 2 >= a.len().max(b.len())
}

/// Quoted, escaped and cut to a length that suits a terminal.
fn excerpt(text: &str) -> String {
    match text.char_indices().nth(EXCERPT_CHARS) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use proto::wire::RequestHead;

    use super::super::{
        LongForm, Query, Values,
        tests::{head, headers, long, whitelist, whitelist_of},
    };

    fn check(rules: &[&str], method: &str, target: &str, expected: &str) {
        let explanation = whitelist(rules).explain(&head(method, target));
        assert_eq!(explanation.to_string(), expected);
        assert_eq!(explanation.is_allowed(), expected.starts_with("allowed"));
    }

    const RULES: [&str; 4] = ["GET /orders", "GET,HEAD /orders/{id}", "GET /reports/**", "POST /a/b/"];

    #[test]
    fn says_which_rule_allows() {
        check(&RULES, "GET", "/orders/42", "allowed by orders.allow[1] \"GET,HEAD /orders/{id}\"");
        check(&RULES, "GET", "/reports/2024/x", "allowed by orders.allow[2] \"GET /reports/**\"");
    }

    #[test]
    fn says_which_step_refuses() {
        check(&RULES, "GET", "/orders//42", "refused at step 6: the path holds '//' (byte 8 of the target)");
        check(
            &RULES,
            "GET",
            "orders",
            "refused at step 1: the target is not a path: it must begin with '/' (byte 0 of the target)",
        );
    }

    #[test]
    fn says_which_rule_comes_nearest() {
        let misses = [
            ("DELETE", "/orders/42", 1, "\"DELETE\" is not one of GET,HEAD"),
            ("GET", "/orders/", 0, "the path ends with '/', the rule does not"),
            ("POST", "/a/b", 3, "the rule ends with '/', the path does not"),
            ("GET", "/Orders", 0, "segment 1 is \"Orders\", the rule wants \"orders\" (case matters)"),
            ("GET", "/order/42", 1, "segment 1 is \"order\", the rule wants \"orders\""),
            ("GET", "/report/42/x/y", 2, "segment 1 is \"report\", the rule wants \"reports\""),
            ("GET", "/reports", 2, "`**` needs at least one more segment: 2, not 1"),
            ("GET", "/orders/42/lines", 1, "the path has 3 segments, the rule has 2"),
            ("OPTIONS", "*", 0, "\"OPTIONS\" is not one of GET; the target '*' needs the rule `OPTIONS *`"),
        ];
        for (method, target, rule, differs) in misses {
            let expected = format!(
                "refused: no rule allows this method and path\nnearest: orders.allow[{rule}] \"{}\": {differs}",
                RULES[rule]
            );
            check(&RULES, method, target, &expected);
        }
        check(&[], "GET", "/a", "refused: no rule allows this method and path");
    }

    #[test]
    fn an_upgrade_is_told_from_a_wrong_path() {
        let explanation = whitelist(&RULES).explain(&RequestHead { upgrade: true, ..head("GET", "/orders") });
        let expected = "refused: no rule permits an upgrade here\n\
                        nearest: orders.allow[0] \"GET /orders\": it does not permit an upgrade";
        assert_eq!(explanation.to_string(), expected);
    }

    /// A rule that would match but for one condition is the nearest, and the condition is named.
    #[test]
    fn says_which_condition_is_not_met() {
        let allow = vec![("type".to_owned(), Values::OneOf(vec!["a".to_owned(), "b".to_owned()]))];
        let query = Query::Only { allow, required: vec!["type".to_owned()] };
        let rule = LongForm { query, ..long("GET", "/s") }.rule().unwrap();
        let demanding = vec![("x-tenant".to_owned(), vec!["acme".to_owned()])];
        let demanding = LongForm { headers: demanding, query: Query::None, ..long("PUT", "/files/{name}") };
        let list = whitelist_of(vec![demanding.rule().unwrap(), rule]);
        for (method, target, rule, refusal, differs) in [
            ("GET", "/s", 1, "no rule allows this query here", "query parameter \"type\" is required"),
            ("GET", "/s?type=c", 1, "no rule allows this query here", "query parameter \"type\" is not one of a|b"),
            ("GET", "/s?type=a&q=1", 1, "no rule allows this query here", "query parameter \"q\" is not allowed"),
            ("GET", "/s?type=a;q", 1, "no rule allows this query here", "the query holds ';'"),
            ("GET", "/s?type=a&type=b", 1, "no rule allows this query here", "query parameter \"type\" comes more"),
            ("PUT", "/files/a?", 0, "no rule allows this query here", "it allows no query"),
            ("PUT", "/files/a", 0, "lacks a header that the rule demands", "it demands one header x-tenant=acme"),
            ("GET", "/s;x?type=a", 1, "refused at step 7: the path holds ';'", "`matrix: true`"),
            ("PUT", "/files/a%2Fb", 0, "refused at step 7: the path holds '%2F'", "`encoded_slash: data`"),
        ] {
            let tenant = if differs.contains("demands") { vec![] } else { vec![("x-tenant", "acme")] };
            let explanation =
                list.explain(&RequestHead { headers: headers(&tenant), ..head(method, target) }).to_string();
            let (refused, nearest) = explanation.split_once("\nnearest: ").unwrap();
            assert!(refused.contains(refusal), "{target}: {explanation}");
            assert!(nearest.starts_with(&format!("orders.allow[{rule}]")), "{target}: {explanation}");
            assert!(
                nearest.contains(&format!("\": {differs}")) || nearest.contains(differs),
                "{target}: {explanation}"
            );
        }
    }

    #[test]
    fn what_the_request_says_is_escaped_and_cut() {
        let explanation =
            whitelist(&["GET /x"]).explain(&head("GET", format!("/%E2%80%AE{}", "a".repeat(100)))).to_string();
        assert!(explanation.contains("\"\\u{202e}aaa"), "{explanation}");
        assert!(explanation.contains("a\"…,"), "{explanation}");
        assert!(explanation.len() < 300, "{explanation}");
    }
}
