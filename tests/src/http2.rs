//! HTTP/2 without TLS, frame by frame as far as a test needs it: an application, and a server that answers by path.
//!
//! | path | what the server does |
//! |---|---|
//! | `/echo` | answers with the request's body, and its trailers |
//! | `/bytes/N` | answers with N zeros and the trailer `x-end: yes` |
//! | `/refuse` | refuses the stream |
//! | `/fail/N` | resets the stream with that code |
//! | `/half/N` | answers with a head and 5 bytes; after the request's body it resets the stream with that code |
//! | `/silent` | nothing, until it is reset |
//! | `/last` | answers, and tells the connection to go away |

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use h2::{
    Reason, RecvStream,
    client::{self, SendRequest},
    server::{self, SendResponse},
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, request::Parts};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinHandle,
};

use crate::{
    client::Connected,
    wait::{until_so, within},
};

/// A connection of an application.
#[derive(Clone, Debug)]
pub struct Client(SendRequest<Bytes>);

/// What came of a call.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// As much of the body as came.
    pub body: Vec<u8>,
    /// The trailers, if there were any.
    pub trailers: Option<HeaderMap>,
    /// What the stream was reset with, if it was.
    pub reset: Option<Reason>,
}

impl Client {
    /// Connects, and says that it speaks HTTP/2.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.expect("somebody listens")).await
    }

    /// Speaks over a connection that is there already.
    ///
    /// # Panics
    /// If the other side speaks no HTTP/2.
    pub async fn over(stream: impl Connected + 'static) -> Self {
        let mut builder = client::Builder::new();
        // A stream that a test does not read must not hold up the others here already.
        builder.initial_connection_window_size(16 * 1024 * 1024);
        let (sender, connection) = within("the handshake", builder.handshake(stream)).await.expect("HTTP/2 is spoken");
        tokio::spawn(connection);
        Self(sender)
    }

    /// Opens a stream. `end`: the request has no body.
    ///
    /// # Panics
    /// If the connection takes no stream.
    pub async fn open(&mut self, request: Request<()>, end: bool) -> (client::ResponseFuture, h2::SendStream<Bytes>) {
        let mut ready = within("a place for a stream", self.0.clone().ready()).await.expect("the connection lives");
        ready.send_request(request, end).expect("the request can be sent")
    }

    /// Waits until the server has said that it takes extended `CONNECT`s (RFC 8441 §3).
    pub async fn until_extended(&self) {
        until_so("the server's settings", || self.0.is_extended_connect_protocol_enabled()).await;
    }

    /// Calls, with a body and trailers or without.
    ///
    /// # Panics
    /// If there is neither an answer nor a reset.
    pub async fn call(&mut self, request: Request<()>, content: Option<(&str, Option<HeaderMap>)>) -> Answer {
        let (response, mut body) = self.open(request, content.is_none()).await;
        if let Some((text, trailers)) = content {
            body.send_data(Bytes::copy_from_slice(text.as_bytes()), trailers.is_none()).expect("the stream is open");
            if let Some(trailers) = trailers {
                body.send_trailers(trailers).expect("the stream is open");
            }
        }
        answer(response).await
    }
}

/// A request for `http://orders.example` and this path.
///
/// # Panics
/// If it is none.
#[must_use]
pub fn request(method: &str, path: &str) -> Request<()> {
    let uri = format!("http://orders.example{path}");
    Request::builder().method(method).uri(uri).body(()).expect("a test asks for what can be asked")
}

/// Waits for the answer and its end.
///
/// # Panics
/// If neither comes.
pub async fn answer(response: client::ResponseFuture) -> Answer {
    let response = match within("an answer", response).await {
        Ok(response) => response,
        Err(error) => {
            let reset = error.reason();
            let status = StatusCode::IM_A_TEAPOT;
            return Answer { status, headers: HeaderMap::new(), body: Vec::new(), trailers: None, reset };
        }
    };
    let (parts, mut body) = response.into_parts();
    let (read, trailers, reset) = within("a body", read(&mut body)).await;
    Answer { status: parts.status, headers: parts.headers, body: read, trailers, reset }
}

