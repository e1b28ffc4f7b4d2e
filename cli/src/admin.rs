//! One request to the `admin` listener of a sidecar that runs on this machine.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{StatusCode, header, request::Builder};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Bytes of an answer; a status of a large fleet fits.
const ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// Why there is no answer.
type Error = Box<dyn std::error::Error + Send + Sync>;

/// The address of the listener, from an argument: it is loopback.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = "write the address of the sidecar's `admin` listener, which is loopback, such as 127.0.0.1:7101";
    settings::net::loopback_address(text).map_err(|_| wrong.to_owned())
}

/// Asks on a connection of its own, for as long as the answer takes.
pub(crate) async fn ask(admin: SocketAddr, request: Builder, body: String) -> Result<(StatusCode, Bytes), Error> {
    let stream = TcpStream::connect(admin).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = request.header(header::HOST, admin.to_string()).body(Full::new(Bytes::from(body)))?;
    let response = sender.send_request(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await?;
    Ok((status, body.to_bytes()))
}
