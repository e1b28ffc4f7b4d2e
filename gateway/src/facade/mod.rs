//! A facade: plain local HTTP on one side, streams on the other.

mod answer;
mod grpc;
mod head;
mod http2;
mod request_id;
mod route;
mod upload;

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::Poll,
    time::Instant,
};

use axum::body::Body;
use http::{Request, Response, Version};
use hyper::body::Incoming;
use proto::{
    link::Answered,
    session::{OpenError, StreamError},
    wire::{Failure, FailureCode, RequestHead},
};
use tracing::{debug, warn};

use self::upload::{Manner, Uploaded, upload};
use crate::{
    client::Busy,
    config,
    failure::{self, Asked, Failed},
    registry::{Registry, Unavailable},
    serve::Arrival,
};

/// One facade listener's state.
#[derive(Debug)]
pub(crate) struct Facade {
    settings: config::Facade,
    registry: Arc<Registry>,
    /// Requests that may be in flight.
    most: u32,
    in_flight: Arc<AtomicU32>,
}

impl Facade {
    pub(crate) fn new(settings: config::Facade, registry: Arc<Registry>, most: u32) -> Self {
        Self { settings, registry, most, in_flight: Arc::default() }
    }

    /// Requests whose answers are not complete.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(crate) fn settings(&self) -> &config::Facade {
        &self.settings
    }

    /// Answers one request: with the upstream's answer, or with a failure that says who failed.
    pub(crate) async fn answer(self: Arc<Self>, arrival: Arrival) -> Response<Body> {
        let started = Instant::now();
        let Arrival { request, busy, .. } = arrival;
        let id = request_id::keep_or_make(request.headers());
        let asked = Asked::new(&request, id);
        let is_grpc = grpc::asks(&request);
        let response = match self.forward(request, &asked, busy).await {
            Ok(response) => response,
            Err(failed) if is_grpc => grpc::restated(self.tell(&failed, &asked), &failed.failure),
            Err(failed) => self.tell(&failed, &asked),
        };
        let (status, elapsed_us) = (response.status().as_u16(), started.elapsed().as_micros());
        debug!(request_id = %asked.id, method = %asked.method, path = asked.path(), status, elapsed_us, "answered");
        response
    }

    /// A failure as the client gets it. Those that are nobody's fault but the bridge's or the upstream's are logged.
    fn tell(&self, failed: &Failed, asked: &Asked) -> Response<Body> {
        let response = failure::response(failed, asked);
        if response.status().is_server_error() {
            let (code, reason) = (failed.failure.code.as_str(), &*failed.failure.message);
            let (request_id, method, path, facade) = (&asked.id, &asked.method, asked.path(), self.settings.listen);
            warn!(%request_id, %facade, %method, path, code, reason, "request failed");
        }
        response
    }

    async fn forward(&self, request: Request<Incoming>, asked: &Asked, busy: Busy) -> Result<Response<Body>, Failed> {
        let slot = Slot::take(&self.in_flight, self.most, busy)?;
        let (mut parts, body) = request.into_parts();
        http2::read_as_http1(&mut parts)?;
        let routed = route::route(&self.settings.routing, &parts)?;
        let version = parts.version;
        let head = head::request(parts, routed, asked.id.clone())?;
        let held_back = head::expects_continue(&head.headers)?;
        let manner = Manner { held_back, is_http2: version == Version::HTTP_2 };
        let answered = self.exchange(head, body, manner).await?;
        match answered {
            Answered::Response(head, body) => Ok(answer::response(head, body, version, asked, slot)?),
            Answered::Failure(failure) => Err(Failed::at_agent(failure)),
        }
    }

    /// Sends a request over a link that serves its name, and waits for the answer's head.
    async fn exchange(&self, head: RequestHead, body: Incoming, manner: Manner) -> Result<Answered, Failure> {
        let wait = self.settings.wait_for_agent;
        let connection =
            self.registry.choose_within(&head.service, wait).await.map_err(|why| unavailable(why, &head))?;
        let bodiless = http_body::Body::is_end_stream(&body);
        let (writer, response) = connection.open(head, bodiless).map_err(not_opened)?;
        if bodiless {
            drop(writer);
            return response.await.map_err(|error| lost(&error));
        }
        // Declared before the response and thereby dropped after it: a client that goes cancels its call.
        let mut upload = Box::pin(upload(body, writer, manner));
        let mut response = pin!(response);
        let mut uploaded = None;
        let answered = poll_fn(|cx| {
            if uploaded.is_none()
                && let Poll::Ready(ended) = upload.as_mut().poll(cx)
            {
                uploaded = Some(ended);
            }
            response.as_mut().poll(cx)
        });
        let answered = answered.await;
        match uploaded {
            Some(Uploaded::CutShort) if answered.is_err() => {
                return Err(Failure::new(
                    FailureCode::BadRequest,
                    "the request's body was cut short, or its chunks are malformed",
                ));
            }
            Some(_) => {}
            // The answer begins while the body still comes: neither waits for the other.
            None => drop(tokio::spawn(upload)),
        }
        answered.map_err(|error| lost(&error))
    }
}

/// A place among the requests in flight, given back when it is dropped.
#[derive(Debug)]
struct Slot {
    in_flight: Arc<AtomicU32>,
    busy: Busy,
}

impl Slot {
    fn take(in_flight: &Arc<AtomicU32>, most: u32, busy: Busy) -> Result<Self, Failure> {
        if in_flight.fetch_add(1, Ordering::Relaxed) >= most {
            in_flight.fetch_sub(1, Ordering::Relaxed);
            let message =
                format!("this facade has {most} requests in flight, as many as limits.requests_per_facade allows");
            return Err(Failure::retry_safe(FailureCode::Overloaded, message));
        }
        Ok(Self { in_flight: in_flight.clone(), busy })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

fn unavailable(why: Unavailable, head: &RequestHead) -> Failure {
    let service = &head.service;
    match why {
        Unavailable::NoAgent => {
            Failure::retry_safe(FailureCode::NoAgent, format!("no agent that serves {service} is connected"))
        }
        Unavailable::Full => Failure::retry_safe(
            FailureCode::Overloaded,
            format!("every link that serves {service} has as many streams open as it takes"),
        ),
    }
}

fn not_opened(error: OpenError) -> Failure {
    Failure::retry_safe(FailureCode::Overloaded, error.to_string())
}

/// What it means for the client that the stream ended before an answer came.
fn lost(error: &StreamError) -> Failure {
    match error {
        StreamError::NotProcessed => {
            Failure::retry_safe(FailureCode::Overloaded, "the agent took no new request: it is draining or full")
        }
        StreamError::LinkLost { sent: false } => {
            Failure::retry_safe(FailureCode::NoAgent, "the link was lost before the request was sent")
        }
        StreamError::LinkLost { sent: true } => Failure::new(
            FailureCode::LinkLost,
            "the link was lost after the request was sent; it may have been processed",
        ),
        StreamError::Reset { .. } => Failure::new(FailureCode::Internal, format!("the agent gave up: {error}")),
    }
}
