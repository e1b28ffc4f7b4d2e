//! A second whitelist, slow and simple: written from the specification's words, not from the agent's code, so that the
//! two can be held against each other.
//!
//! It uses nothing but the standard library, so that the fuzz target can take it as it is.

pub mod headers;
mod path;

pub use path::{decode, is_dots, segments};

/// A rule, with its path as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// Its methods.
    pub methods: Vec<String>,
    /// Its path pattern.
    pub path: String,
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
        Self { methods, path: path.trim_start().to_owned() }
    }
}

/// What is judged.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: &'a str,
    /// The target, whatever its bytes.
    pub target: &'a [u8],
    /// How many header lines there are, and how many bytes of names and values.
    pub headers: (usize, usize),
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A rule allows it.
    Allowed,
    /// It is refused with this status, at this step of "Refuse, never repair"; `None` is step 7 or that no rule matches,
    /// which is one thing: either could be mended by a rule.
    Refused(u16, Option<u8>),
}

/// Whether a request is faulty.
type Fault = fn(&Request<'_>) -> bool;

/// "Refuse, never repair", in its order. Step 7 depends on the rule.
const STEPS: [(u8, u16, Fault); 9] = [
    (1, 400, is_no_path),
    (2, 400, has_bad_byte),
    (3, 400, has_bad_triplet),
    (4, 403, |request| path::segments(request.path()).any(path::deceives)),
    (5, 403, |request| path::segments(request.path()).any(path::is_dots)),
    (6, 403, has_empty_segment),
    (8, 403, overrides_method),
    (9, 414, |request| request.target.len() > 8192),
    (9, 431, |request| request.headers.0 > 100 || request.headers.1 > 64 * 1024),
];

/// Judges a request as the specification says.
#[must_use]
pub fn judge(rules: &[Rule], request: &Request<'_>) -> Verdict {
    if let Some((step, status, _)) = STEPS.iter().find(|(_, _, is_faulty)| is_faulty(request)) {
        return Verdict::Refused(*status, Some(*step));
    }
    let allows = |rule: &Rule| rule.methods.iter().any(|m| m == request.method) && path::matches(rule, request.path());
    if rules.iter().any(allows) { Verdict::Allowed } else { Verdict::Refused(403, None) }
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

fn has_bad_triplet(request: &Request<'_>) -> bool {
    let mut pieces = request.path().split(|&byte| byte == b'%').skip(1);
    pieces.any(|behind| behind.len() < 2 || !behind[..2].iter().all(u8::is_ascii_hexdigit))
}

fn has_empty_segment(request: &Request<'_>) -> bool {
    let segments: Vec<_> = path::segments(request.path()).collect();
    segments[..segments.len() - 1].iter().any(|segment| segment.is_empty())
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
