//! One HTTP listener: accepts until told to stop, then lets its connections finish.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::body::Body;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use proto::link::is_exhaustion;
use rustls_pki_types::CertificateDer;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep_until, timeout_at},
};
use tracing::{debug, warn};

use crate::{
    client::{Activity, Busy, Client, Protocol},
    complaints::{self, Complaints},
    config::{Listen, Tls},
    idle::idle,
    limits::{
        ACCEPT_REST, BACKLOG, CLIENT_BUFFER, CLIENT_HEAD, CLIENT_STREAM_WINDOW, CLIENT_STREAMS, COMPLAINT_REST,
        CONNECTIONS, DRAIN_IDLE, GIVE_WAY_REST, HANDSHAKE, HEAD, LAST_ACCEPT,
    },
    listener::{Accepted, Listener, Peer},
    raw::TLS_HANDSHAKE,
    room::Room,
    serving::Serving,
    socket::Socket,
    unreadable::{self, Refuse},
};

/// A bound listener with what it serves.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) listener: Listener,
    pub(crate) terms: Terms,
    /// Whose connections give way, beside its own, when there is no descriptor left.
    pub(crate) gives_way: Arc<Room>,
}

/// What holds for each connection of a listener.
#[derive(Clone, Debug)]
pub(crate) struct Terms {
    /// A connection on which no request begins for this long, and none is in flight, is closed: idle ones and those
    /// that send their head a byte at a time alike. `None`: none may lie idle, each has its one request by the deadline
    /// of its handshake.
    pub(crate) idle: Option<Duration>,
    /// On a facade: HTTP/2 is spoken with clients that begin with it, and so is said why a request cannot be read. Not
    /// where strangers of another network knock.
    pub(crate) facade: Option<Refuse>,
    pub(crate) room: Arc<Room>,
    pub(crate) complaints: Arc<Complaints>,
}

impl Terms {
    /// Returns when a connection has been idle for too long, or has not come to its request in time.
    async fn still(&self, activity: &Activity, head: Duration, deadline: Instant) {
        match self.idle {
            Some(period) => idle(activity, period, head).await,
            None => sleep_until(deadline).await,
        }
    }

    /// Says why a connection of HTTP/1 has ended early: to its client, on a facade, and to whoever runs both if they do
    /// not mean the same.
    async fn tell(&self, peer: Peer, error: &hyper::Error, client: Client, unread: &[u8]) {
        if unread.first() == Some(&TLS_HANDSHAKE) {
            let why = "it speaks TLS, and this listener does not: agents dial ws://, applications call http://";
            self.complaints.say(peer, why);
        }
        if let Some(refuse) = self.facade {
            unreadable::tell(client, error, refuse).await;
        }
    }
}

/// A request, and what its handler has to know and to hold.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) request: Request<Incoming>,
    pub(crate) peer: Peer,
    /// The certificate of the connection's client, if it was asked for one and has shown it.
    pub(crate) certificate: Option<Arc<CertificateDer<'static>>>,
    /// When the connection's handshake has to be over, whatever it consists of.
    pub(crate) deadline: Instant,
    /// Held until the answer is complete: a connection with a request in flight is not idle.
    pub(crate) busy: Busy,
    /// On a facade: where the request ends cannot be told for sure.
    pub(crate) in_doubt: bool,
}

impl Server {
    pub(crate) async fn bind(listen: &Listen, tls: Option<&Tls>, idle: Option<Duration>) -> io::Result<Self> {
        let room = Arc::new(Room::new(CONNECTIONS));
        let complaints = Arc::new(Complaints::new(listen.to_string()));
        let terms = Terms { idle, facade: None, room: room.clone(), complaints };
        Ok(Self { listener: Listener::bind(listen, tls).await?, terms, gives_way: room })
    }

    /// Serves `answer` until stopped. `tune` sets each connection's socket options.
    pub(crate) async fn run<A, F>(self, tune: fn(&TcpStream) -> io::Result<()>, answer: A, serving: Serving)
    where
        A: Fn(Arrival) -> F + Clone + Send + 'static,
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        // Nobody takes all connections for finished as long as there may come another.
        let _open = serving.connections.token();
        let mut warned: Option<Instant> = None;
        let begin = |accepted, peer, place| {
            let connection = serve_connection(accepted, peer, answer.clone(), self.terms.clone(), serving.clone());
            serving.connections.spawn(async move {
                connection.await;
                drop(place);
            });
        };
        while let Some(accepted) = serving.closed.run_until_cancelled(self.listener.accept(tune)).await {
            match accepted {
                Ok((accepted, peer)) => {
                    // More wait in the listener's queue. Whoever was accepted when it closes is served all the same.
                    let place = serving.closed.run_until_cancelled(self.terms.room.place()).await;
                    begin(accepted, peer, place);
                }
                Err(error) if is_exhaustion(&error) => {
                    if warned.is_none_or(|warned| warned.elapsed() >= COMPLAINT_REST) {
                        warned = Some(Instant::now());
                        warn!(%error, "out of resources: connections are accepted as others end");
                    }
                    // Soon again if there is room: it must not be another listener's each time.
                    let is_shared = Arc::ptr_eq(&self.gives_way, &self.terms.room);
                    let made = self.gives_way.make() | (!is_shared && self.terms.room.make());
                    tokio::time::sleep(if made { GIVE_WAY_REST } else { ACCEPT_REST }).await;
                }
                Err(error) => debug!(%error, "a connection was not accepted"),
            }
        }
        // Those that wait in the queue would be reset with the listener, and what they have sent would be lost.
        self.listener.shut();
        for _ in 0..BACKLOG {
            match tokio::time::timeout(LAST_ACCEPT, self.listener.accept(tune)).await {
                Ok(Ok((accepted, peer))) => begin(accepted, peer, None),
                _ => break,
            }
        }
    }
}

