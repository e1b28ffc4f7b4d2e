//! The house rules that a tool can check: layers, sizes, names, leftovers, and documentation that keeps up.

mod documents;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    path::Path,
};

/// Longest file and longest function, in lines: what can be held in the head at once. A test may hold a long table.
const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 70;
const TEST_LINES: usize = 120;

/// Words that must not stand in the code of a folder, except below the paths that follow. Tests have no layers.
const LAYERS: &[(&str, &str, &[&str])] = &[
    ("proto/src", "tokio", &["proto/src/link"]),
    ("proto/src", "tokio_tungstenite", &["proto/src/link"]),
    (
        "proto/src",
        "Instant::now",
        &["proto/src/link/connection.rs", "proto/src/link/driver.rs", "proto/src/link/handshake.rs"],
    ),
    ("proto/src", "SystemTime::now", &[]),
    // A clock that is set must move no timer: it says when something was, and whether a token has expired.
    (
        "agent/src",
        "SystemTime::now",
        &["agent/src/audit", "agent/src/lib.rs", "agent/src/reload/status.rs", "agent/src/serve.rs"],
    ),
    ("gateway/src", "SystemTime::now", &["gateway/src/accept.rs", "gateway/src/expiry.rs", "gateway/src/lib.rs"]),
    ("proto/src/wire", "session", &[]),
    ("proto/src/wire", "link", &[]),
    ("proto/src/session", "link", &[]),
];

/// What nobody meant to leave behind, in tests neither. An `#[ignore = "…"]` says why.
const LEFTOVERS: &[&str] = &["todo!", "unimplemented!", "dbg!", "#[ignore]"];

/// Which of our packages may depend on what; no other may.
const DEPENDENTS: &[(&str, &[&str])] = &[
    ("reachback-agent", &["reachback", "reachback-benches", "reachback-tests"]),
    ("reachback-gateway", &["reachback", "reachback-tests"]),
    ("axum", &["reachback-gateway"]),
    ("tokio-tungstenite", &["reachback-benches", "reachback-proto", "reachback-tests"]),
    ("reqwest", &["reachback-benches", "reachback-tests"]),
];

/// What we use ourselves, and others use in versions of their own.
const TWICE_ANYWAY: &[(&str, &str)] = &[("getrandom", "tungstenite's rand and ring ask for older ones")];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "helper", "helpers", "manager", "misc"];

