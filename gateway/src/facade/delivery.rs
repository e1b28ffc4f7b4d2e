//! How far a request got, and whether it may be sent again ("Delivery" in `docs/http.md`).
//!
//! ```text
//!            a byte is handed to the socket          the answer's head comes
//!   unsent ───────────────────────────────▶ sent ───────────────────────────▶ answered
//!      ▲                                     │ │
//!      └──── the peer did not process it ────┘ └─ link lost: again only if idempotent, at hand and paid for
//! ```
//! What is unsent goes to another link, whatever the method. What is answered is never sent again.

use proto::{
    link::Answered,
    session::{OpenError, StreamError},
    wire::{Failure, FailureCode},
};

use crate::failure::Failed;

/// Why a link gave no answer, and how far the request got over it.
#[derive(Debug)]
pub(super) enum Unanswered {
    /// Nothing of it reached an upstream.
    Unsent {
        failure: Failed,
        /// The agent said so for itself: its other links need not be asked.
        whole_agent: bool,
    },
    /// It may have been processed.
    Sent(Failed),
    /// The client itself spoilt it.
    Spoilt(Failed),
}

impl Unanswered {
    pub(super) fn failure(self) -> Failed {
        match self {
            Self::Unsent { failure, .. } | Self::Sent(failure) | Self::Spoilt(failure) => failure,
        }
    }

    pub(super) fn cut_short() -> Self {
        let message = "the request's body was cut short, or its chunks are malformed";
        Self::Spoilt(Failure::new(FailureCode::BadRequest, message).into())
    }

    fn unsent(code: FailureCode, message: impl Into<std::borrow::Cow<'static, str>>) -> Self {
        Self::Unsent { failure: Failure::retry_safe(code, message).into(), whole_agent: false }
    }
}

impl From<OpenError> for Unanswered {
    fn from(error: OpenError) -> Self {
        Self::unsent(FailureCode::Overloaded, error.to_string())
    }
}

impl From<StreamError> for Unanswered {
    fn from(error: StreamError) -> Self {
        match error {
            StreamError::NotProcessed => {
                Self::unsent(FailureCode::Overloaded, "the agent took no new request: it leaves or is full")
            }
            StreamError::LinkLost { sent: false } => {
                Self::unsent(FailureCode::NoAgent, "the link was lost before the request was sent")
            }
            StreamError::LinkLost { sent: true } => {
                let message = "the link was lost after the request was sent; it may have been processed";
                Self::Sent(Failure::new(FailureCode::LinkLost, message).into())
            }
            StreamError::Reset { .. } => {
                Self::Sent(Failure::new(FailureCode::Internal, format!("the agent gave up: {error}")).into())
            }
        }
    }
}

/// An answer; or none, if the agent could do nothing for the request that another one could.
pub(super) fn answered(answered: Answered) -> Result<Answered, Unanswered> {
    let Answered::Failure(failure) = answered else { return Ok(answered) };
    let failure = as_of_an_agent(failure);
    if failure.retry_safe && is_the_agents_own(failure.code) {
        return Err(Unanswered::Unsent { failure: Failed::at_agent(failure), whole_agent: true });
    }
    Ok(Answered::Failure(failure))
}

/// No agent speaks for the gateway; and of a fault that nobody knows it is not known how far the request had come.
fn as_of_an_agent(failure: Failure) -> Failure {
    match failure.code {
        FailureCode::NoAgent | FailureCode::LinkLost | FailureCode::NotSupported => {
            let message = format!("the agent failed with {}, which is not its to say", failure.code.as_str());
            Failure::new(FailureCode::Internal, message)
        }
        FailureCode::Internal => Failure { retry_safe: false, ..failure },
        _ => failure,
    }
}

/// A rule's rate is not among them: whoever set it meant it.
fn is_the_agents_own(code: FailureCode) -> bool {
    matches!(code, FailureCode::UpstreamRefused | FailureCode::UpstreamConnectTimeout | FailureCode::Overloaded)
}

#[cfg(test)]
mod tests {
    use proto::wire::ResetCode;

    use super::*;

    #[test]
    fn every_end_has_its_state() {
        let check = |unanswered: Unanswered, is_unsent, code| {
            let shown = format!("{unanswered:?}");
            assert_eq!(matches!(unanswered, Unanswered::Unsent { .. }), is_unsent, "{shown}");
            let failure = unanswered.failure().failure;
            assert_eq!((failure.retry_safe, failure.code), (is_unsent, code), "{shown}");
        };
        for error in [OpenError::Full, OpenError::Draining, OpenError::Ended] {
            check(error.into(), true, FailureCode::Overloaded);
        }
        check(StreamError::NotProcessed.into(), true, FailureCode::Overloaded);
        check(StreamError::LinkLost { sent: false }.into(), true, FailureCode::NoAgent);
        check(StreamError::LinkLost { sent: true }.into(), false, FailureCode::LinkLost);
        let reset = StreamError::Reset { code: ResetCode::Internal, message: String::new() };
        check(reset.into(), false, FailureCode::Internal);
        check(Unanswered::cut_short(), false, FailureCode::BadRequest);
    }

    #[test]
    fn an_agent_does_not_speak_for_the_gateway() {
        for code in FailureCode::all() {
            use FailureCode::{Internal, LinkLost, NoAgent, NotSupported};
            let own = ![NoAgent, LinkLost, NotSupported].contains(&code);
            let failure = as_of_an_agent(Failure::retry_safe(code, ""));
            assert_eq!(failure.code, if own { code } else { Internal });
            assert_eq!(failure.retry_safe, own && code != Internal, "{code:?}");
        }
    }

    #[test]
    fn another_agent_is_asked_only_for_what_it_could_do_better() {
        for code in FailureCode::all() {
            use FailureCode::{Overloaded, UpstreamConnectTimeout, UpstreamRefused};
            let expected = [UpstreamRefused, UpstreamConnectTimeout, Overloaded].contains(&code);
            let failure = Failure::retry_safe(code, "");
            assert_eq!(answered(Answered::Failure(failure)).is_err(), expected, "{code:?}");
            assert!(answered(Answered::Failure(Failure::new(code, ""))).is_ok(), "{code:?}: it may have been sent");
        }
    }
}
