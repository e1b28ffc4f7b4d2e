//! The server behind the agents. It knows from a request's path what to answer, and writes down everything that comes.
//!
//! | path | answer |
//! |---|---|
//! | `/d/ID/N/MS` | after so many milliseconds, N bytes that belong to this request |
//! | `/never/ID` | none |
//! | `/dribble/ID/N/MS` | N bytes, one at a time, so many milliseconds apart |
//! | `/close/ID` | the end of the connection |
//! | `/half/ID/N` | half of N bytes, and the end of the connection |
//! | `/garbage/ID` | what is no HTTP |

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use reachback_tests::http1::{Head, Left, Piece, Reader};
use tokio::{
    io::AsyncWriteExt as _,
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
    time::sleep,
};

use crate::{
    body::{Bodies, Check},
    ledger::{Id, Ledger},
};

/// The server; it ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    active: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Upstream {
    pub(crate) async fn start(ledger: Arc<Ledger>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let active = Arc::new(AtomicUsize::new(0));
        let counted = active.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(converse(stream, ledger.clone(), counted.clone()));
            }
        });
        Self { address, active, task }
    }

    /// How many requests are being answered.
    pub(crate) fn active(&self) -> usize {
        self.active.load(Ordering::Relaxed)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether the connection can take another request.
type GoesOn = bool;

async fn converse(stream: TcpStream, ledger: Arc<Ledger>, active: Arc<AtomicUsize>) {
    let _ = stream.set_nodelay(true);
    let (read, write) = stream.into_split();
    let mut conversation = Conversation { reader: Reader::new(read), write, ledger };
    while let Some(head) = conversation.reader.head().await {
        active.fetch_add(1, Ordering::Relaxed);
        let goes_on = conversation.answer(&head).await;
        active.fetch_sub(1, Ordering::Relaxed);
        if !goes_on {
            return;
        }
    }
}

struct Conversation {
    reader: Reader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    ledger: Arc<Ledger>,
}

impl Conversation {
    async fn answer(&mut self, head: &Head) -> GoesOn {
        let mut parts = head.word(1).trim_start_matches('/').split('/');
        let what = parts.next().unwrap_or_default();
        let mut number = || parts.next().and_then(|part| part.parse::<u64>().ok()).unwrap_or(0);
        let (id, length, pause) = (number(), number(), Duration::from_millis(number()));
        self.ledger.arrive(id);
        if !self.read(id, head).await {
            return false;
        }
        let declared = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nX-Drill: {id}\r\n\r\n");
        match what {
            "d" => {
                if !pause.is_zero() {
                    sleep(pause).await;
                }
                self.send(declared.as_bytes()).await && self.body(id, length).await
            }
            "dribble" => self.send(declared.as_bytes()).await && self.dribble(id, length, pause).await,
            "half" => {
                let _ = self.send(declared.as_bytes()).await && self.body(id, length / 2).await;
                false
            }
            "garbage" => {
                self.send(b"\x16\x03\x01 this is no HTTP at all\r\n\r\n").await;
                false
            }
            "never" => {
                self.reader.closed().await;
                false
            }
            _ => false,
        }
    }

    /// Reads the request's body and compares it with what the client has sent; `false` if it was cut.
    async fn read(&mut self, id: Id, head: &Head) -> GoesOn {
        let mut left = head.framing(Left::Length(0));
        let mut check = Check::new(id);
        loop {
            match self.reader.piece(&mut left).await {
                Piece::Data(data) => check.add(&data),
                Piece::Cut => return false,
                Piece::End => break,
            }
        }
        let sent = head.one("x-drill-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        if !check.is(sent) {
            self.ledger.spoil(id);
        }
        true
    }

    async fn body(&mut self, id: Id, length: u64) -> GoesOn {
        let mut at = 0;
        while at < length {
            let piece = Bodies::piece(id, at, length - at);
            if !self.send(piece).await {
                return false;
            }
            at += piece.len() as u64;
        }
        true
    }

    async fn dribble(&mut self, id: Id, length: u64, pause: Duration) -> GoesOn {
        for at in 0..length {
            sleep(pause).await;
            if !self.send(Bodies::piece(id, at, 1)).await {
                return false;
            }
        }
        true
    }

    async fn send(&mut self, bytes: &[u8]) -> GoesOn {
        self.write.write_all(bytes).await.is_ok()
    }
}
