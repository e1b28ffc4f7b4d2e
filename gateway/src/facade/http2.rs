//! A request of HTTP/2 as HTTP/1.1 would have put it: from here on there is one way to read a request.

use http::{HeaderMap, HeaderValue, Method, Uri, Version, header, request::Parts, uri::Authority};
use hyper::ext::Protocol;
use proto::{
    link::upgrade::request_key,
    wire::{Failure, FailureCode},
};

/// An extended `CONNECT` becomes an upgrade, `:authority` the `Host` (RFC 9113 §8.3.1), and `Cookie` one line. The
/// target is in absolute form `for_proxy`, and in origin-form otherwise. Other versions are left alone.
pub(super) fn read_as_http1(parts: &mut Parts, for_proxy: bool) -> Result<(), Failure> {
    if parts.version != Version::HTTP_2 {
        return Ok(());
    }
    if let Some(protocol) = parts.extensions.remove::<Protocol>() {
        read_as_upgrade(parts, &protocol)?;
    }
    if let Some(authority) = parts.uri.authority() {
        let host = host(authority, &parts.headers)?;
        parts.headers.insert(header::HOST, host);
    }
    if !for_proxy {
        let mut uri = std::mem::take(&mut parts.uri).into_parts();
        (uri.scheme, uri.authority) = (None, None);
        parts.uri = Uri::from_parts(uri).map_err(|_| bad_request("the request's :path is not a target"))?;
    }
    join_cookies(&mut parts.headers);
    Ok(())
}

/// An extended `CONNECT` (RFC 8441 §5) asks for what HTTP/1.1 calls an upgrade. Its client sends no key: the upstream
/// gets one of ours.
fn read_as_upgrade(parts: &mut Parts, protocol: &Protocol) -> Result<(), Failure> {
    if !protocol.as_str().eq_ignore_ascii_case("websocket") {
        let why = "the only :protocol that there is for CONNECT is websocket";
        return Err(Failure::new(FailureCode::NotSupported, why));
    }
    parts.method = Method::GET;
    let key = HeaderValue::from_str(&request_key()).expect("a key is ASCII");
    parts.headers.insert(header::SEC_WEBSOCKET_KEY, key);
    parts.headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    parts.headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    Ok(())
}

fn host(authority: &Authority, headers: &HeaderMap) -> Result<HeaderValue, Failure> {
    let authority = authority.as_str();
    let same = |host: &HeaderValue| host.as_bytes().eq_ignore_ascii_case(authority.as_bytes());
    if !headers.get_all(header::HOST).iter().all(same) {
        return Err(bad_request("Host and :authority do not say the same"));
    }
    let host = HeaderValue::from_str(authority).ok().filter(|_| !authority.contains('@'));
    host.ok_or_else(|| bad_request("the request's :authority is not a host"))
}

/// HTTP/2 may send one line for each cookie (RFC 9113 §8.2.3), of which HTTP/1.1 knows nothing.
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(header::COOKIE).iter();
    if crumbs.nth(1).is_none() {
        return;
    }
    let lines: Vec<&[u8]> = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let joined = HeaderValue::from_bytes(&lines.join(&b"; "[..])).expect("values joined by text are a value");
    headers.insert(header::COOKIE, joined);
}

fn bad_request(why: &'static str) -> Failure {
    Failure::new(FailureCode::BadRequest, why)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    /// Target and header lines that come of a request.
    fn read(uri: &str, lines: &[(&str, &str)], for_proxy: bool) -> Result<(String, Vec<String>), Failure> {
        let mut request = Request::builder().version(Version::HTTP_2).uri(uri);
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        read_as_http1(&mut parts, for_proxy)?;
        let line = |(name, value): (_, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        Ok((parts.uri.to_string(), parts.headers.iter().map(line).collect()))
    }

    #[test]
    fn the_authority_is_the_host() {
        let check = |uri: &str, lines: &[(&str, &str)], expected: Option<(&str, &[&str])>| {
            let read = read(uri, lines, false).ok();
            let read = read.as_ref().map(|(uri, lines)| (uri.as_str(), lines.iter().map(String::as_str).collect()));
            assert_eq!(read, expected.map(|(uri, lines)| (uri, lines.to_vec())), "{uri} {lines:?}");
        };
        let host: &[&str] = &["host: orders.localhost:7081"];
        check("http://orders.localhost:7081/a%2Fb?", &[], Some(("/a%2Fb?", host)));
        check("https://orders.localhost:7081/", &[("host", "ORDERS.localhost:7081")], Some(("/", host)));
        check("http://orders.localhost:7081/", &[("host", "other")], None);
        check("http://a/", &[("host", "a"), ("host", "b")], None);
        check("http://user@a/", &[], None);
        check("/only/a/path", &[("host", "a")], Some(("/only/a/path", &["host: a"])));
    }

    #[test]
    fn a_proxy_gets_the_whole_url() {
        let url = "http://orders.internal:81/a%2Fb?";
        let host = "host: orders.internal:81".to_owned();
        assert_eq!(read(url, &[], true).unwrap(), (url.to_owned(), vec![host]));
        assert!(read(url, &[("host", "other")], true).is_err());
        assert!(read("http://user@a/", &[], true).is_err());
    }

    #[test]
    fn crumbs_are_one_cookie() {
        let cookies = |lines: &[(&str, &str)]| read("/", lines, false).unwrap().1;
        assert_eq!(cookies(&[("cookie", "a=1")]), ["cookie: a=1"]);
        let crumbs = [("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"), ("cookie", "c=3; d=4")];
        assert_eq!(cookies(&crumbs), ["cookie: a=1; b=2; c=3; d=4", "x: y"]);
    }
}
