//! A rule in its long form: from parts that were given by name, refused where they contradict each other or could never
//! hold.

use http::{HeaderName, HeaderValue, Method};
use settings::units::{show, show_bytes};

use super::{
    fate::{Fate, fate},
    limits::{PARAMETERS, RULE_BYTES},
    parameters::{Parameter, QueryRule},
    parse,
    pattern::{End, Pattern, Segment},
    query,
    required_header::RequiredHeader,
    room::{Limits, Times},
    rule::{Conditions, DESTINATION, Part, Rule, RuleError, Upgrade},
    segment, short,
};

/// The keys of a rule, as they were given. [`LongForm::rule`] checks them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LongForm {
    /// The path pattern, as in the short form.
    pub path: String,
    /// The methods, each as in the short form.
    pub methods: Vec<String>,
    /// The condition on the query.
    pub query: Query,
    /// Whether segments may have `;params`.
    pub matrix: bool,
    /// Whether a `*` segment may hold `%2F`.
    pub encoded_slash: bool,
    /// Headers that must be there once, and the values each may have.
    pub headers: Vec<(String, Vec<String>)>,
    /// What the connection may be turned into.
    pub upgrade: Option<Upgrade>,
    /// The limits.
    pub limits: Limits,
}

/// What a rule says of the query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Query {
    /// Nothing: it passes as it is.
    #[default]
    Opaque,
    /// There must be no `?` at all.
    None,
    /// Only these parameters, each at most once.
    Only {
        /// Their names, decoded, and what values they may have.
        allow: Vec<(String, Values)>,
        /// Which of them must be there.
        required: Vec<String>,
    },
}

/// What values a parameter may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Values {
    /// Any, and none too.
    Any,
    /// One of these, decoded.
    OneOf(Vec<String>),
}

impl LongForm {
    /// The rule that this makes.
    ///
    /// # Errors
    /// [`RuleError`] for the first part that is malformed, contradicts another, or could never hold.
    pub fn rule(&self) -> Result<Rule, RuleError> {
        let methods = self.methods()?;
        let pattern = self.pattern(&methods)?;
        self.refuse_idle_permissions(&pattern)?;
        let conditions = Conditions {
            query: self.query_rule(&methods, &pattern)?,
            matrix: self.matrix,
            encoded_slash: self.encoded_slash,
            headers: self.headers()?,
            upgrade: self.upgrade,
        };
        if self.upgrade.is_some() && !methods.contains(&Method::GET) {
            return error(Part::Upgrade, "only a GET can become a WebSocket: add it to `methods`, or remove `upgrade`");
        }
        self.refuse_odd_limits()?;
        let mut rule = Rule::plain(&format!("{} {}", self.methods.join(","), self.path), methods, pattern);
        rule.conditions = conditions;
        rule.limits = self.limits;
        rule.text = text(&rule).into();
        Ok(rule)
    }

    fn methods(&self) -> Result<Box<[Method]>, RuleError> {
        if self.methods.is_empty() {
            return error(Part::Methods, "without methods nothing is allowed: write methods: [GET], say");
        }
        let mut methods = Vec::new();
        for (index, name) in self.methods.iter().enumerate() {
            let part = Part::Method(index);
            let method = short::parse_method(name, 0).map_err(|error| RuleError { part, ..error })?;
            if methods.contains(&method) {
                return error(part, format!("{method} is named twice"));
            }
            methods.push(method);
        }
        Ok(methods.into())
    }

    fn pattern(&self, methods: &[Method]) -> Result<Pattern, RuleError> {
        if self.path.len() > RULE_BYTES {
            return error(Part::Path, format!("a path is at most {RULE_BYTES} bytes long"));
        }
        let pattern = parse::pattern(&self.path, 0)?;
        if short::is_misplaced(&pattern, methods) {
            return error(Part::Path, short::MISPLACED);
        }
        Ok(pattern)
    }

    /// A permission that no request could make use of was meant for another path.
    fn refuse_idle_permissions(&self, pattern: &Pattern) -> Result<(), RuleError> {
        let (segments, end): (&[Segment], _) = match pattern {
            Pattern::Asterisk => (&[], End::Exact),
            Pattern::Path(path) => (&path.segments, path.end),
        };
        if self.encoded_slash && !segments.contains(&Segment::Any) {
            let message = "`%2F` is permitted only inside a `*` or `{name}` segment, and this path has none";
            return error(Part::EncodedSlash, message);
        }
        if self.matrix && segments.is_empty() && end != End::Rest {
            return error(Part::Matrix, "this path has no segment that could have parameters");
        }
        Ok(())
    }

