//! The facade as a forward proxy (`http_proxy`): targets in absolute form (RFC 9112 §3.2.2), whose host names the
//! service.

use bytes::Bytes;
use http::{HeaderValue, header, request::Parts, uri::Scheme};
use proto::wire::Failure;

use super::route::{Routed, bad_request, host_and_port, one_host, service_of};
use crate::config::Hosts;

/// Finds the service by the host of the URL. That host is also the one that the client means, whatever its `Host`
/// header says, and takes its place.
pub(super) fn route(hosts: &Hosts, parts: &mut Parts) -> Result<Routed, Failure> {
    one_host(&parts.headers, parts.version)?;
    let authority = match (parts.uri.scheme(), parts.uri.authority()) {
        (Some(scheme), Some(authority)) if *scheme == Scheme::HTTP => authority,
        (Some(scheme), _) if *scheme == Scheme::HTTPS => {
            return Err(bad_request(
                "a proxy cannot forward https:// without reading it, and this one does not: call http:// instead, \
                 which stays inside this machine and the tunnel",
            ));
        }
        (Some(_), _) => return Err(bad_request("this forward proxy knows http:// URLs only")),
        (None, _) => {
            return Err(bad_request(
                "this facade is a forward proxy and takes URLs: set http_proxy to its address (many programs read HTTP_PROXY), and call http://HOST/PATH",
            ));
        }
    };
    if authority.as_str().contains('@') {
        return Err(bad_request("credentials do not belong into a URL: send them in an Authorization header"));
    }
    let (name, _) = host_and_port(authority.as_str())?;
    let service = service_of(hosts, &name)?;
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| bad_request("the URL's host is no host"))?;
    parts.headers.insert(header::HOST, host);
    Ok(Routed { service, target: origin_form(parts) })
}

/// Path and query byte for byte, behind a `/` where there is no path. HTTP/2 may ask for `*`, which is no path either.
fn origin_form(parts: &Parts) -> Bytes {
    match parts.uri.path_and_query().map_or("", |target| target.as_str()) {
        target if target.starts_with('/') || target == "*" => Bytes::copy_from_slice(target.as_bytes()),
        target => Bytes::from(format!("/{target}")),
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn routed(method: &str, url: &str, hosts: &[&str]) -> Result<(String, String, String), String> {
        let mut request = Request::builder().method(method).uri(url);
        for host in hosts {
            request = request.header(header::HOST, *host);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        let routed = route(&Hosts::Below("internal".to_owned()), &mut parts);
        let routed = routed.map_err(|failure| failure.message.into_owned())?;
        let host = parts.headers[header::HOST].to_str().unwrap().to_owned();
        Ok((routed.service.to_string(), String::from_utf8(routed.target.into()).unwrap(), host))
    }

    #[test]
    fn the_target_travels_byte_for_byte() {
        let check = |method: &str, url: &str, target: &str, host: &str| {
            let expected = Ok(("orders".to_owned(), target.to_owned(), host.to_owned()));
            assert_eq!(routed(method, url, &["whatever"]), expected, "{method} {url}");
        };
        check("GET", "http://orders.internal/a%2fb/../c?x=%2F&&", "/a%2fb/../c?x=%2F&&", "orders.internal");
        check("GET", "http://orders.internal//x?", "//x?", "orders.internal");
        check("GET", "http://ORDERS.Internal:8080/", "/", "ORDERS.Internal:8080");
        check("GET", "HTTP://orders.internal./", "/", "orders.internal.");
        check("GET", "http://orders.internal", "/", "orders.internal");
        check("GET", "http://orders.internal?x=1", "/?x=1", "orders.internal");
        check("POST", "http://orders.internal/http://other.internal/", "/http://other.internal/", "orders.internal");
        check("OPTIONS", "http://orders.internal/", "/", "orders.internal");
    }

    #[test]
    fn what_is_no_url_of_ours_is_refused_with_a_reason() {
        let check = |url: &str, hosts: &[&str], why: &str| {
            let refused = routed("GET", url, hosts).unwrap_err();
            assert!(refused.contains(why), "{url} {hosts:?}: {refused}");
        };
        check("/a", &["orders.internal"], "forward proxy and takes URLs");
        check("https://orders.internal/", &["orders.internal"], "call http://");
        check("ftp://orders.internal/", &["orders.internal"], "http:// URLs only");
        check("orders.internal:80", &["orders.internal"], "takes URLs");
        check("http://me:secret@orders.internal/", &["orders.internal"], "credentials do not belong");
        check("http://orders.internal@evil.example/", &["orders.internal"], "credentials do not belong");
        check("http://orders.internal:99999/", &["orders.internal"], "port");
        check("http://evil.example/", &["orders.internal"], "\"evil.example\" is not SERVICE.internal");
        check("http://[::1]/", &["orders.internal"], "is not SERVICE.internal");
        check("http://orders.internal.evil/", &["orders.internal"], "is not SERVICE.internal");
        check("http://orders.internal/", &[], "Host header is missing");
        check("http://orders.internal/", &["orders.internal", "evil"], "more than one Host");
        assert!(!routed("GET", "http://me:secret@orders.internal/", &["a"]).unwrap_err().contains("secret"));
    }
}