async fn serve_connection<A, F>(accepted: Accepted, peer: Peer, answer: A, terms: Terms, serving: Serving)
where
    A: Fn(Arrival) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    // Also when others want its room: from its turn on.
    let leave = serving.stop.child_token();
    if leave.run_until_cancelled(accepted.turn()).await.is_none() {
        return;
    }
    let deadline = Instant::now() + HANDSHAKE;
    let activity = Arc::new(Activity::default());
    let room = terms.room.clone();
    let _entered = room.enter(&activity, leave.clone());
    let stream = match leave.run_until_cancelled(timeout_at(deadline, accepted.ready())).await {
        Some(Ok(Ok(stream))) => stream,
        Some(Ok(Err(error))) => {
            if let Some(why) = complaints::why(&error) {
                terms.complaints.say(peer, &why);
            }
            return debug!(%peer, %error, "a client's connection ended before a request");
        }
        Some(Err(_)) => return debug!(%peer, "closing a connection whose handshake takes too long"),
        None => return,
    };
    let certificate = stream.client_certificate().map(Arc::new);
    let answer = move |request, busy, in_doubt| {
        answer(Arrival { request, peer, certificate: certificate.clone(), deadline, busy, in_doubt })
    };
    serve_http(stream, peer, answer, (terms, deadline), Serving { stop: leave, ..serving }, &activity).await;
    if let Some(rest) = activity.take_rest() {
        rest.await;
    }
}

async fn serve_http<A, F>(
    stream: Socket,
    peer: Peer,
    answer: A,
    (terms, deadline): (Terms, Instant),
    serving: Serving,
    activity: &Arc<Activity>,
) where
    A: Fn(Request<Incoming>, Busy, bool) -> F + Send + 'static,
    F: Future<Output = Response<Body>> + Send + 'static,
{
    let requests = activity.clone();
    let Serving { leaving, closed, stop, .. } = serving;
    let facade = terms.facade;
    let mut client = Client::new(stream, activity.clone());
    let protocol = tokio::select! {
        biased;
        protocol = client.protocol(), if facade.is_some() => protocol,
        () = std::future::ready(()), if facade.is_none() => Ok(Protocol::Http1),
        () = stop.cancelled() => return,
        () = terms.still(activity, HEAD, deadline) => return debug!(%peer, "closing an idle connection"),
    };
    let is_facade = facade.is_some();
    let service = service_fn(move |request| {
        let request: Request<Incoming> = request;
        let version = request.version();
        let is_http1 = version != Version::HTTP_2;
        let is_last = is_http1 && leaving.load(Ordering::Relaxed);
        let busy = Busy::new(&requests);
        let in_doubt = is_http1 && is_facade && requests.note(request.body());
        let answered = answer(request, busy, in_doubt);
        async move {
            let mut response = answered.await;
            complete(&mut response, version, is_last);
            Ok::<_, Infallible>(response)
        }
    });
    let client = TokioIo::new(client);
    let served = match protocol {
        Ok(Protocol::Http1) => {
            let connection = http1::Builder::new().max_buf_size(CLIENT_BUFFER).serve_connection(client, service);
            let mut connection = connection.with_upgrades();
            let (pinned, stopped) = (Pin::new(&mut connection), stop.cancelled());
            let still = terms.still(activity, HEAD, deadline);
            let served = attend(pinned, |connection| connection.graceful_shutdown(), activity, still, stopped).await;
            if let (Some(Err(error)), Some(parts)) = (&served, connection.into_parts()) {
                terms.tell(peer, error, parts.io.into_inner(), &parts.read_buf).await;
            }
            served
        }
        Ok(Protocol::Http2) => {
            // Boxed: it is large, and would make every other connection's task as large.
            let mut connection = Box::pin(http2_builder().serve_connection(client, service));
            // It has a word for leaving that loses nothing, and so needs no last call.
            let stopped = closed.run_until_cancelled(stop.cancelled());
            let still = terms.still(activity, Duration::MAX, deadline);
            attend(connection.as_mut(), |connection| connection.graceful_shutdown(), activity, still, stopped).await
        }
        Err(error) => return debug!(%peer, %error, "a client's connection ended before a request"),
    };
    match served {
        Some(Ok(())) => {}
        Some(Err(error)) => debug!(%peer, %error, "a client's connection ended early"),
        None => debug!(%peer, "closing an idle connection"),
    }
}

