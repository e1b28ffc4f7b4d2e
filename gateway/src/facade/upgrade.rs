//! Upgrades (RFC 9110 §7.8): a request for one, and the raw bytes behind a 101.

use axum::body::Body;
use http::{Method, Response, StatusCode, Version, request::Parts};
use http_body::Body as _;
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use proto::{
    link::{self, Answered, BodyWriter, carry, upgrade::is_websocket},
    wire::RequestId,
};
use tracing::debug;

use super::{Slot, answer};
use crate::{
    client::Client,
    failure::{Asked, Failed},
};

/// Takes the right to upgrade the connection, if this request asks for a WebSocket (RFC 6455 §4.1). Any other upgrade
/// is a wish that goes unheard; the request goes on without it.
pub(super) fn asked_for(parts: &mut Parts, body: &Incoming) -> Option<OnUpgrade> {
    // It is only there on HTTP/1.1 and with `Upgrade` in the head.
    let upgrade = parts.extensions.remove::<OnUpgrade>()?;
    (parts.method == Method::GET && body.is_end_stream() && is_websocket(&parts.headers)).then_some(upgrade)
}

/// The answer to a request that asks for an upgrade. A 101 makes the connection a pipe; every other one is ordinary, and
/// ends the half that was kept open for what comes behind a 101.
pub(super) fn response(
    answered: Answered,
    upgrade: OnUpgrade,
    raw: BodyWriter,
    asked: &Asked,
    slot: Slot,
) -> Result<Response<Body>, Failed> {
    match answered {
        Answered::Response(head, body) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
            slot.busy.connection().go_on_with(go_on(upgrade, body, raw, slot, asked.id.clone()));
            Ok(answer::switching(head, asked))
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

/// Carries raw bytes until both directions have ended. Only if both did does the client see an ordinary end.
async fn go_on(upgrade: OnUpgrade, body: link::Body, writer: BodyWriter, slot: Slot, request_id: RequestId) {
    // A client that went before it had the 101 cancels the stream: everything is dropped.
    let Ok(upgraded) = upgrade.await else { return };
    let parts = upgraded.downcast::<TokioIo<Client>>().expect("a facade's connections are clients");
    let mut client = parts.io.into_inner();
    client.is_upgraded();
    client.reset_when_closed(true);
    match carry(&mut client, parts.read_buf, body, writer, None).await {
        Ok(()) => {
            client.reset_when_closed(false);
            debug!(%request_id, "an upgraded stream ended");
        }
        Err(broken) => debug!(%request_id, %broken, "an upgraded stream was cut"),
    }
    // Held to the end: it is a request in flight.
    drop(slot);
}