/// All that comes of a body, its trailers, and what it was reset with.
async fn read(body: &mut RecvStream) -> (Vec<u8>, Option<HeaderMap>, Option<Reason>) {
    let mut read = Vec::new();
    while let Some(chunk) = body.data().await {
        match chunk {
            Ok(chunk) => {
                let _ = body.flow_control().release_capacity(chunk.len());
                read.extend_from_slice(&chunk);
            }
            Err(error) => return (read, None, error.reason()),
        }
    }
    match body.trailers().await {
        Ok(trailers) => (read, trailers, None),
        Err(error) => (read, None, error.reason()),
    }
}

/// The server; it ends when it is dropped.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    account: Arc<Account>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Account {
    seen: Mutex<Seen>,
    changed: Notify,
}

/// What has happened so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Connections ever accepted.
    pub connections: usize,
    /// The heads of requests.
    pub heads: Vec<Parts>,
    /// What streams were reset with while nothing was answered, or while their bodies came.
    pub resets: Vec<Reason>,
}

impl Upstream {
    /// Listens on a free port of loopback. `streams`: how many it takes on one connection.
    ///
    /// # Panics
    /// If there is none.
    pub async fn start(streams: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let account = Arc::new(Account::default());
        let accounts = account.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                accounts.change(|seen| seen.connections += 1);
                tokio::spawn(serve(stream, streams, accounts.clone()));
            }
        });
        Self { address, account, task }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What has happened so far.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn seen(&self) -> Seen {
        self.account.seen.lock().expect("nothing panics while it holds the account").clone()
    }

    /// Waits until what has happened is this.
    pub async fn until(&self, what: &str, holds: impl Fn(&Seen) -> bool) {
        within(what, async {
            loop {
                let changed = self.account.changed.notified();
                if holds(&self.seen()) {
                    return;
                }
                changed.await;
            }
        })
        .await;
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Account {
    fn change(&self, change: impl FnOnce(&mut Seen)) {
        change(&mut self.seen.lock().expect("nothing panics while it holds the account"));
        self.changed.notify_waiters();
    }
}

async fn serve(stream: TcpStream, streams: u32, account: Arc<Account>) {
    let mut connection = match server::Builder::new().max_concurrent_streams(streams).handshake(stream).await {
        Ok(connection) => connection,
        Err(_) => return,
    };
    while let Some(Ok((request, respond))) = connection.accept().await {
        let (parts, body) = request.into_parts();
        account.change(|seen| seen.heads.push(parts.clone()));
        if parts.uri.path() == "/last" {
            connection.graceful_shutdown();
        }
        let account = account.clone();
        tokio::spawn(async move {
            if let Some(reset) = conduct(&parts, body, respond).await {
                account.change(|seen| seen.resets.push(reset));
            }
        });
    }
}

/// Answers by path; what the request was reset with.
async fn conduct(parts: &Parts, mut body: RecvStream, mut respond: SendResponse<Bytes>) -> Option<Reason> {
    let mut words = parts.uri.path()[1..].split('/');
    let (what, number) = (words.next().unwrap_or_default(), words.next().and_then(|word| word.parse().ok()));
    let number: u32 = number.unwrap_or(0);
    match what {
        "refuse" => respond.send_reset(Reason::REFUSED_STREAM),
        "fail" => respond.send_reset(number.into()),
        "half" => {
            let mut half = respond.send_response(Response::new(()), false).ok()?;
            half.send_data(Bytes::from_static(b"12345"), false).ok()?;
            let _ = read(&mut body).await;
            half.send_reset(number.into());
        }
        "silent" => return std::future::poll_fn(|cx| respond.poll_reset(cx)).await.ok(),
        "bytes" => {
            let mut send = respond.send_response(Response::new(()), false).ok()?;
            send.send_data(Bytes::from(vec![0; number as usize]), false).ok()?;
            let trailers = HeaderMap::from_iter([("x-end".parse().ok()?, HeaderValue::from_static("yes"))]);
            send.send_trailers(trailers).ok()?;
        }
        _ => {
            let (read, trailers, reset) = read(&mut body).await;
            if reset.is_some() {
                return reset;
            }
            let mut send = respond.send_response(Response::new(()), false).ok()?;
            send.send_data(Bytes::from(read), trailers.is_none()).ok()?;
            if let Some(trailers) = trailers {
                send.send_trailers(trailers).ok()?;
            }
        }
    }
    None
}
