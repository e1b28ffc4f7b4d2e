//! One request from the gateway: judged, put on record, replayed, answered. A task each.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::SystemTime,
};

use metrics::Outcome;
use proto::{
    link::Incoming,
    wire::{Failure, FailureCode, RequestHead},
};
use tracing::{debug, warn};

use crate::{
    audit::{self, AuditLog, Decision, Unrecorded},
    counters::{ByStep, StepCounted},
    offer::{Offer, Offered},
    places::Place,
    secrets::Secrets,
    upstream::Replayed,
    whitelist::{Admitted, Denied, Grounds, Limits, Mode},
};

/// Serves the current offer.
pub(crate) struct Server {
    /// Taken once for each request, which so is judged and replayed by one whole configuration.
    offer: Mutex<Arc<Offer>>,
    audit: Option<AuditLog>,
    /// What no gateway can put into the log by asking for it.
    secrets: Arc<Secrets>,
    /// Requests for services that are not offered.
    unknown: ByStep,
}

impl Server {
    pub(crate) fn new(offer: Offer, audit: Option<AuditLog>, secrets: Arc<Secrets>) -> Self {
        Self { offer: Mutex::new(Arc::new(offer)), audit, secrets, unknown: ByStep::default() }
    }

    /// What is offered now.
    pub(crate) fn offer(&self) -> Arc<Offer> {
        self.lock().clone()
    }

    /// Offers this from the next request on. What is under way goes on as it began.
    pub(crate) fn replace(&self, offer: Offer) {
        let earlier = std::mem::replace(&mut *self.lock(), Arc::new(offer));
        // Outside the lock: it may close connections.
        drop(earlier);
    }

    pub(crate) fn audit(&self) -> Option<&AuditLog> {
        self.audit.as_ref()
    }

    /// How many requests for services that are not offered were denied.
    pub(crate) fn unknown(&self) -> Vec<StepCounted> {
        self.unknown.read()
    }

    /// Answers one request.
    pub(crate) async fn serve(self: Arc<Self>, incoming: Incoming) {
        let Incoming { head, body, responder } = incoming;
        let offer = self.offer();
        let offered = offer.service(&head.service);
        let admitted = offer.whitelist.admit(&head);
        let place = offered.zip(admitted.as_ref().ok()).map(|(offered, admitted)| take_place(offered, admitted));
        let limited = place.as_ref().and_then(|place| place.as_ref().err());
        let recorded = self.settle(&head, offered, &admitted, limited).await;
        let admitted = match admitted {
            Ok(admitted) => admitted,
            Err(denied) => {
                return responder.fail(Failure::new(denied.code, format!("the whitelist refuses: {denied}")));
            }
        };
        if recorded == Err(Unrecorded) {
            let message = "the agent's audit log cannot be written, and nothing passes without being on record";
            return responder.fail(Failure::retry_safe(FailureCode::Overloaded, message));
        }
        let Some((offered, place)) = offered.zip(place) else {
            return responder.fail(Failure::new(FailureCode::Internal, "an admitted service has no upstream"));
        };
        let counting = offered.counters.tally().begin();
        let _place = match place {
            Ok(place) => place,
            Err(failure) => {
                debug!(request_id = %self.secrets.shown(&head.request_id), service = %head.service, rule = admitted.rule(),
                    code = failure.code.as_str(), "refused for now");
                counting.ended(Outcome::Failed(failure.code));
                return responder.fail(failure);
            }
        };
        let judge = || offer.whitelist.admit(&head).ok();
        let rule = admitted.rule();
        let outcome = offered.upstream.replay(admitted, &judge, &head.request_id, body, responder).await;
        if outcome.is_cut() {
            offered.counters.tally().cut();
        }
        if let Replayed::TooLarge(_) = outcome {
            let denied = Denied::body_too_long();
            offered.counters.denied(&denied);
            self.log(&head, Some(offered), Decision::Denied(denied));
        }
        let elapsed_us = counting.ended(outcome.counted()).as_micros();
        debug!(request_id = %self.secrets.shown(&head.request_id), service = %head.service, rule, %outcome, elapsed_us, "replayed");
    }

