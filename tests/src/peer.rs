//! The other end of a link, made by hand: a gateway or an agent that says whatever a test tells it to.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use bytes::Bytes;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use http::HeaderValue;
use proto::{
    link::upgrade::{DEFAULT_PATH, SUBPROTOCOL},
    wire::{AgentHello, Frame, GatewayHello, Hello, Packet, ServiceName, decode_data, decode_text, encode},
};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async, client_async,
    tungstenite::{
        self, Message,
        client::IntoClientRequest as _,
        handshake::server::{Request, Response},
    },
};

use crate::wait::within;

/// A WebSocket to a sidecar.
#[derive(Debug)]
pub struct Peer {
    socket: WebSocketStream<TcpStream>,
    /// What the sidecar said while this side spoke, and nobody has asked for yet.
    heard: VecDeque<Option<Result<Message, tungstenite::Error>>>,
}

/// What a sidecar said.
#[derive(Debug, PartialEq)]
pub enum Said {
    /// A frame of the protocol.
    Frame(Frame),
    /// That the link is over: WebSocket close code and reason.
    Close(u16, String),
    /// Nothing: the connection is gone.
    Gone,
}

impl Peer {
    fn new(socket: WebSocketStream<TcpStream>) -> Self {
        Self { socket, heard: VecDeque::new() }
    }