/// What an answer's head has to say of its connection.
fn complete(response: &mut Response<Body>, version: Version, is_last: bool) {
    if is_last && response.status() != StatusCode::SWITCHING_PROTOCOLS {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    if version == Version::HTTP_10 && response.headers().contains_key(header::CONNECTION) {
        // Else the HTTP library says `keep-alive` beside the `close`, to a client that has asked for it.
        *response.version_mut() = version;
    }
}

/// What hyper and h2 do by themselves stays: they bound resets, pings, settings and empty frames that ask for work.
fn http2_builder() -> http2::Builder<TokioExecutor> {
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.max_concurrent_streams(CLIENT_STREAMS).max_header_list_size(CLIENT_HEAD).enable_connect_protocol();
    builder.initial_stream_window_size(CLIENT_STREAM_WINDOW).max_send_buf_size(CLIENT_STREAM_WINDOW as usize);
    // A body that nobody reads must not hold up the others on its connection.
    builder.initial_connection_window_size(CLIENT_STREAM_WINDOW * CLIENT_STREAMS);
    builder
}

/// Serves a connection to its end. When it is idle or the listener stops it is asked to `finish`; `None` if nothing
/// came of that: a client that has sent half a head must not hold a drain up.
async fn attend<C>(
    mut connection: Pin<&mut C>,
    finish: impl FnOnce(Pin<&mut C>),
    activity: &Activity,
    still: impl Future<Output = ()>,
    stopped: impl Future,
) -> Option<hyper::Result<()>>
where
    C: Future<Output = hyper::Result<()>>,
{
    tokio::select! {
        biased;
        served = &mut connection => return Some(served),
        _ = stopped => {}
        () = still => {}
    }
    finish(connection.as_mut());
    tokio::select! {
        served = connection => Some(served),
        () = idle(activity, DRAIN_IDLE, Duration::MAX) => None,
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
        time::Instant,
    };

    use super::*;
    use crate::limits::IDLE_CONNECTION;

    /// How long a connection lasts on which a client has said this, and what was said to it.
    async fn lasts(said: &str, facade: Option<Refuse>, idle: Option<Duration>) -> (Duration, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        client.write_all(said.as_bytes()).await.unwrap();
        let (stream, peer) = listener.accept().await.unwrap();
        stream.readable().await.unwrap();
        let complaints = Arc::new(Complaints::new(String::new()));
        let terms = Terms { idle, facade, room: Arc::new(Room::new(1)), complaints };
        let answer = async |_| Response::new(Body::from("hello"));
        let started = Instant::now();
        let accepted = Accepted::Ready(Socket::Tcp(stream));
        serve_connection(accepted, Peer::Tcp(peer), answer, terms, Serving::default()).await;
        let mut answers = String::new();
        client.read_to_string(&mut answers).await.unwrap();
        (started.elapsed(), answers)
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_has_its_time_and_an_idle_connection_more() {
        let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
        for facade in [None, Some(crate::facade::refuse as Refuse)] {
            for half in ["G", "PRI * HTT", "GET / HTTP/1.1\r\nHost: a\r\n"] {
                let (lasted, answers) = lasts(half, facade, Some(IDLE_CONNECTION)).await;
                assert!(lasted >= HEAD && lasted <= HEAD * 2, "{half:?} lasted {lasted:?}");
                assert_eq!(answers, "", "{half:?}");
            }
            for quiet in ["", get] {
                let (lasted, answers) = lasts(quiet, facade, Some(IDLE_CONNECTION)).await;
                assert!(lasted >= IDLE_CONNECTION && lasted <= IDLE_CONNECTION * 2, "{quiet:?} lasted {lasted:?}");
                assert_eq!(answers.ends_with("hello"), !quiet.is_empty(), "{answers:?}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn where_none_may_lie_idle_all_have_the_same_time() {
        for said in ["", "G", "GET / HTTP/1.1\r\nHost: a\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
            let (lasted, answers) = lasts(said, None, None).await;
            assert!(lasted >= HANDSHAKE && lasted <= HANDSHAKE + DRAIN_IDLE, "{said:?} lasted {lasted:?}");
            assert_eq!(answers.ends_with("hello"), said.ends_with("\r\n\r\n"), "{answers:?}");
        }
    }
}
