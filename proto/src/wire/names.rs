//! Names that travel: services and request ids, each a type that proves its spelling.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use super::limits::{NAME_BYTES, REQUEST_ID_BYTES};

/// Whether an agent that proves no name can go by this one: 1 to 253 bytes of whatever it calls itself in its hello,
/// without control characters.
#[must_use]
pub fn can_name_agent(text: &str) -> bool {
    (1..=NAME_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// The name of a service, such as `orders` or `jira.acme`: dot-separated labels of lower-case letters, digits, `-`
/// and `_`, at most 253 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServiceName(Arc<str>);

/// Why a string is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not a name: write 1 to 253 lower-case letters, digits, '-' and '_', in parts separated by single dots"
)]
pub struct InvalidName(String);

impl ServiceName {
    /// Parses a name.
    ///
    /// # Errors
    /// [`InvalidName`] if the spelling is not that of a service name.
    pub fn new(name: &str) -> Result<Self, InvalidName> {
        let label = |label: &str| {
            !label.is_empty()
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        };
        if name.len() <= NAME_BYTES && name.split('.').all(label) {
            Ok(Self(name.into()))
        } else {
            Err(InvalidName(name.chars().take(64).collect()))
        }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ServiceName {
    type Err = InvalidName;
    fn from_str(name: &str) -> Result<Self, InvalidName> {
        Self::new(name)
    }
}

impl Borrow<str> for ServiceName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The id of a request, the same in both logs and in `x-request-id`: 1 to 128 visible ASCII bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RequestId(Box<str>);

impl RequestId {
    /// Takes an id over, or `None` if it is empty, too long, or holds anything but visible ASCII (0x21 to 0x7E).
    #[must_use]
    pub fn new(id: &str) -> Option<Self> {
        let fits = (1..=REQUEST_ID_BYTES).contains(&id.len());
        (fits && id.bytes().all(|b| b.is_ascii_graphic())).then(|| Self(id.into()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn service_names() {
        let longest = "a".repeat(NAME_BYTES);
        let too_long = "a".repeat(NAME_BYTES + 1);
        let good = ["orders", "jira.acme", "a", "0-1_2.x", longest.as_str()];
        let bad = ["", "Orders", "a..b", ".a", "a.", "a b", "a/b", "*.acme", "caf\u{e9}", "a:1", too_long.as_str()];
        for name in good {
            assert!(ServiceName::new(name).is_ok(), "{name}");
        }
        for name in bad {
            assert!(ServiceName::new(name).is_err(), "{name}");
        }
    }

    #[test]
    fn request_ids() {
        assert!(RequestId::new(&"x".repeat(REQUEST_ID_BYTES)).is_some());
        for id in ["", "a b", "a\n", "\u{e9}", &"x".repeat(REQUEST_ID_BYTES + 1)] {
            assert!(RequestId::new(id).is_none(), "{id:?}");
        }
    }
}
