//! A facade's keys, checked: one listener, one way to find the service.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use proto::wire::ServiceName;
use settings::{At, Entries, Fault, Findings, Place, Text, net, report::one_of, units::duration_within};

use super::{Facade, Routing, raw::RawFacade};

/// Longest wait for an agent; whoever waits longer has been forgotten by the client.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

#[derive(Clone, Copy)]
enum Route {
    Host,
    Path,
}

/// A wait for an agent, as `wait_for_agent` says it.
pub(super) fn wait(text: &str) -> Result<Duration, Fault> {
    duration_within(Duration::ZERO..=LONGEST_WAIT)(text)
}

/// Checks one facade; `usual_wait` is the gateway's own. Its address comes back with its place.
pub(super) fn check(
    raw: &At<RawFacade>,
    usual_wait: Duration,
    found: &mut Findings<'_>,
) -> Option<(Facade, At<SocketAddr>)> {
    let missing = Fault::new("this facade has no address to listen on", "add `listen`, such as listen: 127.0.0.1:7080");
    let listen = found.required(raw.value.listen.as_ref(), (Some(raw.place), missing), net::address);
    let routing = routing(raw, found);
    let wait_for_agent = found.or(raw.value.wait_for_agent.as_ref(), usual_wait, wait);
    let (listen, routing, wait_for_agent) = (listen?, routing?, wait_for_agent?);
    let place = raw.value.listen.as_ref().map_or(raw.place, |text| text.place);
    Some((Facade { listen, routing, wait_for_agent }, At { value: listen, place }))
}

fn routing(raw: &At<RawFacade>, found: &mut Findings<'_>) -> Option<Routing> {
    let RawFacade { service, route, suffix, hosts, .. } = &raw.value;
    if service.is_none() && route.is_none() {
        let what = "this facade does not say which service a request is for";
        let remedy = "add `service: NAME` for one service, `route: host` with `suffix` or `hosts`, or `route: path`";
        return refuse(raw.place, Fault::new(what, remedy), found);
    }
    if let (Some(_), Some(route)) = (service, route) {
        let what = "this facade has both `service` and `route`";
        return refuse(route.place, Fault::new(what, "keep one: `service` for one service, `route` for many"), found);
    }
    let route = found.optional(route.as_ref(), |word| one_of(word, &[("host", Route::Host), ("path", Route::Path)]))?;
    match (route, suffix, hosts) {
        (Some(Route::Host), Some(suffix), None) => found.parsed(suffix, host_suffix).map(Routing::HostSuffix),
        (Some(Route::Host), None, Some(hosts)) => exact_hosts(hosts, found).map(Routing::Hosts),
        (Some(Route::Host), Some(_), Some(hosts)) => {
            let remedy = "keep one of them, or make two facades";
            refuse(hosts.place, Fault::new("this facade has both `suffix` and `hosts`", remedy), found)
        }
        (Some(Route::Host), None, None) => {
            let remedy = "add `suffix: localhost` (http://orders.localhost:…) or `hosts: { NAME: SERVICE }`";
            refuse(raw.place, Fault::new("`route: host` needs to know the hosts", remedy), found)
        }
        (_, None, None) => match service {
            Some(service) => found.parsed(service, service_name).map(Routing::Service),
            None => Some(Routing::Path),
        },
        (_, suffix, hosts) => {
            let (place, key) = match (suffix, hosts) {
                (Some(suffix), _) => (suffix.place, "suffix"),
                (None, hosts) => (hosts.as_ref().map_or(raw.place, |hosts| hosts.place), "hosts"),
            };
            let what = format!("`{key}` has no meaning without `route: host`");
            refuse(place, Fault::new(what, format!("remove `{key}`, or write `route: host`")), found)
        }
    }
}

fn refuse<T>(place: Place, fault: Fault, found: &mut Findings<'_>) -> Option<T> {
    found.fault(place, fault);
    None
}

fn service_name(text: &str) -> Result<ServiceName, Fault> {
    let remedy = "write lower-case letters, digits, `-` and `_`, in parts separated by dots: orders, jira.acme";
    ServiceName::new(text).map_err(|_| Fault::new(format!("{text:?} is not a service name"), remedy))
}

fn host_suffix(text: &str) -> Result<String, Fault> {
    host(text.strip_prefix('.').unwrap_or(text))
}

/// A host name without a port, in lower case.
fn host(text: &str) -> Result<String, Fault> {
    let label =
        |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    if text.len() <= 253 && text.split('.').all(label) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(Fault::new(
        format!("{text:?} is not a host name"),
        "write a name such as localhost or api.example.org, without scheme, port and path",
    ))
}

fn exact_hosts(raw: &At<Entries<Text>>, found: &mut Findings<'_>) -> Option<BTreeMap<String, ServiceName>> {
    let mut hosts = BTreeMap::new();
    let mut complete = Some(());
    if raw.value.0.is_empty() {
        complete = refuse(raw.place, Fault::new("`hosts` names no host", "write hosts: { NAME: SERVICE }"), found);
    }
    for (name, service) in &raw.value.0 {
        let entry = (found.parsed(name, host), found.parsed(service, service_name));
        let (Some(host), Some(service)) = entry else {
            complete = None;
            continue;
        };
        if hosts.insert(host, service).is_some() {
            let what = format!("the host `{}` stands here a second time", name.value);
            complete = refuse(name.place, Fault::new(what, "keep one of the two; case makes no difference"), found);
        }
    }
    complete.map(|()| hosts)
}