    /// Dials a gateway's tunnel as an agent would; the upgrade only.
    ///
    /// # Errors
    /// The gateway's refusal.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn dial(tunnel: SocketAddr, token: Option<&str>) -> Result<Self, tungstenite::Error> {
        let url = format!("ws://{tunnel}{DEFAULT_PATH}");
        let mut request = url.into_client_request().expect("the URL is good");
        request.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
        if let Some(token) = token {
            let value = HeaderValue::from_str(&format!("Bearer {token}")).expect("a token is visible ASCII");
            request.headers_mut().insert("authorization", value);
        }
        let stream = TcpStream::connect(tunnel).await.expect("the gateway listens");
        stream.set_nodelay(true).expect("the connection is there");
        within("an upgrade", client_async(request, stream)).await.map(|(socket, _)| Self::new(socket))
    }

    /// Dials and greets, and is a registered agent for these services.
    ///
    /// # Panics
    /// If the gateway does not take it.
    pub async fn agent(tunnel: SocketAddr, services: &[&str]) -> Self {
        let mut peer = Self::dial(tunnel, None).await.expect("the gateway takes any agent");
        peer.say(&Frame::Hello(Hello::Agent(agent_hello(services)))).await;
        let said = peer.next().await;
        assert!(matches!(said, Said::Frame(Frame::Hello(Hello::Gateway(_)))), "{said:?}");
        peer
    }

    /// Accepts an agent's upgrade.
    ///
    /// # Panics
    /// If there is none.
    pub async fn accept(listener: &TcpListener) -> Self {
        let (stream, _) = within("an agent's dial", listener.accept()).await.expect("the listener listens");
        stream.set_nodelay(true).expect("the connection is there");
        #[expect(clippy::result_large_err, reason = "the library says so")]
        let agree = |_: &Request, mut response: Response| {
            response.headers_mut().insert("sec-websocket-protocol", HeaderValue::from_static(SUBPROTOCOL));
            Ok(response)
        };
        Self::new(within("an upgrade", accept_hdr_async(stream, agree)).await.expect("the agent upgrades"))
    }

    /// Accepts an agent and greets it, as its gateway.
    ///
    /// # Panics
    /// If the agent does not greet.
    pub async fn gateway(listener: &TcpListener) -> Self {
        let mut peer = Self::accept(listener).await;
        let said = peer.next().await;
        assert!(matches!(said, Said::Frame(Frame::Hello(Hello::Agent(_)))), "{said:?}");
        peer.say(&Frame::Hello(Hello::Gateway(gateway_hello()))).await;
        peer
    }

    /// Says a frame.
    pub async fn say(&mut self, frame: &Frame) {
        self.message(message(frame)).await;
    }

    /// Says several frames in one breath: the other side reads them all at once.
    pub async fn say_at_once(&mut self, frames: &[Frame]) {
        for frame in frames {
            let _ = within("room for a frame", self.socket.feed(message(frame))).await;
        }
        let _ = within("the sidecar to read", self.socket.flush()).await;
    }

    /// Says a text message, whatever it is.
    pub async fn text(&mut self, text: impl Into<String>) {
        self.message(Message::Text(text.into().into())).await;
    }

    /// Says a binary message, whatever it is.
    pub async fn binary(&mut self, data: impl Into<Bytes>) {
        self.message(Message::Binary(data.into())).await;
    }

    /// Says any message. That the other side may have gone is for the test to see when it listens.
    pub async fn message(&mut self, message: Message) {
        let _ = within("the sidecar to read", self.socket.send(message)).await;
    }

    /// Writes bytes beneath the WebSocket.
    pub async fn bytes(&mut self, bytes: &[u8]) {
        let _ = within("the sidecar to read", self.socket.get_mut().write_all(bytes)).await;
    }

    /// What the sidecar says next; pings and pongs are passed over.
    ///
    /// # Panics
    /// If it says what is not a frame: a sidecar keeps to the protocol.
    pub async fn next(&mut self) -> Said {
        within("a word from the sidecar", self.listen()).await
    }

    /// Whether the sidecar has ended the link already: whoever speaks for long looks, because a sidecar that has closed
    /// reads on for a moment only. What it said is kept for who asks.
    pub fn has_ended(&mut self) -> bool {
        while !self.heard.back().is_some_and(is_end)
            && let Some(message) = self.socket.next().now_or_never()
        {
            self.heard.push_back(message);
        }
        self.heard.back().is_some_and(is_end)
    }

    async fn hear(&mut self) -> Option<Result<Message, tungstenite::Error>> {
        match self.heard.pop_front() {
            Some(message) => message,
            None => self.socket.next().await,
        }
    }

    async fn listen(&mut self) -> Said {
        loop {
            let decoded = match self.hear().await {
                Some(Ok(Message::Text(text))) => decode_text(&text),
                Some(Ok(Message::Binary(data))) => decode_data(data),
                Some(Ok(Message::Close(Some(frame)))) => {
                    return Said::Close(frame.code.into(), frame.reason.to_string());
                }
                Some(Ok(Message::Close(None))) => return Said::Close(1005, String::new()),
                Some(Ok(_)) => continue,
                Some(Err(_)) | None => return Said::Gone,
            };
            return Said::Frame(decoded.unwrap_or_else(|error| panic!("a sidecar says {error}")));
        }
    }

    /// The next frame that is of interest; others are passed over.
    ///
    /// # Panics
    /// If the link ends first.
    pub async fn frame<T>(&mut self, mut interest: impl FnMut(Frame) -> Option<T>) -> T {
        loop {
            match self.next().await {
                Said::Frame(frame) => {
                    if let Some(found) = interest(frame) {
                        return found;
                    }
                }
                end => panic!("the link ended: {end:?}"),
            }
        }
    }

    /// How the sidecar ends the link: close code and reason; `None` if it says nothing. Frames before it are passed
    /// over.
    pub async fn closing(&mut self) -> Option<(u16, String)> {
        loop {
            match self.next().await {
                Said::Frame(_) => {}
                Said::Close(code, reason) => return Some((code, reason)),
                Said::Gone => return None,
            }
        }
    }

    /// Whether the link is still there: it answers a ping.
    pub async fn lives(&mut self) -> bool {
        self.message(Message::Ping(Bytes::from_static(b"?"))).await;
        let pong = async {
            loop {
                match self.hear().await {
                    Some(Ok(Message::Pong(_))) => return true,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return false,
                    Some(Ok(_)) => {}
                }
            }
        };
        within("a pong", pong).await
    }
}

fn message(frame: &Frame) -> Message {
    match encode(frame) {
        Packet::Text(text) => Message::Text(text.into()),
        Packet::Data(data) => Message::Binary(data),
        Packet::Ping => Message::Ping(Bytes::new()),
    }
}

fn is_end(message: &Option<Result<Message, tungstenite::Error>>) -> bool {
    matches!(message, None | Some(Err(_) | Ok(Message::Close(_))))
}

/// A decent agent's greeting.
///
/// # Panics
/// If a name is not one.
#[must_use]
pub fn agent_hello(services: &[&str]) -> AgentHello {
    AgentHello {
        agent: "peer".to_owned(),
        instance: "0123456789abcdef".to_owned(),
        services: services.iter().map(|name| ServiceName::new(name).expect("a service's name")).collect(),
        version: "0".to_owned(),
        window: 256 * 1024,
        streams: 1024,
    }
}

/// A decent gateway's greeting.
#[must_use]
pub fn gateway_hello() -> GatewayHello {
    GatewayHello { gateway: "peer".to_owned(), window: 256 * 1024, streams: 1024, heartbeat: Duration::from_secs(300) }
}
