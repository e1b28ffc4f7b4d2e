//! Failures as HTTP: the one place that maps a failure to a status, a Proxy-Status type and a body.

use axum::body::Body;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header, uri::PathAndQuery,
};
use proto::wire::{Failure, FailureCode, RequestId};
use serde::Serialize;

use crate::limits::{RETRY_AFTER_MOST, RETRY_AFTER_SECONDS};

/// Present on exactly those answers that the bridge composed itself.
pub(crate) const REACHBACK_ERROR: HeaderName = HeaderName::from_static("reachback-error");

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// Carries the request id to the upstream and back to the client.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What of a request decides how its answer is told and logged.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) id: RequestId,
    pub(crate) method: Method,
    uri: Uri,
    accepts_json: bool,
    /// It is HTTP/1, and has a body: if that is not read to its end, the connection closes.
    has_body: bool,
}

/// A failure and where it was found.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) failure: Failure,
    finder: &'static str,
}

impl Failed {
    /// The agent said so.
    pub(crate) fn at_agent(failure: Failure) -> Self {
        Self { failure, finder: "agent" }
    }
}

impl From<Failure> for Failed {
    /// This gateway found it.
    fn from(failure: Failure) -> Self {
        Self { failure, finder: "gateway" }
    }
}

/// RFC 9457. `type` is left out: it would be `about:blank`.
#[derive(Serialize)]
struct Problem<'a> {
    title: &'static str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    source: &'static str,
    retry_safe: bool,
    request_id: &'a str,
}

impl Asked {
    pub(crate) fn new<B>(request: &Request<B>, id: RequestId) -> Self {
        let headers = request.headers();
        let length = headers.get(header::CONTENT_LENGTH);
        let is_framed = length.is_some_and(|length| length != "0") || headers.contains_key(header::TRANSFER_ENCODING);
        let has_body = is_framed && request.version() < Version::HTTP_2;
        let accepts_json = accepts_json(headers);
        Self { id, method: request.method().clone(), uri: request.uri().clone(), accepts_json, has_body }
    }

    /// Of a request that could not be read.
    pub(crate) fn unreadable(id: RequestId) -> Self {
        Self { id, method: Method::default(), uri: Uri::default(), accepts_json: true, has_body: true }
    }

    /// For logs: without the query, which may hold secrets. What `CONNECT` asks for is a host and a port, without the
    /// credentials that may stand before them.
    pub(crate) fn path(&self) -> &str {
        match (self.uri.path(), self.uri.authority()) {
            ("", Some(authority)) => authority.as_str().rsplit('@').next().unwrap_or_default(),
            (path, _) => path,
        }
    }

    /// The same, to be kept for longer.
    pub(crate) fn target(&self) -> Option<PathAndQuery> {
        self.uri.path_and_query().cloned()
    }
}

/// The answer to a request that failed.
pub(crate) fn response(failed: &Failed, asked: &Asked) -> Response<Body> {
    text_response(failed, asked).map(Body::from)
}

