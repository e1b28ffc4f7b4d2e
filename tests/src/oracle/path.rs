//! The oracle's paths: what a segment may hold, and what a pattern means.

use super::Rule;

/// Look-alikes of `.`, `/`, `\`, `;` and `%`.
const LOOK_ALIKES: [&str; 5] = [
    "\u{2022}\u{2024}\u{2025}\u{2026}\u{FE19}\u{FE30}\u{FE52}\u{FF0E}",
    "\u{2044}\u{2100}\u{2101}\u{2105}\u{2106}\u{2215}\u{2571}\u{27CB}\u{29F8}\u{FF0F}",
    "\u{A5}\u{20A9}\u{2216}\u{2572}\u{27CD}\u{29F5}\u{29F9}\u{FE68}\u{FF3C}",
    "\u{37E}\u{FE14}\u{FE54}\u{FF1B}",
    "\u{66A}\u{FE6A}\u{FF05}",
];

/// What stands between the slashes of a path. The one behind a trailing slash is empty.
pub fn segments(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.get(1..).unwrap_or_default().split(|&byte| byte == b'/')
}

/// Decodes once. A `%` that begins no triplet stays.
#[must_use]
pub fn decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    let mut rest = text;
    while let [first, behind @ ..] = rest {
        let triplet = rest.get(..3).filter(|_| *first == b'%').and_then(|three| std::str::from_utf8(&three[1..]).ok());
        let hex = triplet.filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                rest = &rest[3..];
            }
            None => {
                decoded.push(*first);
                rest = behind;
            }
        }
    }
    decoded
}

/// Whether a `%` begins no triplet.
pub(super) fn has_bad_triplet(text: &[u8]) -> bool {
    let mut pieces = text.split(|&byte| byte == b'%').skip(1);
    pieces.any(|behind| behind.len() < 2 || !behind[..2].iter().all(u8::is_ascii_hexdigit))
}

/// Step 4.
pub(super) fn deceives(segment: &[u8]) -> bool {
    let Ok(decoded) = String::from_utf8(decode(segment)) else { return true };
    // Besides `%HH` there is `%uHHHH`, which IIS decodes.
    let is_hex =
        |text: &str, digits: usize| text.len() >= digits && text.bytes().take(digits).all(|b| b.is_ascii_hexdigit());
    let begins_triplet =
        |text: &str| is_hex(text, 2) || text.strip_prefix(['u', 'U']).is_some_and(|text| is_hex(text, 4));
    let is_encoded_twice = decoded.split('%').skip(1).any(begins_triplet);
    let has_encoded_semicolon = holds(segment, b"%3B");
    let is_deceiving = |c: char| c.is_control() || c == '\\' || LOOK_ALIKES.iter().any(|of_one| of_one.contains(c));
    is_encoded_twice || has_encoded_semicolon || decoded.chars().any(is_deceiving)
}

/// Step 5: decoded, without parameters and without spaces around it.
#[must_use]
pub fn is_dots(segment: &[u8]) -> bool {
    let decoded = decode(segment);
    let decoded = String::from_utf8_lossy(&decoded);
    matches!(decoded.split(';').next().unwrap_or_default().trim(), "." | "..")
}

fn holds(segment: &[u8], triplet: &[u8]) -> bool {
    segment.to_ascii_uppercase().windows(3).any(|three| three == triplet)
}

/// Whether a segment has `;params`.
pub(super) fn has_parameters(segment: &[u8]) -> bool {
    segment.contains(&b';')
}

/// Whether a segment holds an encoded slash.
pub(super) fn has_slash(segment: &[u8]) -> bool {
    holds(segment, b"%2F")
}

/// Whether a path that passed steps 1 to 6 is one that the rule is about.
pub(super) fn matches(rule: &Rule, path: &[u8]) -> bool {
    if rule.path == "*" || path == b"*" {
        return rule.path.as_bytes() == path;
    }
    let wanted: Vec<&str> = rule.path[1..].split('/').collect();
    let found: Vec<&[u8]> = segments(path).collect();
    let fits = |(wanted, found): (&&str, &&[u8])| segment_matches(rule, wanted, found);
    match wanted.split_last() {
        Some((last, before)) if *last == "**" || last.starts_with("{*") => {
            // At most one trailing slash, which made the last segment empty.
            let found = found.strip_suffix(&[&b""[..]]).unwrap_or(&found);
            found.len() > before.len()
                && before.iter().zip(found).all(fits)
                && found[before.len()..].iter().all(|segment| !has_slash(segment) && is_named(rule, segment))
        }
        _ => wanted.len() == found.len() && wanted.iter().zip(&found).all(fits),
    }
}

/// Step 7 and the pattern of one segment. An encoded slash may stand in a `*` or `{name}` alone.
fn segment_matches(rule: &Rule, wanted: &str, found: &[u8]) -> bool {
    let pieces = pieces(wanted);
    let is_star = pieces.len() == 2 && pieces.concat().is_empty();
    let slash_is_permitted = rule.encoded_slash && is_star && has_good_pieces(found);
    (!has_slash(found) || slash_is_permitted)
        && (found.is_empty() || is_named(rule, found))
        && glob(&pieces, &decode(name(found)))
}

/// What stands before the `;params`.
fn name(segment: &[u8]) -> &[u8] {
    segment.split(|&byte| byte == b';').next().unwrap_or_default()
}

fn is_named(rule: &Rule, segment: &[u8]) -> bool {
    (rule.matrix || !has_parameters(segment)) && !name(segment).is_empty()
}

/// Between encoded slashes nothing is empty or dots, with parameters or without.
fn has_good_pieces(segment: &[u8]) -> bool {
    let text = decode(segment);
    text.split(|&byte| byte == b'/').all(|piece| !name(piece).is_empty() && !is_dots(piece))
}

/// The decoded literals of a pattern's segment; between each two stands a star.
fn pieces(wanted: &str) -> Vec<Vec<u8>> {
    let mut pieces = Vec::new();
    let mut rest = wanted;
    while let Some(at) = rest.find(['*', '{']) {
        pieces.push(decode(&rest.as_bytes()[..at]));
        let end = if rest[at..].starts_with('*') { at } else { rest.find('}').unwrap_or(at) };
        rest = &rest[end + 1..];
    }
    pieces.push(decode(rest.as_bytes()));
    pieces
}

/// Tries for each star every length from one byte on.
fn glob(pieces: &[Vec<u8>], text: &[u8]) -> bool {
    match pieces {
        [] => false,
        [last] => text == &last[..],
        [first, behind @ ..] => match text.strip_prefix(&first[..]) {
            Some(rest) => (1..=rest.len()).any(|star| glob(behind, &rest[star..])),
            None => false,
        },
    }
}