    /// Counts, logs and records a decision. Only what is to be sent must be on record.
    async fn settle(
        &self,
        head: &RequestHead,
        offered: Option<&Offered>,
        admitted: &Result<Admitted, Denied>,
        limited: Option<&Failure>,
    ) -> Result<(), Unrecorded> {
        let decision = match (self.count(offered, admitted), limited) {
            (Decision::Allowed { rule, text }, Some(limit)) => Decision::Limited { rule, text, limit },
            (decision, _) => decision,
        };
        self.log(head, offered, decision);
        let Some(audit) = &self.audit else { return Ok(()) };
        let line = audit::line(head, decision, SystemTime::now());
        match decision {
            Decision::Allowed { .. } | Decision::WouldDeny(_) => audit.record(line).await,
            Decision::Limited { .. } | Decision::Denied(_) => audit.note(line).await.or(Ok(())),
        }
    }

    fn count<'a>(&self, offered: Option<&'a Offered>, admitted: &Result<Admitted, Denied>) -> Decision<'a> {
        let counters = offered.map(|offered| &offered.counters);
        match admitted.as_ref().map(Admitted::grounds) {
            Ok(Grounds::Rule(rule)) => {
                Decision::Allowed { rule, text: counters.map_or("", |counters| counters.allowed(rule)) }
            }
            Ok(Grounds::Audit(denied)) => {
                counters.inspect(|counters| counters.would_deny(&denied));
                Decision::WouldDeny(denied)
            }
            Err(denied) => {
                counters.map_or_else(|| self.unknown.count(denied), |counters| counters.denied(denied));
                Decision::Denied(*denied)
            }
        }
    }

    /// Every line about a service in audit mode says so.
    fn log(&self, head: &RequestHead, offered: Option<&Offered>, decision: Decision<'_>) {
        if matches!(decision, Decision::Allowed { .. } | Decision::Limited { .. }) {
            return;
        }
        // A stranger's text: its bytes are escaped, it is cut, and a query may hold secrets.
        let path = head.target.split(|byte| *byte == b'?').next().unwrap_or_default();
        let path = self.secrets.shown(&path.get(..200).unwrap_or(path).escape_ascii());
        let (request_id, service) = (self.secrets.shown(&head.request_id), self.secrets.shown(&head.service));
        let method = self.secrets.shown(&head.method);
        let mode = offered.map(|offered| offered.mode).filter(|mode| *mode == Mode::Audit).map(Mode::as_str);
        match decision {
            Decision::Allowed { .. } | Decision::Limited { .. } => {}
            Decision::Denied(denied) => warn!(%request_id, %service, %method, %path, reason = %denied, mode, "denied"),
            Decision::WouldDeny(denied) => {
                warn!(%request_id, %service, %method, %path, reason = %denied, mode, "would deny, but sent");
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Offer>> {
        self.offer.lock().expect("nothing panics while it holds the offer")
    }
}

/// Whether an admitted request may go to the upstream now. One that finds no place does not count for its rule's rate.
fn take_place<'a>(offered: &'a Offered, admitted: &Admitted) -> Result<Place<'a>, Failure> {
    let place = offered.places.take()?;
    let Some(rule) = admitted.rule() else { return Ok(place) };
    offered.rates.take(rule).map(|()| place).map_err(|wait| Failure {
        retry_after: Some(wait),
        ..Failure::retry_safe(FailureCode::RateLimited, too_many(admitted.limits()))
    })
}

fn too_many(limits: Limits) -> String {
    let rate = limits.rate.map(|rate| rate.to_string()).unwrap_or_default();
    format!("the rule allows {rate} requests, and as many have come")
}
