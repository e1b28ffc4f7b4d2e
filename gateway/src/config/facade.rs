//! A facade's keys, checked: one listener, one way to find the service.

use std::{collections::BTreeMap, path::Path, time::Duration};

use proto::wire::ServiceName;
use settings::{At, Entries, Fault, Findings, Place, Text, file, report::one_of, units::duration_within};

use super::{Facade, Forwarded, Hosts, Listen, Routing, Tls, listen, raw::RawFacade, tls};

/// Longest wait for an agent; whoever waits longer has been forgotten by the client.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

#[derive(Clone, Copy)]
enum Route {
    Host,
    Path,
    Header,
    Proxy,
}

/// A wait for an agent, as `wait_for_agent` says it.
pub(super) fn wait(text: &str) -> Result<Duration, Fault> {
    duration_within(Duration::ZERO..=LONGEST_WAIT)(text)
}

/// Checks one facade; `usual_wait` is the gateway's own. Its place is that of its `listen`.
pub(super) fn check(raw: &At<RawFacade>, usual_wait: Duration, found: &mut Findings<'_>) -> Option<At<Facade>> {
    let listen = listen(raw, found);
    let tls = tls::check(raw.value.tls.as_ref(), true, found).and_then(|tls| no_client_authority(raw, tls, found));
    let routing = routing(raw, found);
    let wait_for_agent = found.or(raw.value.wait_for_agent.as_ref(), usual_wait, wait);
    let forwarded = found.or(raw.value.forwarded.as_ref(), Forwarded::default(), forwarded);
    let place = raw.value.listen.as_ref().map_or(raw.place, |text| text.place);
    let value = Facade {
        listen: listen?,
        tls: tls?,
        routing: routing?,
        wait_for_agent: wait_for_agent?,
        forwarded: forwarded?,
    };
    Some(At { value, place })
}

/// Applications are not asked who they are.
fn no_client_authority(raw: &At<RawFacade>, tls: Option<Tls>, found: &mut Findings<'_>) -> Option<Option<Tls>> {
    let Some(text) = raw.value.tls.as_ref().and_then(|tls| tls.value.client_ca_file.as_ref()) else { return Some(tls) };
    let remedy = "remove it; it belongs to the `tls` of the gateway itself, where agents connect";
    refuse(text.place, Fault::new("a facade asks its clients for no certificate", remedy), found)
}

fn listen(raw: &At<RawFacade>, found: &mut Findings<'_>) -> Option<Listen> {
    let missing = Fault::new("this facade has no address to listen on", "add `listen`, such as listen: 127.0.0.1:7080");
    let (text, source) = (raw.value.listen.as_ref(), found.source());
    let mut listen = found.required(text, (Some(raw.place), missing), |text| listen::listen(text, source));
    let rights = found.optional(raw.value.mode.as_ref(), listen::mode)?;
    if let (Some(Listen::Unix { path, .. }), Some(text)) = (&listen, text) {
        has_folder(path, text.place, found)?;
    }
    match (&mut listen, rights, &raw.value) {
        (Some(Listen::Tcp(_)), Some(_), RawFacade { mode: Some(text), .. }) => {
            let fault = Fault::new("`mode` has no meaning for an address", "remove `mode`, or listen on unix:/PATH");
            refuse(text.place, fault, found)
        }
        (Some(Listen::Unix { .. }), _, RawFacade { tls: Some(tls), .. }) => {
            let what = "a Unix socket needs no TLS: nobody can listen in on it";
            refuse(tls.place, Fault::new(what, "remove `tls`; `mode` says who may connect"), found)
        }
        (Some(Listen::Unix { mode, .. }), Some(rights), _) => {
            *mode = rights;
            listen
        }
        _ => listen,
    }
}

