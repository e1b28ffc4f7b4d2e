//! What holds for every request and every list of rules, tried on many made from a seed.

use http::{Method, Uri};
use proto::wire::RequestHead;

use super::{head, headers, whitelist};
use crate::whitelist::target::Target;

/// SplitMix64: small, and good enough to mix fragments.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    fn text(&mut self, from: &[&str], most: usize) -> String {
        (0..self.below(most + 1)).map(|_| self.pick(from)).collect()
    }
}

const NASTY: [&str; 40] = [
    "/",
    "/",
    "/",
    "a",
    "b",
    "public",
    "secret",
    ".",
    "..",
    "%2e",
    "%2E",
    "%2f",
    "%5c",
    "\\",
    ";",
    "%3b",
    "%25",
    "2f",
    "2e",
    "%20",
    "%00",
    "//",
    "?",
    "&",
    "=",
    "_method=PUT",
    "%c0%ae",
    "%ef%bc%8f",
    "%e2%80%a4",
    "%C3%A9",
    "%C3",
    "\u{e9}",
    "#",
    " ",
    "*",
    "%",
    "~",
    ":",
    "%E3%80%80",
    "%u002e",
];
const SEGMENTS: [&str; 12] = ["a", "b", "*", "{id}", "a*", "*b", "a*b*", "*a*a*", "%C3%A9", "\u{e9}*", "public", "a.b"];
const METHODS: [&str; 5] = ["GET", "HEAD", "POST", "PUT", "OPTIONS"];

fn rule(random: &mut Random) -> String {
    let first = random.below(METHODS.len());
    let methods = METHODS[first..=first + random.below(METHODS.len() - first)].join(",");
    let segments: String = (0..random.below(4)).map(|_| format!("/{}", random.pick(&SEGMENTS))).collect();
    let end =
        if segments.is_empty() { random.pick(&["/", "/**"]) } else { random.pick(&["", "", "/", "/**", "/{*rest}"]) };
    format!("{methods} {segments}{end}")
}

fn request(random: &mut Random) -> RequestHead {
    let method = random.pick(&METHODS);
    let plain = random.below(2) == 0;
    let fragments = if plain {
        &["/a", "/b", "/ab", "/aab", "/%C3%A9", "/public", "/a%2Eb", "/aaaa", "/", "x"]
    } else {
        &NASTY[..]
    };
    let prefix = random.pick(&["/", "/", "/public/", ""]);
    let target = format!("{}{}", if plain { "" } else { prefix }, random.text(fragments, 6));
    let lines = [
        ("accept", "*/*"),
        ("connection", "x-a, keep-alive"),
        ("x-a", "1"),
        ("x_b", "2"),
        ("te", "trailers"),
        ("cookie", "c=d"),
        ("content-length", "3"),
        ("expect", "100-continue"),
        ("x-forwarded-for", "::1"),
        ("cookie", "e=f"),
    ];
    let some: Vec<_> = lines.into_iter().filter(|_| random.below(2) == 0).collect();
    RequestHead { headers: headers(&some), ..head(method, target) }
}

#[test]
fn what_is_allowed_is_sent_as_it_is_in_any_order_of_rules() {
    let mut verdicts = [0, 0];
    for seed in 0..300 {
        println!("seed {seed}");
        let mut random = Random(seed);
        let mut rules: Vec<_> = (0..1 + random.below(8)).map(|_| rule(&mut random)).collect();
        let list = whitelist(&rules);
        for i in (1..rules.len()).rev() {
            rules.swap(i, random.below(i + 1));
        }
        let permuted = whitelist(&rules);
        for _ in 0..100 {
            let head = request(&mut random);
            let shown = head.target.escape_ascii();
            let verdict = list.admit(&head);
            verdicts[usize::from(verdict.is_ok())] += 1;
            assert_eq!(list.explain(&head).is_allowed(), verdict.is_ok(), "{shown}");
            match (verdict, permuted.admit(&head)) {
                (Ok(admitted), Ok(_)) => {
                    let sent = admitted.path_and_query();
                    assert_eq!(sent.as_str().as_bytes(), head.target, "{shown}");
                    assert_eq!(Uri::from(sent.clone()).to_string().as_bytes(), head.target, "{shown}");
                    let again = RequestHead { headers: admitted.headers().clone(), ..head.clone() };
                    let again = list.admit(&again).expect("what was sent would be allowed again");
                    assert_eq!((again.path_and_query(), again.headers()), (sent, admitted.headers()), "{shown}");
                }
                (Err(one), Err(other)) => assert_eq!(one, other, "{shown}"),
                (one, other) => panic!("the order of rules decides on {shown}: {one:?}, {other:?}"),
            }
        }
    }
    assert!(verdicts.iter().all(|&count| count > 3_000), "both verdicts are tried often: {verdicts:?}");
}

