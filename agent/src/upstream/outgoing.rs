//! The request as the upstream gets it: the judged bytes, and framing that fits the protocol and the actual body.

use http::{
    HeaderMap, HeaderName, HeaderValue, Request, Uri, header,
    uri::{Authority, PathAndQuery, Scheme},
};
use proto::{
    link::Body,
    wire::{Failure, FailureCode, RequestId},
};

use super::{
    upgrade,
    upload::{Activity, Upload},
};
use crate::{
    config::Protocol,
    whitelist::{Parts, Upgrade},
};

/// Carries the request id, the same in both logs.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Builds the request.
pub(super) fn build(
    admitted: Parts,
    request_id: &RequestId,
    body: Option<Body>,
    protocol: Protocol,
) -> Result<(Request<Upload>, Activity), Failure> {
    let Parts { method, path_and_query, mut headers, content_length, announced, limits, upgrade, .. } = admitted;
    let (upload, activity) = match body {
        Some(body) => Upload::new(body.with_length(content_length), limits.max_body),
        None => Upload::none(),
    };
    let has_body = !http_body::Body::is_end_stream(&upload);
    if let Some(length) = content_length {
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    if let Some(announced) = announced.filter(|_| has_body) {
        headers.insert(header::TRAILER, announced);
    }
    let uri = match protocol {
        Protocol::Http1 => {
            frame_http1(&mut headers, has_body, upgrade);
            Uri::from(path_and_query)
        }
        Protocol::H2c if upgrade.is_some() => {
            let message = "a rule permits an upgrade although the upstream speaks HTTP/2, which has none";
            return Err(Failure::new(FailureCode::Internal, message));
        }
        Protocol::H2c => with_authority(&mut headers, &path_and_query)?,
    };
    let request_id = HeaderValue::from_str(request_id.as_str()).expect("a request id is visible ASCII");
    headers.insert(X_REQUEST_ID, request_id);
    let mut request = Request::new(upload);
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok((request, activity))
}

fn frame_http1(headers: &mut HeaderMap, has_body: bool, upgrade: Option<Upgrade>) {
    match upgrade {
        Some(upgrade) => upgrade::ask(upgrade, headers),
        None if headers.contains_key(header::TE) => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
        }
        None => {}
    }
    if has_body && !headers.contains_key(header::CONTENT_LENGTH) {
        // Said explicitly: hyper assumes that a GET of unknown length has no body.
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// `:scheme`, `:authority` in place of `Host`, and `:path` (RFC 9113 §8.3.1).
fn with_authority(headers: &mut HeaderMap, judged: &PathAndQuery) -> Result<Uri, Failure> {
    let host = headers.remove(header::HOST);
    let authority = host.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let authority = authority.ok_or_else(|| Failure::new(FailureCode::BadRequest, "the Host is no authority"))?;
    let mut parts = http::uri::Parts::default();
    (parts.scheme, parts.authority, parts.path_and_query) = (Some(Scheme::HTTP), Some(authority), Some(judged.clone()));
    let uri = Uri::from_parts(parts).expect("a URI can be made of its three parts");
    assert_eq!(uri.path_and_query(), Some(judged), "what is sent is what was judged");
    Ok(uri)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_of_http2_is_what_was_judged() {
        for target in ["/", "/a%2Fb//c?", "/?x=%41&y", "*", "/%E2%82%AC;x", "/a|b?c{d}"] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("orders.internal:8080"));
            let uri = with_authority(&mut headers, &target.parse().unwrap()).unwrap();
            assert_eq!(uri.path_and_query().unwrap().as_str(), target);
            assert_eq!(uri.authority().unwrap(), "orders.internal:8080");
            assert_eq!(uri.scheme_str(), Some("http"));
            assert!(headers.is_empty(), "Host travels as :authority");
        }
        assert!(with_authority(&mut HeaderMap::new(), &"/".parse().unwrap()).is_err());
    }
}
