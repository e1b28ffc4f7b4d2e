//! The gateway about itself: probes and metrics on `health`, and everything on the loopback `admin` listener, where it is also
//! decided about agents, and which takes the wish to drain.

mod agents;
mod metrics;

use std::{
    sync::Arc,
    time::{Instant, SystemTime},
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::StatusCode,
    middleware::{Next, from_fn},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde::Serialize;
use settings::guard;

use self::agents::{DecisionStatus, PendingStatus};
pub(crate) use self::metrics::Known;
use crate::{
    accept::Tunnel,
    admission::Admission,
    auth::KeySet,
    certificates::Certificate,
    config::{Hosts, Routing},
    drain::Drain,
    facade::Facade,
    registry::Registry,
};

/// What there is to tell.
#[derive(Debug)]
pub(crate) struct Status {
    pub(crate) name: String,
    pub(crate) started: Instant,
    pub(crate) since: SystemTime,
    /// What metrics may be labelled with.
    pub(crate) known: Known,
    pub(crate) registry: Arc<Registry>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) facades: Vec<Arc<Facade>>,
    pub(crate) certificates: Vec<Arc<Certificate>>,
    pub(crate) tunnel: Arc<Tunnel>,
    pub(crate) drain: Drain,
}

/// The routes that may be offered beyond loopback.
pub(crate) fn health(status: Arc<Status>) -> Router {
    let routes = Router::new().route("/livez", get(async || "ok\n")).route("/readyz", get(ready));
    routes.route("/metrics", get(metrics::metrics)).with_state(status)
}

/// Those, and what only the host itself may read, decide and ask for.
pub(crate) fn admin(status: Arc<Status>) -> Router {
    let routes = Router::new().route("/status", get(full)).route("/drain", post(drain)).merge(agents::routes());
    health(status.clone()).merge(routes.with_state(status)).layer(from_fn(local_programs_only))
}

async fn local_programs_only(request: Request, next: Next) -> Response {
    match guard::refusal(&request) {
        Some(why) => (StatusCode::FORBIDDEN, why).into_response(),
        None => next.run(request).await,
    }
}

/// Drains, and answers when that is over. Whoever asks again waits for the same end.
async fn drain(State(status): State<Arc<Status>>) -> (StatusCode, &'static str) {
    status.drain.run().await;
    (StatusCode::OK, "drained\n")
}

#[derive(Serialize)]
struct Readiness {
    ready: bool,
    reasons: Vec<&'static str>,
}

/// Ready does not wait for agents: they reach a gateway through whatever routes only to those that are ready.
async fn ready(State(status): State<Arc<Status>>) -> (StatusCode, Json<Readiness>) {
    let reasons = Vec::from_iter(status.drain.stage());
    let ready = reasons.is_empty();
    let code = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (code, Json(Readiness { ready, reasons }))
}

#[derive(Serialize)]
struct Full {
    gateway: String,
    version: &'static str,
    uptime_s: u64,
    draining: bool,
    drained: bool,
    links: Vec<LinkStatus>,
    services: std::collections::BTreeMap<String, ServiceStatus>,
    facades: Vec<FacadeStatus>,
    certificates: Vec<CertificateStatus>,
    issuers: Vec<IssuerStatus>,
    streams: usize,
    /// Of the runtime: whatever is under way or waits is one or a few.
    tasks: usize,
    /// Requests that wait for an agent.
    waiting: u32,
    admission: &'static str,
    pending: Vec<PendingStatus>,
    decisions: Vec<DecisionStatus>,
}

#[derive(Serialize)]
struct LinkStatus {
    agent: String,
    instance: String,
    version: String,
    address: String,
    /// How the agent has proved who it is.
    proof: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    uptime_s: u64,
    rtt_us: Option<u128>,
    services: Vec<String>,
    streams: usize,
}

#[derive(Default, Serialize)]
struct ServiceStatus {
    agents: std::collections::BTreeSet<String>,
    links: usize,
    /// Requests in flight, those that wait for room, and how many were sent a second time.
    requests: u32,
    waiting: u32,
    retries: u64,
}

#[derive(Serialize)]
struct FacadeStatus {
    listen: String,
    route: String,
    requests: u32,
}

#[derive(Serialize)]
struct CertificateStatus {
    cert_file: String,
    in_use_s: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Serialize)]
struct IssuerStatus {
    issuer: String,
    keys: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

async fn full(State(status): State<Arc<Status>>) -> Json<Full> {
    let mut links = Vec::new();
    let mut services = std::collections::BTreeMap::<String, ServiceStatus>::new();
    for entry in status.registry.entries() {
        for service in &entry.services {
            let known = services.entry(service.to_string()).or_default();
            known.links += 1;
            known.agents.insert(entry.agent.clone());
        }
        links.push(LinkStatus {
            uptime_s: entry.since.elapsed().as_secs(),
            rtt_us: entry.connection.rtt().map(|rtt| rtt.as_micros()),
            streams: entry.connection.streams(),
            services: entry.services.iter().map(ToString::to_string).collect(),
            address: entry.address.to_string(),
            proof: entry.proof.to_string(),
            fingerprint: entry.fingerprint,
            agent: entry.agent,
            instance: entry.instance.to_string(),
            version: entry.version,
        });
    }
    for served in status.registry.served() {
        let known = services.entry(served.service.to_string()).or_default();
        (known.requests, known.waiting, known.retries) = (served.in_flight, served.waiting, served.retries);
    }
    let (pending, decisions) = agents::overview(&status.admission);
    Json(Full {
        gateway: status.name.clone(),
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: status.started.elapsed().as_secs(),
        draining: status.drain.begun.is_cancelled(),
        drained: status.drain.done.is_cancelled(),
        streams: links.iter().map(|link| link.streams).sum(),
        tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
        links,
        services,
        waiting: status.registry.waiting(),
        admission: agents::rule(&status.admission),
        pending,
        decisions,
        facades: status.facades.iter().map(|facade| facade_status(facade)).collect(),
        certificates: status.certificates.iter().map(|certificate| certificate_status(certificate)).collect(),
        issuers: status.tunnel.key_sets().iter().map(|keys| issuer_status(keys)).collect(),
    })
}

fn certificate_status(certificate: &Certificate) -> CertificateStatus {
    let in_use = certificate.in_use();
    CertificateStatus { cert_file: in_use.cert_file, in_use_s: in_use.since.elapsed().as_secs(), error: in_use.trouble }
}

fn issuer_status(keys: &KeySet) -> IssuerStatus {
    let in_use = keys.in_use();
    IssuerStatus { issuer: in_use.issuer, keys: in_use.keys, error: in_use.trouble }
}

fn facade_status(facade: &Facade) -> FacadeStatus {
    let settings = facade.settings();
    let route = match &settings.routing {
        Routing::Service(service) => format!("service {service}"),
        Routing::Host(hosts) => format!("host {}", hosts_shown(hosts)),
        Routing::Path => "path".to_owned(),
        Routing::Header => "header".to_owned(),
        Routing::Proxy(hosts) => format!("proxy {}", hosts_shown(hosts)),
    };
    FacadeStatus { listen: settings.listen.to_string(), route, requests: facade.in_flight() }
}

fn hosts_shown(hosts: &Hosts) -> String {
    match hosts {
        Hosts::Below(suffix) => format!("*.{suffix}"),
        Hosts::Listed(hosts) => hosts.keys().cloned().collect::<Vec<_>>().join(", "),
    }
}
