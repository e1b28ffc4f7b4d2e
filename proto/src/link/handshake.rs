//! The greeting: each side says hello once, or the gateway rejects. It comes before the session, so that a session
//! only ever knows peers whose limits are settled.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{
    driver::{Link, farewell},
    socket::{Socket, socket},
};
use crate::{
    session::{
        Limits, Peer, Session, Side,
        limits::{HEARTBEAT, MAX_PEER_WINDOW, MIN_WINDOW},
    },
    wire::{AgentHello, Frame, GatewayHello, Hello, Packet, Reject, decode_text, encode},
};

/// Why no link came about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GreetingError {
    /// The gateway said no, and when to ask again.
    #[error("rejected by the gateway ({}): {}", .0.code, .0.message)]
    Rejected(Reject),
    /// The peer did not keep to the greeting.
    #[error("the peer's greeting is wrong: {0}")]
    Violation(String),
    /// The connection ended before the greeting did.
    #[error("the connection was lost during the greeting: {0}")]
    Lost(String),
}

/// Greets a gateway over an upgraded connection. The caller sets the deadline.
///
/// # Errors
/// [`GreetingError`]; the connection is closed.
pub async fn greet<S: AsyncRead + AsyncWrite + Unpin>(
    io: S,
    hello: AgentHello,
    limits: Limits,
) -> Result<(Link<S>, GatewayHello), GreetingError> {
    let mut socket = socket(io, Side::Agent).await;
    send(&mut socket, &Frame::Hello(Hello::Agent(hello))).await?;
    let gateway = match receive(&mut socket).await? {
        Frame::Hello(Hello::Gateway(gateway)) => gateway,
        Frame::Reject(reject) => return Err(GreetingError::Rejected(reject)),
        _ => return Err(violation(&mut socket, "the first frame is no gateway's hello").await),
    };
    let peer = Peer { window: gateway.window, streams: gateway.streams };
    if let Some(what) = objection(peer, gateway.heartbeat) {
        return Err(violation(&mut socket, what).await);
    }
    let session = Session::new(Side::Agent, limits, peer, gateway.heartbeat, Instant::now().into_std());
    Ok((Link::new(socket, session), gateway))
}

/// An agent that has said hello and waits for the gateway's answer.
#[derive(Debug)]
pub struct Pending<S> {
    socket: Socket<S>,
    hello: AgentHello,
}

/// Receives an agent's hello over an upgraded connection. The caller sets the deadline.
///
/// # Errors
/// [`GreetingError`]; the connection is closed.
pub async fn receive_hello<S: AsyncRead + AsyncWrite + Unpin>(io: S) -> Result<Pending<S>, GreetingError> {
    let mut socket = socket(io, Side::Gateway).await;
    let Frame::Hello(Hello::Agent(hello)) = receive(&mut socket).await? else {
        return Err(violation(&mut socket, "the first frame is no agent's hello").await);
    };
    let peer = Peer { window: hello.window, streams: hello.streams };
    if let Some(what) = objection(peer, *HEARTBEAT.start()) {
        return Err(violation(&mut socket, what).await);
    }
    Ok(Pending { socket, hello })
}

impl<S: AsyncRead + AsyncWrite + Unpin> Pending<S> {
    /// What the agent said.
    #[must_use]
    pub fn hello(&self) -> &AgentHello {
        &self.hello
    }

    /// Waits, in place of an answer, for what ends the wait: the agent goes, or says something although it is not its
    /// turn, pings included. Answering is possible as long as this has not returned.
    pub async fn interrupted(&mut self) -> GreetingError {
        match self.socket.next().await {
            Some(Ok(Message::Close(_)) | Err(Error::ConnectionClosed)) | None => {
                GreetingError::Lost("closed".to_owned())
            }
            Some(Ok(_)) => violation(&mut self.socket, "the agent speaks before it was answered").await,
            Some(Err(error)) => GreetingError::Lost(error.to_string()),
        }
    }

    /// Answers with the gateway's hello.
    ///
    /// # Errors
    /// [`GreetingError::Lost`] if the agent has gone.
    pub async fn accept(mut self, hello: GatewayHello, limits: Limits) -> Result<(Link<S>, AgentHello), GreetingError> {
        let heartbeat = hello.heartbeat;
        send(&mut self.socket, &Frame::Hello(Hello::Gateway(hello))).await?;
        let peer = Peer { window: self.hello.window, streams: self.hello.streams };
        let session = Session::new(Side::Gateway, limits, peer, heartbeat, Instant::now().into_std());
        Ok((Link::new(self.socket, session), self.hello))
    }

    /// Sends the agent away.
    pub async fn reject(mut self, reject: Reject) {
        let code = reject.code.clone();
        // Whether the agent still hears it changes nothing.
        let _ = send(&mut self.socket, &Frame::Reject(reject)).await;
        farewell(&mut self.socket, 1008, &code).await;
    }
}

fn objection(peer: Peer, heartbeat: Duration) -> Option<&'static str> {
    if !(MIN_WINDOW..=MAX_PEER_WINDOW).contains(&peer.window) {
        Some("a window is outside 8 KiB to 1 GiB")
    } else if peer.streams == 0 {
        Some("a side that takes no streams is of no use")
    } else if !HEARTBEAT.contains(&heartbeat) {
        Some("a heartbeat is outside 50 ms to 5 min")
    } else {
        None
    }
}

async fn send<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut Socket<S>, frame: &Frame) -> Result<(), GreetingError> {
    let Packet::Text(text) = encode(frame) else { unreachable!("greetings are text") };
    socket.send(Message::Text(text.into())).await.map_err(|error| GreetingError::Lost(error.to_string()))
}

async fn receive<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut Socket<S>) -> Result<Frame, GreetingError> {
    let text = match socket.next().await {
        Some(Ok(Message::Text(text))) => text,
        Some(Ok(Message::Close(Some(frame)))) => {
            // It goes into logs: no line of its own making.
            let reason = frame.reason.replace(char::is_control, " ");
            return Err(GreetingError::Lost(format!("closed ({}: {reason})", u16::from(frame.code))));
        }
        Some(Ok(Message::Close(None))) | None => return Err(GreetingError::Lost("closed".to_owned())),
        Some(Ok(_)) => return Err(violation(socket, "a greeting is a text message").await),
        Some(Err(error @ (Error::Protocol(_) | Error::Capacity(_) | Error::Utf8(_)))) => {
            return Err(violation(socket, &error.to_string()).await);
        }
        Some(Err(error)) => return Err(GreetingError::Lost(error.to_string())),
    };
    match decode_text(&text) {
        Ok(frame) => Ok(frame),
        Err(error) => Err(violation(socket, &error.to_string()).await),
    }
}

async fn violation<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut Socket<S>, what: &str) -> GreetingError {
    farewell(socket, 1002, what).await;
    GreetingError::Violation(what.to_owned())
}
