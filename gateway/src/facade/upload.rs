//! A request's body on its way to the agent.

use std::{future::poll_fn, pin::Pin, task::Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use proto::{link::BodyWriter, wire::ResetCode};

/// Sends a body as credit allows. It ends early, and quietly, when the agent wants no more of it; a body that the
/// client cut short abandons the stream. `held_back`: the client waits to be invited, so nothing is read before.
pub(super) async fn upload(mut body: Incoming, mut writer: BodyWriter, held_back: bool) -> Uploaded {
    if held_back && writer.invited().await.is_err() {
        return Uploaded::Unread(body);
    }
    let mut unread = true;
    loop {
        let next = next(&mut body, &writer).await;
        if unread && matches!(next, Next::Unwanted) {
            return Uploaded::Unread(body);
        }
        unread = false;
        match next {
            Next::Frame(frame) => match frame.into_data() {
                Ok(chunk) => {
                    if writer.write(chunk).await.is_err() {
                        return Uploaded::Unwanted;
                    }
                    if body.is_end_stream() {
                        writer.finish(None);
                        return Uploaded::Whole;
                    }
                }
                Err(frame) => {
                    writer.finish(frame.into_trailers().ok());
                    return Uploaded::Whole;
                }
            },
            Next::End => {
                writer.finish(None);
                return Uploaded::Whole;
            }
            Next::CutShort => {
                writer.reset(ResetCode::Aborted, "the client cut its body short");
                return Uploaded::CutShort;
            }
            Next::Unwanted => return Uploaded::Unwanted,
        }
    }
}

/// How an upload ended.
#[derive(Debug)]
pub(super) enum Uploaded {
    /// All of it was sent.
    Whole,
    /// The client sent less than it had said.
    CutShort,
    /// The agent wanted no more of it.
    Unwanted,
    /// The agent wanted none of it before any was read.
    Unread(Incoming),
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
