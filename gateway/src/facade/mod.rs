//! A facade: plain local HTTP on one side, streams on the other.

mod answer;
mod delivery;
mod exchange;
mod forwarded;
mod grpc;
mod head;
mod http2;
mod http2_stream;
mod kept;
mod malformed;
mod proxy;
mod request_id;
mod route;
mod upgrade;
mod upload;

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use axum::body::Body;
use http::{Request, Response, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use metrics::{Outcome, Tally};
use proto::{
    link::Answered,
    wire::{Failure, FailureCode},
};
use tracing::{debug, warn};

pub(crate) use self::malformed::refuse;
use self::{
    exchange::{Content, Exchanged, exchange},
    forwarded::Hop,
    kept::{Manner, Room, Source},
};
use crate::{
    client::Busy,
    config,
    failure::{self, Asked, Failed},
    listener::Peer,
    registry::{InFlight, Registry},
    serve::Arrival,
};

/// What is counted at one facade.
#[derive(Debug)]
struct Counts {
    /// Where the facade listens, for the log.
    facade: config::Listen,
    in_flight: AtomicU32,
    tally: Tally,
}

/// One facade listener's state.
#[derive(Debug)]
pub(crate) struct Facade {
    settings: config::Facade,
    registry: Arc<Registry>,
    /// Requests that may be in flight.
    most: u32,
    counts: Arc<Counts>,
    /// For bodies that may have to be sent again.
    room: Arc<Room>,
}

impl Facade {
    pub(crate) fn new(settings: config::Facade, registry: Arc<Registry>, most: u32) -> Self {
        let (facade, in_flight, tally) = (settings.listen.clone(), AtomicU32::default(), Tally::default());
        let counts = Arc::new(Counts { facade, in_flight, tally });
        Self { settings, registry, most, counts, room: Arc::default() }
    }

    /// Requests whose answers are not complete.
    pub(crate) fn in_flight(&self) -> u32 {
        self.counts.in_flight.load(Ordering::Relaxed)
    }

    /// What became of its requests.
    pub(crate) fn tally(&self) -> &Tally {
        &self.counts.tally
    }

    pub(crate) fn settings(&self) -> &config::Facade {
        &self.settings
    }

    /// Answers one request: with the upstream's answer, or with a failure that says who failed.
    pub(crate) async fn answer(self: Arc<Self>, arrival: Arrival) -> Response<Body> {
        let counting = self.counts.tally.begin();
        let Arrival { request, peer, busy, in_doubt, .. } = arrival;
        let id = request_id::keep_or_make(request.headers());
        let asked = Asked::new(&request, id);
        let is_grpc = grpc::asks(&request);
        let forwarded = self.forward(request, peer, &asked, (busy, in_doubt)).await;
        let elapsed_us = counting.ended(outcome(&forwarded)).as_micros();
        let response = match forwarded {
            Ok(response) => response,
            Err(failed) if is_grpc => grpc::restated(self.tell(&failed, &asked), &failed.failure),
            Err(failed) => self.tell(&failed, &asked),
        };
        let status = response.status().as_u16();
        debug!(request_id = %asked.id, method = %asked.method, path = asked.path(), status, elapsed_us, "answered");
        response
    }

    /// A failure as the client gets it. Those that are nobody's fault but the bridge's or the upstream's are logged.
    fn tell(&self, failed: &Failed, asked: &Asked) -> Response<Body> {
        let response = failure::response(failed, asked);
        if response.status().is_server_error() {
            let (code, reason) = (failed.failure.code.as_str(), &*failed.failure.message);
            let (request_id, method, path, facade) = (&asked.id, &asked.method, asked.path(), &self.settings.listen);
            warn!(%request_id, %facade, %method, path, code, reason, "request failed");
        }
        response
    }

    async fn forward(
        &self,
        request: Request<Incoming>,
        peer: Peer,
        asked: &Asked,
        (busy, in_doubt): (Busy, bool),
    ) -> Result<Response<Body>, Failed> {
        malformed::refuse_doubt(in_doubt)?;
        let mut slot = Slot::take(&self.counts, self.most, busy)?;
        let (mut parts, body) = request.into_parts();
        let for_proxy = matches!(self.settings.routing, config::Routing::Proxy(_));
        http2::read_as_http1(&mut parts, for_proxy)?;
        let routed = route::route(&self.settings.routing, &mut parts)?;
        let version = parts.version;
        let hop = Hop { said: self.settings.forwarded, peer, is_tls: self.settings.tls.is_some() };
        let upgrade = upgrade::asked_for(&mut parts, &body);
        let head = head::request(parts, routed, hop, asked.id.clone(), upgrade.is_some())?;
        let held_back = head::expects_continue(&head.headers)?;
        let manner = Manner { held_back, is_http2: version == Version::HTTP_2 };
        let content = match body.is_end_stream() {
            true => Content::Nothing,
            false => Content::Body(Source::new(body, slot.busy.body_end(), manner, &self.room)),
        };
        let wait = self.settings.wait_for_agent;
        let Exchanged { answered, raw, place } = exchange(&self.registry, wait, head.into(), content).await?;
        slot.place = place;
        if let Some((upgrade, raw)) = upgrade.zip(raw) {
            return upgrade::response(answered, upgrade, raw, asked, slot);
        }
        match answered {
            Answered::Response(head, body) => Ok(answer::response(head, body, version, asked, slot)?),
            Answered::Failure(failure) => Err(Failed::at_agent(failure)),
        }
    }
}

fn outcome(forwarded: &Result<Response<Body>, Failed>) -> Outcome {
    match forwarded {
        Ok(response) => Outcome::Answered(response.status()),
        Err(failed) => Outcome::Failed(failed.failure.code),
    }
}

/// A place among the requests in flight, given back when it is dropped.
#[derive(Debug)]
struct Slot {
    counts: Arc<Counts>,
    /// The place among those of its service, once it has a link.
    place: Option<InFlight>,
    busy: Busy,
}

impl Slot {
    fn take(counts: &Arc<Counts>, most: u32, busy: Busy) -> Result<Self, Failure> {
        if counts.in_flight.fetch_add(1, Ordering::Relaxed) >= most {
            counts.in_flight.fetch_sub(1, Ordering::Relaxed);
            let message =
                format!("this facade has {most} requests in flight, as many as limits.requests_per_facade allows");
            return Err(Failure::retry_safe(FailureCode::Overloaded, message));
        }
        Ok(Self { counts: counts.clone(), place: None, busy })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.counts.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
