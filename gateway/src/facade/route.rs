//! Which service a request is for, and the target that travels.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Version, header, request::Parts};
use proto::wire::{Failure, FailureCode, ServiceName};

use super::proxy;
use crate::config::{Hosts, Routing};

/// Names the service on a facade that routes by header. It goes no further.
const REACHBACK_SERVICE: HeaderName = HeaderName::from_static("reachback-service");

/// Where a request goes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Routed {
    pub(super) service: ServiceName,
    /// In origin-form, byte for byte as it came, less the prefix of a path route.
    pub(super) target: Bytes,
}

/// Finds the service. Of the head it changes only what was meant for the facade alone.
pub(super) fn route(routing: &Routing, parts: &mut Parts) -> Result<Routed, Failure> {
    if parts.method == Method::CONNECT {
        let why = "CONNECT is not supported: this facade forwards requests and no raw connections; call http:// URLs \
                   and leave HTTPS_PROXY unset";
        return Err(Failure::new(FailureCode::NotSupported, why));
    }
    if let Routing::Proxy(hosts) = routing {
        return proxy::route(hosts, parts);
    }
    if parts.uri.scheme().is_some() || parts.uri.authority().is_some() {
        return Err(bad_request("this facade takes origin-form targets (GET /path), not a proxy's absolute form"));
    }
    let host = one_host(&parts.headers, parts.version)?;
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let service = match routing {
        Routing::Service(service) => service.clone(),
        Routing::Host(hosts) | Routing::Proxy(hosts) => service_of(hosts, &host_name(host))?,
        Routing::Path => return by_path(target),
        Routing::Header => by_header(&parts.headers)?,
    };
    let target = copy(target);
    if *routing == Routing::Header {
        parts.headers.remove(REACHBACK_SERVICE);
    }
    Ok(Routed { service, target })
}

/// The service that a host (lower case, no port) is.
pub(super) fn service_of(hosts: &Hosts, name: &str) -> Result<ServiceName, Failure> {
    match hosts {
        Hosts::Below(suffix) => strip_suffix(name, suffix)
            .and_then(|name| ServiceName::new(name).ok())
            .ok_or_else(|| unknown(&format!("the host {name:?} is not SERVICE.{suffix}"))),
        Hosts::Listed(hosts) => {
            hosts.get(name).cloned().ok_or_else(|| unknown(&format!("the host {name:?} is not configured")))
        }
    }
}

/// One header names one service: two would be an invitation to read different ones.
fn by_header(headers: &HeaderMap) -> Result<ServiceName, Failure> {
    let mut names = headers.get_all(REACHBACK_SERVICE).iter();
    match (names.next(), names.next()) {
        (Some(name), None) => name
            .to_str()
            .ok()
            .and_then(|name| ServiceName::new(name).ok())
            .ok_or_else(|| unknown("the header Reachback-Service is not a service's name")),
        (None, _) => Err(unknown("the header Reachback-Service is missing")),
        (Some(_), Some(_)) => Err(bad_request("there is more than one Reachback-Service header")),
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
pub(super) fn one_host(headers: &HeaderMap, version: Version) -> Result<&str, Failure> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().map_err(|_| bad_request("the Host header is not visible ASCII")),
        (None, _) if version <= Version::HTTP_10 => Ok(""),
        (None, _) => Err(bad_request("the Host header is missing")),
        (Some(_), Some(_)) => Err(bad_request("there is more than one Host header")),
    }
}

/// Name and port of an authority; the name as [`host_name`] has it.
pub(super) fn host_and_port(authority: &str) -> Result<(String, Option<u16>), Failure> {
    let port = authority.strip_prefix('[').map_or(authority, |rest| rest.split_once(']').map_or("", |(_, rest)| rest));
    let port = match port.split_once(':') {
        None | Some((_, "")) => None,
        Some((_, digits)) => Some(port_number(digits).ok_or_else(|| bad_request("the URL's port is no port"))?),
    };
    Ok((host_name(authority), port))
}

/// `u16::from_str` accepts a leading plus sign, a port does not.
fn port_number(digits: &str) -> Option<u16> {
    digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))
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

pub(super) fn bad_request(why: &'static str) -> Failure {
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
        let routed = route(routing, &mut parts(target, &[host])).ok();
        let routed =
            routed.map(|routed| (routed.service.to_string(), String::from_utf8(routed.target.into()).unwrap()));
        let expected = expected.map(|(service, target)| (service.to_owned(), target.to_owned()));
        assert_eq!(routed, expected, "{target} at {host}");
    }

    #[test]
    fn by_host() {
        let suffix = Routing::Host(Hosts::Below("localhost".to_owned()));
        check(&suffix, "/a?b", "orders.localhost:7081", Some(("orders", "/a?b")));
        check(&suffix, "/", "jira.acme.LOCALHOST", Some(("jira.acme", "/")));
        check(&suffix, "/", "orders.localhost.", Some(("orders", "/")));
        for host in ["localhost", ".localhost", "orders", "orders.localhost.evil", "orderslocalhost", "[::1]:80", ""] {
            check(&suffix, "/", host, None);
        }
        let hosts = BTreeMap::from([("api.test".to_owned(), ServiceName::new("orders").unwrap())]);
        let hosts = Routing::Host(Hosts::Listed(hosts));
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
        assert!(route(&one, &mut parts("/", &[])).is_err());
        assert!(route(&one, &mut parts("/", &["a", "b"])).is_err());
    }

    #[test]
    fn by_header() {
        let check = |names: &[&str], expected: Result<&str, FailureCode>| {
            let mut parts = parts("/a?b", &["h"]);
            for name in names {
                parts.headers.append(REACHBACK_SERVICE, name.parse().unwrap());
            }
            let routed = route(&Routing::Header, &mut parts);
            let service = routed.as_ref().map(|routed| routed.service.as_str()).map_err(|failure| failure.code);
            assert_eq!(service, expected, "{names:?}");
            if let Ok(routed) = routed {
                assert_eq!((&*routed.target, parts.headers.len()), (&b"/a?b"[..], 1), "it goes no further");
            }
        };
        check(&["orders"], Ok("orders"));
        check(&["jira.acme"], Ok("jira.acme"));
        check(&[], Err(FailureCode::UnknownService));
        for wrong in ["", "Orders", "orders, billing", "orders billing", "orders/../billing", "http://orders"] {
            check(&[wrong], Err(FailureCode::UnknownService));
        }
        check(&["orders", "billing"], Err(FailureCode::BadRequest));
        check(&["orders", "orders"], Err(FailureCode::BadRequest));
    }

    #[test]
    fn connect_is_refused_everywhere() {
        for routing in [Routing::Path, Routing::Header, Routing::Proxy(Hosts::Below("internal".to_owned()))] {
            let mut parts = parts("orders.internal:443", &["orders.internal:443"]);
            parts.method = Method::CONNECT;
            assert_eq!(route(&routing, &mut parts).unwrap_err().code, FailureCode::NotSupported, "{routing:?}");
        }
    }
}