/// A folder in `/run` may come with the service whose it is (systemd's `RuntimeDirectory`): that is only warned of.
fn has_folder(socket: &Path, place: Place, found: &mut Findings<'_>) -> Option<()> {
    match file::within_a_folder(socket) {
        Err(fault) if socket.starts_with("/run") || socket.starts_with("/var/run") => found.warn(place, fault),
        Err(fault) => return refuse(place, fault, found),
        Ok(()) => {}
    }
    Some(())
}

fn forwarded(word: &str) -> Result<Forwarded, Fault> {
    one_of(word, &[("off", Forwarded::Off), ("append", Forwarded::Append), ("replace", Forwarded::Replace)])
}

fn routing(raw: &At<RawFacade>, found: &mut Findings<'_>) -> Option<Routing> {
    let RawFacade { service, route, .. } = &raw.value;
    if service.is_none() && route.is_none() {
        let what = "this facade does not say which service a request is for";
        let remedy = "add `service: NAME` for one service, or `route` (host, path, header or proxy) for many";
        return refuse(raw.place, Fault::new(what, remedy), found);
    }
    if let (Some(_), Some(route)) = (service, route) {
        let what = "this facade has both `service` and `route`";
        return refuse(route.place, Fault::new(what, "keep one: `service` for one service, `route` for many"), found);
    }
    let routes = [("host", Route::Host), ("path", Route::Path), ("header", Route::Header), ("proxy", Route::Proxy)];
    match found.optional(route.as_ref(), |word| one_of(word, &routes))? {
        Some(Route::Host) => hosts_of(raw, "host", found).map(Routing::Host),
        Some(Route::Proxy) => hosts_of(raw, "proxy", found).map(Routing::Proxy),
        Some(Route::Path) => without_hosts(raw, found).map(|()| Routing::Path),
        Some(Route::Header) => without_hosts(raw, found).map(|()| Routing::Header),
        None => {
            let service = service.as_ref().and_then(|service| found.parsed(service, service_name));
            without_hosts(raw, found).and(service).map(Routing::Service)
        }
    }
}

/// What `suffix` or `hosts` say, one of which must be there.
fn hosts_of(raw: &At<RawFacade>, route: &str, found: &mut Findings<'_>) -> Option<Hosts> {
    match (&raw.value.suffix, &raw.value.hosts) {
        (Some(suffix), None) => found.parsed(suffix, host_suffix).map(Hosts::Below),
        (None, Some(hosts)) => listed_hosts(hosts, found).map(Hosts::Listed),
        (Some(_), Some(hosts)) => {
            let remedy = "keep one of them, or make two facades";
            refuse(hosts.place, Fault::new("this facade has both `suffix` and `hosts`", remedy), found)
        }
        (None, None) => {
            let remedy = "add `suffix: localhost` (http://orders.localhost:…) or `hosts: { NAME: SERVICE }`";
            refuse(raw.place, Fault::new(format!("`route: {route}` needs to know the hosts"), remedy), found)
        }
    }
}

fn without_hosts(raw: &At<RawFacade>, found: &mut Findings<'_>) -> Option<()> {
    let (place, key) = match (&raw.value.suffix, &raw.value.hosts) {
        (None, None) => return Some(()),
        (Some(suffix), _) => (suffix.place, "suffix"),
        (None, Some(hosts)) => (hosts.place, "hosts"),
    };
    let what = format!("`{key}` has no meaning without `route: host` or `route: proxy`");
    refuse(place, Fault::new(what, format!("remove `{key}`, or write one of these routes")), found)
}

fn refuse<T>(place: Place, fault: Fault, found: &mut Findings<'_>) -> Option<T> {
    found.fault(place, fault);
    None
}

