//! A request's body on its way to the upstream, watched for signs of life and held to its limit.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use proto::link::{Body, BodyError};
use tokio::time::Instant;

use crate::whitelist::admit_trailers;

/// The body. The upstream's time to answer begins anew whenever a piece of it was sent.
pub(super) struct Upload {
    /// None at all if the request asks for an upgrade.
    body: Option<Body>,
    /// How many bytes more the rule allows, if it says.
    room: Option<u64>,
    activity: Activity,
}

/// Why a body cannot be sent to its end.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum UploadError {
    /// It does not come to one.
    #[error(transparent)]
    Body(#[from] BodyError),
    /// It is longer than the rule allows.
    #[error("the body is longer than the rule allows")]
    TooLarge,
}

/// What has become of the body so far; nothing for a request without one.
#[derive(Clone)]
pub(super) struct Activity(Option<Arc<Mutex<Sofar>>>);

struct Sofar {
    /// When a piece of it last moved.
    moved: Instant,
    /// Whether the upstream takes more of it than has come.
    starved: bool,
    /// Why it will not be whole. A shared connection would not say what made it give up.
    failed: Option<UploadError>,
}

impl Upload {
    pub(super) fn new(body: Body, max_body: Option<u64>) -> (Self, Activity) {
        let sofar = || Arc::new(Mutex::new(Sofar { moved: Instant::now(), starved: false, failed: None }));
        let activity = Activity((!body.is_end_stream()).then(sofar));
        (Self { body: Some(body), room: max_body, activity: activity.clone() }, activity)
    }

    /// No body.
    pub(super) fn none() -> (Self, Activity) {
        (Self { body: None, room: None, activity: Activity(None) }, Activity(None))
    }

    /// Judges a piece. One that does not fit is not sent, not even in part; trailers come after the verdict on the head.
    fn judge(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, UploadError> {
        if let (Some(room), Some(chunk)) = (&mut self.room, frame.data_ref()) {
            *room = room.checked_sub(chunk.len() as u64).ok_or(UploadError::TooLarge)?;
        }
        Ok(match frame.into_trailers() {
            Ok(trailers) => Frame::trailers(admit_trailers(&trailers)),
            Err(frame) => frame,
        })
    }
}

impl Activity {
    /// How long nothing has moved; `None` if there is nothing to move.
    pub(super) fn quiet_for(&self) -> Option<Duration> {
        self.0.as_ref().map(|sofar| lock(sofar).moved.elapsed())
    }

    /// Whether it is the client who keeps the body waiting, and not the upstream.
    pub(super) fn is_starved(&self) -> bool {
        self.0.as_ref().is_some_and(|sofar| lock(sofar).starved)
    }

    /// Why the body could not be sent to its end, if it could not.
    pub(super) fn failure(&self) -> Option<UploadError> {
        self.0.as_ref().and_then(|sofar| lock(sofar).failed.clone())
    }

    /// Whether it came to be longer than the rule allows.
    pub(super) fn is_too_large(&self) -> bool {
        matches!(self.failure(), Some(UploadError::TooLarge))
    }

    fn note(&self, failed: Option<&UploadError>) {
        if let Some(sofar) = &self.0 {
            *lock(sofar) = Sofar { moved: Instant::now(), starved: false, failed: failed.cloned() };
        }
    }

    fn starve(&self) {
        if let Some(sofar) = &self.0 {
            lock(sofar).starved = true;
        }
    }
}

fn lock(sofar: &Mutex<Sofar>) -> MutexGuard<'_, Sofar> {
    sofar.lock().unwrap_or_else(PoisonError::into_inner)
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let Poll::Ready(frame) = Pin::new(body).poll_frame(cx) else {
            self.activity.starve();
            return Poll::Pending;
        };
        let frame = frame.map(|frame| self.judge(frame?));
        self.activity.note(frame.as_ref().and_then(|frame| frame.as_ref().err()));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}
