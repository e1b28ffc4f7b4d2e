//! What is said to a client whose bytes the HTTP library cannot read as a request. The library has an answer of its own
//! to that, a bare status, and writes it before it tells anybody; so the connection withholds it
//! ([`Client::take_withheld`]), and an answer with a reason is written here in its place once the library has ended.

use std::fmt::Write as _;

use http::{Response, StatusCode};
use tokio::{
    io::{self, AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};
use tracing::debug;

use crate::{
    client::Client,
    failure::X_REQUEST_ID,
    limits::{LINGER, LINGER_BYTES},
};

/// Makes the answer of its status and of what is wrong.
pub(crate) type Refuse = fn(StatusCode, &str) -> Response<String>;

/// Answers if the library has refused what it read, and closes the connection.
pub(crate) async fn tell(mut client: Client, error: &hyper::Error, refuse: Refuse) {
    let Some(bare) = client.take_withheld() else { return };
    let bare = String::from_utf8_lossy(&bare);
    let Some(status) = status(&bare) else { return };
    let fault = client.fault();
    let answer = match fault {
        Some(fault) => refuse(StatusCode::BAD_REQUEST, fault),
        None => refuse(status, &error.to_string()),
    };
    let request_id = answer.headers().get(X_REQUEST_ID).and_then(|id| id.to_str().ok());
    debug!(request_id, status = answer.status().as_u16(), fault, %error, "refused what is not HTTP");
    // A client that is gone need not be told.
    let _ = timeout(LINGER, say(client, &text(&bare, &answer))).await;
}

/// Says it, and gives the client time to read it before the connection is closed (RFC 9112 §9.6).
async fn say(mut client: Client, text: &str) -> io::Result<()> {
    client.write_all(text.as_bytes()).await?;
    client.shutdown().await?;
    io::copy(&mut client.take(LINGER_BYTES), &mut io::sink()).await?;
    Ok(())
}

fn status(bare: &str) -> Option<StatusCode> {
    bare.split(' ').nth(1)?.parse().ok()
}

/// The answer with the library's `Date`.
fn text(bare: &str, answer: &Response<String>) -> String {
    let date = bare.split_inclusive("\r\n").find(|line| line.starts_with("date:")).unwrap_or_default();
    let mut text = format!("HTTP/1.1 {}\r\n{date}", answer.status());
    for (name, value) in answer.headers() {
        let value = value.to_str().expect("an answer of the bridge's own is ASCII");
        write!(text, "{name}: {value}\r\n").expect("a string takes any text");
    }
    text + "\r\n" + answer.body()
}
