//! What the head says of itself: its size (step 9), the declared body length, and `Expect`.

use http::{
    HeaderMap,
    header::{CONNECTION, CONTENT_LENGTH, EXPECT, TRANSFER_ENCODING},
};

use super::{
    denied::{Denied, Reason},
    limits::{HEADER_BYTES, HEADER_LINES, NOMINATED},
};

/// What the head declares of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Framing {
    pub(super) content_length: Option<u64>,
    pub(super) expects_continue: bool,
}

/// Judges sizes, then reads the declarations.
pub(super) fn judge(headers: &HeaderMap) -> Result<Framing, Denied> {
    judge_size(headers)
        .and_then(|()| {
            Ok(Framing { content_length: content_length(headers)?, expects_continue: expects_continue(headers)? })
        })
        .map_err(Denied::new)
}

fn judge_size(headers: &HeaderMap) -> Result<(), Reason> {
    if headers.len() > HEADER_LINES {
        return Err(Reason::TooManyHeaders);
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if bytes > HEADER_BYTES {
        return Err(Reason::HeadersTooLong);
    }
    let commas = |value: &[u8]| value.iter().filter(|&&byte| byte == b',').count();
    let nominated: usize = headers.get_all(CONNECTION).iter().map(|value| commas(value.as_bytes()) + 1).sum();
    if nominated > NOMINATED {
        return Err(Reason::TooManyNominated);
    }
    Ok(())
}

/// RFC 9112 §6.3 would let a list of equal values pass as one. Nobody honest sends that, so it is refused.
fn content_length(headers: &HeaderMap) -> Result<Option<u64>, Reason> {
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else { return Ok(None) };
    if lengths.next().is_some() {
        return Err(Reason::RepeatedContentLength);
    }
    if headers.contains_key(TRANSFER_ENCODING) {
        return Err(Reason::LengthBesideEncoding);
    }
    // `u64::from_str` alone would take a leading '+'.
    let digits = length.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    digits.and_then(|digits| digits.parse().ok()).map(Some).ok_or(Reason::ContentLength)
}

/// RFC 9110 §10.1.1 defines `100-continue` alone, without regard to case, and permits (not demands) a 417 for
/// anything else. We answer 400: nobody sends anything else, and one more failure code on the wire would serve nobody.
fn expects_continue(headers: &HeaderMap) -> Result<bool, Reason> {
    let mut expects = false;
    for value in headers.get_all(EXPECT) {
        for member in value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            // An empty list member says nothing (§5.6.1.2).
            if !member.is_empty() && !member.eq_ignore_ascii_case(b"100-continue") {
                return Err(Reason::Expectation);
            }
            expects |= !member.is_empty();
        }
    }
    Ok(expects)
}

#[cfg(test)]
mod tests {
    use super::{super::tests::headers, *};

    #[test]
    fn content_length_is_one_number() {
        let check = |lines: &[(&str, &str)], expected: Result<Option<u64>, Reason>| {
            let found = judge(&headers(lines)).map(|framing| framing.content_length).map_err(|denied| denied.reason);
            assert_eq!(found, expected, "{lines:?}");
        };
        check(&[], Ok(None));
        check(&[("content-length", "0")], Ok(Some(0)));
        check(&[("content-length", "42")], Ok(Some(42)));
        check(&[("content-length", "18446744073709551615")], Ok(Some(u64::MAX)));
        check(&[("transfer-encoding", "chunked")], Ok(None));
        let bad = ["", "+5", "-1", "5 ", " 5", "0x5", "5,5", "5, 5", "1e3", "5;", "18446744073709551616", "\u{664}"];
        for value in bad {
            check(&[("content-length", value)], Err(Reason::ContentLength));
        }
        check(&[("content-length", "5"), ("content-length", "5")], Err(Reason::RepeatedContentLength));
        check(&[("content-length", "5"), ("content-length", "6")], Err(Reason::RepeatedContentLength));
        check(&[("content-length", "5"), ("transfer-encoding", "chunked")], Err(Reason::LengthBesideEncoding));
        check(&[("content-length", "0"), ("transfer-encoding", "identity")], Err(Reason::LengthBesideEncoding));
    }

    #[test]
    fn only_100_continue_is_expected() {
        let check = |values: &[&str], expected: Result<bool, Reason>| {
            let lines: Vec<_> = values.iter().map(|value| ("expect", *value)).collect();
            let found = judge(&headers(&lines)).map(|framing| framing.expects_continue).map_err(|denied| denied.reason);
            assert_eq!(found, expected, "{values:?}");
        };
        check(&[], Ok(false));
        check(&[""], Ok(false));
        check(&["100-continue"], Ok(true));
        check(&["100-Continue", "100-continue"], Ok(true));
        check(&["100-continue, ,"], Ok(true));
        for value in ["100-continue=1", "200-ok", "100-continue; q=1", "100-continue, x", "100", "100_continue"] {
            check(&[value], Err(Reason::Expectation));
        }
        check(&["100-continue", "x"], Err(Reason::Expectation));
    }
}
