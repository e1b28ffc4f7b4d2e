//! `/metrics`: what the gateway counts, for Prometheus. Labels hold what the configuration names and nothing else, so
//! that nobody who connects or calls can make series without end; the rest is counted under an empty one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use axum::{
    extract::State,
    http::{HeaderName, header},
};
use metrics::{CONTENT_TYPE, Page, Sidecar};
use proto::wire::ServiceName;

use super::Status;
use crate::{
    admission::Decision,
    config::{Agents, Config, Hosts, Routing, ServicePattern},
    registry::Served,
};

/// What the configuration names.
#[derive(Debug)]
pub(crate) struct Known {
    agents: BTreeSet<String>,
    services: BTreeSet<ServiceName>,
}

impl Known {
    pub(crate) fn new(config: &Config) -> Self {
        let listed = match &config.agents {
            Agents::Anyone => &[],
            Agents::Listed(agents) => agents.as_slice(),
        };
        let granted = listed.iter().flat_map(|agent| &agent.services).filter_map(|pattern| match pattern {
            ServicePattern::Exactly(service) => Some(service),
            ServicePattern::Any | ServicePattern::Below(_) => None,
        });
        let routed = config.facades.iter().flat_map(|facade| match &facade.routing {
            Routing::Service(service) => vec![service],
            Routing::Host(Hosts::Listed(hosts)) | Routing::Proxy(Hosts::Listed(hosts)) => hosts.values().collect(),
            _ => Vec::new(),
        });
        Self {
            agents: listed.iter().map(|agent| agent.name.clone()).collect(),
            services: granted.chain(routed).chain(config.services.keys()).cloned().collect(),
        }
    }
}

pub(super) async fn metrics(State(status): State<Arc<Status>>) -> ([(HeaderName, &'static str); 1], String) {
    let mut page = Sidecar {
        side: "gateway",
        version: env!("CARGO_PKG_VERSION"),
        started: status.since,
        ready: status.drain.stage().is_none(),
        draining: status.drain.begun.is_cancelled(),
        drained: status.drain.done.is_cancelled(),
        tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
    }
    .page();
    facades(&mut page, &status);
    services(&mut page, &status);
    links(&mut page, &status);
    admission(&mut page, &status);
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], page.into())
}

fn facades(page: &mut Page, status: &Status) {
    let named = || status.facades.iter().map(|facade| (facade.settings().listen.to_string(), facade));
    let help = "Requests at a facade, by what became of them: the answer's status, or the code of a failure.";
    let mut family = page.counter("reachback_gateway_requests_total", help);
    for (name, facade) in named() {
        for (outcome, count) in facade.tally().outcomes() {
            family.sample(&[("facade", &name), ("outcome", outcome)], count);
        }
    }
    let help = "How long requests took until their answer began.";
    let mut family = page.durations("reachback_gateway_request_duration_seconds", help);
    named().for_each(|(name, facade)| family.observed(&[("facade", &name)], facade.tally().durations()));
    let help = "Answers that broke off: the client's connection was aborted.";
    let mut family = page.counter("reachback_gateway_answers_cut_total", help);
    named().for_each(|(name, facade)| family.sample(&[("facade", &name)], facade.tally().cuts()));
    let help = "Requests whose answers are not complete.";
    let mut family = page.gauge("reachback_gateway_requests_in_flight", help);
    named().for_each(|(name, facade)| family.sample(&[("facade", &name)], facade.in_flight()));
}

/// What there is of one service, or of all that the configuration does not name.
#[derive(Default)]
struct Serving {
    links: usize,
    requests: u64,
    in_flight: u32,
    queued: u32,
    retries: u64,
}

impl Serving {
    fn add(&mut self, served: &Served) {
        self.links += served.links;
        self.requests += served.requests;
        self.in_flight += served.in_flight;
        self.queued += served.waiting;
        self.retries += served.retries;
    }
}

