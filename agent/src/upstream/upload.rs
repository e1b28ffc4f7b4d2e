//! A request's body on its way to the upstream, watched for signs of life.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use proto::link::{Body, BodyError};

/// The body. The upstream's time to answer begins anew whenever a piece of it was sent.
pub(super) struct Upload {
    body: Body,
    moved: Activity,
}

/// When a piece of the body last moved; nothing for a request without one.
#[derive(Clone)]
pub(super) struct Activity(Option<Arc<Mutex<Instant>>>);

impl Upload {
    pub(super) fn new(body: Body) -> (Self, Activity) {
        let moved = Activity((!body.is_end_stream()).then(|| Arc::new(Mutex::new(Instant::now()))));
        (Self { body, moved: moved.clone() }, moved)
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
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if frame.is_ready() {
            self.moved.note();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