#[test]
fn layers_are_kept() {
    let mut wrong = String::new();
    for file in Source::all() {
        let below = |folder: &str| file.path.starts_with(folder);
        let mine = LAYERS.iter().filter(|(folder, _, except)| below(folder) && !except.iter().any(|path| below(path)));
        let layers = mine.flat_map(|(_, word, _)| lines_with(file.product(), word).map(move |line| (word, line)));
        let leftovers = LEFTOVERS.iter().flat_map(|word| lines_with(&file.code, word).map(move |line| (word, line)));
        for (word, line) in layers.chain(leftovers) {
            let _ = writeln!(wrong, "{}:{line}: `{word}` does not belong here", file.path);
        }
    }
    for package in locked().into_iter().filter(|package| package.name.starts_with("reachback")) {
        for (dependency, allowed) in DEPENDENTS {
            if package.dependencies.iter().any(|found| found == dependency) && !allowed.contains(&&*package.name) {
                let _ = writeln!(wrong, "{} must not depend on {dependency}", package.name);
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn files_and_functions_are_short() {
    let mut wrong = String::new();
    for file in Source::all() {
        let lines = file.text.lines().count();
        if lines > FILE_LINES {
            let _ = writeln!(wrong, "{}: {lines} lines: does it still hold one idea?", file.path);
        }
        let product = file.product().lines().count();
        let most = |line: usize| if line <= product { FUNCTION_LINES } else { TEST_LINES };
        for (line, length) in functions(&file.code).into_iter().filter(|(line, length)| *length > most(*line)) {
            let _ = writeln!(wrong, "{}:{line}: a function of {length} lines", file.path);
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn files_say_what_they_are() {
    let mut wrong = String::new();
    for file in Source::all() {
        if !file.text.starts_with("//! ") {
            let _ = writeln!(wrong, "{}: the first line is no `//!` that names its idea", file.path);
        }
        let stems = file.path.trim_end_matches(".rs").split('/').map(str::to_owned);
        let inline = file.code.lines().filter_map(|line| line.trim().strip_suffix('{')?.trim().rsplit_once("mod "));
        for name in stems.chain(inline.map(|(_, name)| name.trim().to_owned())) {
            if EMPTY_NAMES.contains(&name.as_str()) {
                let _ = writeln!(wrong, "{}: `{name}` says nothing about what is inside", file.path);
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn no_path_of_one_machine() {
    // Put together here, so that this file does not hold what it looks for.
    let paths = [["/ho", "me/"].concat(), ["/ro", "ot/"].concat(), ["/Us", "ers/"].concat()];
    let mut wrong = String::new();
    for path in files() {
        let Ok(text) = fs::read_to_string(top().join(&path)) else { continue };
        for (number, line) in (1..).zip(text.lines()) {
            if paths.iter().any(|of_a_machine| line.contains(of_a_machine)) {
                let _ = writeln!(wrong, "{path}:{number}: {}", line.trim());
            }
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn dependencies_come_once() {
    let mut versions = BTreeMap::<String, BTreeSet<String>>::new();
    for package in locked() {
        versions.entry(package.name).or_default().insert(compatible(&package.version));
    }
    let manifest = read("Cargo.toml");
    let direct = manifest.split("[workspace.dependencies]").nth(1).expect("the workspace shares its dependencies");
    let direct = keys(direct.split("\n[").next().unwrap_or_default());
    assert!(direct.len() > 20, "the dependencies were not found: {direct:?}");
    let known = |name: &str| TWICE_ANYWAY.iter().any(|(known, _)| *known == name);
    let twice = |name: &&String| versions.get(*name).is_some_and(|versions| versions.len() > 1) && !known(name);
    let twice: Vec<_> = direct.iter().filter(twice).map(|name| (name, &versions[name])).collect();
    assert!(twice.is_empty(), "incompatible versions of what we use ourselves: {twice:?}");
}

#[test]
fn only_code_is_looked_at() {
    let check = |text: &str, code: &str| assert_eq!(code_of(text), code, "{text}");
    check("a // todo!\nb", "a         \nb");
    check("a /* x\n */ b", "a     \n    b");
    check(r#"f("dbg!()", 'x', '\'', b"\"")"#, r#"f("      ", ' ', '  ', b"  ")"#);
    check("r#\"a \"b\" c\"# d", "r#\"       \"# d");
    check("&'a str, 'b: loop {}", "&'a str, 'b: loop {}");
    assert_eq!(functions("fn a() {\n{ }\n}\n\nfn b(x: [u8; 2]) { }\ntrait T { fn c(); }"), [(1, 3), (5, 1)]);
    assert_eq!(functions("type F = fn(u8);\n fn d(f: fn(u8)) -> u8\nwhere u8: Copy\n{\n}"), [(2, 4)]);
}

/// A Rust file.
struct Source {
    /// From the top of the workspace, with `/` between its parts.
    path: String,
    text: String,
    /// The text with blanks for comments and for what stands in quotes.
    code: String,
}

impl Source {
    fn new(path: String) -> Self {
        let text = read(&path);
        Self { code: code_of(&text), path, text }
    }

    fn all() -> Vec<Self> {
        let all: Vec<_> = files().into_iter().filter(|path| path.ends_with(".rs")).map(Self::new).collect();
        assert!(all.len() > 50, "the sources were not found");
        all
    }

    /// The code without its tests.
    fn product(&self) -> &str {
        let is_test =
            self.path.contains("/tests/") || self.path.ends_with("/tests.rs") || self.path.starts_with("tests/");
        if is_test { "" } else { self.code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default() }
    }
}

/// The lines on which a word stands by itself.
fn lines_with(code: &str, word: &str) -> impl Iterator<Item = usize> {
    let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let alone = move |line: &&str| {
        line.match_indices(word).any(|(at, _)| {
            let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
            !(part(before) || part(after) && word.ends_with(char::is_alphanumeric))
        })
    };
    (1..).zip(code.lines()).filter(move |(_, line)| alone(line)).map(|(number, _)| number)
}

/// Where each function with a body begins, and how many lines it has.
fn functions(code: &str) -> Vec<(usize, usize)> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let starts = code.match_indices("fn ").filter(|(at, _)| !code[..*at].chars().next_back().is_some_and(part));
    let lines = |(at, _): (usize, &str)| {
        let body = &code[at..at + body_end(&code[at..])?];
        Some((code[..at].matches('\n').count() + 1, body.matches('\n').count() + 1))
    };
    starts.filter_map(lines).collect()
}

/// How far it is to the brace that closes the body of a function; none if it has no body.
fn body_end(code: &str) -> Option<usize> {
    let (mut brackets, mut braces) = (0, 0);
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => brackets += 1,
            ')' | ']' => brackets -= 1,
            ';' if brackets == 0 && braces == 0 => return None,
            '{' => braces += 1,
            '}' => {
                braces -= 1;
                if braces == 0 {
                    return Some(at);
                }
            }
            _ => {}
        }
    }
    None
}

/// Blanks in place of comments and of what stands in quotes; the lines stay as they are.
fn code_of(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let (open, blank, close) = token(rest, code.chars().next_back());
        code.push_str(&rest[..open]);
        code.extend(rest[open..open + blank].chars().map(|c| if c == '\n' { c } else { ' ' }));
        let end = (open + blank + close).min(rest.len());
        code.push_str(&rest[open + blank..end]);
        rest = &rest[end..];
    }
    code
}

/// How many bytes stay, how many after them are blanked, and how many after those stay again.
fn token(text: &str, before: Option<char>) -> (usize, usize, usize) {
    if text.starts_with("//") {
        return (0, text.find('\n').unwrap_or(text.len()), 0);
    }
    if text.starts_with("/*") {
        return (0, text.find("*/").map_or(text.len(), |at| at + 2), 0);
    }
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    let raw = text.strip_prefix("br").or_else(|| text.strip_prefix('r')).filter(|_| !in_word);
    let hashes = raw.map_or(0, |raw| raw.len() - raw.trim_start_matches('#').len());
    if let Some(raw) = raw.filter(|raw| raw[hashes..].starts_with('"')) {
        let open = text.len() - raw.len() + hashes + 1;
        let close = format!("\"{}", "#".repeat(hashes));
        return (open, text[open..].find(&close).unwrap_or(text.len() - open), close.len());
    }
    match text.as_bytes() {
        [b'"', ..] => (1, quoted(&text[1..], '"'), 1),
        [b'\'', b'\\', ..] => (1, quoted(&text[1..], '\''), 1),
        // 'a' is a character and 'a a lifetime.
        [b'\'', ..] => match text[1..].char_indices().nth(1) {
            Some((length, '\'')) => (1, length, 1),
            _ => (1, 0, 0),
        },
        _ => (text.chars().next().map_or(0, char::len_utf8), 0, 0),
    }
}

/// The length of what stands before the closing quote.
fn quoted(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at,
            _ => {}
        }
    }
    text.len()
}

/// What stands before ` =` or `.` at the beginning of lines: the keys of a TOML table.
fn keys(toml: &str) -> Vec<String> {
    let key = |line: &str| line.split([' ', '.', '=']).next().unwrap_or_default().to_owned();
    toml.lines().filter(|line| line.contains('=')).map(key).collect()
}

/// Versions with the same answer can stand for each other.
fn compatible(version: &str) -> String {
    let parts: Vec<&str> = version.split('.').collect();
    let length = parts.iter().position(|part| *part != "0").map_or(parts.len(), |at| at + 1);
    parts[..length].join(".")
}

/// A package of Cargo.lock, with the names of what it depends on.
struct Locked {
    name: String,
    version: String,
    dependencies: Vec<String>,
}

fn locked() -> Vec<Locked> {
    let value = |package: &str, key: &str| {
        let line = package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
        line.map(|value| value.trim_matches('"').to_owned()).expect("every package has a name and a version")
    };
    let name = |line: &str| Some(line.strip_prefix(" \"")?.split(['"', ' ']).next()?.to_owned());
    let package = |package: &str| Locked {
        name: value(package, "name"),
        version: value(package, "version"),
        dependencies: package.lines().filter_map(name).collect(),
    };
    read("Cargo.lock").split("[[package]]").skip(1).map(package).collect()
}

fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace")
}

fn read(path: &str) -> String {
    fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file of the project, from its top. What was built and what git keeps for itself are none.
fn files() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![top().to_owned()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).expect("the project can be read").flatten().map(|entry| entry.path()) {
            if path.is_symlink() || path.ends_with(".git") || path.join("CACHEDIR.TAG").exists() {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else {
                let below = path.strip_prefix(top()).expect("it lies below the top");
                found.push(below.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found.sort();
    found
}
