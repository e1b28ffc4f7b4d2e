//! A request's head as it travels: what concerns only this hop is taken off.

use http::{HeaderMap, HeaderValue, Version, header, request::Parts};
use proto::{
    hop::{is_plainly_framed, remove_hop_by_hop},
    wire::{Failure, FailureCode, Oversize, RequestHead, RequestId},
};

use super::{forwarded::Hop, route::Routed};
use crate::failure::X_REQUEST_ID;

/// What every gateway calls itself in `Via` (RFC 9110 §7.6.3).
const PSEUDONYM: &[u8] = b"reachback";

/// Builds the head that travels. `upgrade`: the client asks for one.
pub(super) fn request(
    parts: Parts,
    routed: Routed,
    hop: Hop,
    request_id: RequestId,
    upgrade: bool,
) -> Result<RequestHead, Failure> {
    let mut headers = parts.headers;
    if !is_plainly_framed(&headers) {
        return Err(Failure::new(FailureCode::BadRequest, "the only transfer coding there is is chunked"));
    }
    remove_hop_by_hop(&mut headers);
    refuse_loop(&headers)?;
    headers.append(header::VIA, via(parts.version));
    hop.note(&mut headers);
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
    if members.filter(|member| received_by(member) == PSEUDONYM).count() < 2 {
        return Ok(());
    }
    Err(Failure::new(FailureCode::BadRequest, "the request goes round in a loop: it has been here twice (Via)"))
}

/// `reachback` of `1.1 reachback (comment)`.
fn received_by(member: &[u8]) -> &[u8] {
    let mut words = member.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    words.nth(1).unwrap_or_default()
}

/// What this hop adds to `Via`: the version that it was spoken to in.
fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_09 | Version::HTTP_10 => "1.0 reachback",
        Version::HTTP_2 => "2 reachback",
        _ => "1.1 reachback",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_time_is_a_loop() {
        let check = |lines: &[&'static str], is_loop: bool| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::VIA, HeaderValue::from_static(line));
            }
            assert_eq!(refuse_loop(&headers).is_err(), is_loop, "{lines:?}");
        };
        check(&[], false);
        check(&["1.1 reachback"], false);
        check(&["1.1 other, 1.1 reachback", "1.1 reachback.example", "1.1 other (reachback)", "reachback"], false);
        check(&["1.1 reachback", "1.1 reachback"], true);
        check(&["1.0 reachback,1.1\tother, 2  reachback (twice)"], true);
        check(&["1.1 reachback, 1.1 reachback, 1.1 reachback"], true);
    }
}
