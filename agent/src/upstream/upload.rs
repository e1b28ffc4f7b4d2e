//! A request's body on its way to the upstream, watched for signs of life.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use proto::link::{Body, BodyError};

use crate::whitelist::admit_trailers;

/// The body. The upstream's time to answer begins anew whenever a piece of it was sent.
pub(super) struct Upload {
    body: Body,
    activity: Activity,
}

/// What has become of the body so far; nothing for a request without one.
#[derive(Clone)]
pub(super) struct Activity(Option<Arc<Mutex<Sofar>>>);

struct Sofar {
    /// When a piece of it last moved.
    moved: Instant,
    /// Why it will not be whole. A shared connection would not say what made it give up.
    failed: Option<BodyError>,
}

impl Upload {
    pub(super) fn new(body: Body) -> (Self, Activity) {
        let sofar = || Arc::new(Mutex::new(Sofar { moved: Instant::now(), failed: None }));
        let activity = Activity((!body.is_end_stream()).then(sofar));
        (Self { body, activity: activity.clone() }, activity)
    }
}

impl Activity {
    /// How long nothing has moved; `None` if there is nothing to move.
    pub(super) fn quiet_for(&self) -> Option<Duration> {
        self.0.as_ref().map(|sofar| lock(sofar).moved.elapsed())
    }

    /// Why the body could not be sent to its end, if it could not.
    pub(super) fn failure(&self) -> Option<BodyError> {
        self.0.as_ref().and_then(|sofar| lock(sofar).failed.clone())
    }

    fn note(&self, failed: Option<&BodyError>) {
        if let Some(sofar) = &self.0 {
            *lock(sofar) = Sofar { moved: Instant::now(), failed: failed.cloned() };
        }
    }
}

fn lock(sofar: &Mutex<Sofar>) -> MutexGuard<'_, Sofar> {
    sofar.lock().unwrap_or_else(PoisonError::into_inner)
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.activity.note(frame.as_ref().and_then(|frame| frame.as_ref().err()));
        Poll::Ready(frame.map(|frame| frame.map(judged)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Trailers come after the verdict on the head, and so are judged here.
fn judged(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(trailers) => Frame::trailers(admit_trailers(&trailers)),
        Err(frame) => frame,
    }
}
