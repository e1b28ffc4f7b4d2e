//! One connection to the upstream, and the answers by path.
//!
//! | path | answer |
//! |---|---|
//! | `/echo` | the request's body |
//! | `/sink` | length and SHA-256 of the request's body |
//! | `/bytes/N`, `/chunked/N` | N bytes of the pattern, with a length or in chunks |
//! | `/status/N` | that status |
//! | `/gate` | an answer, once the gate opens |
//! | `/silent` | none; it reads and waits for the end of the connection |
//! | `/stall` | none; it reads nothing, until the gate opens |
//! | `/half/N`, `/half-chunked/N` | the head and half of N bytes, and a cut when the gate opens |
//! | `/drip/N` | N events, each when the gate opens |
//! | `/early/N` | that status at once, before the body is read |

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWriteExt as _, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::{Then, account::Account};
use crate::{
    http1::{Head, Left, Piece, Reader},
    pattern::{self, Sum},
};

/// Whether the connection can take another request.
type GoesOn = bool;

pub(super) async fn run(stream: TcpStream, account: Arc<Account>) {
    // A head and its body are two writes: the second must not wait for the first one's acknowledgement.
    stream.set_nodelay(true).expect("the connection is there");
    let (read, write) = stream.into_split();
    account.count(|counts| {
        counts.connections += 1;
        counts.open += 1;
    });
    let _open = OnDrop(&account, |account| account.count(|counts| counts.open -= 1));
    let read = Counted { read, account: &account };
    let mut conversation = Conversation { reader: Reader::new(read), write, account: &account };
    while let Some(head) = conversation.reader.head().await {
        account.request(&head);
        let _active = OnDrop(&account, |account| account.count(|counts| counts.active -= 1));
        if !conversation.answer(&head).await {
            break;
        }
    }
}

struct OnDrop<'a>(&'a Account, fn(&Account));

impl Drop for OnDrop<'_> {
    fn drop(&mut self) {
        self.1(self.0);
    }
}

/// Counts every byte that comes.
struct Counted<'a> {
    read: OwnedReadHalf,
    account: &'a Account,
}

impl AsyncRead for Counted<'_> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.read).poll_read(cx, buffer);
        let came = buffer.filled().len() - before;
        self.account.count(|counts| counts.arrived += came as u64);
        polled
    }
}

struct Conversation<'a> {
    reader: Reader<Counted<'a>>,
    write: OwnedWriteHalf,
    account: &'a Account,
}

