//! Upgrades (RFC 9110 §7.8): a request for one, and the raw bytes behind a 101.

use std::{io, pin::pin};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use hyper::body::Incoming;
use proto::{
    hop::remove_hop_by_hop,
    link::{Body, BodyError, BodyWriter, Broken, Responder, carry, reset_when_closed},
    session::StreamError,
    wire::{Failure, FailureCode, ResetCode, ResponseHead},
};
use tokio::net::TcpStream;
use tracing::debug;

use super::{Conversation, Ends, Replayed, Upstream, fail, until};
use crate::whitelist::{Parts, Upgrade};

/// What comes from the client if the request asks for an upgrade is no body of the request: it is for behind the 101,
/// and waits within its window until then.
pub(super) fn set_aside(admitted: &Parts, body: Body) -> (Option<Body>, Option<Body>) {
    if admitted.upgrade.is_some() { (None, Some(body)) } else { (Some(body), None) }
}

/// Asks for it. `TE` goes: behind a 101 there are no trailers.
pub(super) fn ask(Upgrade::WebSocket: Upgrade, headers: &mut HeaderMap) {
    headers.remove(header::TE);
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, WEBSOCKET);
}

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// Whether the upstream agreed. Any other status is an ordinary answer.
pub(super) fn is_made(response: &Response<Incoming>) -> bool {
    response.status() == StatusCode::SWITCHING_PROTOCOLS
}

impl Upstream {
    /// Passes a 101 on, and then raw bytes both ways until both directions have ended.
    pub(super) async fn switch(
        &self,
        mut response: Response<Incoming>,
        conversation: Conversation,
        body: Body,
        ends: Ends,
        responder: Responder,
    ) -> Replayed {
        let upgrade = hyper::upgrade::on(&mut response);
        let head = match head(response.into_parts().0) {
            Ok(head) => head,
            Err(failure) => return fail(responder, failure),
        };
        let status = head.status;
        let writer = responder.respond(head, false);
        let Some((mut stream, early)) = conversation.upgraded(upgrade).await else {
            writer.reset(ResetCode::Aborted, "the upstream's connection broke");
            return Replayed::Cut(status);
        };
        // Nothing says where raw bytes end but the end of the connection: only a whole one looks like an end.
        let _ = reset_when_closed(&stream, true);
        if let Err(broken) = self.carry(&mut stream, early, body, writer, ends).await {
            debug!(broken = %without_words(broken), "an upgraded stream was cut");
            return Replayed::Cut(status);
        }
        let _ = reset_when_closed(&stream, false);
        Replayed::Answered(status)
    }

    async fn carry(
        &self,
        stream: &mut TcpStream,
        early: Bytes,
        body: Body,
        writer: BodyWriter,
        ends: Ends,
    ) -> Result<(), Broken> {
        let carried = pin!(carry(stream, early, body, writer, ends.idle));
        // Dropped before its end it resets the stream.
        until(ends.stream, carried).await.unwrap_or_else(|elapsed| Err(io::Error::from(elapsed).into()))
    }
}

/// Only the code of a reset is logged: what the gateway says with it may be anything.
fn without_words(broken: Broken) -> Broken {
    match broken {
        Broken::Stream(StreamError::Reset { code, .. })
        | Broken::Body(BodyError::Stream(StreamError::Reset { code, .. })) => {
            StreamError::Reset { code, message: String::new() }.into()
        }
        broken => broken,
    }
}

/// The head of a 101 as it travels, or why it must not.
fn head(head: http::response::Parts) -> Result<ResponseHead, Failure> {
    let wrong = |message: &'static str| Err(Failure::new(FailureCode::UpstreamProtocol, message));
    let mut headers = head.headers;
    let mut protocols = headers.get_all(header::UPGRADE).iter();
    let is_websocket = |protocol: &HeaderValue| protocol.as_bytes().eq_ignore_ascii_case(WEBSOCKET.as_bytes());
    if !(protocols.next().is_some_and(is_websocket) && protocols.next().is_none()) {
        return wrong("the upstream switched to another protocol than the one that it was asked for");
    }
    remove_hop_by_hop(&mut headers);
    // What comes now is no body (RFC 9110 §8.6).
    headers.remove(header::CONTENT_LENGTH);
    let head = ResponseHead { status: head.status, headers };
    if head.oversize().is_some() {
        return wrong("the upstream's answer has too many or too long headers");
    }
    Ok(head)
}
