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

fn make() -> RequestId {
    static PROCESS: LazyLock<String> = LazyLock::new(|| {
        let random = getrandom::u64().unwrap_or_else(|_| std::process::id().into());
        format!("{random:016x}")
    });
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let next = NEXT.fetch_add(1, Ordering::Relaxed);
    RequestId::new(&format!("{}-{next:x}", *PROCESS)).expect("hexadecimal digits are visible ASCII")
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
}
