//! One HTTP listener: accepts until told to stop, then lets its connections finish.

use std::{convert::Infallible, io, net::SocketAddr, pin::pin};

use axum::body::Body;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use crate::limits::{ACCEPT_REST, REQUEST_HEAD};

/// A bound listener with what it serves.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) listener: TcpListener,
    /// No new connections, and none kept alive, from then on.
    pub(crate) stop: CancellationToken,
    /// Every connection is a task of this tracker.
    pub(crate) connections: TaskTracker,
}

impl Server {
    pub(crate) async fn bind(address: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        Ok(Self { listener, stop: CancellationToken::new(), connections: TaskTracker::new() })
    }

    /// Serves `answer` until stopped. `tune` sets each connection's socket options.
    pub(crate) async fn run<A, F>(self, tune: fn(&TcpStream) -> io::Result<()>, answer: A)
    where
        A: Fn(Request<Incoming>, SocketAddr) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        while let Some(accepted) = self.stop.run_until_cancelled(self.listener.accept()).await {
            match accepted.and_then(|(stream, peer)| tune(&stream).map(|()| (stream, peer))) {
                Ok((stream, peer)) => {
                    self.connections.spawn(serve_connection(stream, peer, answer.clone(), self.stop.clone()));
                }
                Err(error) if is_exhaustion(&error) => {
                    warn!(%error, "out of resources, resting before the next accept");
                    tokio::time::sleep(ACCEPT_REST).await;
                }
                Err(error) => debug!(%error, "a connection was gone before it was accepted"),
            }
        }
    }
}

async fn serve_connection<A, F>(stream: TcpStream, peer: SocketAddr, answer: A, stop: CancellationToken)
where
    A: Fn(Request<Incoming>, SocketAddr) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answered = answer(request, peer);
        async { Ok::<_, Infallible>(answered.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(REQUEST_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    let served = tokio::select! {
        served = &mut connection => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        debug!(%peer, %error, "a client's connection ended early");
    }
}

fn is_exhaustion(error: &io::Error) -> bool {
    // ENFILE, EMFILE, ENOBUFS and ENOMEM: the listener stays readable, so that accepting at once would spin.
    matches!(error.raw_os_error(), Some(23 | 24 | 105 | 12))
}
