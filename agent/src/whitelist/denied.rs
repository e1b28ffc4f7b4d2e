//! A refusal: at which step it fell, why, and which failure it becomes.

use std::fmt;

use proto::wire::FailureCode;

/// The whitelist's *no*. It never repeats a header value or a piece of the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub struct Denied {
    /// The failure to answer with: `BadRequest`, `Denied`, `UriTooLong`, `HeadTooLarge` or `BodyTooLarge`.
    pub code: FailureCode,
    /// Where it was refused.
    pub step: Step,
    /// Why it was refused.
    pub reason: Reason,
    /// Where in the request target, counted in bytes from 0, if one place is to blame.
    pub at: Option<usize>,
}

impl Denied {
    pub(super) fn new(reason: Reason) -> Self {
        let (step, code, _) = reason.meaning();
        Self { code, step, reason, at: None }
    }

    /// What is said when only the body itself has shown that it is longer than the rule allows.
    pub(crate) fn body_too_long() -> Self {
        Self::new(Reason::BodyTooLong)
    }

    pub(super) fn at(reason: Reason, offset: usize) -> Self {
        Self { at: Some(offset), ..Self::new(reason) }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.reason.fmt(f)?;
        self.at.map_or(Ok(()), |at| write!(f, " (byte {at} of the target)"))
    }
}

/// Where a request was refused, in the order of judging.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Step {
    /// Before the steps: the service is looked up.
    Service,
    /// Step 1: origin-form only.
    Form,
    /// Step 2: the bytes of path and query.
    Bytes,
    /// Step 3: valid triplets.
    Triplets,
    /// Step 4: what a segment holds once it is decoded.
    Decoded,
    /// Step 5: dot segments.
    Dots,
    /// Step 6: empty segments.
    Empty,
    /// Step 7: `;` and `%2F`, which upstreams read in different ways.
    Ambiguous,
    /// Step 8: a method override in the query.
    Override,
    /// Step 9: sizes.
    Size,
    /// After the steps: what the head says of its body (RFC 9112 §6.3, RFC 9110 §10.1.1).
    Framing,
    /// The rules themselves.
    Rules,
}

impl Step {
    /// The number of the step in "Refuse, never repair", if it is one of those nine.
    #[must_use]
    pub fn number(self) -> Option<u8> {
        let number = self as u8;
        (1..=9).contains(&number).then_some(number)
    }

    /// The step as counters spell it: its number, or a word if it is none of the nine.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Form => "1",
            Self::Bytes => "2",
            Self::Triplets => "3",
            Self::Decoded => "4",
            Self::Dots => "5",
            Self::Empty => "6",
            Self::Ambiguous => "7",
            Self::Override => "8",
            Self::Size => "9",
            Self::Framing => "framing",
            Self::Rules => "rules",
        }
    }
}

/// Why a request was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "`meaning` below says what each is, once")]
pub enum Reason {
    UnknownService,
    NotOriginForm,
    PathByte,
    QueryByte,
    BadTriplet,
    Control,
    Backslash,
    InvalidUtf8,
    DoubleEncoded,
    EncodedSemicolon,
    LookAlike,
    DotSegment,
    EmptySegment,
    Parameters,
    NamelessParameters,
    EncodedSlash,
    EncodedSlashes,
    MethodOverride,
    TargetTooLong,
    TooManyHeaders,
    HeadersTooLong,
    TooManyNominated,
    ContentLength,
    RepeatedContentLength,
    LengthBesideEncoding,
    Expectation,
    Host,
    NoRule,
    Query,
    Headers,
    Destination,
    Upgrade,
    BodyTooLong,
    TargetChanged,
}

