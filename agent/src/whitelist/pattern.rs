//! The path of a rule, taken apart once, so that a request is compared segment by segment.

use super::{
    glob::Glob,
    target::{Path, Target},
    text::Text,
};

/// Which targets a rule is about.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Pattern {
    /// `*`, for a rule `OPTIONS *`.
    Asterisk,
    /// A path.
    Path(PathPattern),
}

/// A path pattern: segments, and what may stand behind them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PathPattern {
    pub(super) segments: Box<[Segment]>,
    pub(super) end: End,
}

/// What one segment must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    /// These bytes, decoded once.
    Literal(Box<str>),
    /// `*` or `{name}`: any one. (Requests with empty segments are refused before.) The only one in which a `%2F` can
    /// be permitted.
    Any,
    /// `pre*post`.
    Glob(Glob),
}

/// What stands behind the last segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum End {
    /// Nothing.
    Exact,
    /// A slash.
    Slash,
    /// `**`: one or more further segments, and a slash or none.
    Rest,
}

impl Pattern {
    /// Whether the target matches. Takes time linear in the target, whatever the pattern.
    pub(super) fn matches(&self, target: &Target<'_>) -> bool {
        match (self, target) {
            (Self::Asterisk, Target::Asterisk) => true,
            (Self::Path(pattern), Target::Path(path)) => pattern.matches(path),
            _ => false,
        }
    }
}

impl PathPattern {
    fn matches(&self, path: &Path<'_>) -> bool {
        let count_fits = match self.end {
            End::Exact => path.segments.len() == self.segments.len() && !path.trailing_slash,
            End::Slash => path.segments.len() == self.segments.len() && path.trailing_slash,
            End::Rest => path.segments.len() > self.segments.len(),
        };
        // From the end, because the rules of one API begin alike. A `%2F` behind the segments stands in no `*`.
        count_fits
            && path.last_slashed.is_none_or(|last| last < self.segments.len())
            && self.segments.iter().zip(&path.segments).rev().all(|(segment, text)| segment.matches(text))
    }
}

impl Segment {
    pub(super) fn matches(&self, text: &Text<'_>) -> bool {
        match self {
            Self::Literal(literal) => **literal == *text.as_str() && !text.is_slashed(),
            Self::Any => true,
            Self::Glob(glob) => glob.matches(text) && !text.is_slashed(),
        }
    }

    /// How many wildcards stand in it beside something else.
    pub(super) fn inner_wildcards(&self) -> usize {
        if let Self::Glob(glob) = self { glob.stars() } else { 0 }
    }

    /// The segment for people, decoded.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Literal(literal) => literal.to_string(),
            Self::Any => "*".to_owned(),
            Self::Glob(glob) => glob.text(),
        }
    }
}
