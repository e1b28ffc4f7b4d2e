//! Upgrades (RFC 9110 §7.8): a request for one, and the raw bytes behind a 101.

use axum::body::Body;
use http::{Method, Response, StatusCode, request::Parts};
use http_body::Body as _;
use hyper::{body::Incoming, upgrade::OnUpgrade};
use hyper_util::rt::TokioIo;
use proto::{
    link::{self, Answered, BodyWriter, carry, upgrade::is_websocket},
    wire::{RequestHead, RequestId},
};
use tracing::debug;

use super::{Facade, Slot, answer, lost, not_opened, unavailable};
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

impl Facade {
    /// Asks the upstream for the upgrade. A 101 makes the connection a pipe; every other answer is an ordinary one.
    pub(super) async fn switch(
        &self,
        head: RequestHead,
        upgrade: OnUpgrade,
        asked: &Asked,
        slot: Slot,
    ) -> Result<Response<Body>, Failed> {
        let chosen = self.registry.choose_within(&head.service, self.settings.wait_for_agent).await;
        let connection = chosen.map_err(|why| unavailable(why, &head))?;
        // The request has no body, and its half stays open: for what comes behind the 101, and for nothing before.
        let (writer, response) = connection.open(head, false).map_err(not_opened)?;
        match response.await.map_err(|error| lost(&error))? {
            Answered::Response(head, body) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
                slot.busy.connection().go_on_with(go_on(upgrade, body, writer, slot, asked.id.clone()));
                Ok(answer::switching(head, asked))
            }
            Answered::Response(head, body) => {
                writer.finish(None);
                Ok(answer::response(head, body, http::Version::HTTP_11, asked, slot)?)
            }
            Answered::Failure(failure) => {
                writer.finish(None);
                Err(Failed::at_agent(failure))
            }
        }
    }
}

/// Carries raw bytes until both directions have ended. Only if both did does the client see an ordinary end.
async fn go_on(upgrade: OnUpgrade, body: link::Body, writer: BodyWriter, slot: Slot, request_id: RequestId) {
    // A client that went before it had the 101 cancels the stream: everything is dropped.
    let Ok(upgraded) = upgrade.await else { return };
    let parts = upgraded.downcast::<TokioIo<Client>>().expect("a facade's connections are clients");
    let mut client = parts.io.into_inner();
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
