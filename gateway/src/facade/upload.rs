//! A request's body on its way to the agent.

use std::{future::poll_fn, pin::Pin, task::Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use proto::{link::BodyWriter, trailers::to_travel, wire::ResetCode};

/// How a body comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    /// The client waits to be invited, so nothing is read before.
    pub(super) held_back: bool,
    pub(super) is_http2: bool,
}

/// Sends a body as credit allows. It ends early, and quietly, when the agent wants no more of it; a body that the
/// client cut short abandons the stream.
pub(super) async fn upload(mut body: Incoming, mut writer: BodyWriter, manner: Manner) -> Uploaded {
    if manner.held_back && writer.invited().await.is_err() {
        return Uploaded::Unread(body);
    }
    let mut unread = true;
    loop {
        let next = next(&mut body, &writer, manner).await;
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
                Err(frame) => match to_travel(frame.into_trailers().unwrap_or_default()) {
                    Ok(trailers) => {
                        writer.finish(trailers);
                        return Uploaded::Whole;
                    }
                    Err(_) => return cut_short(writer, "the client's trailers are too many or too long"),
                },
            },
            Next::End => {
                writer.finish(None);
                return Uploaded::Whole;
            }
            Next::CutShort => return cut_short(writer, "the client cut its body short"),
            Next::Unwanted => return Uploaded::Unwanted,
        }
    }
}

fn cut_short(writer: BodyWriter, why: &str) -> Uploaded {
    writer.reset(ResetCode::Aborted, why);
    Uploaded::CutShort
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

async fn next(body: &mut Incoming, writer: &BodyWriter, manner: Manner) -> Next {
    poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
        Poll::Ready(Some(Ok(frame))) => Poll::Ready(Next::Frame(frame)),
        Poll::Ready(Some(Err(_))) => Poll::Ready(Next::CutShort),
        // hyper takes a reset without an error (RFC 9113 §8.1) for an end, wherever it comes.
        Poll::Ready(None) if manner.is_http2 && !body.is_end_stream() => Poll::Ready(Next::CutShort),
        Poll::Ready(None) => Poll::Ready(Next::End),
        Poll::Pending => writer.poll_stopped(cx).map(|_| Next::Unwanted),
    })
    .await
}
