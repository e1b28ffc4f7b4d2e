//! One connection to an upstream, driven by the task of the request that uses it: nothing is spawned, and nothing
//! happens on it that nobody waits for.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Request;
use hyper::{
    client::conn::http1::{self, SendRequest},
    upgrade::{OnUpgrade, Upgraded},
};
use hyper_util::rt::TokioIo;
use proto::session::limits::INTERIMS;
use tokio::net::TcpStream;

use super::{
    conversation::{Answer, SendError},
    upload::Upload,
};
use crate::limits::UPSTREAM_BUFFER;

/// A connection and the right to send on it.
pub(super) struct Own {
    sender: SendRequest<Upload>,
    /// `None` once it has ended. Boxed: it moves between the pool and its users.
    connection: Option<Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>>,
    interims: Interims,
}

/// How many informational answers the request under way has had: hyper reads on for as long as they come.
#[derive(Clone, Default)]
struct Interims(Arc<AtomicU32>);

impl Own {
    pub(super) async fn new(stream: TcpStream) -> Result<Self, hyper::Error> {
        let (sender, connection) =
            http1::Builder::new().max_buf_size(UPSTREAM_BUFFER).handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, connection: Some(Box::pin(connection.with_upgrades())), interims: Interims::default() })
    }

    /// Hands a request over. Nothing is sent until the connection is driven.
    pub(super) fn send(&mut self, mut request: Request<Upload>) -> Answer {
        self.interims.watch(&mut request);
        let interims = self.interims.clone();
        let answer = self.sender.try_send_request(request);
        Box::pin(async move {
            let answered = answer.await;
            if interims.are_too_many() {
                return Err(SendError::Flooded);
            }
            Ok(answered?)
        })
    }

    /// Moves bytes as far as they go.
    pub(super) fn drive(&mut self, cx: &mut Context<'_>) {
        if let Some(connection) = &mut self.connection
            && let Poll::Ready(ended) = connection.as_mut().poll(cx)
        {
            // Whoever waits for an answer or a body gets the error from there.
            if let Err(error) = ended {
                tracing::debug!(%error, "a connection to an upstream ended early");
            }
            self.connection = None;
        }
        if self.interims.are_too_many() {
            self.connection = None;
        }
    }

    /// Gives up HTTP behind a 101: the bare connection, and what was read behind the head.
    pub(super) async fn upgraded(mut self, upgrade: OnUpgrade) -> Option<(TcpStream, Bytes)> {
        let mut upgrade = pin!(upgrade);
        let upgraded: Upgraded = poll_fn(|cx| {
            self.drive(cx);
            upgrade.as_mut().poll(cx)
        })
        .await
        .ok()?;
        let parts = upgraded.downcast::<TokioIo<TcpStream>>().ok()?;
        Some((parts.io.into_inner(), parts.read_buf))
    }

    /// Whether another request could be sent, now that an answer was read to its end.
    pub(super) async fn becomes_ready(&mut self) -> bool {
        if !self.is_ready() {
            // The connection has not noticed yet that the answer is complete.
            poll_fn(|cx| {
                self.drive(cx);
                Poll::Ready(())
            })
            .await;
        }
        self.is_ready()
    }

    fn is_ready(&self) -> bool {
        self.connection.is_some() && self.sender.is_ready()
    }
}

impl Interims {
    /// Counts from here on.
    fn watch(&self, request: &mut Request<Upload>) {
        self.0.store(0, Ordering::Relaxed);
        let count = self.0.clone();
        hyper::ext::on_informational(request, move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
    }

    fn are_too_many(&self) -> bool {
        self.0.load(Ordering::Relaxed) > INTERIMS.into()
    }
}
