//! The application's side: a raw connection that sees every byte, and reqwest for ordinary calls.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf, split},
    net::{TcpSocket, TcpStream},
};

use crate::{
    http1::{Head, Left, Piece, Reader},
    wait::within,
};

/// A client for ordinary calls: no proxies, no redirects.
///
/// # Panics
/// Never.
#[must_use]
pub fn http() -> reqwest::Client {
    let builder = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    builder.build().expect("a client without TLS can be made")
}

/// What a URL answers, as JSON.
///
/// # Panics
/// If it does not.
pub async fn json(url: &str) -> Value {
    let answer = within("a JSON answer", async { http().get(url).send().await?.bytes().await }).await;
    serde_json::from_slice(&answer.expect("the URL answers")).expect("the answer is JSON")
}

/// A connection on which anything can be sent.
#[derive(Debug)]
pub struct Raw {
    reader: Reader<ReadHalf<Box<dyn Connected>>>,
    write: WriteHalf<Box<dyn Connected>>,
}

/// A connection of any kind.
pub trait Connected: AsyncRead + AsyncWrite + std::fmt::Debug + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + std::fmt::Debug + Send + Unpin> Connected for S {}

/// An answer as it came.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The heads of the informational answers before it.
    pub interim: Vec<Head>,
    /// Its head, verbatim.
    pub head: Head,
    /// As much of its body as came.
    pub body: Vec<u8>,
    /// Whether that was all of it.
    pub whole: bool,
    /// Its trailers.
    pub trailers: Vec<String>,
}

impl Answer {
    /// Its status.
    ///
    /// # Panics
    /// If it is not a number.
    #[must_use]
    pub fn status(&self) -> u16 {
        status(&self.head)
    }

    /// Its body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code of a failure that the bridge composed, if it is one.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        self.head.one("reachback-error")
    }
}

/// The status of an answer's head.
///
/// # Panics
/// If it is not a number.
#[must_use]
pub fn status(head: &Head) -> u16 {
    head.word(1).parse().unwrap_or_else(|_| panic!("no status: {head:?}"))
}

impl Raw {
    /// Connects.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::new(TcpStream::connect(address).await.expect("somebody listens"))
    }

    /// Connects with so small a receive buffer that not much can hide in it.
    ///
    /// # Panics
    /// If nobody listens.
    pub async fn connect_narrow(address: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket can be made");
        socket.set_recv_buffer_size(16 * 1024).expect("the buffer's size can be set");
        Self::new(socket.connect(address).await.expect("somebody listens"))
    }

    /// Takes over a connection that is there, from either end.
    ///
    /// # Panics
    /// If it is gone already.
    #[must_use]
    pub fn new(stream: TcpStream) -> Self {
        stream.set_nodelay(true).expect("the connection is there");
        Self::over(stream)
    }

    /// Speaks over a connection that is there already.
    pub fn over(stream: impl Connected + 'static) -> Self {
        let (read, write) = split(Box::new(stream) as Box<dyn Connected>);
        Self { reader: Reader::new(read), write }
    }

    /// Sends bytes as they are; `false` if the other side takes no more.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        within("the other side to read", self.write.write_all(bytes.as_ref())).await.is_ok()
    }

    /// Sends a request without a body and reads the answer. `more` is whole header lines.
    ///
    /// # Panics
    /// If there is no answer.
    pub async fn call(&mut self, method: &str, target: &str, more: &str) -> Answer {
        self.send(format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{more}\r\n")).await;
        self.answer(method).await
    }

    /// The next head, final or not; `None` if the connection ends.
    pub async fn head(&mut self) -> Option<Head> {
        within("an answer's head", self.reader.head()).await
    }

    /// The next piece of a body.
    pub async fn piece(&mut self, left: &mut Left) -> Piece {
        within("a piece of an answer", self.reader.piece(left)).await
    }

    /// The next answer, if there is one, and the informational ones before it.
    pub async fn try_answer(&mut self, method: &str) -> Option<Answer> {
        let mut interim = Vec::new();
        let head = loop {
            let head = self.head().await?;
            let code = head.word(1);
            if !(code.len() == 3 && code.starts_with('1')) {
                break head;
            }
            interim.push(head);
        };
        let bodiless = method == "HEAD" || matches!(head.word(1), "204" | "304");
        let left = if bodiless { Left::Length(0) } else { head.framing(Left::UntilClose) };
        let (body, whole) = self.left(left).await;
        let trailers = std::mem::take(&mut self.reader.trailers);
        Some(Answer { interim, head, body, whole, trailers })
    }

    /// The body behind a head, and whether it was whole.
    pub async fn body(&mut self, head: &Head) -> (Vec<u8>, bool) {
        self.left(head.framing(Left::UntilClose)).await
    }

    async fn left(&mut self, left: Left) -> (Vec<u8>, bool) {
        within("an answer's body", self.reader.body(left)).await
    }

    /// The next answer.
    ///
    /// # Panics
    /// If the connection ends instead.
    pub async fn answer(&mut self, method: &str) -> Answer {
        self.try_answer(method).await.expect("the connection ended without an answer")
    }

    /// Waits for the end of the connection; how many bytes came before it.
    pub async fn closed(&mut self) -> usize {
        within("the end of the connection", self.reader.closed()).await
    }

    /// The next so many bytes.
    ///
    /// # Panics
    /// If the connection ends before them.
    pub async fn bytes(&mut self, length: usize) -> Vec<u8> {
        let (bytes, whole) = within("so many bytes", self.reader.body(Left::Length(length as u64))).await;
        assert!(whole, "the connection ended after {} of {length} bytes", bytes.len());
        bytes
    }

    /// Waits for the end of the connection: whether it was a reset, and no ordinary end.
    pub async fn is_reset(&mut self) -> bool {
        within("the end of the connection", self.reader.is_reset()).await
    }

    /// Says that nothing more will be sent.
    pub async fn finish(&mut self) {
        let _ = self.write.shutdown().await;
    }
}

/// One call on a connection of its own.
///
/// # Panics
/// If there is no answer.
pub async fn call(address: SocketAddr, method: &str, target: &str, more: &str) -> Answer {
    Raw::connect(address).await.call(method, target, more).await
}
