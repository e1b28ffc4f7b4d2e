//! Plain HTTP in place of a 101: why an agent may not connect, and when it may try again.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use tracing::warn;

use crate::{
    auth::Refused,
    limits::{ATTEMPTS_RETRY_SECONDS, RETRY_AFTER_SECONDS},
    listener::Peer,
};

/// Why there is no 101.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    why: &'static str,
    /// What is wrong with the credential. Who shows it is not told.
    credential: Option<Refused>,
    /// What `Retry-After` says with 429 and 503, in seconds.
    retry_after: u16,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, why: &'static str) -> Self {
        Self { status, why, credential: None, retry_after: RETRY_AFTER_SECONDS }
    }

    /// No good credential.
    pub(crate) fn stranger(refused: Refused) -> Self {
        let why = "the credential is missing or not known to this gateway";
        Self { credential: Some(refused), ..Self::new(StatusCode::UNAUTHORIZED, why) }
    }

    /// No good credential, again and again.
    pub(crate) fn too_often(credential: Option<Refused>) -> Self {
        let why = "too many attempts from this address have failed";
        Self { credential, retry_after: ATTEMPTS_RETRY_SECONDS, ..Self::new(StatusCode::TOO_MANY_REQUESTS, why) }
    }

    /// An upgrade that comes from a page.
    pub(crate) fn browser() -> Self {
        Self::new(StatusCode::FORBIDDEN, "browsers may not connect: this Origin is not in allowed_origins")
    }

    /// At the end of the gateway's life.
    pub(crate) fn draining() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "this gateway is draining")
    }

    /// A credential that cannot be judged yet, but perhaps in so long.
    pub(crate) fn not_yet(refused: Refused, wait: Duration) -> Self {
        let why = "this gateway has to fetch the keys of the credential's issuer first";
        let retry_after = seconds(wait);
        Self { credential: Some(refused), retry_after, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, why) }
    }

    /// A signed token from where too many others have failed.
    pub(crate) fn not_now(refused: Refused) -> Self {
        let why = "too many attempts from this address have failed: signed tokens from it have to wait";
        Self { credential: Some(refused), ..Self::new(StatusCode::SERVICE_UNAVAILABLE, why) }
    }

    /// A good credential at a bad moment; `retry_after` in seconds.
    pub(crate) fn paced(retry_after: u16) -> Self {
        let why = "many agents connect at once: come back in a moment";
        Self { retry_after, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, why) }
    }

    /// A registration code after too many wrong ones.
    pub(crate) fn too_many_codes(rest: Duration) -> Self {
        let why = "too many wrong registration codes were shown: none is judged for a while";
        Self { retry_after: seconds(rest), ..Self::new(StatusCode::TOO_MANY_REQUESTS, why) }
    }

    /// A wrong registration code.
    pub(crate) fn wrong_code() -> Self {
        let why = "the registration code is wrong, too old or used already, or no agent is to register with it";
        Self::new(StatusCode::UNAUTHORIZED, why)
    }

    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// Says so, and whether it is the last time for a while.
    pub(crate) fn log(&self, peer: Peer, last: bool) {
        let (status, credential) = (self.status.as_u16(), self.credential.as_ref().map(tracing::field::display));
        let more = last.then_some("not logged for a while");
        warn!(%peer, status, why = self.why, credential, more, "refused a connection to the tunnel");
    }

    pub(crate) fn response(&self) -> Response<Body> {
        let mut response = Response::new(Body::from(format!("{}\n", self.why)));
        *response.status_mut() = self.status;
        let advice: Option<(HeaderName, HeaderValue)> = match self.status {
            StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            StatusCode::METHOD_NOT_ALLOWED => Some((header::ALLOW, HeaderValue::from_static("GET"))),
            StatusCode::UPGRADE_REQUIRED => Some((header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))),
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                Some((header::RETRY_AFTER, HeaderValue::from(self.retry_after)))
            }
            _ => None,
        };
        response.headers_mut().extend(advice);
        // A stranger leaves nothing behind, not even an idle connection.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        response
    }
}

/// For a `Retry-After`: not too early.
fn seconds(wait: Duration) -> u16 {
    u16::try_from(wait.as_secs().saturating_add(1)).unwrap_or(u16::MAX)
}
