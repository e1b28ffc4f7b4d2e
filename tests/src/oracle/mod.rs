//! A second whitelist, slow and simple: written from the specification's words, not from the agent's code, so that the
//! two can be held against each other.
//!
//! It uses nothing but the standard library, so that the fuzz target can take it as it is.

pub mod headers;
mod path;
mod query;

pub use path::{decode, is_dots, segments};

/// A rule, in the words of its file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Its methods.
    pub methods: Vec<String>,
    /// Its path pattern.
    pub path: String,
    /// Its condition on the query.
    pub query: Query,
    /// `matrix: true`
    pub matrix: bool,
    /// `encoded_slash: data`
    pub encoded_slash: bool,
    /// Headers that must be there once, with one of these values.
    pub headers: Vec<(String, Vec<String>)>,
    /// `upgrade: websocket`
    pub upgrade: bool,
    /// Longest body, in bytes.
    pub max_body: Option<u64>,
}

/// What a rule says of the query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Query {
    /// Nothing.
    #[default]
    Opaque,
    /// There is none.
    None,
    /// Only these parameters, with these values (`None` for `"*"`); and those that must be there.
    Only(Vec<(String, Option<Vec<String>>)>, Vec<String>),
}

impl Rule {
    /// A rule in the short form, `METHODS PATH`.
    ///
    /// # Panics
    /// If there is no space in it.
    #[must_use]
    pub fn short(text: &str) -> Self {
        let (methods, path) = text.trim().split_once([' ', '\t']).expect("methods and a path");
        let methods = methods.split(',').map(str::to_owned).collect();
        Self { methods, path: path.trim_start().to_owned(), ..Self::default() }
    }
}

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// The target, whatever its bytes.
    pub target: &'a [u8],
    /// The header lines as they came, their names in lower case.
    pub headers: &'a [(String, Vec<u8>)],
    /// Whether it asks for another protocol.
    pub upgrade: bool,
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A rule allows it.
    Allowed,
    /// It is refused with this status, at this step of "Refuse, never repair", or because of the rules.
    Refused(u16, Option<u8>),
}

/// Whether a request is faulty, under these rules.
type Fault = fn(&[Rule], &Request<'_>) -> bool;

/// "Refuse, never repair", in its order.
const STEPS: [(u8, u16, Fault); 10] = [
    (1, 400, |_, request| is_no_path(request)),
    (2, 400, |_, request| has_bad_byte(request)),
    (3, 400, |_, request| path::has_bad_triplet(request.path())),
    (4, 403, |_, request| path::segments(request.path()).any(path::deceives)),
    (5, 403, |_, request| path::segments(request.path()).any(path::is_dots)),
    (6, 403, |_, request| has_empty_segment(request)),
    (7, 403, is_ambiguous),
    (8, 403, |_, request| overrides_method(request)),
    (9, 414, |_, request| request.target.len() > 8192),
    (9, 431, |_, request| has_large_head(request)),
];

/// Judges a request as the specification says.
#[must_use]
pub fn judge(rules: &[Rule], request: &Request<'_>) -> Verdict {
    if let Some((step, status, _)) = STEPS.iter().find(|(_, _, is_faulty)| is_faulty(rules, request)) {
        return Verdict::Refused(*status, Some(*step));
    }
    let allowing: Vec<_> = rules.iter().filter(|rule| allows(rule, request)).collect();
    let takes_body = |rule: &&Rule| rule.max_body.is_none_or(|most| body_length(request) <= most);
    match allowing.iter().any(takes_body) {
        true => Verdict::Allowed,
        false if allowing.is_empty() => Verdict::Refused(403, None),
        false => Verdict::Refused(413, None),
    }
}

/// Every condition of one single rule.
fn allows(rule: &Rule, request: &Request<'_>) -> bool {
    names(rule, request)
        && query::allows(&rule.query, request.query())
        && rule.headers.iter().all(
            |(name, values)| matches!(&*request.met(name), [value] if values.iter().any(|v| v.as_bytes() == *value)),
        )
        && (!request.upgrade || rule.upgrade && request.method == "GET")
}

/// Whether the rule is about this method and this path, with what it permits in one.
fn names(rule: &Rule, request: &Request<'_>) -> bool {
    rule.methods.iter().any(|method| method == request.method) && path::matches(rule, request.path())
}

fn body_length(request: &Request<'_>) -> u64 {
    let length = request.all("content-length").first().and_then(|value| std::str::from_utf8(value).ok());
    length.and_then(|length| length.parse().ok()).unwrap_or(0)
}

impl<'a> Request<'a> {
    /// What stands before the first `?`.
    #[must_use]
    pub fn path(&self) -> &'a [u8] {
        self.target.split(|&byte| byte == b'?').next().unwrap_or_default()
    }

    /// What stands behind it, if there is one.
    #[must_use]
    pub fn query(&self) -> Option<&'a [u8]> {
        self.target.get(self.path().len() + 1..)
    }

    /// The values of a header.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&'a [u8]> {
        self.headers.iter().filter(|line| line.0 == name).map(|line| &line.1[..]).collect()
    }

    /// Those that a condition is asked about: on a field that goes no further than the agent, it never holds. The length
    /// does, computed anew.
    fn met(&self, name: &str) -> Vec<&'a [u8]> {
        let goes_on = !headers::must_be_dropped(name, false) && !headers::is_nominated(name, &self.all("connection"));
        if goes_on || name == "content-length" { self.all(name) } else { Vec::new() }
    }
}

