//! One request from the gateway: judged, replayed, answered. A task each.

use std::{collections::HashMap, sync::Arc, time::Instant};

use proto::{
    link::Incoming,
    wire::{Failure, FailureCode, ServiceName},
};
use tracing::{debug, warn};

use crate::{
    config,
    rates::Rates,
    upstream::Upstream,
    whitelist::{Admitted, Limits, Whitelist},
};

/// What the agent offers.
pub(crate) struct Server {
    whitelist: Whitelist,
    rates: Rates,
    upstreams: HashMap<ServiceName, Upstream>,
}

impl Server {
    pub(crate) fn new(services: &[config::Service]) -> Self {
        let upstream = |service: &config::Service| (service.name.clone(), Upstream::new(service.clone()));
        Self {
            whitelist: config::whitelist(services),
            rates: Rates::new(services.iter().map(|service| (&service.name, &*service.allow))),
            upstreams: services.iter().map(upstream).collect(),
        }
    }

    /// Closes connections to upstreams that have lain idle for too long.
    pub(crate) fn sweep(&self) {
        self.upstreams.values().for_each(Upstream::sweep);
    }

    /// Answers one request.
    pub(crate) async fn serve(self: Arc<Self>, incoming: Incoming) {
        let Incoming { head, body, responder } = incoming;
        let admitted = match self.whitelist.admit(&head) {
            Ok(admitted) => admitted,
            Err(denied) => {
                // A stranger's text: its bytes are escaped, it is cut, and a query may hold secrets.
                let path = head.target.split(|byte| *byte == b'?').next().unwrap_or_default();
                let path = path.get(..200).unwrap_or(path).escape_ascii();
                let (request_id, service, method) = (&head.request_id, &head.service, &head.method);
                warn!(%request_id, %service, %method, %path, reason = %denied, "denied");
                return responder.fail(Failure::new(denied.code, format!("the whitelist refuses: {denied}")));
            }
        };
        if let Err(failure) = self.refuse_for_now(&admitted) {
            debug!(request_id = %head.request_id, service = %head.service, rule = admitted.rule(),
                code = failure.code.as_str(), "refused for now");
            return responder.fail(failure);
        }
        let Some(upstream) = self.upstreams.get(&head.service) else {
            return responder.fail(Failure::new(FailureCode::Internal, "an admitted service has no upstream"));
        };
        let (rule, started) = (admitted.rule(), Instant::now());
        let outcome = upstream.replay(admitted, &head.request_id, body, responder).await;
        let elapsed_us = started.elapsed().as_micros();
        debug!(request_id = %head.request_id, service = %head.service, rule, %outcome, elapsed_us, "replayed");
    }

    /// Whether an admitted request has to wait: for its turn, or for a later version.
    fn refuse_for_now(&self, admitted: &Admitted) -> Result<(), Failure> {
        if admitted.upgrade().is_some() {
            let message = "the whitelist permits this upgrade, but this version of the agent cannot carry one yet";
            return Err(Failure::new(FailureCode::Denied, message));
        }
        self.rates.take(admitted.service(), admitted.rule()).map_err(|wait| Failure {
            retry_after: Some(wait),
            ..Failure::retry_safe(FailureCode::RateLimited, too_many(admitted.limits()))
        })
    }
}

fn too_many(limits: Limits) -> String {
    let rate = limits.rate.map(|rate| rate.to_string()).unwrap_or_default();
    format!("the rule allows {rate} requests, and as many have come")
}
