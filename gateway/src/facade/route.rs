//! Which service a request is for, and the target that travels.

use bytes::Bytes;
use http::{HeaderMap, Version, header, request::Parts};
use proto::wire::{Failure, FailureCode, ServiceName};

use crate::config::Routing;

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Routed {
    pub(super) service: ServiceName,
    /// In origin-form, byte for byte as it came, less the prefix of a path route.
    pub(super) target: Bytes,
}

pub(super) fn route(routing: &Routing, parts: &Parts) -> Result<Routed, Failure> {
    if parts.uri.scheme().is_some() || parts.uri.authority().is_some() {
        return Err(bad_request("this facade takes origin-form targets (GET /path), not a proxy's absolute form"));
    }
    let host = host(&parts.headers, parts.version)?;
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    match routing {
        Routing::Service(service) => Ok(Routed { service: service.clone(), target: copy(target) }),
        Routing::HostSuffix(suffix) => {
            let name = host_name(host);
            let service = strip_suffix(&name, suffix).and_then(|name| ServiceName::new(name).ok());
            let service = service.ok_or_else(|| unknown(&format!("the host {name:?} is not SERVICE.{suffix}")))?;
            Ok(Routed { service, target: copy(target) })
        }
        Routing::Hosts(hosts) => {
            let name = host_name(host);
            let service = hosts.get(&name).ok_or_else(|| unknown(&format!("the host {name:?} is not configured")))?;
            Ok(Routed { service: service.clone(), target: copy(target) })
        }
        Routing::Path => by_path(target),
    }
}

/// `/orders/42?x` is `/42?x` of `orders`; `/orders` is its `/`.
fn by_path(target: &str) -> Result<Routed, Failure> {
    let rest = target.strip_prefix('/').ok_or_else(|| unknown("the path names no service"))?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (name, rest) = rest.split_at(end);
    let service = ServiceName::new(name).map_err(|_| unknown("the first part of the path is not a service's name"))?;
    let target = if rest.starts_with('/') { copy(rest) } else { Bytes::from(format!("/{rest}")) };
    Ok(Routed { service, target })
}

/// The one `Host` of a request (RFC 9112 §3.2). HTTP/1.0 may do without.
fn host(headers: &HeaderMap, version: Version) -> Result<&str, Failure> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().map_err(|_| bad_request("the Host header is not visible ASCII")),
        (None, _) if version <= Version::HTTP_10 => Ok(""),
        (None, _) => Err(bad_request("the Host header is missing")),
        (Some(_), Some(_)) => Err(bad_request("there is more than one Host header")),
    }
}

/// The host in lower case, without port and without the dot that makes a name absolute.
fn host_name(host: &str) -> String {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

fn strip_suffix<'a>(name: &'a str, suffix: &str) -> Option<&'a str> {
    name.strip_suffix(suffix)?.strip_suffix('.')
}

fn copy(target: &str) -> Bytes {
    Bytes::copy_from_slice(target.as_bytes())
}

fn unknown(why: &str) -> Failure {
    Failure::new(FailureCode::UnknownService, format!("no such service on this facade: {why}"))
}

fn bad_request(why: &'static str) -> Failure {
    Failure::new(FailureCode::BadRequest, why)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use http::Request;

    use super::*;

    fn parts(target: &str, host: &[&str]) -> Parts {
        let mut request = Request::builder().uri(target);
        for host in host {
            request = request.header(header::HOST, *host);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn check(routing: &Routing, target: &str, host: &str, expected: Option<(&str, &str)>) {
        let routed = route(routing, &parts(target, &[host])).ok();
        let routed =
            routed.map(|routed| (routed.service.to_string(), String::from_utf8(routed.target.into()).unwrap()));
        let expected = expected.map(|(service, target)| (service.to_owned(), target.to_owned()));
        assert_eq!(routed, expected, "{target} at {host}");
    }

    #[test]
    fn by_host() {
        let suffix = Routing::HostSuffix("localhost".to_owned());
        check(&suffix, "/a?b", "orders.localhost:7081", Some(("orders", "/a?b")));
        check(&suffix, "/", "jira.acme.LOCALHOST", Some(("jira.acme", "/")));
        check(&suffix, "/", "orders.localhost.", Some(("orders", "/")));
        for host in ["localhost", ".localhost", "orders", "orders.localhost.evil", "orderslocalhost", "[::1]:80", ""] {
            check(&suffix, "/", host, None);
        }
        let hosts = Routing::Hosts(BTreeMap::from([("api.test".to_owned(), ServiceName::new("orders").unwrap())]));
        check(&hosts, "/", "API.test:80", Some(("orders", "/")));
        check(&hosts, "/", "other.test", None);
    }

    #[test]
    fn by_path() {
        check(&Routing::Path, "/orders/42?x=%2F", "h", Some(("orders", "/42?x=%2F")));
        check(&Routing::Path, "/orders/", "h", Some(("orders", "/")));
        check(&Routing::Path, "/orders", "h", Some(("orders", "/")));
        check(&Routing::Path, "/orders?x", "h", Some(("orders", "/?x")));
        check(&Routing::Path, "/orders//x", "h", Some(("orders", "//x")));
        for target in ["/", "/Orders/x", "/%6frders/x", "//orders", "/..%2forders"] {
            check(&Routing::Path, target, "h", None);
        }
    }

    #[test]
    fn one_host_and_origin_form() {
        let one = Routing::Service(ServiceName::new("orders").unwrap());
        check(&one, "/a%2Fb?", "anything", Some(("orders", "/a%2Fb?")));
        check(&one, "http://other/a", "other", None);
        assert!(route(&one, &parts("/", &[])).is_err());
        assert!(route(&one, &parts("/", &["a", "b"])).is_err());
    }
}