    fn query_rule(&self, methods: &[Method], pattern: &Pattern) -> Result<QueryRule, RuleError> {
        if self.query != Query::Opaque && *pattern == Pattern::Asterisk {
            return error(Part::Query, "the target `*` never has a query: remove `query`");
        }
        let (allow, required) = match &self.query {
            Query::Opaque => return Ok(QueryRule::Opaque),
            Query::None => return Ok(QueryRule::None),
            Query::Only { allow, required } => (allow, required),
        };
        if allow.is_empty() && required.is_empty() {
            return error(Part::Query, "no parameter is named: write `query: none`, or name some under `allow`");
        }
        if allow.len() > PARAMETERS {
            return error(Part::Parameter(PARAMETERS), format!("a rule names at most {PARAMETERS} parameters"));
        }
        for (index, name) in required.iter().enumerate() {
            let part = Part::Required(index);
            if !allow.iter().any(|(allowed, _)| allowed == name) {
                return error(part, format!("{name:?} is required and not allowed: name it under `allow` too"));
            }
            if required[..index].contains(name) {
                return error(part, format!("{name:?} is required twice"));
            }
        }
        let mut named = Vec::new();
        for (index, (name, values)) in allow.iter().enumerate() {
            if allow[..index].iter().any(|(earlier, _)| earlier == name) {
                return error(Part::Parameter(index), format!("{name:?} is named twice"));
            }
            refuse_name(name, methods).or_else(|message| error(Part::Parameter(index), message))?;
            let values = listed(values).or_else(|(at, message)| error(Part::ParameterValue(index, at), message))?;
            named.push(Parameter { name: name.as_str().into(), values, required: required.contains(name) });
        }
        named.sort_unstable_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
        Ok(QueryRule::Only(named.into()))
    }

    fn headers(&self) -> Result<Box<[RequiredHeader]>, RuleError> {
        let mut headers = Vec::<RequiredHeader>::new();
        for (index, (name, values)) in self.headers.iter().enumerate() {
            let name = header_name(name).or_else(|message| error(Part::Header(index), message))?;
            if headers.iter().any(|earlier| earlier.name == name) {
                return error(Part::Header(index), format!("`{name}` is named twice"));
            }
            let values = header_values(values).or_else(|(at, message)| error(Part::HeaderValue(index, at), message))?;
            headers.push(RequiredHeader { name, values });
        }
        headers.sort_unstable_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        Ok(headers.into())
    }

    /// What allows nothing, and what says two things of the same.
    fn refuse_odd_limits(&self) -> Result<(), RuleError> {
        let Limits { max_body, times, rate } = self.limits;
        if max_body == Some(0) {
            return error(Part::MaxBody, "a body of 0 bytes is none: write 1B or more, or leave `max_body` out");
        }
        for (part, time) in [(Part::Timeout, times.whole), (Part::ResponseTimeout, times.response)] {
            if time.is_some_and(|time| time.is_zero()) {
                return error(part, "nothing can be answered in no time: write 1ms or more");
            }
        }
        if times.whole.is_some() && times.total.is_some() {
            let message = "`timeout` bounds the whole exchange as well, and event streams with it: keep one of the two";
            return error(Part::TotalTimeout, message);
        }
        if rate.is_some_and(|rate| rate.requests == 0 || rate.per.is_zero()) {
            return error(Part::Rate, "a rate of 0 allows nothing: write 1/h or more, or remove the rule");
        }
        Ok(())
    }
}

fn error<T>(part: Part, message: impl Into<String>) -> Result<T, RuleError> {
    Err(RuleError { message: message.into(), part, offset: 0 })
}

fn refuse_name(name: &str, methods: &[Method]) -> Result<(), String> {
    if name.is_empty() {
        return Err("a parameter has a name".to_owned());
    }
    if query::is_override(name) && !methods.iter().any(query::is_exempt) {
        return Err(format!("{name:?} names another method, and never passes but on GET and HEAD"));
    }
    refuse_encoded(name)
}

/// What is compared has been decoded.
fn refuse_encoded(text: &str) -> Result<(), String> {
    let bytes = text.as_bytes();
    if (0..bytes.len()).any(|at| segment::triplet(&bytes[at..]).is_some()) {
        return Err(format!("{text:?} is percent-encoded: write the characters themselves, they are compared decoded"));
    }
    Ok(())
}

type Listed<T> = Result<T, (usize, String)>;

