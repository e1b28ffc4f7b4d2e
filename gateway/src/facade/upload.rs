//! A request's body on its way to the agent.

use std::{future::poll_fn, pin::Pin, task::Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use proto::{link::BodyWriter, wire::ResetCode};

/// Sends a body as credit allows. It ends early, and quietly, when the agent wants no more of it; a body that the
/// client cut short abandons the stream. `held_back`: the client waits to be invited, so nothing is read before.
pub(super) async fn upload(mut body: Incoming, mut writer: BodyWriter, held_back: bool) {
    if held_back && writer.invited().await.is_err() {
        return;
    }
    loop {
        match next(&mut body, &writer).await {
            Next::Frame(frame) => match frame.into_data() {
                Ok(chunk) => {
                    if writer.write(chunk).await.is_err() {
                        return;
                    }
                    if body.is_end_stream() {
                        return writer.finish(None);
                    }
                }
                Err(frame) => return writer.finish(frame.into_trailers().ok()),
            },
            Next::End => return writer.finish(None),
            Next::CutShort => return writer.reset(ResetCode::Aborted, "the client cut its body short"),
            Next::Unwanted => return,
        }
    }
}

enum Next {
    Frame(Frame<Bytes>),
    End,
    CutShort,
    Unwanted,
}

async fn next(body: &mut Incoming, writer: &BodyWriter) -> Next {
    poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
        Poll::Ready(Some(Ok(frame))) => Poll::Ready(Next::Frame(frame)),
        Poll::Ready(Some(Err(_))) => Poll::Ready(Next::CutShort),
        Poll::Ready(None) => Poll::Ready(Next::End),
        Poll::Pending => writer.poll_stopped(cx).map(|_| Next::Unwanted),
    })
    .await
}
