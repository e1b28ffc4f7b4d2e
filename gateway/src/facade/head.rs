//! A request's head as it travels: what concerns only this hop is taken off.

use http::{HeaderMap, HeaderValue, header, request::Parts};
use proto::{
    hop::{is_plainly_framed, remove_hop_by_hop},
    wire::{Failure, FailureCode, Oversize, RequestHead, RequestId},
};

use super::route::Routed;
use crate::failure::X_REQUEST_ID;

/// What this hop adds to `Via` (RFC 9110 §7.6.3).
const VIA: HeaderValue = HeaderValue::from_static("1.1 reachback");

/// Builds the head that travels. `upgrade`: the client asks for one.
pub(super) fn request(
    parts: Parts,
    routed: Routed,
    request_id: RequestId,
    upgrade: bool,
) -> Result<RequestHead, Failure> {
    let mut headers = parts.headers;
    if !is_plainly_framed(&headers) {
        return Err(Failure::new(FailureCode::BadRequest, "the only transfer coding there is is chunked"));
    }
    remove_hop_by_hop(&mut headers);
    refuse_loop(&headers)?;
    headers.append(header::VIA, VIA);
    // It travels as a field of its own; the agent makes it a header again.
    headers.remove(X_REQUEST_ID);
    let head = RequestHead {
        service: routed.service,
        method: parts.method,
        target: routed.target,
        headers,
        request_id,
        deadline: None,
        upgrade,
    };
    match head.oversize() {
        None => Ok(head),
        Some(Oversize::Headers) => {
            Err(Failure::new(FailureCode::HeadTooLarge, "the request's headers are too many or too long"))
        }
        Some(Oversize::Target) => Err(Failure::new(FailureCode::UriTooLong, "the request's target is too long")),
        Some(Oversize::Method) => Err(Failure::new(FailureCode::BadRequest, "the request's method is too long")),
    }
}

/// Whether the client waits to be invited before it sends its body (RFC 9110 §10.1.1).
pub(super) fn expects_continue(headers: &HeaderMap) -> Result<bool, Failure> {
    let is_continue = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if !headers.get_all(header::EXPECT).iter().all(is_continue) {
        return Err(Failure::new(FailureCode::BadRequest, "the only expectation there is is 100-continue"));
    }
    Ok(headers.contains_key(header::EXPECT))
}

/// A request that has come through here twice will come again (RFC 9110 §7.6.3).
fn refuse_loop(headers: &HeaderMap) -> Result<(), Failure> {
    let lines = headers.get_all(header::VIA).iter();
    let members = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    if members.filter(|member| member.trim_ascii() == VIA.as_bytes()).count() < 2 {
        return Ok(());
    }
    Err(Failure::new(FailureCode::BadRequest, "the request goes round in a loop: it has been here twice (Via)"))
}
