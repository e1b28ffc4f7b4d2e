//! The upstream of both runs: takes whatever comes, notes it, and says what the case tells it to.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use reachback_tests::http1::{Left, Reader};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::observed;

/// What a request for this is answered with says so in a header, and is noted nowhere.
pub(crate) const PROBE: &str = "/probe";

/// The server; it ends when it is dropped.
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    answer: Vec<u8>,
    closes: bool,
    seen: Vec<Vec<String>>,
}

impl Upstream {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<Mutex<State>>::default();
        let shared = state.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Self { address, state, task }
    }

    /// From now on answers with these bytes, and closes the connection behind them or not.
    pub(crate) fn says(&self, answer: &str, closes: bool) {
        let mut state = self.state.lock().unwrap();
        // Each character is a byte.
        state.answer = answer.chars().map(|c| u8::try_from(c).unwrap()).collect();
        state.closes = closes;
    }

    /// The requests since the last look that came whole, as [`observed`] shows them.
    pub(crate) fn seen(&self) -> Vec<Vec<String>> {
        std::mem::take(&mut self.state.lock().unwrap().seen)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    stream.set_nodelay(true).unwrap();
    let (read, mut write) = stream.into_split();
    let mut reader = Reader::new(read);
    while let Some(head) = reader.head().await {
        let (body, whole) = reader.body(head.framing(Left::Length(0))).await;
        if !whole {
            return;
        }
        let is_probe = head.word(1) == PROBE;
        let lasts = is_probe || (!head.line().ends_with("/1.0") && head.one("connection") != Some("close"));
        let (answer, closes) = {
            let mut state = state.lock().unwrap();
            if !is_probe {
                state.seen.push(observed::message(&head, &body, &reader.trailers));
            }
            reader.trailers.clear();
            (if is_probe { PROBED.into() } else { state.answer.clone() }, !lasts || (state.closes && !is_probe))
        };
        // The sample answers to HEAD are written without their bodies.
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
        let bodiless = head.word(0) == "HEAD" && answer.ends_with(crate::OK_BODY);
        let answer = if bodiless { &answer[..end] } else { &answer };
        if write.write_all(answer).await.is_err() || closes {
            return;
        }
    }
}

const PROBED: &[u8] = b"HTTP/1.1 200 OK\r\nX-Probe: yes\r\nContent-Length: 0\r\n\r\n";
