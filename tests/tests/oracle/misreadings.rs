//! Upstreams that read a path as the worst of them do: even so, what was allowed stays where it was allowed.

use std::cell::Cell;

use proptest::{
    collection::vec,
    prelude::{Strategy, prop_assert, prop_assert_eq},
    sample::select,
};
use reachback_tests::oracle::{Rule, decode};

use super::{
    check,
    generate::NASTY,
    properties::{head, whitelist},
};

/// A path decoded so many times, look-alikes and backslashes folded, parameters cut, white space trimmed, empty and dot
/// segments resolved.
fn misread(target: &[u8], rounds: usize) -> Vec<String> {
    let path = target.split(|&byte| byte == b'?').next().unwrap_or_default();
    let bytes = (0..rounds).fold(path.to_vec(), |bytes, _| decode(&bytes));
    let text = String::from_utf8_lossy(&bytes).to_lowercase();
    let text = text
        .replace(['\\', '\u{FF0F}', '\u{FF3C}', '\u{FE68}', '\u{A5}', '\u{20A9}'], "/")
        .replace(['\u{2044}', '\u{2215}', '\u{2216}'], "/")
        .replace(['\u{FF0E}', '\u{2024}', '\u{FE52}', '\u{2022}'], ".")
        .replace('\u{2025}', "..");
    let mut resolved = Vec::new();
    for segment in text.split('/') {
        match segment.split(';').next().unwrap_or_default().trim_matches(|c: char| c.is_whitespace() || c.is_control())
        {
            "" | "." => {}
            ".." => drop(resolved.pop()),
            name => resolved.push(name.to_owned()),
        }
    }
    resolved
}

#[test]
fn never_leave_what_was_allowed() {
    let list = whitelist(&[Rule::short("GET /public/**")]);
    let allowed = Cell::new(0);
    let pieces = vec(select([&NASTY[..], &["a", "b", "secret", "~", ":", "a/b", "%C3%A9"].repeat(3)].concat()), 0..5);
    check(20_000, &pieces.prop_map(|pieces| format!("/public/{}", pieces.concat())), |target| {
        if list.admit(&head("GET", target.as_bytes())).is_ok() {
            allowed.set(allowed.get() + 1);
            for rounds in 0..4 {
                let read = misread(target.as_bytes(), rounds);
                prop_assert_eq!(read.first().map(String::as_str), Some("public"), "{:?}", read);
                prop_assert!(!read[1..].contains(&"..".to_owned()), "{:?}", read);
            }
        }
        Ok(())
    });
    assert!(allowed.get() > 2_000, "enough is allowed to mean something: {}", allowed.get());
}