/// The same, with its body at hand.
pub(crate) fn text_response(failed: &Failed, asked: &Asked) -> Response<String> {
    let Failed { failure, finder } = failed;
    let Mapped { status, proxy_error, culprit } = map(failure.code);
    let source = culprit.unwrap_or(finder);
    let (content_type, body) = if asked.accepts_json {
        ("application/problem+json", problem(failure, asked, status, source))
    } else {
        ("text/plain; charset=utf-8", plain(failure, asked, source))
    };
    let length = body.len();
    let mut response = Response::new(if asked.method == Method::HEAD { String::new() } else { body });
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(REACHBACK_ERROR, HeaderValue::from_static(failure.code.as_str()));
    headers.insert(PROXY_STATUS, proxy_status(proxy_error, &failure.message));
    headers.insert(X_REQUEST_ID, request_id_value(&asked.id));
    if failure.code == FailureCode::BadRequest || asked.has_body {
        // Where a malformed request ends is not to be relied on (RFC 9112 §11.2). And perhaps the rest of a body is not
        // read, which closes the connection: a client that is not told (§9.6) would lose its next request.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if let Some(seconds) = retry_after(failure, status) {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Whole seconds, never fewer than were said, unless that is absurd.
fn retry_after(failure: &Failure, status: StatusCode) -> Option<u64> {
    let said = failure.retry_after.map(|after| after.as_millis().div_ceil(1000));
    said.map(|seconds| u64::try_from(seconds).unwrap_or(u64::MAX).clamp(1, RETRY_AFTER_MOST))
        .or((status == StatusCode::SERVICE_UNAVAILABLE).then_some(RETRY_AFTER_SECONDS.into()))
}

/// A request id as a header value.
pub(crate) fn request_id_value(id: &RequestId) -> HeaderValue {
    HeaderValue::from_str(id.as_str()).expect("a request id is visible ASCII")
}

struct Mapped {
    status: StatusCode,
    /// RFC 9209 §2.3.
    proxy_error: &'static str,
    /// Who failed, where that is not who found it.
    culprit: Option<&'static str>,
}

fn map(code: FailureCode) -> Mapped {
    use FailureCode as Code;
    let (status, proxy_error, culprit) = match code {
        Code::UnknownService => (StatusCode::NOT_FOUND, "destination_not_found", None),
        Code::NoAgent => (StatusCode::SERVICE_UNAVAILABLE, "destination_unavailable", None),
        Code::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "connection_limit_reached", None),
        Code::Denied => (StatusCode::FORBIDDEN, "http_request_denied", None),
        Code::NotSupported => (StatusCode::NOT_IMPLEMENTED, "http_request_denied", None),
        Code::BadRequest => (StatusCode::BAD_REQUEST, "http_request_error", None),
        Code::UriTooLong => (StatusCode::URI_TOO_LONG, "http_request_error", None),
        Code::HeadTooLarge => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "http_request_error", None),
        Code::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "http_request_error", None),
        Code::RateLimited => (StatusCode::TOO_MANY_REQUESTS, "http_request_denied", None),
        Code::UpstreamRefused => (StatusCode::BAD_GATEWAY, "connection_refused", Some("upstream")),
        Code::UpstreamConnectTimeout => (StatusCode::GATEWAY_TIMEOUT, "connection_timeout", Some("upstream")),
        Code::UpstreamTimeout => (StatusCode::GATEWAY_TIMEOUT, "http_response_timeout", Some("upstream")),
        Code::UpstreamProtocol => (StatusCode::BAD_GATEWAY, "http_protocol_error", Some("upstream")),
        Code::LinkLost => (StatusCode::BAD_GATEWAY, "connection_terminated", Some("agent")),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "proxy_internal_error", None),
    };
    Mapped { status, proxy_error, culprit }
}

fn problem(failure: &Failure, asked: &Asked, status: StatusCode, source: &'static str) -> String {
    let problem = Problem {
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        code: failure.code.as_str(),
        detail: &failure.message,
        source,
        retry_safe: failure.retry_safe,
        request_id: asked.id.as_str(),
    };
    let mut text = serde_json::to_string(&problem).expect("plain text always serialises");
    text.push('\n');
    text
}

fn plain(failure: &Failure, asked: &Asked, source: &str) -> String {
    let again = if failure.retry_safe { "safe to retry" } else { "not known to be safe to retry" };
    format!("{}\n{} ({source}), {again}, request {}\n", failure.message, failure.code.as_str(), asked.id)
}

/// `reachback; error=…; details="…"`, the details as a structured-field string (RFC 8941 §3.3.3).
fn proxy_status(error: &str, details: &str) -> HeaderValue {
    let mut value = format!("reachback; error={error}; details=\"");
    for c in details.chars() {
        match c {
            '"' | '\\' => value.extend(['\\', c]),
            ' '..='~' => value.push(c),
            _ => value.push('?'),
        }
    }
    value.push('"');
    HeaderValue::from_str(&value).expect("only printable ASCII was pushed")
}

/// Whether the client takes JSON, or does not say. The most exact of what it names that means JSON decides (RFC 9110
/// §12.5.1).
fn accepts_json(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT).iter();
    let ranges = lines.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
    let decisive = ranges.filter_map(json_range).max();
    decisive.map_or(!headers.contains_key(header::ACCEPT), |(_, accepted)| accepted)
}

/// How exactly a media range means what failures are told in, if it does, and whether the client accepts it.
fn json_range(range: &str) -> Option<(u8, bool)> {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next()?;
    let rank = match media {
        "*/*" => 0,
        media if media.eq_ignore_ascii_case("application/*") => 1,
        media if media.eq_ignore_ascii_case("application/problem+json") => 3,
        // Any other JSON: whoever reads that can read this.
        media if media.as_bytes().windows(4).any(|part| part.eq_ignore_ascii_case(b"json")) => 2,
        _ => return None,
    };
    Some((rank, !parts.any(is_refusal)))
}

