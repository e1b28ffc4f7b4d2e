//! One path segment, decoded once: what it may hold (steps 4 and 5), for requests and for the literals of rules alike.

use super::denied::Reason;

/// Characters that some upstream folds into one or more of `. / \ ; %`, perhaps with letters beside them. What only
/// ever becomes a control byte (the graphics of OEM code pages), and what is text unless the rest of it is lost too
/// (`·`, `÷`, `½` in a transliteration to ASCII), is not among them.
const LOOK_ALIKES: [char; 34] = [
    // NFKC: full-width, small and vertical forms, dot leaders, the Greek question mark, letters with a slash between.
    '\u{FF0E}', '\u{2024}', '\u{2025}', '\u{2026}', '\u{FE52}', '\u{FF0F}', '\u{FF3C}', '\u{FE68}', '\u{FF1B}',
    '\u{FF05}', '\u{FE6A}', '\u{FE30}', '\u{FE19}', '\u{FE54}', '\u{FE14}', '\u{37E}', '\u{2100}', '\u{2101}',
    '\u{2105}', '\u{2106}',
    // What Windows and .NET find to fit best in a code page: slashes, the bullet, the Arabic percent sign, and the yen
    // and won signs, in whose places Japanese and Korean code pages have the backslash.
    '\u{2044}', '\u{2215}', '\u{2216}', '\u{2022}', '\u{66A}', '\u{A5}', '\u{20A9}',
    // What C libraries transliterate besides: diagonals and large slashes.
    '\u{2571}', '\u{2572}', '\u{27CB}', '\u{27CD}', '\u{29F5}', '\u{29F8}', '\u{29F9}',
];

/// Structural characters that a segment held in encoded form, where decoding would hide the difference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Encoded {
    pub(super) slash: bool,
    pub(super) semicolon: bool,
}

/// The byte behind the `%HH` that `bytes` begins with.
pub(super) fn triplet(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = bytes else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some(digit(*high)? << 4 | digit(*low)?)
}

/// Decodes once, appending to `into`. A `%` that begins no triplet stays as it is.
pub(super) fn decode(raw: &[u8], into: &mut Vec<u8>) -> Encoded {
    let mut encoded = Encoded::default();
    let mut rest = raw;
    while let [first, tail @ ..] = rest {
        if let Some(byte) = triplet(rest) {
            encoded.slash |= byte == b'/';
            encoded.semicolon |= byte == b';';
            into.push(byte);
            rest = &rest[3..];
        } else {
            into.push(*first);
            rest = tail;
        }
    }
    encoded
}

/// Step 4 for text that has been decoded, except for what only the raw form shows ([`Encoded`]).
pub(super) fn judge_characters(decoded: &str) -> Result<(), Reason> {
    if decoded.chars().any(char::is_control) {
        return Err(Reason::Control);
    }
    if decoded.contains('\\') {
        return Err(Reason::Backslash);
    }
    if decoded.contains('%') && (0..decoded.len()).any(|at| is_encoded(&decoded.as_bytes()[at..])) {
        return Err(Reason::DoubleEncoded);
    }
    if !decoded.is_ascii() && decoded.contains(LOOK_ALIKES) {
        return Err(Reason::LookAlike);
    }
    Ok(())
}

/// Whether a second decoding would find something here: `%HH`, or IIS's `%uHHHH`.
fn is_encoded(bytes: &[u8]) -> bool {
    let unicode = |rest: &[u8]| rest.len() >= 4 && rest[..4].iter().all(u8::is_ascii_hexdigit);
    match bytes {
        [b'%', b'u' | b'U', rest @ ..] => unicode(rest),
        _ => triplet(bytes).is_some(),
    }
}

/// Whether every piece between encoded slashes is a name by itself: neither empty nor dots, also if some upstream
/// strips parameters.
pub(super) fn has_good_pieces(decoded: &str) -> bool {
    decoded.split('/').all(|piece| !name(piece).is_empty() && !is_dots(piece))
}

/// What stands before the `;params`. (An encoded `;` is always refused, so every one that is left is raw.)
pub(super) fn name(decoded: &str) -> &str {
    decoded.split_once(';').map_or(decoded, |(name, _)| name)
}