impl Conversation<'_> {
    async fn answer(&mut self, head: &Head) -> GoesOn {
        let mut left = head.framing(Left::Length(0));
        let path = head.word(1).split('?').next().unwrap_or_default();
        if let Some((bytes, then)) = self.account.scripted(path) {
            return self.read_all(&mut left).await.is_some() && self.scripted(&bytes, then).await;
        }
        let mut parts = path[1..].split('/');
        let (what, number) = (parts.next().unwrap_or_default(), parts.next().and_then(|part| part.parse().ok()));
        let number: u64 = number.unwrap_or(0);
        match what {
            "early" => return self.status(number).await && self.read_all(&mut left).await.is_some(),
            "stall" => {
                self.gate().await;
                return false;
            }
            "silent" => {
                self.read_all(&mut left).await;
                self.reader.closed().await;
                return false;
            }
            _ => {}
        }
        let keep = what == "echo";
        let Some((body, sum)) = self.read(&mut left, keep).await else { return false };
        let is_head = head.word(0) == "HEAD";
        match what {
            "echo" => self.text(200, &body).await,
            "sink" => self.text(200, sum.as_bytes()).await,
            "bytes" | "half" if is_head => self.send(length(number).as_bytes()).await,
            "bytes" => self.send(length(number).as_bytes()).await && self.pattern(number, false).await,
            "chunked" => self.send(CHUNKED).await && self.pattern(number, true).await && self.send(END).await,
            "half" => self.send(length(number).as_bytes()).await && self.half(number, false).await,
            "half-chunked" => self.send(CHUNKED).await && self.half(number, true).await,
            "status" => self.status(number).await,
            "gate" => self.gate_or_end().await && self.text(200, b"the gate is open").await,
            "drip" => self.send(CHUNKED).await && self.drip(number).await,
            _ if is_head => self.text(404, b"").await,
            _ => self.text(404, b"there is no such path").await,
        }
    }

    async fn read_all(&mut self, left: &mut Left) -> Option<String> {
        Some(self.read(left, false).await?.1)
    }

    /// The request's body (if it is to be kept) and its sum, or `None` if it was cut.
    async fn read(&mut self, left: &mut Left, keep: bool) -> Option<(Vec<u8>, String)> {
        let (mut body, mut sum) = (Vec::new(), Sum::default());
        loop {
            match self.reader.piece(left).await {
                Piece::Data(data) => {
                    self.account.count(|counts| counts.received += data.len() as u64);
                    sum.add(&data);
                    if keep {
                        body.extend_from_slice(&data);
                    }
                }
                Piece::End => {
                    self.account.note_trailers(&self.reader.trailers);
                    self.account.count(|counts| counts.whole += 1);
                    return Some((body, sum.show()));
                }
                Piece::Cut => {
                    self.account.count(|counts| counts.cut += 1);
                    return None;
                }
            }
        }
    }

    async fn scripted(&mut self, bytes: &[u8], then: Then) -> GoesOn {
        self.send(bytes).await
            && match then {
                Then::GoOn => true,
                Then::More(bytes) => self.gate_or_end().await && self.send(bytes.as_bytes()).await,
                Then::Close => false,
                Then::Hold => {
                    self.gate_or_end().await;
                    false
                }
            }
    }

    async fn status(&mut self, status: u64) -> GoesOn {
        match status {
            204 | 304 => self.send(format!("HTTP/1.1 {status} As told\r\n\r\n").as_bytes()).await,
            _ => self.text(status, format!("status {status}").as_bytes()).await,
        }
    }

    async fn text(&mut self, status: u64, body: &[u8]) -> GoesOn {
        let head = format!("HTTP/1.1 {status} As told\r\nContent-Length: {}\r\n\r\n", body.len());
        self.send(&[head.as_bytes(), body].concat()).await
    }

    async fn half(&mut self, length: u64, chunked: bool) -> GoesOn {
        if self.pattern(length / 2, chunked).await {
            self.gate_or_end().await;
        }
        false
    }

    async fn drip(&mut self, count: u64) -> GoesOn {
        for event in 0..count {
            let event = format!("data: {event}\n\n");
            if !self.gate_or_end().await || !self.send(chunk(event.as_bytes()).as_slice()).await {
                return false;
            }
        }
        self.send(END).await
    }

    async fn pattern(&mut self, length: u64, chunked: bool) -> GoesOn {
        for piece in pattern::pieces(length) {
            let sent = if chunked { self.send(&chunk(&piece)).await } else { self.send(&piece).await };
            if !sent {
                return false;
            }
        }
        true
    }

    async fn gate(&self) {
        self.account.gate.acquire().await.expect("the gate is never taken down").forget();
    }

    /// Waits at the gate, or for the other side to close the connection.
    async fn gate_or_end(&mut self) -> GoesOn {
        tokio::select! {
            permit = self.account.gate.acquire() => permit.map(tokio::sync::SemaphorePermit::forget).is_ok(),
            _ = self.reader.closed() => false,
        }
    }

    /// Sends, and counts what the socket takes as it takes it.
    async fn send(&mut self, mut bytes: &[u8]) -> GoesOn {
        while !bytes.is_empty() {
            let Ok(sent @ 1..) = self.write.write(bytes).await else { return false };
            self.account.count(|counts| counts.sent += sent as u64);
            bytes = &bytes[sent..];
        }
        true
    }
}

const CHUNKED: &[u8] = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n";
const END: &[u8] = b"0\r\n\r\n";

fn length(length: u64) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")
}

fn chunk(data: &[u8]) -> Vec<u8> {
    [format!("{:x}\r\n", data.len()).as_bytes(), data, b"\r\n"].concat()
}
