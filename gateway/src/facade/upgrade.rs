//! Upgrades (RFC 9110 §7.8): a request for one, and the raw bytes behind a 101.

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Response, StatusCode, Version, header, request::Parts};
use http_body::Body as _;
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use proto::{
    link::{
        self, Answered, BodyWriter, Broken, carry,
        upgrade::{accept_key, is_websocket},
    },
    wire::{Failure, FailureCode, RequestId, ResetCode},
};
use tracing::debug;

use super::{Slot, answer, http2_stream::Http2Stream};
use crate::{
    client::Client,
    failure::{Asked, Failed},
};

/// The right to upgrade a connection, or a stream of HTTP/2.
pub(super) struct Wanted {
    upgrade: OnUpgrade,
    /// Over HTTP/2, what the upstream proves its 101 with: there no client looks at it (RFC 8441 §5).
    accept: Option<String>,
}

/// Takes the right to upgrade, if this request asks for a WebSocket (RFC 6455 §4.1). Any other upgrade is a wish that
/// goes unheard; the request goes on without it.
pub(super) fn asked_for(parts: &mut Parts, body: &Incoming) -> Option<Wanted> {
    // It is only there on HTTP/1.1 with `Upgrade` in the head, and with a `CONNECT`.
    let upgrade = parts.extensions.remove::<OnUpgrade>()?;
    let headers = &parts.headers;
    let accept = || headers.get(header::SEC_WEBSOCKET_KEY).map(|key| accept_key(key.as_bytes()));
    let accept = if parts.version == Version::HTTP_2 { accept() } else { None };
    let asked = parts.method == Method::GET && body.is_end_stream() && is_websocket(headers);
    asked.then_some(Wanted { upgrade, accept })
}

/// The answer to a request that asks for an upgrade. A 101 makes the connection a pipe; every other one is ordinary, and
/// ends the half that was kept open for what comes behind a 101.
pub(super) fn response(
    answered: Answered,
    Wanted { upgrade, accept }: Wanted,
    raw: BodyWriter,
    asked: &Asked,
    slot: Slot,
) -> Result<Response<Body>, Failed> {
    match answered {
        Answered::Response(mut head, body) if head.status == StatusCode::SWITCHING_PROTOCOLS => match accept {
            None => {
                slot.busy.connection().go_on_with(go_on(upgrade, body, raw, slot, asked.id.clone()));
                Ok(answer::switching(head, asked))
            }
            Some(accept) if head.headers.remove(header::SEC_WEBSOCKET_ACCEPT).is_some_and(|proof| proof == accept) => {
                tokio::spawn(go_on_in_http2(upgrade, body, raw, slot, asked.id.clone()));
                Ok(answer::connected(head, asked))
            }
            Some(_) => Err(wrong(raw, "the upstream agreed to a WebSocket with a wrong Sec-WebSocket-Accept")),
        },
        // To a client of HTTP/2 every 2xx says that it has its WebSocket.
        Answered::Response(head, _) if accept.is_some() && head.status.is_success() => {
            Err(wrong(raw, "the upstream did not switch to a WebSocket, but answered as if nobody had asked for one"))
        }
        Answered::Response(head, body) => {
            raw.finish(None);
            Ok(answer::response(head, body, Version::HTTP_11, asked, slot)?)
        }
        Answered::Failure(failure) => {
            raw.finish(None);
            Err(Failed::at_agent(failure))
        }
    }
}

fn wrong(raw: BodyWriter, why: &'static str) -> Failed {
    raw.reset(ResetCode::Aborted, why);
    Failure::new(FailureCode::UpstreamProtocol, why).into()
}

/// Carries raw bytes until both directions have ended. Only if both did does the client see an ordinary end.
async fn go_on(upgrade: OnUpgrade, body: link::Body, writer: BodyWriter, slot: Slot, request_id: RequestId) {
    // A client that went before it had the 101 cancels the stream: everything is dropped.
    let Ok(upgraded) = upgrade.await else { return };
    let parts = upgraded.downcast::<TokioIo<Client>>().expect("a facade's connections are clients");
    let mut client = parts.io.into_inner();
    client.is_upgraded();
    client.reset_when_closed(true);
    let carried = carry(&mut client, parts.read_buf, body, writer, None).await;
    if carried.is_ok() {
        client.reset_when_closed(false);
    }
    log(carried, &request_id);
    // Held to the end: it is a request in flight.
    drop(slot);
}

/// The same over a stream of HTTP/2. What the client sees of a cut is an ordinary end: hyper gives it no other, and a
/// WebSocket that ends without a close frame is taken for cut (RFC 6455 §7.1.5).
async fn go_on_in_http2(upgrade: OnUpgrade, body: link::Body, writer: BodyWriter, slot: Slot, request_id: RequestId) {
    let Ok(upgraded) = upgrade.await else { return };
    log(carry(&mut Http2Stream::new(upgraded), Bytes::new(), body, writer, None).await, &request_id);
    drop(slot);
}

fn log(carried: Result<(), Broken>, request_id: &RequestId) {
    match carried {
        Ok(()) => debug!(%request_id, "an upgraded stream ended"),
        Err(broken) => debug!(%request_id, %broken, "an upgraded stream was cut"),
    }
}
