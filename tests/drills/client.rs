//! The application: a keep-alive HTTP client of one or several gateways, as a load balancer before them would be.
//!
//! It asks each gateway in turn, leaves out those that say that they are not ready, and goes to the next if a connection
//! is refused: nothing of the request was sent then. Whatever happens after that is the request's end. It never sends
//! anything twice.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use reachback_tests::http1::{Head, Left, Piece, Reader};
use tokio::{
    io::AsyncWriteExt as _,
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    time::{Instant, sleep, timeout_at},
};

use crate::{
    body::{Bodies, Check},
    ledger::{Id, Ledger, Outcome},
};

/// How often a client that is refused everywhere tries again.
const AGAIN: Duration = Duration::from_millis(10);

/// What a client asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) method: &'static str,
    /// The first segment of the path; see the upstream's table.
    pub(crate) path: &'static str,
    /// Bytes of the request's body.
    pub(crate) sends: u64,
    /// Bytes of the answer's.
    pub(crate) wants: u64,
    /// The number behind it in the path.
    pub(crate) pause: Duration,
    /// How long the client waits before it leaves without a word.
    pub(crate) gives_up: Option<Duration>,
}

impl Call {
    /// A GET of so many bytes.
    pub(crate) const fn get(wants: u64) -> Self {
        Self { method: "GET", path: "d", sends: 0, wants, pause: Duration::ZERO, gives_up: None }
    }

    /// A GET of another path.
    pub(crate) const fn of(path: &'static str, wants: u64) -> Self {
        Self { path, ..Self::get(wants) }
    }

    /// A POST of so many bytes.
    pub(crate) const fn post(sends: u64) -> Self {
        Self { method: "POST", sends, ..Self::get(64) }
    }
}

/// One gateway, as the client knows it.
#[derive(Debug)]
pub(crate) struct Gate {
    facade: SocketAddr,
    pub(crate) ready: AtomicBool,
    idle: Mutex<Vec<Connection>>,
}

/// The client.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) gates: Vec<Gate>,
    turn: AtomicUsize,
    ledger: Arc<Ledger>,
    /// After so long every request must have ended.
    deadline: Duration,
}

#[derive(Debug)]
struct Connection {
    reader: Reader<OwnedReadHalf>,
    write: OwnedWriteHalf,
}

impl Client {
    pub(crate) fn new(facades: &[SocketAddr], ledger: Arc<Ledger>, deadline: Duration) -> Self {
        let gate = |facade: &SocketAddr| Gate { facade: *facade, ready: AtomicBool::new(true), idle: Mutex::default() };
        Self { gates: facades.iter().map(gate).collect(), turn: AtomicUsize::new(0), ledger, deadline }
    }

    /// One request, from its beginning to its end in the ledger.
    pub(crate) async fn call(&self, call: Call) -> Outcome {
        let id = self.ledger.ask(call.method);
        let started = Instant::now();
        let patience = call.gives_up.unwrap_or(self.deadline);
        let over = if call.gives_up.is_some() { Outcome::GivenUp } else { Outcome::Late };
        let outcome = timeout_at(started + patience, self.exchange(id, call, started)).await.unwrap_or(over);
        self.ledger.end(id, outcome.clone(), started.elapsed());
        outcome
    }

    async fn exchange(&self, id: Id, call: Call, started: Instant) -> Outcome {
        let Some((gate, mut connection)) = self.connection(started).await else { return Outcome::Unreachable };
        let Call { method, path, sends, wants, pause, .. } = call;
        let length = if method == "POST" { format!("Content-Length: {sends}\r\n") } else { String::new() };
        let pause = pause.as_millis();
        let mut request = format!(
            "{method} /{path}/{id}/{wants}/{pause} HTTP/1.1\r\nHost: orders\r\nX-Drill-Length: {sends}\r\n{length}\r\n"
        )
        .into_bytes();
        request.extend(Bodies::whole(id, sends));
        // Whoever refuses an upload may close while it is written: his answer counts.
        let _ = connection.write.write_all(&request).await;
        let Some(head) = connection.reader.head().await else { return Outcome::Closed };
        let outcome = connection.answer(id, &head, wants).await;
        let goes_on = matches!(outcome, Outcome::Whole | Outcome::Refused { .. });
        if goes_on && !head.all("connection").contains(&"close") {
            gate.lock().push(connection);
        }
        outcome
    }

    /// A connection to the gateway whose turn it is.
    async fn connection(&self, started: Instant) -> Option<(&Gate, Connection)> {
        loop {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let all = || (0..self.gates.len()).map(|step| &self.gates[(turn + step) % self.gates.len()]);
            let ready = all().filter(|gate| gate.ready.load(Ordering::Relaxed));
            let others = all().filter(|gate| !gate.ready.load(Ordering::Relaxed));
            for gate in ready.chain(others) {
                if let Some(connection) = gate.connection().await {
                    return Some((gate, connection));
                }
            }
            if started.elapsed() + AGAIN * 2 > self.deadline {
                return None;
            }
            sleep(AGAIN).await;
        }
    }
}

impl Gate {
    /// An idle connection that is still open, or a new one; `None` if it is refused.
    async fn connection(&self) -> Option<Connection> {
        loop {
            let idle = self.lock().pop();
            let Some(mut connection) = idle else { break };
            if connection.is_open().await {
                return Some(connection);
            }
        }
        let stream = TcpStream::connect(self.facade).await.ok()?;
        stream.set_nodelay(true).ok()?;
        let (read, write) = stream.into_split();
        Some(Connection { reader: Reader::new(read), write })
    }

    /// Closes what lies idle.
    pub(crate) fn close_idle(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().expect("nothing panics while it holds the connections")
    }
}

impl Connection {
    /// Whether the other side has not closed it yet, as far as is known here.
    async fn is_open(&mut self) -> bool {
        tokio::select! {
            biased;
            _ = self.reader.closed() => false,
            () = std::future::ready(()) => true,
        }
    }

    async fn answer(&mut self, id: Id, head: &Head, wants: u64) -> Outcome {
        let mut left = head.framing(Left::UntilClose);
        if let Some(code) = head.one("reachback-error") {
            let (body, whole) = self.reader.body(left).await;
            let body = String::from_utf8_lossy(&body);
            let retry_safe = body.contains("\"retry_safe\":true");
            return if whole { Outcome::Refused { code: code.to_owned(), retry_safe } } else { Outcome::Cut };
        }
        if head.word(1) != "200" || head.one("x-drill") != Some(&id.to_string()) {
            return Outcome::Wrong(format!("an answer that is not its own: {:?}", head.0));
        }
        let mut check = Check::new(id);
        loop {
            match self.reader.piece(&mut left).await {
                Piece::Data(data) => check.add(&data),
                Piece::Cut => return Outcome::Cut,
                Piece::End if check.is(wants) => return Outcome::Whole,
                Piece::End => return Outcome::Wrong(format!("{} bytes, not those of the upstream", check.seen())),
            }
        }
    }
}
