//! `/metrics`: what the agent counts, for Prometheus. Labels hold what the configuration names and nothing else, so that
//! no gateway can make series without end.

use std::{collections::BTreeMap, time::Duration};

use metrics::{Page, Sidecar};

use super::Status;
use crate::{audit::AuditLog, counters::StepCounted, whitelist::Mode};

/// All of it.
pub(super) fn page(status: &Status) -> String {
    let mut page = Sidecar {
        side: "agent",
        version: env!("CARGO_PKG_VERSION"),
        started: status.since,
        ready: status.not_ready().is_empty(),
        draining: status.drain.begun.is_cancelled(),
        drained: status.drain.done.is_cancelled(),
        tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
    }
    .page();
    verdicts(&mut page, status);
    upstreams(&mut page, status);
    links(&mut page, status);
    file(&mut page, status);
    if let Some(audit) = status.server.audit() {
        audit_log(&mut page, audit);
    }
    page.into()
}

fn verdicts(page: &mut Page, status: &Status) {
    let offer = status.server.offer();
    let services: Vec<_> =
        offer.all().map(|(name, offered)| (name.as_str(), offered.mode, offered.counters.read())).collect();
    let help = "Requests that a rule allows, by its place in the service's list, counted from 0.";
    let mut family = page.counter("reachback_agent_requests_allowed_total", help);
    for (service, _, counted) in &services {
        for (place, rule) in counted.rules.iter().enumerate() {
            family.sample(&[("service", service), ("rule", &place.to_string())], rule.allowed);
        }
    }
    let help = "Requests that the whitelist refuses, by the step of judging and the code; without a service, those for \
                services that are not offered.";
    let unknown = status.server.unknown();
    let denied = services.iter().map(|(service, _, counted)| (*service, &counted.denied)).chain([("", &unknown)]);
    let mut family = page.counter("reachback_agent_requests_denied_total", help);
    denied.for_each(|(service, denied)| by_step(&mut family, service, denied));
    let help = "Requests that no rule allows and that were sent, because the service is in audit mode.";
    let mut family = page.counter("reachback_agent_requests_would_deny_total", help);
    services.iter().for_each(|(service, _, counted)| by_step(&mut family, service, &counted.would_deny));
    let help = "1 for a service in audit mode, which sends what no rule allows.";
    let mut family = page.gauge("reachback_agent_audit_mode", help);
    for (service, mode, _) in &services {
        family.sample(&[("service", service)], u8::from(*mode == Mode::Audit));
    }
}

/// The usual reason is counted from 0, the others once they come.
fn by_step(family: &mut metrics::Family<'_>, service: &str, counted: &[StepCounted]) {
    let usual = StepCounted::usual(if service.is_empty() { "service" } else { "rules" });
    let usual = Some(&usual).filter(|usual| !counted.iter().any(|counted| counted.is_as(usual)));
    for StepCounted { step, code, count } in counted.iter().chain(usual) {
        family.sample(&[("service", service), ("step", step), ("code", code)], count);
    }
}

fn upstreams(page: &mut Page, status: &Status) {
    let offer = status.server.offer();
    let services = || offer.all().map(|(name, offered)| (name.as_str(), offered.counters.tally()));
    let help = "Requests that the whitelist allows, by what became of them: the upstream's status, or the code of a \
                failure.";
    let mut family = page.counter("reachback_agent_upstream_requests_total", help);
    for (service, tally) in services() {
        for (outcome, count) in tally.outcomes() {
            family.sample(&[("service", service), ("outcome", outcome)], count);
        }
    }
    let help = "How long whole exchanges with the upstream took, to the last byte of the answer.";
    let mut family = page.durations("reachback_agent_upstream_duration_seconds", help);
    services().for_each(|(service, tally)| family.observed(&[("service", service)], tally.durations()));
    let help = "Answers that broke off, by the upstream or because nobody wanted the rest.";
    let mut family = page.counter("reachback_agent_answers_cut_total", help);
    services().for_each(|(service, tally)| family.sample(&[("service", service)], tally.cuts()));
    let help = "Requests at the upstream.";
    let mut family = page.gauge("reachback_agent_upstream_requests_in_flight", help);
    for (name, offered) in offer.all() {
        family.sample(&[("service", name.as_str())], offered.places.taken());
    }
}

/// What there is of the links to one gateway.
#[derive(Default)]
struct Linked {
    streams: usize,
    /// The slowest link's.
    round_trip: Option<Duration>,
}

fn links(page: &mut Page, status: &Status) {
    let mut up = BTreeMap::<String, Linked>::new();
    for link in status.links.up() {
        let linked = up.entry(link.gateway).or_default();
        linked.streams += link.connection.streams();
        linked.round_trip = linked.round_trip.max(link.connection.rtt());
    }
    let gateways = status.links.gateways();
    let help = "Links to a gateway.";
    let mut family = page.gauge("reachback_agent_links", help);
    gateways.iter().for_each(|(url, gateway)| family.sample(&[("gateway", url)], gateway.links));
    let help = "Dials that failed, and links that ended.";
    let mut family = page.counter("reachback_agent_link_failures_total", help);
    gateways.iter().for_each(|(url, gateway)| family.sample(&[("gateway", url)], gateway.failures));
    let help = "Streams in flight on the links to a gateway.";
    let mut family = page.gauge("reachback_agent_streams", help);
    for url in gateways.keys() {
        family.sample(&[("gateway", url)], up.get(url).map_or(0, |linked| linked.streams));
    }
    let help = "The round trip to a gateway, of the links to it the slowest.";
    let mut family = page.gauge("reachback_agent_round_trip_seconds", help);
    for (url, round_trip) in gateways.keys().filter_map(|url| Some((url, up.get(url)?.round_trip?))) {
        family.sample(&[("gateway", url)], round_trip.as_secs_f64());
    }
    let help = "Links that came up.";
    page.counter("reachback_agent_links_opened_total", help).sample(&[], status.links.ever());
}

fn file(page: &mut Page, status: &Status) {
    let reload = status.reloads.status();
    let help = "0 while the configuration file is wrong, so that what it said before is in force.";
    page.gauge("reachback_agent_config_good", help).sample(&[], u8::from(status.reloads.error().is_none()));
    let help = "How often the configuration file was found wrong.";
    page.counter("reachback_agent_config_failures_total", help).sample(&[], reload.failures());
    let help = "How many configurations have been in force since the start.";
    page.gauge("reachback_agent_config_generation", help).sample(&[], reload.generation());
    let help = "1 if the configuration file says what is in force only after a restart.";
    page.gauge("reachback_agent_config_needs_restart", help).sample(&[], u8::from(reload.needs_restart()));
}

fn audit_log(page: &mut Page, audit: &AuditLog) {
    let status = audit.status();
    let help = "0 while the audit log cannot be written, so that requests are refused.";
    page.gauge("reachback_agent_audit_log_good", help).sample(&[], u8::from(status.error.is_none()));
    let help = "Lines of the audit log that were written.";
    page.counter("reachback_agent_audit_log_lines_total", help).sample(&[], status.written);
    let help = "Decisions that are not in the audit log; none of their requests was sent.";
    page.counter("reachback_agent_audit_log_lost_total", help).sample(&[], status.lost);
}
