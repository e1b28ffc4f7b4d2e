//! A service's keys, checked: where it is, what may pass, how long it may take.

use std::{ops::RangeInclusive, time::Duration};

use http::HeaderValue;
use proto::wire::{ServiceName, limits::SERVICES};
use settings::{
    Entries, Fault, Findings, Text,
    report::{did_you_mean, one_of},
    units::{count_within, duration_within, switch},
};

use super::{
    CONNECT_TIMEOUT, MAX_IN_FLIGHT, Protocol, RESPONSE_TIMEOUT, Service, Upstream, raw::RawService, rule, url,
};
use crate::whitelist::{Host, Mode, Times};

/// Waits for an upstream: below a millisecond nothing answers, beyond a day nobody listens any more.
pub(super) const WAITS: RangeInclusive<Duration> = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);

/// Waits that may also be for ever, which is written as 0s.
pub(super) const WAITS_OR_NONE: RangeInclusive<Duration> = Duration::ZERO..=*WAITS.end();

/// Most requests at one upstream: each has a connection, and beyond it a machine has no ports left.
const MOST_IN_FLIGHT: u32 = 65_536;

/// Checks all services together.
pub(super) fn check_all(raw: &Entries<RawService>, found: &mut Findings<'_>) -> Option<Vec<Service>> {
    if raw.0.is_empty() {
        let remedy = "add services: { NAME: { upstream: http://127.0.0.1:3000, allow: [ GET /** ] } }";
        found.fault(None, Fault::new("there is no service: the agent would have nothing to offer", remedy));
        return None;
    }
    if let Some((name, _)) = raw.0.get(SERVICES) {
        let what = format!("there are more than {SERVICES} services, which is more than one agent can announce");
        found.fault(name.place, Fault::new(what, "move some of them to a second agent"));
        return None;
    }
    let checked: Vec<_> = raw.0.iter().map(|(name, raw)| check(name, raw, found)).collect();
    let names = distinct(raw, found);
    names.and_then(|()| checked.into_iter().collect())
}

/// YAML has refused a key given twice; flags have not.
fn distinct(raw: &Entries<RawService>, found: &mut Findings<'_>) -> Option<()> {
    let taken = |at: usize, name: &Text| raw.0[..at].iter().any(|(earlier, _)| earlier.value == name.value);
    let again = raw.0.iter().enumerate().find(|(at, (name, _))| taken(*at, name));
    let Some((_, (name, _))) = again else { return Some(()) };
    let what = format!("the service `{}` is given a second time", name.value);
    found.fault(name.place, Fault::new(what, "give each service a name of its own"));
    None
}

fn check(name: &Text, raw: &RawService, found: &mut Findings<'_>) -> Option<Service> {
    let service = found.parsed(name, service_name);
    let missing = Fault::new(
        format!("the service `{}` has no upstream", name.value),
        "add `upstream`, such as upstream: http://127.0.0.1:3000",
    );
    let upstream = found.required(raw.upstream.as_ref(), (Some(name.place), missing), url::upstream);
    let protocol = found.or(raw.protocol.as_ref(), Protocol::Http1, protocol);
    let trust_forwarded = found.or(raw.trust_forwarded.as_ref(), false, switch);
    let around = rule::Around {
        trust_forwarded: trust_forwarded.unwrap_or(true),
        protocol: protocol.unwrap_or(Protocol::Http1),
    };
    let allow = rule::check_all(&raw.allow, around, found);
    if raw.allow.is_empty() {
        found.warn(
            name.place,
            format!("nothing of `{}` is allowed, so every request is denied; add rules under `allow`", name.value),
        );
    }
    let mode = mode(name, raw.mode.as_ref(), found);
    let host = host_field(raw.host.as_ref(), upstream.as_ref(), found);
    let wait = || duration_within(WAITS);
    let connect_timeout = found.or(raw.connect_timeout.as_ref(), CONNECT_TIMEOUT, wait());
    let response = found.or(raw.response_timeout.as_ref(), RESPONSE_TIMEOUT, wait());
    let idle = found.optional(raw.idle_timeout.as_ref(), duration_within(WAITS_OR_NONE));
    let total = found.optional(raw.total_timeout.as_ref(), duration_within(WAITS_OR_NONE));
    let max_in_flight = found.or(raw.max_in_flight.as_ref(), MAX_IN_FLIGHT, count_within(1..=MOST_IN_FLIGHT));
    let retry = found.or(raw.retry.as_ref(), true, |word| one_of(word, &[("on", true), ("off", false)]));
    Some(Service {
        max_in_flight: max_in_flight?,
        retry: retry?,
        name: service?,
        upstream: upstream?,
        protocol: protocol?,
        allow: allow?,
        mode: mode?,
        host: host?,
        trust_forwarded: trust_forwarded?,
        connect_timeout: connect_timeout?,
        times: Times { response: Some(response?), idle: idle?, total: total?, whole: None },
    })
}

fn protocol(text: &str) -> Result<Protocol, Fault> {
    match text {
        "http1" => Ok(Protocol::Http1),
        "h2c" => Ok(Protocol::H2c),
        _ => Err(Fault::new(format!("`{text}` is no protocol of an upstream"), "write http1, or h2c for gRPC")),
    }
}

/// Whoever turns the whitelist off is told so at each start.
fn mode(name: &Text, raw: Option<&Text>, found: &mut Findings<'_>) -> Option<Mode> {
    let mode = found.or(raw, Mode::Enforce, |text| match text {
        "enforce" => Ok(Mode::Enforce),
        "audit" => Ok(Mode::Audit),
        _ => Err(Fault::new(format!("`{text}` is not a mode"), "write enforce or audit")),
    })?;
    if let (Mode::Audit, Some(text)) = (mode, raw) {
        let what =
            format!("`{}` is in audit mode: what no rule allows is SENT to its upstream, and logged", name.value);
        found.warn(text.place, what);
    }
    Some(mode)
}

fn service_name(text: &str) -> Result<ServiceName, Fault> {
    let remedy = "write lower-case letters, digits, `-` and `_`, in parts separated by dots: orders, jira.acme";
    ServiceName::new(text).map_err(|_| Fault::new(format!("{text:?} is not a service name"), remedy))
}

fn host_field(raw: Option<&Text>, upstream: Option<&Upstream>, found: &mut Findings<'_>) -> Option<Host> {
    let value = |host: &str| HeaderValue::from_str(host).expect("a host is visible ASCII");
    let Some(text) = raw.filter(|text| text.value != "upstream") else {
        return upstream.map(|upstream| Host::Fixed(value(&upstream.authority())));
    };
    if text.value == "preserve" {
        return Some(Host::Preserve);
    }
    let fixed = found.parsed(text, url::host_and_port)?;
    if let Some(word) = did_you_mean(&text.value, &["upstream", "preserve"]) {
        found.warn(text.place, format!("`{}` is taken for a fixed host name; did you mean `{word}`?", text.value));
    }
    Some(Host::Fixed(value(&fixed)))
}
