//! How often the log says why there is no link: at once when the reason is a new one, and now and then while it stays.
//! A gateway that is away for hours is dialled every second or so.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tracing::{debug, warn};

use crate::{
    config::GatewayUrl,
    limits::{COMPLAINT_REST, REASON, REASONS},
};

/// What was said of one address, or of one name.
#[derive(Debug, Default)]
pub(super) struct Complaints(Mutex<Said>);

#[derive(Debug, Default)]
struct Said {
    /// The beginnings of reasons, and when each was said; few, since a peer can make them up.
    reasons: Vec<(String, Instant)>,
    /// How often nothing was said since the last.
    unsaid: u64,
}

impl Complaints {
    pub(super) fn no_link(&self, why: &str, wait: Duration) {
        let wait_ms = wait.as_millis();
        match self.turn(why, Instant::now()) {
            Some(unsaid) => warn!(why, wait_ms, unsaid, "no link: dialling again after a wait"),
            None => debug!(why, wait_ms, "no link: dialling again after a wait"),
        }
    }

    pub(super) fn no_address(&self, gateway: &GatewayUrl, error: &str) {
        match self.turn(error, Instant::now()) {
            Some(unsaid) => warn!(%gateway, error, unsaid, "cannot resolve the gateway's name"),
            None => debug!(%gateway, error, "cannot resolve the gateway's name"),
        }
    }

    /// It works: whatever comes after that is said.
    pub(super) fn settle(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Said::default();
    }

    /// How often nothing was said before this, if this is to be said.
    fn turn(&self, why: &str, now: Instant) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // What comes late in it may be a time, or a number that an ingress gives to each answer.
        let reason: String = why.chars().take(REASON).collect();
        said.reasons.retain(|(_, at)| now < *at + COMPLAINT_REST);
        if said.reasons.len() >= REASONS || said.reasons.iter().any(|(known, _)| *known == reason) {
            said.unsaid += 1;
            return None;
        }
        said.reasons.push((reason, now));
        Some(std::mem::take(&mut said.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_is_said_once_a_while_and_the_others_are_counted() {
        let (complaints, start) = (Complaints::default(), Instant::now());
        assert_eq!(complaints.turn("refused", start), Some(0));
        assert_eq!(complaints.turn("refused", start), None);
        assert_eq!(complaints.turn("refused", start + COMPLAINT_REST / 2), None);
        assert_eq!(complaints.turn("refused", start + COMPLAINT_REST), Some(2));
        assert_eq!(complaints.turn("refused", start + COMPLAINT_REST * 2), Some(0));
    }

    #[test]
    fn another_reason_is_said_at_once_and_any_after_it_has_worked() {
        let (complaints, now) = (Complaints::default(), Instant::now());
        assert_eq!(complaints.turn("refused", now), Some(0));
        assert_eq!(complaints.turn("refused", now), None);
        assert_eq!(complaints.turn("the gateway answered 401", now), Some(1));
        assert_eq!(complaints.turn("the gateway answered 403", now), Some(0));
        assert_eq!(complaints.turn("the gateway answered 403", now), None);
        assert_eq!(complaints.turn("refused", now), None, "reasons may alternate");
        complaints.settle();
        assert_eq!(complaints.turn("the gateway answered 403", now), Some(0));
    }

    #[test]
    fn who_makes_up_reasons_does_not_fill_the_log() {
        let (complaints, now) = (Complaints::default(), Instant::now());
        let said = (0..1000).filter(|number| complaints.turn(&number.to_string(), now).is_some()).count();
        assert_eq!(said, REASONS);
        assert_eq!(complaints.turn("refused", now + COMPLAINT_REST), Some(1000 - REASONS as u64));
    }

    #[test]
    fn what_differs_late_is_the_same() {
        let (complaints, now) = (Complaints::default(), Instant::now());
        let why = |number| format!("{:REASON$}{number}", "the gateway answered 503");
        assert_eq!(complaints.turn(&why(1), now), Some(0));
        assert_eq!(complaints.turn(&why(2), now), None);
    }
}
