//! A request's body on its way to the upstream, watched for signs of life and held to its limit.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use proto::link::{Body, BodyError};

/// The body. The upstream's time to answer begins anew whenever a piece of it was sent.
pub(super) struct Upload {
    /// None at all if the request asks for an upgrade.
    body: Option<Body>,
    /// How many bytes more the rule allows, if it says.
    room: Option<u64>,
    moved: Activity,
}

/// Why a body cannot be sent to its end.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadError {
    /// It does not come to one.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// It is longer than the rule allows.
    #[error("the body is longer than the rule allows")]
    TooLarge,
}

/// When a piece of the body last moved; nothing for a request without one.
#[derive(Clone)]
pub(super) struct Activity(Option<Arc<Mutex<Instant>>>);

impl Upload {
    pub(super) fn new(body: Body, max_body: Option<u64>) -> (Self, Activity) {
        let moved = Activity((!body.is_end_stream()).then(|| Arc::new(Mutex::new(Instant::now()))));
        (Self { body: Some(body), room: max_body, moved: moved.clone() }, moved)
    }

    /// No body.
    pub(super) fn none() -> (Self, Activity) {
        (Self { body: None, room: None, moved: Activity(None) }, Activity(None))
    }

    /// Takes up room for a piece. One that does not fit is not sent, not even in part.
    fn fit(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, UploadError> {
        if let (Some(room), Some(chunk)) = (&mut self.room, frame.data_ref()) {
            *room = room.checked_sub(chunk.len() as u64).ok_or(UploadError::TooLarge)?;
        }
        Ok(frame)
    }
}

impl Activity {
    /// How long nothing has moved; `None` if there is nothing to move.
    pub(super) fn quiet_for(&self) -> Option<Duration> {
        self.0.as_ref().map(|moved| moved.lock().unwrap_or_else(PoisonError::into_inner).elapsed())
    }

    fn note(&self) {
        if let Some(moved) = &self.0 {
            *moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        self.moved.note();
        Poll::Ready(frame.map(|frame| self.fit(frame?)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