pub(super) fn service_name(text: &str) -> Result<ServiceName, Fault> {
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

fn listed_hosts(raw: &At<Entries<Text>>, found: &mut Findings<'_>) -> Option<BTreeMap<String, ServiceName>> {
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use settings::{Invalid, Source};

    use super::*;
    use crate::Config;

    fn facades(facades: &[&str]) -> Result<Config, Invalid> {
        let facades: String = facades.iter().map(|facade| format!("  - {facade}\n")).collect();
        let text = format!("listen: 127.0.0.1:1\nfacades:\n{facades}");
        Config::from_source(&Source::file("gateway.yaml", &text, Path::new("/etc/reachback")))
    }

    fn good(facade: &str) -> Facade {
        facades(&[facade]).unwrap_or_else(|report| panic!("{facade}\n{report}")).facades.remove(0)
    }

    fn wrong(facade: &[&str], fragments: &[&str]) {
        let report = facades(facade).expect_err(facade[0]).to_string();
        for fragment in fragments {
            assert!(report.contains(fragment), "{facade:?}\nlacks {fragment:?}:\n{report}");
        }
    }

    #[test]
    fn routes() {
        let service = |name: &str| ServiceName::new(name).unwrap();
        let routing = |route: &str| good(&format!("{{ listen: 127.0.0.1:2, {route} }}")).routing;
        assert_eq!(routing("service: orders"), Routing::Service(service("orders")));
        assert_eq!(routing("route: path"), Routing::Path);
        assert_eq!(routing("route: header"), Routing::Header);
        assert_eq!(routing("route: proxy, suffix: .Internal"), Routing::Proxy(Hosts::Below("internal".to_owned())));
        let listed = Hosts::Listed(BTreeMap::from([("api.example".to_owned(), service("orders"))]));
        assert_eq!(routing("route: proxy, hosts: { API.example: orders }"), Routing::Proxy(listed.clone()));
        assert_eq!(routing("route: host, hosts: { api.example: orders }"), Routing::Host(listed));
        let with = |route: &str| format!("{{ listen: 127.0.0.1:2, {route} }}");
        wrong(&[&with("route: proxy")], &["gateway.yaml:3:5", "`route: proxy` needs to know the hosts"]);
        wrong(&[&with("route: header, suffix: a")], &["3:51", "`suffix` has no meaning"]);
        wrong(&[&with("route: prxy")], &["did you mean `proxy`?"]);
    }

    #[test]
    fn forwarding() {
        let forwarded = |more: &str| good(&format!("{{ listen: 127.0.0.1:2, service: a{more} }}")).forwarded;
        assert_eq!(forwarded(""), Forwarded::Off);
        assert_eq!(forwarded(", forwarded: off"), Forwarded::Off);
        assert_eq!(forwarded(", forwarded: append"), Forwarded::Append);
        assert_eq!(forwarded(", forwarded: replace"), Forwarded::Replace);
        let on = "{ listen: 127.0.0.1:2, service: a, forwarded: on }";
        wrong(&[on], &["gateway.yaml:3:51", "write `off`, `append` or `replace`"]);
    }

    #[test]
    fn unix_sockets() {
        let listen = |more: &str| good(&format!("{{ listen: unix:/a.sock, service: a{more} }}")).listen;
        let socket = |mode| Listen::Unix { path: "/a.sock".into(), mode };
        assert_eq!(listen(""), socket(0o600));
        assert_eq!(listen(", mode: 0660"), socket(0o660));
        assert_eq!(listen(", mode: '666'"), socket(0o666));
        let with = |more: &str| format!("{{ listen: unix:/a.sock, service: a, {more} }}");
        wrong(&[&with("mode: rw")], &["three octal digits"]);
        wrong(&[&with("tls: { cert_file: a.pem }")], &["a Unix socket needs no TLS"]);
        wrong(&["{ listen: 127.0.0.1:2, service: a, mode: 600 }"], &["no meaning for an address"]);
        wrong(&["{ listen: 'unix:', service: a }"], &["3:15", "names no file"]);
        wrong(&["{ listen: unix:/none/a.sock, service: a }"], &["3:15", "/none, does not exist", "make it"]);
        good("{ listen: unix:/run/none/a.sock, service: a }");
        let twice = ["{ listen: unix:/a, service: a }", "{ listen: unix:/a, service: b }"];
        wrong(&twice, &["gateway.yaml:4:15", "listens on unix:/a already"]);
    }
}
