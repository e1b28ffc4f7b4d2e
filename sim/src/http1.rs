//! One HTTP request, on a connection of its own.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, net::ToSocketAddrs, time::timeout};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// An answer that came to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// Why there was none.
#[derive(Debug)]
pub(crate) enum NoAnswer {
    /// Nothing was sent.
    NotConnected,
    /// The connection broke.
    Cut,
}

/// Sends it and reads the answer to its end.
pub(crate) async fn ask(to: impl ToSocketAddrs, request: Request<Full<Bytes>>) -> Result<Answer, NoAnswer> {
    let connected = timeout(CONNECT, TcpStream::connect(to)).await;
    let Ok(Ok(stream)) = connected else { return Err(NoAnswer::NotConnected) };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| NoAnswer::Cut)?;
    let driver = tokio::task::spawn_local(connection);
    let read = async {
        let (head, body) = sender.send_request(request).await.map_err(|_| NoAnswer::Cut)?.into_parts();
        let body = body.collect().await.map_err(|_| NoAnswer::Cut)?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    };
    let answer = read.await;
    driver.abort();
    answer
}
