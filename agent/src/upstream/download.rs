//! An answer's body on its way to the gateway, as fast as its reader reads and no faster.

use std::{future::poll_fn, task::Poll, time::Duration};

use bytes::Bytes;
use http_body::{Body as _, Frame};
use hyper::body::Incoming;
use proto::{link::BodyWriter, trailers::to_travel, wire::ResetCode};

use super::conversation::{Conversation, Cut};

/// Passes a body on to its end; `false` if it was cut, by either side. A cut body never looks complete.
pub(super) async fn download(
    body: &mut Incoming,
    conversation: &mut Conversation,
    writer: BodyWriter,
    idle: Option<Duration>,
) -> bool {
    loop {
        match next(body, conversation, &writer, idle).await {
            Next::Frame(frame) => match frame.into_data() {
                Ok(chunk) => {
                    if !write(chunk, conversation, &writer).await {
                        return false;
                    }
                    if body.is_end_stream() {
                        break writer.finish(None);
                    }
                }
                Err(frame) => match to_travel(frame.into_trailers().unwrap_or_default()) {
                    Ok(trailers) => break writer.finish(trailers),
                    Err(_) => {
                        writer.reset(ResetCode::Aborted, "the upstream's trailers are too many or too long");
                        return false;
                    }
                },
            },
            Next::End => break writer.finish(None),
            Next::Cut(why) => {
                writer.reset(ResetCode::Aborted, why);
                return false;
            }
            Next::Unwanted => return false,
        }
    }
    true
}

enum Next {
    Frame(Frame<Bytes>),
    End,
    Cut(&'static str),
    Unwanted,
}

async fn next(
    body: &mut Incoming,
    conversation: &mut Conversation,
    writer: &BodyWriter,
    idle: Option<Duration>,
) -> Next {
    let next = poll_fn(|cx| match conversation.poll_body(body, cx) {
        Poll::Ready(Some(Ok(frame))) => Poll::Ready(Next::Frame(frame)),
        Poll::Ready(Some(Err(Cut))) => Poll::Ready(Next::Cut("the upstream cut its answer short")),
        Poll::Ready(None) => Poll::Ready(Next::End),
        Poll::Pending => writer.poll_stopped(cx).map(|_| Next::Unwanted),
    });
    match idle {
        None => next.await,
        Some(idle) => tokio::time::timeout(idle, next)
            .await
            .unwrap_or(Next::Cut("the upstream's answer stood still for too long")),
    }
}

/// Hands a chunk over as credit allows. Meanwhile the connection is driven on: the request's body may still be
/// under way, and neither direction waits for the other.
async fn write(mut chunk: Bytes, conversation: &mut Conversation, writer: &BodyWriter) -> bool {
    while !chunk.is_empty() {
        let written = poll_fn(|cx| {
            let written = writer.poll_write(&mut chunk, cx);
            if written.is_pending() {
                conversation.drive(cx);
            }
            written
        });
        if written.await.is_err() {
            return false;
        }
    }
    true
}