fn listed(values: &Values) -> Listed<Option<Box<[Box<str>]>>> {
    let Values::OneOf(values) = values else { return Ok(None) };
    if values.is_empty() {
        return Err((0, "without values nothing is allowed: list some, or write \"*\" for any".to_owned()));
    }
    for (at, value) in values.iter().enumerate() {
        if values[..at].contains(value) {
            return Err((at, format!("{value:?} is listed twice")));
        }
        refuse_encoded(value).map_err(|message| (at, message))?;
    }
    let mut values: Box<[Box<str>]> = values.iter().map(|value| value.as_str().into()).collect();
    values.sort_unstable_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    Ok(Some(values))
}

fn header_name(name: &str) -> Result<HeaderName, String> {
    let parsed =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("{name:?} is not the name of a header"))?;
    if fate(parsed.as_str()) == Fate::Dropped {
        return Err(format!("`{parsed}` never reaches an upstream, so a condition on it could never hold: remove it"));
    }
    if parsed == "x-request-id" {
        return Err("`x-request-id` is set by the agent itself: remove it".to_owned());
    }
    Ok(parsed)
}

fn header_values(values: &[String]) -> Listed<Box<[HeaderValue]>> {
    if values.is_empty() {
        return Err((0, "without values nothing is allowed: list some, or remove the header".to_owned()));
    }
    let mut parsed = Vec::new();
    for (at, text) in values.iter().enumerate() {
        let value =
            HeaderValue::from_bytes(text.as_bytes()).ok().filter(|value| value.as_bytes().trim_ascii() == value);
        let value = value.ok_or_else(|| {
            (at, format!("{text:?} cannot be the value of a header: no control bytes, no spaces around it"))
        })?;
        if parsed.contains(&value) {
            return Err((at, format!("{text:?} is listed twice")));
        }
        parsed.push(value);
    }
    parsed.sort_unstable_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    Ok(parsed.into())
}

impl Rule {
    /// The path pattern as it was written.
    #[must_use]
    pub fn path(&self) -> &str {
        self.text
            .trim_start_matches([' ', '\t'])
            .split([' ', '\t'])
            .filter(|word| !word.is_empty())
            .nth(1)
            .unwrap_or("")
    }

    /// What the long form says beyond method and path, for people: a condition, permission or limit each. Empty for
    /// the short form.
    #[must_use]
    pub fn conditions(&self) -> Vec<String> {
        let Conditions { query, matrix, encoded_slash, headers, upgrade } = &self.conditions;
        let Limits { max_body, times: Times { response, idle, total, whole }, rate } = self.limits;
        let times =
            [("response_timeout", response), ("idle_timeout", idle), ("total_timeout", total), ("timeout", whole)];
        let query = match query {
            QueryRule::Opaque => None,
            QueryRule::None => Some("no query".to_owned()),
            QueryRule::Only(named) => {
                Some(format!("query {}", named.iter().map(Parameter::to_string).collect::<Vec<_>>().join(" ")))
            }
        };
        query
            .into_iter()
            .chain(matrix.then(|| "matrix".to_owned()))
            .chain(encoded_slash.then(|| "encoded_slash".to_owned()))
            .chain(headers.iter().map(|header| format!("header {header}")))
            .chain(upgrade.map(|Upgrade::WebSocket| "upgrade websocket".to_owned()))
            .chain(max_body.map(|bytes| format!("max_body {}", show_bytes(bytes))))
            .chain(times.iter().filter_map(|(key, time)| Some(format!("{key} {}", show((*time)?)))))
            .chain(rate.map(|rate| format!("rate {rate}")))
            .collect()
    }

    /// A header that the rule demands although it says who the client is: it passes only if the service trusts it.
    #[must_use]
    pub fn identity_header(&self) -> Option<&str> {
        self.conditions.headers.iter().map(|header| header.name.as_str()).find(|name| fate(name) == Fate::Identity)
    }

    /// Whether it is for MOVE or COPY, whose `Destination` it does not list: then none passes that names one.
    #[must_use]
    pub fn moves_nowhere(&self) -> bool {
        self.methods.iter().any(|method| matches!(method.as_str(), "MOVE" | "COPY"))
            && !self.conditions.headers.iter().any(|header| header.name == DESTINATION)
    }
}

/// The short form, and the conditions in brackets.
fn text(rule: &Rule) -> String {
    let conditions = rule.conditions();
    if conditions.is_empty() { rule.text.to_string() } else { format!("{} ({})", rule.text, conditions.join("; ")) }
}