/// Step 5: whether some upstream may take the segment for `.` or `..`: one that strips parameters, or white space.
pub(super) fn is_dots(decoded: &str) -> bool {
    if decoded.as_bytes().first().is_none_or(u8::is_ascii_alphanumeric) {
        return false; // the ordinary case, without a search
    }
    matches!(name(decoded).trim(), "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triplets() {
        for (text, byte) in [("%2f", Some(b'/')), ("%2F!", Some(b'/')), ("%00", Some(0)), ("%fF", Some(0xFF))] {
            assert_eq!(triplet(text.as_bytes()), byte, "{text}");
        }
        for text in ["", "%", "%2", "%2g", "%g2", "%+2", "2f", "% 2f", "%u002f"] {
            assert_eq!(triplet(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn decodes_once_and_remembers_what_was_encoded() {
        let check = |raw: &str, decoded: &str, slash: bool, semicolon: bool| {
            let mut into = Vec::new();
            assert_eq!(decode(raw.as_bytes(), &mut into), Encoded { slash, semicolon }, "{raw}");
            assert_eq!(into, decoded.as_bytes(), "{raw}");
        };
        check("plain;a/b", "plain;a/b", false, false);
        check("a%2fb", "a/b", true, false);
        check("a%3Bb", "a;b", false, true);
        check("%252F", "%2F", false, false);
        check("%", "%", false, false);
        check("%C3%A9", "\u{e9}", false, false);
    }

    #[test]
    fn encoded_twice() {
        for text in ["%2e", "a%41", "%u002e", "%U002Ex", "%%20"] {
            assert_eq!(judge_characters(text), Err(Reason::DoubleEncoded), "{text}");
        }
        for text in ["%", "100%", "%2", "%zz", "%u", "%u002", "%u00zz", "u002e", "%v002e"] {
            assert_eq!(judge_characters(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn look_alikes_and_their_neighbours() {
        let folded = [
            (".", "\u{FF0E}\u{2024}\u{2025}\u{2026}\u{FE52}\u{FE30}\u{FE19}\u{2022}"),
            ("/", "\u{FF0F}\u{2044}\u{2215}\u{2571}\u{27CB}\u{29F8}\u{2100}\u{2101}\u{2105}\u{2106}"),
            ("\\", "\u{FF3C}\u{FE68}\u{2216}\u{2572}\u{27CD}\u{29F5}\u{29F9}\u{A5}\u{20A9}"),
            (";", "\u{FF1B}\u{FE54}\u{FE14}\u{37E}"),
            ("%", "\u{FF05}\u{FE6A}\u{66A}"),
        ];
        for (into, characters) in folded {
            for character in characters.chars() {
                let text = format!("a{character}b");
                assert_eq!(judge_characters(&text), Err(Reason::LookAlike), "{character:?} for {into}");
            }
        }
        let text = "\u{B7}\u{F7}\u{BD}\u{20AC}\u{A3}\u{FFE5}\u{2013}\u{2212}\u{2217}\u{2223}\u{3002}\u{FF1A}\u{66C}\u{61B}\u{2027}\u{A7}\u{266A}";
        for character in text.chars() {
            assert_eq!(judge_characters(&format!("a{character}b")), Ok(()), "{character:?}");
        }
    }

    #[test]
    fn pieces_between_encoded_slashes() {
        for text in ["a/b", "a/b/c", "a;x/b", "a/...", " /a", "a/b;"] {
            assert!(has_good_pieces(text), "{text:?}");
        }
        for text in ["/", "a/", "/a", "a//b", "a/..", "./a", "a/.. ", "a/..;x", "a/;x", ";/a"] {
            assert!(!has_good_pieces(text), "{text:?}");
        }
    }

    #[test]
    fn dots_in_disguise() {
        for text in [".", "..", " .", ".. ", "..;", ".;x", ".. ;x", "..;..", "\u{3000}..", "..\u{a0}"] {
            assert!(is_dots(text), "{text:?}");
        }
        for text in ["...", "..foo", "a..b", ". .", ".a", "a;..", ";..", " ", "..%", "\u{3002}"] {
            assert!(!is_dots(text), "{text:?}");
        }
    }
}
