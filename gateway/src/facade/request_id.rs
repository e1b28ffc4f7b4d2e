//! The id of a request: the client's, if it is usable, or a new one.

use std::sync::{
    LazyLock,
    atomic::{AtomicU64, Ordering},
};

use http::{HeaderMap, HeaderValue};
use proto::wire::RequestId;

use crate::failure::X_REQUEST_ID;

/// Keeps the client's `X-Request-Id` if it is one visible ASCII value, or makes an id that no other process makes.
pub(super) fn keep_or_make(headers: &HeaderMap) -> RequestId {
    let mut values = headers.get_all(X_REQUEST_ID).iter();
    let kept = match (values.next().map(HeaderValue::to_str), values.next()) {
        (Some(Ok(id)), None) => RequestId::new(id),
        _ => None,
    };
    kept.unwrap_or_else(make)
}

/// An id that no other process makes.
pub(super) fn make() -> RequestId {
    static PROCESS: LazyLock<String> = LazyLock::new(|| {
        let random = getrandom::u64().unwrap_or_else(|_| std::process::id().into());
        format!("{random:016x}")
    });
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut id = String::with_capacity(PROCESS.len() + 12);
    id.push_str(&PROCESS);
    id.push('-');
    push_hex(&mut id, NEXT.fetch_add(1, Ordering::Relaxed));
    RequestId::new(&id).expect("hexadecimal digits are visible ASCII")
}

/// What `{number:x}` writes, without the machinery of `format!`: that costs as much as the rest of the id ten times.
fn push_hex(text: &mut String, number: u64) {
    let digits = (u64::BITS - number.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        text.push(char::from(b"0123456789abcdef"[(number >> (4 * digit) & 15) as usize]));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_if_usable() {
        let check = |values: &[&str], kept: bool| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(X_REQUEST_ID, value.parse().unwrap());
            }
            let id = keep_or_make(&headers);
            assert_eq!(values.contains(&id.as_str()), kept, "{values:?} {id}");
        };
        check(&["abc-123"], true);
        check(&["a b"], false);
        check(&["a", "b"], false);
        check(&[], false);
        check(&[&"x".repeat(129)], false);
        assert_ne!(make(), make());
    }

    #[test]
    fn numbers_in_hexadecimal() {
        for number in [0, 1, 9, 10, 15, 16, 255, 256, 0xfedc_ba98_7654_3210, u64::MAX] {
            let mut text = String::new();
            push_hex(&mut text, number);
            assert_eq!(text, format!("{number:x}"));
        }
    }
}
