//! `reachback drain`: asks a running sidecar to drain, over its `admin` listener, and waits until it has. The image has
//! no shell and no curl that a preStop hook could use instead.

use std::{fmt, net::SocketAddr};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::exit::Exit;

/// Bytes of an answer; a sidecar's has eight.
const ANSWER_BYTES: usize = 4096;

/// Asks, and waits for as long as the sidecar's `drain_grace` lets it take.
pub(crate) async fn drain(admin: SocketAddr) -> Result<(), Exit> {
    let (status, answer) = ask(admin).await?;
    if status == StatusCode::OK && answer == "drained\n" {
        println!("drained");
        return Ok(());
    }
    Err(Exit::failed(format_args!(
        "what listens on {admin} does not answer as a sidecar does ({status})\n = is it the `admin` listener of one?"
    )))
}

async fn ask(admin: SocketAddr) -> Result<(StatusCode, Bytes), Exit> {
    let stream = TcpStream::connect(admin).await.map_err(|error| failed(admin, &error))?;
    let lost = |error| failed(admin, &error);
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
    tokio::spawn(connection);
    let request = Request::post("/drain").header(header::HOST, admin.to_string()).body(Empty::<Bytes>::new());
    let response = sender.send_request(request.map_err(Exit::failed)?).await.map_err(lost)?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
    Ok((status, body.map_err(|error| failed(admin, &error))?.to_bytes()))
}

fn failed(admin: SocketAddr, error: &dyn fmt::Display) -> Exit {
    Exit::failed(format_args!(
        "cannot drain what listens on {admin}: {error}\n = does the sidecar run, and is that its `admin` listener?"
    ))
}
