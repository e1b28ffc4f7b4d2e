//! One rule: methods, a path pattern and conditions, all of which a request must meet; and the limits it then has.

use std::{cell::OnceCell, fmt};

use http::Method;
use proto::wire::RequestHead;

use super::{
    denied::Reason,
    headers::Passing,
    parameters::{Objection, Pairs, QueryRule},
    pattern::Pattern,
    required_header::RequiredHeader,
    room::Limits,
    target::Target,
};

/// One thing that is allowed.
///
/// Made from a text such as `GET,HEAD /orders/{id}`, or from a [`LongForm`](super::LongForm). `Display` gives the text
/// back; of a long form it gives methods and path, and the conditions in brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    pub(super) text: Box<str>,
    pub(super) methods: Box<[Method]>,
    pub(super) pattern: Pattern,
    pub(super) conditions: Conditions,
    pub(super) limits: Limits,
}

/// What the long form can ask of a request, or permit, beyond method and path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Conditions {
    pub(super) query: QueryRule,
    pub(super) matrix: bool,
    pub(super) encoded_slash: bool,
    /// In order of their names.
    pub(super) headers: Box<[RequiredHeader]>,
    pub(super) upgrade: Option<Upgrade>,
}

/// What a rule may let a connection be turned into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Upgrade {
    /// RFC 6455.
    WebSocket,
}

/// Why a text, or a long form, is not a rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} (at byte {offset} of {part})")]
pub struct RuleError {
    /// What is wrong and what to write instead.
    pub message: String,
    /// Which part of it.
    pub part: Part,
    /// Where in that part, counted in bytes from 0.
    pub offset: usize,
}

/// A part of a rule, to point at. Numbers count from 0, in the order in which a [`LongForm`](super::LongForm) lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "`Display` says what each is")]
pub enum Part {
    Text,
    Methods,
    Method(usize),
    Path,
    Query,
    Parameter(usize),
    ParameterValue(usize, usize),
    Required(usize),
    Matrix,
    EncodedSlash,
    Headers,
    Header(usize),
    HeaderValue(usize, usize),
    MaxBody,
    Timeout,
    ResponseTimeout,
    TotalTimeout,
    Upgrade,
    Rate,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "the rule",
            Self::Methods => "`methods`",
            Self::Method(_) => "a method",
            Self::Path => "`path`",
            Self::Query => "`query`",
            Self::Parameter(_) => "a name in `allow`",
            Self::ParameterValue(..) => "a value in `allow`",
            Self::Required(_) => "a name in `required`",
            Self::Matrix => "`matrix`",
            Self::EncodedSlash => "`encoded_slash`",
            Self::Headers => "`headers`",
            Self::Header(_) => "a name in `headers`",
            Self::HeaderValue(..) => "a value in `headers`",
            Self::MaxBody => "`max_body`",
            Self::Timeout => "`timeout`",
            Self::ResponseTimeout => "`response_timeout`",
            Self::TotalTimeout => "`total_timeout`",
            Self::Upgrade => "`upgrade`",
            Self::Rate => "`rate`",
        })
    }
}

/// A request as rules see it: taken apart once for all of them.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) head: &'a RequestHead,
    pub(super) target: Target<'a>,
    pub(super) passing: Passing<'a>,
    pairs: OnceCell<Result<Pairs, Objection>>,
}

impl<'a> Asked<'a> {
    pub(super) fn new(head: &'a RequestHead, target: Target<'a>, passing: Passing<'a>) -> Self {
        Self { head, target, passing, pairs: OnceCell::new() }
    }

    fn query(&self) -> Option<&'a [u8]> {
        match &self.target {
            Target::Asterisk => None,
            Target::Path(path) => path.query,
        }
    }
}

/// How close a request comes to a rule that does not allow it, the furthest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Miss {
    /// Another method or path, or a path with what the rule does not permit in one.
    Elsewhere,
    Query,
    Headers,
    Destination,
    Upgrade,
}

impl Miss {
    pub(super) fn reason(self) -> Reason {
        match self {
            Self::Elsewhere => Reason::NoRule,
            Self::Query => Reason::Query,
            Self::Headers => Reason::Headers,
            Self::Destination => Reason::Destination,
            Self::Upgrade => Reason::Upgrade,
        }
    }
}

impl Rule {
    /// A rule without conditions or limits.
    pub(super) fn plain(text: &str, methods: Box<[Method]>, pattern: Pattern) -> Self {
        let conditions = Conditions {
            query: QueryRule::Opaque,
            matrix: false,
            encoded_slash: false,
            headers: Box::default(),
            upgrade: None,
        };
        Self { text: text.into(), methods, pattern, conditions, limits: Limits::default() }
    }

    /// Whether the rule allows a request. Everything that it says must hold.
    pub(super) fn judge(&self, asked: &Asked<'_>) -> Result<(), Miss> {
        let Asked { head, target, passing, .. } = asked;
        if !(self.pattern.matches(target) && self.methods.contains(&head.method) && self.permits(target)) {
            return Err(Miss::Elsewhere);
        }
        if self.objection(asked).is_some() {
            return Err(Miss::Query);
        }
        if !self.conditions.headers.iter().all(|header| header.is_met(passing)) {
            return Err(Miss::Headers);
        }
        if self.destination_is_unjudged(asked) {
            return Err(Miss::Destination);
        }
        if head.upgrade && !self.permits_upgrade(&head.method) {
            return Err(Miss::Upgrade);
        }
        Ok(())
    }

    /// Step 7: whether the rule permits what a path may hold only by permission.
    pub(super) fn permits(&self, target: &Target<'_>) -> bool {
        let Target::Path(path) = target else { return true };
        (path.parameters.is_none() || self.conditions.matrix)
            && (path.encoded_slash.is_none() || self.conditions.encoded_slash)
    }

    /// What is wrong with the query, if anything.
    pub(super) fn objection(&self, asked: &Asked<'_>) -> Option<Objection> {
        let query = asked.query();
        self.conditions.query.judge(query, || asked.pairs.get_or_init(|| Pairs::parse(query))).err()
    }

    /// Whether the request names a second path that nobody judged: MOVE and COPY take `Destination` (RFC 4918 §10.3).
    /// A rule that lists its values has judged it.
    pub(super) fn destination_is_unjudged(&self, asked: &Asked<'_>) -> bool {
        matches!(asked.head.method.as_str(), "MOVE" | "COPY")
            && asked.head.headers.contains_key(DESTINATION)
            && !self.conditions.headers.iter().any(|header| header.name == DESTINATION)
    }

    /// Only GET can become a WebSocket (RFC 6455 §4.1).
    pub(super) fn permits_upgrade(&self, method: &Method) -> bool {
        self.conditions.upgrade.is_some() && *method == Method::GET
    }

    /// What the rule is about, without its limits: two rules that say the same are one too many.
    pub(super) fn meaning(&self) -> impl Eq + std::hash::Hash {
        let mut methods: Vec<_> = self.methods.iter().map(Method::as_str).collect();
        methods.sort_unstable();
        (methods, &self.pattern, &self.conditions)
    }

    /// The methods.
    #[must_use]
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// The limits.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The methods as a list, for people.
    pub(super) fn method_list(&self) -> String {
        self.methods.iter().map(Method::as_str).collect::<Vec<_>>().join(",")
    }
}

/// See [`Rule::destination_is_unjudged`].
pub(super) const DESTINATION: &str = "destination";

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