/// `q=0`, with up to three decimals (RFC 9110 §12.4.2).
fn is_refusal(parameter: &str) -> bool {
    let Some((name, value)) = parameter.split_once('=') else { return false };
    let value = value.trim();
    let is_zero = value.starts_with('0') && value.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    name.trim().eq_ignore_ascii_case("q") && is_zero
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_logged_of_a_target_holds_no_secret() {
        let check = |method: &str, target: &str, path: &str| {
            let request = Request::builder().method(method).uri(target).body(()).unwrap();
            assert_eq!(Asked::new(&request, RequestId::new("a-1").unwrap()).path(), path, "{method} {target}");
        };
        check("GET", "/orders?token=secret", "/orders");
        check("GET", "http://me:secret@orders.internal/orders", "/orders");
        check("OPTIONS", "*", "*");
        check("CONNECT", "orders.internal:80", "orders.internal:80");
        check("CONNECT", "me:secret@orders.internal:80", "orders.internal:80");
    }

    #[test]
    fn every_code_has_its_row() {
        let check = |code, status: u16, error: &str| {
            let mapped = map(code);
            assert_eq!((mapped.status.as_u16(), mapped.proxy_error), (status, error), "{code:?}");
        };
        check(FailureCode::UnknownService, 404, "destination_not_found");
        check(FailureCode::NoAgent, 503, "destination_unavailable");
        check(FailureCode::Overloaded, 503, "connection_limit_reached");
        check(FailureCode::Denied, 403, "http_request_denied");
        check(FailureCode::BadRequest, 400, "http_request_error");
        check(FailureCode::NotSupported, 501, "http_request_denied");
        check(FailureCode::UriTooLong, 414, "http_request_error");
        check(FailureCode::HeadTooLarge, 431, "http_request_error");
        check(FailureCode::BodyTooLarge, 413, "http_request_error");
        check(FailureCode::RateLimited, 429, "http_request_denied");
        check(FailureCode::UpstreamRefused, 502, "connection_refused");
        check(FailureCode::UpstreamConnectTimeout, 504, "connection_timeout");
        check(FailureCode::UpstreamTimeout, 504, "http_response_timeout");
        check(FailureCode::UpstreamProtocol, 502, "http_protocol_error");
        check(FailureCode::LinkLost, 502, "connection_terminated");
        check(FailureCode::Internal, 500, "proxy_internal_error");
        assert_eq!(FailureCode::all().count(), 16, "a new code needs a row here");
    }

    #[test]
    fn says_when_to_come_back() {
        let check = |code, millis: Option<u64>, expected| {
            let after = millis.map(std::time::Duration::from_millis);
            let failure = Failure { retry_after: after, ..Failure::new(code, "") };
            assert_eq!(retry_after(&failure, map(code).status), expected, "{code:?} {millis:?}");
        };
        check(FailureCode::RateLimited, Some(0), Some(1));
        check(FailureCode::RateLimited, Some(1000), Some(1));
        check(FailureCode::RateLimited, Some(1001), Some(2));
        check(FailureCode::RateLimited, Some(1_000_000_000_000_000_000), Some(24 * 60 * 60));
        check(FailureCode::RateLimited, None, None);
        check(FailureCode::NoAgent, None, Some(1));
        check(FailureCode::Overloaded, Some(5000), Some(5));
        check(FailureCode::Denied, None, None);
    }

    #[test]
    fn proxy_status_is_a_structured_field() {
        let value = proxy_status("x", "say \"no\" \\ caf\u{e9}\r\n");
        assert_eq!(value.to_str().unwrap(), r#"reachback; error=x; details="say \"no\" \\ caf???""#);
    }

    #[test]
    fn json_unless_the_client_wants_none() {
        let check = |accepts: &[&'static str], expected| {
            let mut headers = HeaderMap::new();
            for accept in accepts {
                headers.append(header::ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(accepts_json(&headers), expected, "{accepts:?}");
        };
        check(&[], true);
        check(&["*/*"], true);
        check(&["text/html, application/json;q=0.5"], true);
        check(&["application/problem+json"], true);
        check(&["Application/JSON ; Q=0.001"], true);
        check(&["text/html", "application/*"], true);
        check(&["text/html"], false);
        check(&["application/json;q=0"], false);
        check(&["text/plain, */* ; q=0.000"], false);
        check(&["application/json; charset=utf-8; Q=0., text/html"], false);
        // The most exact one that fits decides (RFC 9110 §12.5.1).
        check(&["application/problem+json;q=0, */*"], false);
        check(&["application/json;q=0", "*/*;q=0.1"], false);
        check(&["*/*;q=0, application/json"], true);
        check(&["application/*;q=0, application/problem+json;q=0.1"], true);
        check(&["application/vnd.api+json"], true);
    }
}
