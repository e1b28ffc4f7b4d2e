//! Percent-encoding (RFC 3986 §2.1): one segment decoded once, and written so that a rule reads it as the same.

/// Decodes once. A `%` that begins no triplet stays as it is.
pub(super) fn decoded(text: &str) -> Vec<u8> {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let digits = part.get(..2).filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()));
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(part.as_bytes());
            }
        }
    }
    bytes
}

/// Literal text of a segment as a rule writes it: plain ASCII, in which nothing is a wildcard.
pub(super) fn literal(segment: &str) -> String {
    let mut text = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        push(&mut text, byte, |byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()+,=:@".contains(&byte));
    }
    text
}

/// A name or value of a query's parameter, in which nothing separates.
pub(super) fn parameter(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.bytes() {
        push(&mut text, byte, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    }
    text
}

/// A piece of a path that is written as a document or a rule would, except that it holds no wildcard and is ASCII.
pub(super) fn without_stars(piece: &str) -> String {
    let mut text = String::with_capacity(piece.len());
    for byte in piece.bytes() {
        push(&mut text, byte, |byte| byte.is_ascii() && byte != b'*');
    }
    text
}

fn push(text: &mut String, byte: u8, stays: impl Fn(u8) -> bool) {
    if stays(byte) {
        text.push(char::from(byte));
    } else {
        *text += &format!("%{byte:02X}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_once() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("plain", b"plain"),
            ("%2F%2f", b"//"),
            ("%C3%A9", "\u{e9}".as_bytes()),
            ("100%25", b"100%"),
            ("%252F", b"%2F"),
            ("%", b"%"),
            ("%+1%2", b"%+1%2"),
            ("%\u{e9}a", "%\u{e9}a".as_bytes()),
            ("a%00b", b"a\0b"),
        ] {
            assert_eq!(decoded(text), bytes, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        for text in ["orders", "a b", "*", "{id}", "caf\u{e9}", "100%", "it's;x", "a/b", "~$metadata(1)", "\u{202e}"] {
            let written = literal(text);
            assert_eq!(decoded(&written), text.as_bytes(), "{text}");
            assert!(written.is_ascii() && !written.contains(['*', '{', '}', ';', '/', ' ']), "{written}");
            assert_eq!(decoded(&parameter(text)), text.as_bytes(), "{text}");
        }
        assert_eq!(parameter("a[b]=c&d+_e"), "a%5Bb%5D%3Dc%26d%2B_e");
        assert_eq!(without_stars("/a*/%20 \u{e9}/{"), "/a%2A/%20 %C3%A9/{");
    }
}
