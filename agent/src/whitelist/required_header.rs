//! The condition that a rule puts on one header.

use std::fmt;

use http::{HeaderName, HeaderValue};

use super::headers::Passing;

/// A header that must be there once, with one of these values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct RequiredHeader {
    pub(super) name: HeaderName,
    /// In order, byte for byte.
    pub(super) values: Box<[HeaderValue]>,
}

impl RequiredHeader {
    /// Judged is what would be sent: a header that is dropped on the way is not there.
    pub(super) fn is_met(&self, passing: &Passing<'_>) -> bool {
        let mut lines = passing.lines(&self.name);
        match (lines.next(), lines.next()) {
            (Some(value), None) => self.values.contains(value),
            _ => false,
        }
    }
}

impl fmt::Display for RequiredHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<_> = self.values.iter().map(|value| value.as_bytes().escape_ascii().to_string()).collect();
        write!(f, "{}={}", self.name, values.join("|"))
    }
}