impl Reason {
    /// The one table of refusals: step, failure, sentence for people.
    fn meaning(self) -> (Step, FailureCode, &'static str) {
        use FailureCode::{BadRequest, BodyTooLarge, Denied, HeadTooLarge, UriTooLong};
        match self {
            Self::UnknownService => (Step::Service, Denied, "this agent offers no such service"),
            Self::NotOriginForm => (Step::Form, BadRequest, "the target is not a path: it must begin with '/'"),
            Self::PathByte => (Step::Bytes, BadRequest, "the path holds a byte that must be percent-encoded"),
            Self::QueryByte => (Step::Bytes, BadRequest, "the query holds a byte that must be percent-encoded"),
            Self::BadTriplet => (Step::Triplets, BadRequest, "a '%' in the path is not followed by two hex digits"),
            Self::Control => (Step::Decoded, Denied, "a path segment holds an encoded control character"),
            Self::Backslash => (Step::Decoded, Denied, "a path segment holds an encoded backslash"),
            Self::InvalidUtf8 => (Step::Decoded, Denied, "a path segment is not UTF-8"),
            Self::DoubleEncoded => (Step::Decoded, Denied, "a path segment is percent-encoded twice"),
            Self::EncodedSemicolon => (Step::Decoded, Denied, "a path segment holds an encoded ';'"),
            Self::LookAlike => {
                (Step::Decoded, Denied, "a path segment holds a look-alike of one of the characters . / \\ ; %")
            }
            Self::DotSegment => (Step::Dots, Denied, "a path segment is '.' or '..', plainly or in disguise"),
            Self::EmptySegment => (Step::Empty, Denied, "the path holds '//'"),
            Self::Parameters => (Step::Ambiguous, Denied, "the path holds ';', which no rule permits here"),
            Self::NamelessParameters => (Step::Ambiguous, Denied, "a path segment begins with ';'"),
            Self::EncodedSlash => (Step::Ambiguous, Denied, "the path holds '%2F', which no rule permits here"),
            Self::EncodedSlashes => {
                (Step::Ambiguous, Denied, "a path segment holds '%2F' beside nothing, or beside '.' or '..'")
            }
            Self::MethodOverride => (Step::Override, Denied, "the query names another method"),
            Self::TargetTooLong => (Step::Size, UriTooLong, "the target is longer than 8,192 bytes"),
            Self::TooManyHeaders => (Step::Size, HeadTooLarge, "the request has more than 100 header lines"),
            Self::HeadersTooLong => (Step::Size, HeadTooLarge, "the headers are longer than 64 KiB"),
            Self::TooManyNominated => (Step::Size, HeadTooLarge, "Connection names more than 100 headers"),
            Self::ContentLength => (Step::Framing, BadRequest, "Content-Length is not a number"),
            Self::RepeatedContentLength => (Step::Framing, BadRequest, "Content-Length comes more than once"),
            Self::LengthBesideEncoding => {
                (Step::Framing, BadRequest, "Content-Length and Transfer-Encoding come together")
            }
            Self::Expectation => (Step::Framing, BadRequest, "Expect asks for something other than 100-continue"),
            Self::Host => (Step::Framing, BadRequest, "Host, which this service preserves, is not one host"),
            Self::NoRule => (Step::Rules, Denied, "no rule allows this method and path"),
            Self::Query => (Step::Rules, Denied, "no rule allows this query here"),
            Self::Headers => (Step::Rules, Denied, "the request lacks a header that the rule demands"),
            Self::Destination => (Step::Rules, Denied, "Destination names a path that no rule allows"),
            Self::Upgrade => (Step::Rules, Denied, "no rule permits an upgrade here"),
            Self::BodyTooLong => (Step::Rules, BodyTooLarge, "the body is longer than the rule allows"),
            Self::TargetChanged => (Step::Rules, Denied, "the target would not be sent as it was judged"),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.meaning().2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_have_the_numbers_of_the_specification() {
        let numbered = [
            (Reason::UnknownService, None),
            (Reason::NotOriginForm, Some(1)),
            (Reason::QueryByte, Some(2)),
            (Reason::BadTriplet, Some(3)),
            (Reason::LookAlike, Some(4)),
            (Reason::DotSegment, Some(5)),
            (Reason::EmptySegment, Some(6)),
            (Reason::EncodedSlash, Some(7)),
            (Reason::MethodOverride, Some(8)),
            (Reason::TargetTooLong, Some(9)),
            (Reason::Expectation, None),
            (Reason::NoRule, None),
        ];
        for (reason, number) in numbered {
            assert_eq!(Denied::new(reason).step.number(), number, "{reason:?}");
        }
    }

    #[test]
    fn says_where_and_why() {
        assert_eq!(Denied::at(Reason::EmptySegment, 7).to_string(), "the path holds '//' (byte 7 of the target)");
        assert_eq!(Denied::new(Reason::NoRule).to_string(), "no rule allows this method and path");
    }
}
