//! The agent about itself: probes and metrics on `health`, and everything on the loopback `admin` listener. The agent
//! takes no work from any listener; only on loopback, and only to take none any more, it can be asked for something.

mod metrics;

use std::{
    convert::Infallible,
    sync::Arc,
    time::{Instant, SystemTime},
};

use ::metrics::CONTENT_TYPE;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use settings::guard;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::{
    ascii,
    audit::{AuditLog, AuditStatus},
    counters::StepCounted,
    links::Links,
    offer::ServiceStatus,
    reload::{ReloadStatus, Reloads},
    serve::Server,
};

/// What there is to tell.
pub(crate) struct Status {
    pub(crate) name: String,
    pub(crate) instance: String,
    pub(crate) started: Instant,
    pub(crate) since: SystemTime,
    pub(crate) links: Arc<Links>,
    pub(crate) server: Arc<Server>,
    pub(crate) reloads: Arc<Reloads>,
    pub(crate) drain: Drain,
}

/// The two points in time of a drain.
#[derive(Clone)]
pub(crate) struct Drain {
    /// Asked for: by a signal, or over the admin listener.
    pub(crate) begun: CancellationToken,
    /// Nothing is in flight any more, and there is no link. The process runs on until it is told to end.
    pub(crate) done: CancellationToken,
}

/// Which of the routes a listener offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// Probes and metrics.
    Health,
    /// Those, `/status` and `/drain`.
    Admin,
}

/// Serves until the process ends.
pub(crate) async fn serve(listener: TcpListener, status: Arc<Status>, extent: Extent) {
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(crate::limits::ACCEPT_REST).await;
            continue;
        };
        let status = status.clone();
        tokio::spawn(async move {
            let service = service_fn(async |request| Ok::<_, Infallible>(status.answer(&request, extent).await));
            let connection =
                http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                debug!(%error, "a probe's connection ended early");
            }
        });
    }
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    reasons: Vec<String>,
    /// What somebody should know although the agent is ready.
    notes: Vec<String>,
}

#[derive(Serialize)]
struct Complete<'a> {
    agent: &'a str,
    instance: &'a str,
    version: &'static str,
    uptime_s: u64,
    draining: bool,
    drained: bool,
    gateways: Vec<GatewayStatus>,
    links: Vec<LinkStatus>,
    services: Vec<ServiceStatus>,
    denied_unknown_service: Vec<StepCounted>,
    streams: usize,
    /// Of the runtime: whatever is under way or waits is one or a few.
    tasks: usize,
    notes: Vec<String>,
    reload: ReloadStatus,
    audit_log: Option<AuditStatus>,
}

#[derive(Serialize)]
struct GatewayStatus {
    url: String,
    links: usize,
    last_error: Option<String>,
}

#[derive(Serialize)]
struct LinkStatus {
    gateway: String,
    /// The gateway's address, or the proxy by which it was dialled.
    address: String,
    uptime_s: u64,
    rtt_us: Option<u128>,
    streams: usize,
}

impl Status {
    async fn answer(&self, request: &Request<Incoming>, extent: Extent) -> Response<Full<Bytes>> {
        if extent == Extent::Admin {
            if let Some(why) = guard::refusal(request) {
                return text(StatusCode::FORBIDDEN, why);
            }
            if request.method() == Method::POST && request.uri().path() == "/drain" {
                return self.drain().await;
            }
        }
        self.tell(request, extent)
    }

    /// Drains, and answers when that is over. Whoever asks again waits for the same end.
    async fn drain(&self) -> Response<Full<Bytes>> {
        self.drain.begun.cancel();
        self.drain.done.cancelled().await;
        text(StatusCode::OK, "drained\n")
    }

    fn tell(&self, request: &Request<Incoming>, extent: Extent) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "this can only be read\n");
        }
        match (request.uri().path(), extent) {
            ("/livez", _) => text(StatusCode::OK, "ok\n"),
            ("/readyz", _) => {
                let reasons = self.not_ready();
                let ready = reasons.is_empty();
                let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
                json(status, &Readiness { ready, reasons, notes: self.notes() })
            }
            ("/metrics", _) => answer(StatusCode::OK, CONTENT_TYPE, metrics::page(self).into()),
            ("/status", Extent::Admin) => json(StatusCode::OK, &self.complete()),
            ("/drain", Extent::Admin) => text(StatusCode::METHOD_NOT_ALLOWED, "a drain is asked for with POST\n"),
            _ => text(StatusCode::NOT_FOUND, "not found\n"),
        }
    }

    /// Why the agent is of no use at the moment: it is, as soon as one gateway can reach it.
    fn not_ready(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        if self.drain.begun.is_cancelled() {
            reasons.push(if self.drain.done.is_cancelled() { "drained" } else { "draining" }.to_owned());
        }
        let gateways = self.links.gateways();
        if gateways.values().all(|gateway| gateway.links == 0) {
            let why = |(url, gateway): (&String, &crate::links::Gateway)| {
                format!("no link to {url}: {}", gateway.last_error.as_deref().unwrap_or("not dialled yet"))
            };
            reasons.extend(gateways.iter().map(why));
        }
        if let Some(error) = self.server.audit().and_then(|audit| audit.status().error) {
            reasons.push(format!("the audit log cannot be written, so that requests are refused: {error}"));
        }
        reasons
    }

    fn notes(&self) -> Vec<String> {
        let offer = self.server.offer();
        let audited = |name| format!("{name} is in audit mode: what no rule allows is sent");
        let mut notes: Vec<String> = offer.audited().map(audited).collect();
        if self.reloads.error().is_some() {
            notes.push("the configuration file is wrong: the one before is in force (see the log)".to_owned());
        }
        notes
    }

    fn complete(&self) -> Complete<'_> {
        let link = |up: crate::links::Up| LinkStatus {
            gateway: up.gateway,
            address: up.way.to_string(),
            uptime_s: up.since.elapsed().as_secs(),
            rtt_us: up.connection.rtt().map(|rtt| rtt.as_micros()),
            streams: up.connection.streams(),
        };
        let links: Vec<LinkStatus> = self.links.up().into_iter().map(link).collect();
        let gateways = self.links.gateways().into_iter();
        Complete {
            agent: &self.name,
            instance: &self.instance,
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: self.started.elapsed().as_secs(),
            draining: self.drain.begun.is_cancelled(),
            drained: self.drain.done.is_cancelled(),
            gateways: gateways
                .map(|(url, gateway)| GatewayStatus { url, links: gateway.links, last_error: gateway.last_error })
                .collect(),
            streams: links.iter().map(|link| link.streams).sum(),
            tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
            links,
            services: self.server.offer().status(),
            denied_unknown_service: self.server.unknown(),
            notes: self.notes(),
            reload: self.reloads.status(),
            audit_log: self.server.audit().map(AuditLog::status),
        }
    }
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    answer(status, "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()))
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    answer(status, "application/json", ascii::json(value).into())
}

fn answer(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
