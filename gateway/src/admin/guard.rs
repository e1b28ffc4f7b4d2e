//! Keeps browsers off the admin listener: a page of any origin can make them call loopback.

use axum::{
    extract::Request,
    http::{HeaderMap, StatusCode, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use settings::net::is_loopback_host;

/// Refuses what a page could have made a browser send: a request that names its origin, or one for a host that is not
/// this machine's own, whose name somebody has made resolve to loopback (DNS rebinding).
pub(super) async fn local_programs_only(request: Request, next: Next) -> Response {
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) {
        return (StatusCode::FORBIDDEN, "browsers may not ask this listener: the request has an Origin\n")
            .into_response();
    }
    if !is_for_loopback(headers) {
        let why = "this listener answers requests for localhost, 127.0.0.1 and [::1] only: the Host is another\n";
        return (StatusCode::FORBIDDEN, why).into_response();
    }
    next.run(request).await
}

/// Whatever the port: it may have been forwarded.
fn is_for_loopback(headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let authority = host.to_str().ok().and_then(|host| host.parse::<Authority>().ok());
    authority.is_some_and(|authority| {
        !authority.as_str().contains('@') && is_loopback_host(authority.host().trim_matches(['[', ']']))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_this_machine() {
        let check = |hosts: &[&str], expected| {
            let headers: HeaderMap = hosts.iter().map(|host| (header::HOST, host.parse().unwrap())).collect();
            assert_eq!(is_for_loopback(&headers), expected, "{hosts:?}");
        };
        for good in ["127.0.0.1:7101", "localhost:7101", "localhost", "[::1]:7101", "127.9.9.9", "[::1]"] {
            check(&[good], true);
        }
        for bad in ["evil.example", "evil.example:7101", "localhost.evil.example", "10.0.0.1:7101", "", "a@localhost"] {
            check(&[bad], false);
        }
        check(&[], false);
        check(&["localhost", "localhost"], false);
    }
}