fn is_no_path(request: &Request<'_>) -> bool {
    let is_asterisk = request.target == b"*" && request.method == "OPTIONS";
    !is_asterisk && !request.target.starts_with(b"/")
}

fn has_bad_byte(request: &Request<'_>) -> bool {
    // pchar of RFC 3986, with the `%` of its triplets, and `/`.
    let in_path = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@%/".contains(&byte);
    let not_in_query = |byte: u8| byte <= b' ' || byte >= 0x7F || b"#\"<>".contains(&byte);
    let query = request.query().unwrap_or_default();
    !request.path().iter().all(|&byte| in_path(byte)) || query.iter().any(|&byte| not_in_query(byte))
}

fn has_empty_segment(request: &Request<'_>) -> bool {
    let segments: Vec<_> = path::segments(request.path()).collect();
    segments[..segments.len() - 1].iter().any(|segment| segment.is_empty())
}

/// Step 7: `;` or `%2F` in a path that no rule names with them.
fn is_ambiguous(rules: &[Rule], request: &Request<'_>) -> bool {
    let holds = |segment| path::has_parameters(segment) || path::has_slash(segment);
    path::segments(request.path()).any(holds) && !rules.iter().any(|rule| names(rule, request))
}

fn has_large_head(request: &Request<'_>) -> bool {
    let bytes: usize = request.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    let nominated = request.all("connection").join(&b',').split(|&byte| byte == b',').count();
    request.headers.len() > 100 || bytes > 64 * 1024 || nominated > 100
}

/// A key `_method`, decoded once. The frameworks that know it split at `;` too, take it in any case and with an index
/// (`_method[]`), and read a space or a dot as `_`; ASP.NET takes the header's name as well.
fn overrides_method(request: &Request<'_>) -> bool {
    let query = request.query().unwrap_or_default();
    let is_override = |pair: &[u8]| {
        let key = decode(pair.split(|&byte| byte == b'=').next().unwrap_or_default());
        let key = key.split(|&byte| byte == 0 || byte == b'[').next().unwrap_or_default();
        let key = String::from_utf8_lossy(key).replace('+', " ").to_ascii_lowercase();
        let key = key.trim_matches(|c: char| c.is_ascii_whitespace());
        key.replace(['.', ' '], "_") == "_method" || key == "x-http-method-override"
    };
    !matches!(request.method, "GET" | "HEAD") && query.split(|byte| b"&;".contains(byte)).any(is_override)
}
