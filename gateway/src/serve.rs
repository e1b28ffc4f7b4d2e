//! One HTTP listener: accepts until told to stop, then lets its connections finish.

use std::{convert::Infallible, io, pin::pin, sync::Arc, time::Duration};

use axum::body::Body;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls_pki_types::CertificateDer;
use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, warn};

use crate::{
    client::{Activity, Busy, Client},
    config::{Listen, Tls},
    limits::{ACCEPT_REST, CLIENT_BUFFER, CONNECTIONS, DRAIN_IDLE},
    listener::{Accepted, Listener, Peer},
};

/// A bound listener with what it serves.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) listener: Listener,
    /// A connection on which no request begins for this long, and none is in flight, is closed: idle ones and those
    /// that send their head a byte at a time alike.
    pub(crate) idle: Duration,
}

/// The life of one listener, or of several that end together.
#[derive(Clone, Debug, Default)]
pub(crate) struct Serving {
    /// No new connections, and none kept alive, from then on.
    pub(crate) stop: CancellationToken,
    connections: TaskTracker,
}

impl Serving {
    /// Takes nothing new, and returns when every connection has finished.
    pub(crate) async fn finish(&self) {
        self.stop.cancel();
        self.connections.close();
        self.connections.wait().await;
    }
}

/// A request, and what its handler has to know and to hold.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) request: Request<Incoming>,
    pub(crate) peer: Peer,
    /// The certificate of the connection's client, if it was asked for one and has shown it.
    pub(crate) certificate: Option<Arc<CertificateDer<'static>>>,
    /// Held until the answer is complete: a connection with a request in flight is not idle.
    pub(crate) busy: Busy,
}

impl Server {
    pub(crate) async fn bind(listen: &Listen, tls: Option<&Tls>, idle: Duration) -> io::Result<Self> {
        Ok(Self { listener: Listener::bind(listen, tls).await?, idle })
    }

    /// Serves `answer` until stopped. `tune` sets each connection's socket options.
    pub(crate) async fn run<A, F>(self, tune: fn(&TcpStream) -> io::Result<()>, answer: A, serving: Serving)
    where
        A: Fn(Arrival) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        let mut exhausted = false;
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        while let Some((place, accepted)) = serving.stop.run_until_cancelled(self.accept(&places, tune)).await {
            match accepted {
                Ok((accepted, peer)) => {
                    exhausted = false;
                    let connection = serve_connection(accepted, peer, answer.clone(), self.idle, serving.stop.clone());
                    serving.connections.spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) if is_exhaustion(&error) => {
                    if !std::mem::replace(&mut exhausted, true) {
                        warn!(%error, "out of resources: connections are accepted as others end");
                    }
                    tokio::time::sleep(ACCEPT_REST).await;
                }
                Err(error) => debug!(%error, "a connection was gone before it was accepted"),
            }
        }
    }

    /// The next connection, once there is room for it: more wait in the listener's queue.
    async fn accept(
        &self,
        places: &Arc<Semaphore>,
        tune: fn(&TcpStream) -> io::Result<()>,
    ) -> (OwnedSemaphorePermit, io::Result<(Accepted, Peer)>) {
        let place = places.clone().acquire_owned().await.expect("the semaphore is never closed");
        (place, self.listener.accept(tune).await)
    }
}

async fn serve_connection<A, F>(accepted: Accepted, peer: Peer, answer: A, idle: Duration, stop: CancellationToken)
where
    A: Fn(Arrival) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let stream = match stop.run_until_cancelled(accepted.ready()).await {
        Some(Ok(stream)) => stream,
        Some(Err(error)) => return debug!(%peer, %error, "a client's connection ended before a request"),
        None => return,
    };
    let certificate = stream.client_certificate().map(Arc::new);
    let activity = Arc::new(Activity::default());
    let requests = activity.clone();
    let client = TokioIo::new(Client::new(stream, activity.clone()));
    let service = service_fn(move |request| {
        let answered = answer(Arrival { request, peer, certificate: certificate.clone(), busy: Busy::new(&requests) });
        async { Ok::<_, Infallible>(answered.await) }
    });
    let connection =
        http1::Builder::new().max_buf_size(CLIENT_BUFFER).serve_connection(client, service).with_upgrades();
    let mut connection = pin!(connection);
    let served = tokio::select! {
        biased;
        served = &mut connection => served,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                served = connection => served,
                // A client that has sent half a head must not hold the drain up.
                () = self::idle(&activity, DRAIN_IDLE) => return,
            }
        }
        () = self::idle(&activity, idle) => return debug!(%peer, "closing an idle connection"),
    };
    if let Err(error) = served {
        debug!(%peer, %error, "a client's connection ended early");
    }
}

/// Returns when for a whole period no request was in flight, none began, and the client took no byte. One timer a
/// connection, instead of one for each request.
async fn idle(activity: &Activity, period: Duration) {
    let mut before = None;
    loop {
        let (quiet, mark) = activity.look();
        if quiet && before == Some(mark) {
            return;
        }
        before = Some(mark);
        tokio::time::sleep(period).await;
    }
}

fn is_exhaustion(error: &io::Error) -> bool {
    // ENFILE, EMFILE, ENOBUFS and ENOMEM: the listener stays readable, so that accepting at once would spin.
    matches!(error.raw_os_error(), Some(23 | 24 | 105 | 12))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::IDLE_CONNECTION;

    #[tokio::test(start_paused = true)]
    async fn idle_means_no_request_for_a_period_and_none_in_flight() {
        let activity = Arc::new(Activity::default());
        let watched = activity.clone();
        let started = tokio::time::Instant::now();
        let idle = tokio::spawn(async move {
            idle(&watched, IDLE_CONNECTION).await;
            started.elapsed()
        });
        tokio::time::sleep(IDLE_CONNECTION / 2).await;
        let busy = Busy::new(&activity);
        tokio::time::sleep(IDLE_CONNECTION * 10).await;
        assert!(!idle.is_finished(), "a request in flight keeps the connection");
        drop(busy);
        let lasted = idle.await.unwrap();
        assert!(lasted >= IDLE_CONNECTION * 21 / 2 && lasted <= IDLE_CONNECTION * 12, "{lasted:?}");
    }
}