fn services(page: &mut Page, status: &Status) {
    let mut services: BTreeMap<&str, Serving> =
        status.known.services.iter().map(|service| (service.as_str(), Serving::default())).collect();
    for served in status.registry.served() {
        let name = status.known.services.get(&served.service).map_or("", ServiceName::as_str);
        services.entry(name).or_default().add(&served);
    }
    let help = "Links that serve a service.";
    let mut family = page.gauge("reachback_gateway_service_links", help);
    services.iter().for_each(|(name, of)| family.sample(&[("service", name)], of.links));
    // Those that nobody names come and go, and what only grows must not shrink.
    let named = || services.iter().filter(|(name, _)| !name.is_empty());
    let help = "Requests of a service that were given a link.";
    let mut family = page.counter("reachback_gateway_service_requests_total", help);
    named().for_each(|(name, of)| family.sample(&[("service", name)], of.requests));
    let help = "Requests of a service that have a link and no complete answer.";
    let mut family = page.gauge("reachback_gateway_service_requests_in_flight", help);
    services.iter().for_each(|(name, of)| family.sample(&[("service", name)], of.in_flight));
    let help = "Requests of a service that wait for room.";
    let mut family = page.gauge("reachback_gateway_service_requests_queued", help);
    services.iter().for_each(|(name, of)| family.sample(&[("service", name)], of.queued));
    let help = "Requests that were sent a second time.";
    let mut family = page.counter("reachback_gateway_service_retries_total", help);
    named().for_each(|(name, of)| family.sample(&[("service", name)], of.retries));
    let help = "Requests that wait for an agent.";
    page.gauge("reachback_gateway_requests_waiting", help).sample(&[], status.registry.waiting());
}

/// What there is of one agent, or of all that no credential names.
#[derive(Default)]
struct Linked {
    links: usize,
    streams: usize,
    /// The slowest link's.
    round_trip: Option<Duration>,
}

fn links(page: &mut Page, status: &Status) {
    let mut agents: BTreeMap<&str, Linked> =
        status.known.agents.iter().map(|agent| (agent.as_str(), Linked::default())).collect();
    for entry in status.registry.entries() {
        let agent = agents.entry(status.known.agents.get(&entry.agent).map_or("", String::as_str)).or_default();
        agent.links += 1;
        agent.streams += entry.connection.streams();
        agent.round_trip = agent.round_trip.max(entry.connection.rtt());
    }
    let help = "Links of an agent.";
    let mut family = page.gauge("reachback_gateway_links", help);
    agents.iter().for_each(|(name, of)| family.sample(&[("agent", name)], of.links));
    let help = "Streams in flight on the links of an agent.";
    let mut family = page.gauge("reachback_gateway_streams", help);
    agents.iter().for_each(|(name, of)| family.sample(&[("agent", name)], of.streams));
    let help = "The round trip to an agent, of its links the slowest.";
    let mut family = page.gauge("reachback_gateway_round_trip_seconds", help);
    for (name, of) in &agents {
        if let Some(round_trip) = of.round_trip {
            family.sample(&[("agent", name)], round_trip.as_secs_f64());
        }
    }
    let help = "Links that came up.";
    page.counter("reachback_gateway_links_opened_total", help).sample(&[], status.registry.links_ever());
}

fn admission(page: &mut Page, status: &Status) {
    let help = "Connections to the tunnel that were turned away: the status before the upgrade, or the code after it.";
    let mut family = page.counter("reachback_gateway_turned_away_total", help);
    for (reason, count) in status.tunnel.turned_away().read() {
        family.sample(&[("reason", reason)], count);
    }
    let (waiting, decisions) = status.admission.overview();
    let help = "Agents that wait for approval.";
    page.gauge("reachback_gateway_agents_pending", help).sample(&[], waiting.len());
    let help = "Agents about which somebody has decided.";
    let mut family = page.gauge("reachback_gateway_agents_decided", help);
    for (name, decision) in [("approved", Decision::Approved), ("rejected", Decision::Rejected)] {
        let count = decisions.iter().filter(|(_, record)| record.decision == decision).count();
        family.sample(&[("decision", name)], count);
    }
    let failing = status.certificates.iter().filter(|certificate| certificate.in_use().trouble.is_some()).count();
    let help = "Certificates whose files cannot be used: the ones before stay in use.";
    page.gauge("reachback_gateway_certificates_failing", help).sample(&[], failing);
    let failing = status.tunnel.key_sets().iter().filter(|keys| keys.in_use().trouble.is_some()).count();
    let help = "Issuers whose keys cannot be had anew: the ones before stay in use.";
    page.gauge("reachback_gateway_issuers_failing", help).sample(&[], failing);
}