/// Matches by the table of the specification, as simply as can be, on texts.
fn naive(rule: &str, method: &str, path: &str) -> bool {
    let (methods, pattern) = rule.split_once(' ').unwrap();
    let path = path.split('?').next().unwrap();
    let path = path.replace("%C3%A9", "\u{e9}").replace("%2E", ".");
    let pattern = pattern.replace("{id}", "*").replace("{*rest}", "**").replace("%C3%A9", "\u{e9}");
    let wanted: Vec<_> = pattern[1..].split('/').collect();
    let found: Vec<_> = path[1..].split('/').collect();
    let all = |wanted: &[&str], found: &[&str]| wanted.iter().zip(found).all(|(w, f)| naive_segment(w, f));
    let path_matches = match wanted.split_last() {
        Some((&"**", before)) => {
            let found = found.strip_suffix(&[""]).unwrap_or(&found);
            found.len() > before.len() && all(before, found)
        }
        _ => wanted.len() == found.len() && all(&wanted, &found),
    };
    path_matches && methods.split(',').any(|m| m == method)
}

fn naive_segment(pattern: &str, text: &str) -> bool {
    let Some((literal, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(behind) = text.strip_prefix(literal) else { return false };
    (1..=behind.len()).any(|n| behind.is_char_boundary(n) && naive_segment(rest, &behind[n..]))
}

#[test]
fn agrees_with_the_table_read_naively() {
    let mut matched = 0;
    for seed in 1_000..1_300 {
        println!("seed {seed}");
        let mut random = Random(seed);
        let text = rule(&mut random);
        let list = whitelist(&[&text]);
        for _ in 0..100 {
            let head = request(&mut random);
            let mut scratch = String::new();
            let judged = Target::judge(&head.target, &head.method, &mut scratch);
            if judged.and_then(|target| target.refuse_ambiguous().and(target.refuse_override(&head.method))).is_err() {
                continue;
            }
            let target = std::str::from_utf8(&head.target).unwrap();
            if target.contains("%20") || target.contains("%25") || target.contains("%E3") || target.contains("%2e") {
                continue; // the naive reader does not decode these
            }
            let expected = naive(&text, head.method.as_str(), target);
            assert_eq!(list.admit(&head).is_ok(), expected, "{text} on {} {target}", head.method);
            matched += usize::from(expected);
        }
    }
    assert!(matched > 500, "matches are tried often: {matched}");
}

/// A path as the worst upstream reads it: decoded `rounds` times, look-alikes and backslashes folded, parameters cut,
/// white space trimmed, empty and dot segments resolved.
fn misread(target: &[u8], rounds: usize) -> Vec<String> {
    let path = target.split(|&byte| byte == b'?').next().unwrap();
    let mut bytes = path.to_vec();
    for _ in 0..rounds {
        let mut decoded = Vec::new();
        crate::whitelist::segment::decode(&bytes, &mut decoded);
        bytes = decoded;
    }
    let text = String::from_utf8_lossy(&bytes).to_lowercase();
    let text = text
        .replace(['\\', '\u{FF0F}', '\u{FF3C}', '\u{FE68}'], "/")
        .replace(['\u{FF0E}', '\u{2024}', '\u{FE52}'], ".");
    let mut resolved = Vec::new();
    for segment in text.split('/') {
        match segment.split(';').next().unwrap().trim_matches(|c: char| c.is_whitespace() || c.is_control()) {
            "" | "." => {}
            ".." => drop(resolved.pop()),
            name => resolved.push(name.to_owned()),
        }
    }
    resolved
}

#[test]
fn no_misreading_leaves_what_was_allowed() {
    let list = whitelist(&["GET /public/**"]);
    let mut allowed = 0;
    for seed in 2_000..2_400 {
        println!("seed {seed}");
        let mut random = Random(seed);
        for _ in 0..200 {
            let target = format!("/public/{}", random.text(&NASTY, 5));
            if list.admit(&RequestHead { method: Method::GET, ..head("GET", &target) }).is_ok() {
                allowed += 1;
                for rounds in 0..4 {
                    let read = misread(target.as_bytes(), rounds);
                    assert_eq!(read.first().map(String::as_str), Some("public"), "{target}: {read:?}");
                    assert!(!read[1..].contains(&"..".to_owned()), "{target}: {read:?}");
                }
            }
        }
    }
    assert!(allowed > 3_000, "enough is allowed to mean something: {allowed}");
}
