//! The upstream's answer as the client gets it. The agent is not believed: what it says about framing is checked,
//! so that a rogue agent can spoil its own answers and nobody else's.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version, header, uri::PathAndQuery};
use http_body::{Body as _, Frame, SizeHint};
use hyper::ext::ReasonPhrase;
use proto::{
    hop::{content_length, remove_hop_by_hop},
    link::{Body, BodyError},
    trailers::to_travel,
    wire::{Failure, FailureCode, ResponseHead},
};
use tracing::warn;

use super::Slot;
use crate::failure::{Asked, REACHBACK_ERROR, X_REQUEST_ID, request_id_value};

/// Builds the response.
pub(super) fn response(
    head: ResponseHead,
    body: Body,
    version: Version,
    asked: &Asked,
    slot: Slot,
) -> Result<Response<axum::body::Body>, Failure> {
    let ResponseHead { status, mut headers } = head;
    if status.is_informational() {
        return Err(wrong("the answer switches protocols although nobody asked for it"));
    }
    remove_hop_by_hop(&mut headers);
    headers.remove(REACHBACK_ERROR);
    let id = request_id_value(&asked.id);
    headers.insert(X_REQUEST_ID, id.clone());
    let body = if has_no_body(&asked.method, status) {
        if !body.is_end_stream() {
            return Err(wrong("the answer has a body where HTTP allows none"));
        }
        match declared(&headers)? {
            Some(length) if status == StatusCode::NOT_MODIFIED && version < Version::HTTP_2 => {
                axum::body::Body::new(Unsent(length))
            }
            _ => axum::body::Body::empty(),
        }
    } else {
        let length = declared(&headers)?;
        if body.is_end_stream() && length.is_some_and(|length| length > 0) {
            return Err(wrong("the answer is shorter than its Content-Length"));
        }
        // To an HTTP/1.0 client the end of the connection is the end of such a body.
        let ends_with_connection = length.is_none() && !body.is_end_stream() && version < Version::HTTP_11;
        if ends_with_connection {
            // Else the HTTP library says `keep-alive` to a client that has asked for it, and closes.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let body = body.with_length(length);
        let (method, target) = (asked.method.clone(), asked.target());
        axum::body::Body::new(Download { body, id, method, target, slot, ends_with_connection, cut: None })
    };
    let mut response = Response::new(body);
    if status.canonical_reason().is_none() {
        // Without it the HTTP library would invent one.
        response.extensions_mut().insert(ReasonPhrase::from_static(b""));
    }
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// The 101 that the client asked for. What comes behind it is no body.
pub(super) fn switching(head: ResponseHead, asked: &Asked) -> Response<axum::body::Body> {
    let mut response = connected(head, asked);
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    response
}

/// What HTTP/2 says in place of a 101 (RFC 8441 §5): the same with status 200.
pub(super) fn connected(head: ResponseHead, asked: &Asked) -> Response<axum::body::Body> {
    let mut headers = head.headers;
    remove_hop_by_hop(&mut headers);
    headers.remove(REACHBACK_ERROR);
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(X_REQUEST_ID, request_id_value(&asked.id));
    let mut response = Response::new(axum::body::Body::empty());
    *response.headers_mut() = headers;
    response
}

fn declared(headers: &HeaderMap) -> Result<Option<u64>, Failure> {
    content_length(headers).map_err(|_| wrong("the answer's Content-Length is not one number"))
}

fn wrong(why: &'static str) -> Failure {
    Failure::new(FailureCode::UpstreamProtocol, why)
}

/// RFC 9110 §6.4.1.
fn has_no_body(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// The body that a 304 would have with another status (RFC 9110 §8.6). It is never sent: hyper writes no
/// `Content-Length` for it without a body of that length, and with one no more than the length.
struct Unsent(u64);

impl http_body::Body for Unsent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0)
    }
}

/// An answer's body, which holds the request's place among those in flight to its end.
struct Download {
    body: Body,
    /// The request's, for the log.
    id: HeaderValue,
    method: Method,
    target: Option<PathAndQuery>,
    slot: Slot,
    ends_with_connection: bool,
    /// Why it was cut short; told once what came before is out.
    cut: Option<BodyError>,
}

impl Download {
    /// The HTTP library drops what it has not written yet when a body fails, the head included. It writes whenever a
    /// body is pending, and then asks again.
    fn cut_short(&mut self, error: BodyError, cx: &Context<'_>) {
        let (request_id, method) = (self.id.to_str().unwrap_or_default(), &self.method);
        let path = self.target.as_ref().map_or("", PathAndQuery::path);
        let service = self.slot.place.as_ref().map(|place| tracing::field::display(place.service()));
        let facade = &self.slot.counts.facade;
        warn!(%request_id, %facade, service, %method, path, %error, "an answer was cut short");
        self.slot.counts.tally.cut();
        if self.ends_with_connection {
            self.slot.busy.cut();
        }
        self.cut = Some(error);
        cx.waker().wake_by_ref();
    }
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(error) = self.cut.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match Pin::new(&mut self.body).poll_frame(cx).map_ok(checked) {
            Poll::Ready(Some(Err(error))) => {
                self.cut_short(error, cx);
                Poll::Pending
            }
            frame => frame,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Trailers, too, hold only what may stand there.
fn checked(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(mut trailers) => {
            trailers.remove(REACHBACK_ERROR);
            // The link has bounds of its own for them: these are never too many.
            Frame::trailers(to_travel(trailers).ok().flatten().unwrap_or_default())
        }
        Err(frame) => frame,
    }
}
