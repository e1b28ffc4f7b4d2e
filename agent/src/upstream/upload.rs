//! A request's body on its way to the upstream, watched for signs of life.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use proto::link::{Body, BodyError};

/// The body. The upstream's time to answer begins anew whenever a piece of it was sent.
pub(super) struct Upload {
    body: Body,
    moved: Activity,
}

/// Whether something moved since the last look.
#[derive(Clone, Default)]
pub(super) struct Activity(Option<Arc<AtomicBool>>);

impl Upload {
    pub(super) fn new(body: Body) -> (Self, Activity) {
        let moved = if body.is_end_stream() { Activity(None) } else { Activity(Some(Arc::default())) };
        (Self { body, moved: moved.clone() }, moved)
    }
}

impl Activity {
    /// Whether something moved since the last call.
    pub(super) fn take(&self) -> bool {
        self.0.as_ref().is_some_and(|moved| moved.swap(false, Ordering::Relaxed))
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let (Poll::Ready(_), Some(moved)) = (&frame, &self.moved.0) {
            moved.store(true, Ordering::Relaxed);
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
