//! `reachback drain`: asks a running sidecar to drain, over its `admin` listener, and waits until it has. The image has
//! no shell and no curl that a preStop hook could use instead.

use std::net::SocketAddr;

use http::{Request, StatusCode};

use crate::{admin, exit::Exit, print::print};

/// Asks, and waits for as long as the sidecar's `drain_grace` lets it take.
pub(crate) async fn drain(admin: SocketAddr) -> Result<(), Exit> {
    let asked = admin::ask(admin, Request::post("/drain"), String::new()).await;
    let (status, answer) = asked.map_err(|error| {
        let remedy = "does the sidecar run, and is that its `admin` listener?";
        Exit::failed(format_args!("cannot drain what listens on {admin}: {error}\n = {remedy}"))
    })?;
    if status == StatusCode::OK && answer == "drained\n" {
        return print("drained\n");
    }
    Err(Exit::failed(format_args!(
        "what listens on {admin} does not answer as a sidecar does ({status})\n = is it the `admin` listener of one?"
    )))
}
