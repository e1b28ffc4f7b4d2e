//! What a request is sent on: a connection of its own for its time, or a place on one that it shares.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use hyper::{body::Incoming, client::conn::TrySendError, upgrade::OnUpgrade};
use tokio::net::TcpStream;

use super::{http1::Own, http2::Place, upload::Upload};

/// The one or the other.
pub(super) enum Conversation {
    Own(Own),
    Shared(Place),
}

/// A request that brought no answer.
pub(super) enum SendError {
    Failed {
        error: hyper::Error,
        /// The request, if no byte of it was sent.
        unsent: Option<Box<Request<Upload>>>,
    },
    /// Informational answers came, and went on coming.
    Flooded,
}

/// What waits for the answer's head.
pub(super) type Answer = Pin<Box<dyn Future<Output = Result<Response<Incoming>, SendError>> + Send>>;

impl Conversation {
    /// Hands a request over. On an own connection nothing is sent until it is driven; from a shared one the request is
    /// taken back, if the answer is dropped at once.
    pub(super) fn send(&mut self, request: Request<Upload>) -> Answer {
        match self {
            Self::Own(own) => own.send(request),
            Self::Shared(place) => place.send(request),
        }
    }

    /// Moves bytes as far as they go. A shared connection is driven by its own task.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if let Self::Own(own) = self {
            own.drive(cx);
        }
    }

    /// What has come of the answer's body, or what driving the connection brings. `Ready(None)` is its end, and not
    /// merely that nothing more comes.
    pub(super) fn poll_body(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let mut frame = Pin::new(&mut *body).poll_frame(cx);
        if frame.is_pending()
            && let Self::Own(own) = self
        {
            own.drive(cx);
            frame = Pin::new(&mut *body).poll_frame(cx);
        }
        match frame {
            // hyper takes a reset without an error (RFC 9113 §8.1) for an end, wherever it comes.
            Poll::Ready(None) if matches!(self, Self::Shared(_)) && !body.is_end_stream() => {
                Poll::Ready(Some(Err(Cut)))
            }
            frame => frame.map_err(|_| Cut),
        }
    }

    /// Gives up HTTP behind a 101: the bare connection, and what was read behind the head. A shared one has none.
    pub(super) async fn upgraded(self, upgrade: OnUpgrade) -> Option<(TcpStream, Bytes)> {
        match self {
            Self::Own(own) => own.upgraded(upgrade).await,
            Self::Shared(_) => None,
        }
    }
}

/// The upstream cut its answer short.
#[derive(Debug)]
pub(super) struct Cut;

impl From<TrySendError<Request<Upload>>> for SendError {
    fn from(mut error: TrySendError<Request<Upload>>) -> Self {
        let unsent = error.take_message().map(Box::new);
        Self::Failed { error: error.into_error(), unsent }
    }
}
