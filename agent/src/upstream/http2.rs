//! Connections to an upstream that speaks HTTP/2: few, shared by all requests, each driven by a task of its own.

use std::{
    future::{Future as _, poll_fn},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
};

use http::Request;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    net::TcpStream,
    sync::{Semaphore, SemaphorePermit},
    time::Instant,
};

use super::{conversation::Answer, upload::Upload};
use crate::limits::{
    IDLE_UPSTREAM, UPSTREAM_CONNECTIONS, UPSTREAM_FIRST_STREAMS, UPSTREAM_HEAD, UPSTREAM_STREAM_WINDOW,
    UPSTREAM_STREAMS,
};

/// The connections to one upstream.
pub(super) struct Shared {
    connections: Mutex<Vec<Connection>>,
    /// Held by whoever opens a connection: the others wait for it, instead of opening one each.
    opening: Semaphore,
}

struct Connection {
    sender: SendRequest<Upload>,
    driven: Arc<Mutex<Driven>>,
    /// One for each request on the connection, and this one.
    places: Arc<()>,
    last_taken: Instant,
}

/// `None` once it has ended: only then those learn of it that wait on it.
type Driven = Option<Pin<Box<http2::Connection<TokioIo<TcpStream>, Upload, TokioExecutor>>>>;

/// A request's place on a connection, until its answer is complete.
pub(super) struct Place {
    sender: SendRequest<Upload>,
    _counted: Arc<()>,
}

impl Default for Shared {
    fn default() -> Self {
        Self { connections: Mutex::default(), opening: Semaphore::new(1) }
    }
}

impl Shared {
    /// A place on the first connection that has one. Once there are as many connections as there may be, requests
    /// wait for a stream on the one with the fewest.
    pub(super) fn take(&self) -> Option<Place> {
        let mut connections = self.lock();
        // A connection that has ended, or was told to go away, takes no more; what is in flight on it goes on.
        connections.retain(|connection| !connection.sender.is_closed());
        let full = connections.len() >= UPSTREAM_CONNECTIONS;
        let free = connections.iter_mut().position(|connection| connection.has_room());
        let chosen = match free {
            Some(free) => connections.get_mut(free),
            None if full => connections.iter_mut().min_by_key(|connection| connection.in_use()),
            None => None,
        };
        chosen.map(Connection::place)
    }

    /// The right to open a connection. Whoever gets it looks for a place once more.
    pub(super) async fn opening(&self) -> SemaphorePermit<'_> {
        self.opening.acquire().await.expect("the semaphore is never closed")
    }

    /// Adds a connection, and takes a place on it.
    pub(super) async fn add(&self, stream: TcpStream) -> Result<Place, hyper::Error> {
        let window = UPSTREAM_STREAM_WINDOW;
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(window);
        // A body that nobody reads must not hold up the others.
        builder.initial_connection_window_size(window * UPSTREAM_STREAMS as u32);
        builder.max_send_buf_size(window as usize).max_header_list_size(UPSTREAM_HEAD);
        // Until this one says how many streams it takes, it takes as many as the others.
        let most = self.lock().first().map_or(UPSTREAM_FIRST_STREAMS, Connection::most);
        builder.initial_max_send_streams(most);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        let driven = Arc::new(Mutex::new(Some(Box::pin(connection))));
        tokio::spawn(drive(driven.clone()));
        let mut connection = Connection { sender, driven, places: Arc::default(), last_taken: Instant::now() };
        let place = connection.place();
        self.lock().push(connection);
        Ok(place)
    }

    /// Closes what has lain idle for too long.
    pub(super) fn sweep(&self) {
        self.lock().retain(|connection| {
            let is_idle = connection.in_use() == 0 && connection.last_taken.elapsed() >= IDLE_UPSTREAM;
            !is_idle && !connection.sender.is_closed()
        });
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.connections.lock().expect("nothing panics while it holds the connections")
    }
}

impl Connection {
    fn in_use(&self) -> usize {
        Arc::strong_count(&self.places) - 1
    }

    fn has_room(&self) -> bool {
        self.in_use() < self.most()
    }

    /// How many streams the server takes at once, as it has said last.
    fn most(&self) -> usize {
        lock(&self.driven).as_ref().map_or(0, |driven| driven.current_max_send_streams()).min(UPSTREAM_STREAMS)
    }

    fn place(&mut self) -> Place {
        self.last_taken = Instant::now();
        Place { sender: self.sender.clone(), _counted: self.places.clone() }
    }
}

async fn drive(driven: Arc<Mutex<Driven>>) {
    let ended = poll_fn(|cx| {
        let mut driven = lock(&driven);
        let ended = driven.as_mut().map_or(Poll::Ready(Ok(())), |connection| connection.as_mut().poll(cx));
        if ended.is_ready() {
            *driven = None;
        }
        ended
    });
    // Whoever waits for an answer or a body gets the error from there.
    if let Err(error) = ended.await {
        tracing::debug!(%error, "a connection to an upstream ended early");
    }
}

/// Polling and dropping a connection under the lock runs nobody's code that comes back to it.
fn lock(driven: &Mutex<Driven>) -> MutexGuard<'_, Driven> {
    driven.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Place {
    pub(super) fn send(&mut self, request: Request<Upload>) -> Answer {
        let answer = self.sender.try_send_request(request);
        Box::pin(async move { Ok(answer.await?) })
    }
}
