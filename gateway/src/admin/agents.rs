//! Deciding about agents: what `reachback agents` asks for.

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, State},
    http::StatusCode,
    routing::post,
};
use serde::{Deserialize, Serialize};
use tracing::error;

use super::Status;
use crate::{
    admission::{Admission, Decision, Record, Undecided, Verb},
    config,
    limits::DECISION_BYTES,
};

/// `POST /agents/approve`, `/agents/reject` and `/agents/revoke`.
pub(super) fn routes() -> Router<Arc<Status>> {
    let to = |verb| post(move |State(status), Json(about)| decide(status, verb, about));
    Router::new()
        .route("/agents/approve", to(Verb::Approve))
        .route("/agents/reject", to(Verb::Reject))
        .route("/agents/revoke", to(Verb::Revoke))
        .layer(DefaultBodyLimit::max(DECISION_BYTES))
}

/// About whom. JSON, because a page of another origin cannot send that without asking first.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    agent: String,
}

#[derive(Serialize)]
struct Decided {
    agent: String,
    decision: Decision,
    /// Whether credentials prove names here, and so what an approval covers. Otherwise it covers these services.
    proven: bool,
    services: Vec<String>,
    /// Links that were closed.
    links_closed: usize,
    /// Whether it holds when the gateway has been restarted.
    kept: bool,
}

#[derive(Serialize)]
struct NotDecided {
    error: String,
}

async fn decide(
    status: Arc<Status>,
    verb: Verb,
    About { agent }: About,
) -> Result<Json<Decided>, (StatusCode, Json<NotDecided>)> {
    // A task of its own: a client that hangs up must not end it between the decision and the links.
    let decided = tokio::spawn(async move { carry_out(&status, verb, agent).await });
    decided.await.expect("deciding does not panic").map(Json).map_err(|why| {
        let code = match why {
            Undecided::Unknown(..) | Undecided::NoSuch(..) | Undecided::NoName(_) => StatusCode::NOT_FOUND,
            Undecided::Ambiguous(_) | Undecided::Approved(_) | Undecided::TooMany | Undecided::Overtaken(_) => {
                StatusCode::CONFLICT
            }
            Undecided::NotWritten(_) | Undecided::NotKept { .. } => {
                error!(%why, "a decision cannot be kept");
                StatusCode::INTERNAL_SERVER_ERROR
            }
        };
        (code, Json(NotDecided { error: why.to_string() }))
    })
}

async fn carry_out(status: &Status, verb: Verb, agent: String) -> Result<Decided, Undecided> {
    let links = status.registry.entries().into_iter().filter(|entry| entry.agent == agent);
    let mut claims: Vec<_> = links.flat_map(|entry| entry.services).collect();
    claims.sort();
    claims.dedup();
    let close = || status.registry.close(&agent);
    let (record, links_closed) = status.admission.decide(verb, &agent, &claims, close).await?;
    let Record { decision, proven, services } = record;
    Ok(Decided { agent, decision, proven, services, links_closed, kept: status.admission.are_kept() })
}

/// An agent that waits for a decision, as `/status` shows it.
#[derive(Serialize)]
pub(super) struct PendingStatus {
    agent: String,
    calls_itself: String,
    instance: String,
    address: String,
    services: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    /// Links on which it waits at this moment.
    links: usize,
    since_s: u64,
    last_s: u64,
}

/// A decision, as `/status` shows it.
#[derive(Serialize)]
pub(super) struct DecisionStatus {
    agent: String,
    decision: Decision,
    services: Vec<String>,
}

pub(super) fn rule(admission: &Admission) -> &'static str {
    match admission.rule() {
        config::Admission::Auto => "auto",
        config::Admission::Approve { .. } => "approve",
    }
}

pub(super) fn overview(admission: &Admission) -> (Vec<PendingStatus>, Vec<DecisionStatus>) {
    let (waiters, decisions) = admission.overview();
    let pending = waiters.into_iter().map(|waiter| {
        let applicant = waiter.applicant;
        PendingStatus {
            agent: applicant.name,
            calls_itself: applicant.calls_itself,
            instance: applicant.instance,
            address: applicant.address.to_string(),
            services: applicant.services.iter().map(ToString::to_string).collect(),
            fingerprint: applicant.fingerprint,
            links: waiter.links,
            since_s: waiter.first.elapsed().as_secs(),
            last_s: waiter.last.elapsed().as_secs(),
        }
    });
    let decided = decisions.into_iter().map(|(agent, record)| {
        let (decision, services) = (record.decision, record.services);
        DecisionStatus { agent, decision, services }
    });
    (pending.collect(), decided.collect())
}
