//! The table of targets that an attacker tries, and of their neighbours that must pass: `data/targets.txt`.

/// The rules that the table is about, each in its short form.
pub const RULES: [&str; 7] = [
    "GET,HEAD,POST,PUT,DELETE,OPTIONS /files/**",
    "GET /",
    "GET,HEAD /orders/{id}",
    "POST /orders",
    "GET /report-*.pdf",
    "PUT /a%20b",
    "OPTIONS *",
];

/// One way to attack.
#[derive(Clone, Debug)]
pub struct Class {
    /// Its name.
    pub name: String,
    /// The code of the failure that each attack brings.
    pub code: String,
    /// What its message says.
    pub says: String,
    /// The attacks.
    pub refused: Vec<Line>,
    /// The nearest requests that must pass.
    pub allowed: Vec<Line>,
}

/// A request's method and target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The method.
    pub method: String,
    /// The target, whatever its bytes.
    pub target: Vec<u8>,
}

/// The whole table.
///
/// # Panics
/// If it is not written as its head says.
#[must_use]
pub fn classes() -> Vec<Class> {
    let mut classes: Vec<Class> = Vec::new();
    for row in include_str!("../data/targets.txt").lines() {
        let class = classes.last_mut();
        match (row.split_at_checked(2), class) {
            (Some(("= ", title)), _) => classes.push(class_of(title)),
            (Some(("- ", line)), Some(class)) => class.refused.push(line_of(line)),
            (Some(("+ ", line)), Some(class)) => class.allowed.push(line_of(line)),
            _ => assert!(row.is_empty() || row.starts_with('#'), "no row of the table: {row:?}"),
        }
    }
    classes
}

fn class_of(title: &str) -> Class {
    let parts: Vec<_> = title.split(" | ").map(str::to_owned).collect();
    let [name, code, says] = parts.try_into().unwrap_or_else(|_| panic!("a class has three parts: {title:?}"));
    Class { name, code, says, refused: Vec::new(), allowed: Vec::new() }
}

fn line_of(line: &str) -> Line {
    let (method, target) = line.split_once(' ').unwrap_or((line, ""));
    Line { method: method.to_owned(), target: unescape(target) }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((plain, escape)) = rest.split_once('\\') {
        bytes.extend_from_slice(plain.as_bytes());
        let (byte, length) = match escape.as_bytes() {
            [b'n', ..] => (b'\n', 1),
            [b'r', ..] => (b'\r', 1),
            [b't', ..] => (b'\t', 1),
            [b'0', ..] => (0, 1),
            [b'\\', ..] => (b'\\', 1),
            [b'x', _, _, ..] => (u8::from_str_radix(&escape[1..3], 16).expect("two hex digits follow \\x"), 3),
            _ => panic!("no such escape: {text:?}"),
        };
        bytes.push(byte);
        rest = &escape[length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}
