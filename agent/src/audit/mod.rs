//! The audit log: one line of JSON for each decision of the whitelist, written before what was admitted is sent.
//!
//! A thread of its own writes, so that a slow disk stops no link; a bounded queue leads to it. What passes is always on
//! record: if the queue stays full, because the disk is full or stands still, requests are refused instead of sent
//! without a line. How many lines were lost meanwhile is written as soon as it works again.

mod line;
mod writer;

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::Thread,
    time::SystemTime,
};

use serde::Serialize;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tracing::{error, warn};

pub(crate) use self::line::{Decision, line};
use self::writer::Writer;
use crate::{
    config::AuditTarget,
    limits::{AUDIT_LAST_WORDS, AUDIT_LINES, AUDIT_PATIENCE},
    utc::rfc3339,
};

/// The way to the log's file or to standard output.
#[derive(Debug)]
pub(crate) struct AuditLog {
    queue: mpsc::Sender<Message>,
    state: Arc<State>,
    writer: Thread,
    /// Says that the writer has come to its end.
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    /// Look at the state.
    Wake,
}

/// A decision has no line, and will get none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unrecorded;

/// What the writer and the others tell each other.
#[derive(Debug, Default)]
struct State {
    reopen: AtomicBool,
    close: AtomicBool,
    written: AtomicU64,
    /// Lines lost and not yet accounted for in the log.
    lost: AtomicU64,
    lost_ever: AtomicU64,
    trouble: Mutex<Option<Trouble>>,
}

#[derive(Clone, Debug)]
struct Trouble {
    since: SystemTime,
    error: String,
}

/// How the log is, as `/status` tells it.
#[derive(Debug, Serialize)]
pub(crate) struct AuditStatus {
    state: &'static str,
    written: u64,
    lost: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

impl AuditLog {
    /// Opens the log and starts its writer.
    ///
    /// # Errors
    /// Why the file cannot be opened or made, or the thread not be started.
    pub(crate) fn open(target: &AuditTarget) -> io::Result<Self> {
        let writer = Writer::open(target.clone())?;
        let (queue, lines) = mpsc::channel(AUDIT_LINES);
        let state = Arc::new(State::default());
        let (end, ended) = oneshot::channel();
        let of_writer = state.clone();
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(move || {
            writer.run(lines, &of_writer);
            // Nobody may be waiting for it.
            let _ = end.send(());
        })?;
        Ok(Self { queue, state, writer: thread.thread().clone(), ended: Mutex::new(Some(ended)) })
    }

    /// Puts a line into the queue. If that is full, waits; if it stays full, gives up.
    ///
    /// # Errors
    /// [`Unrecorded`] if the line is lost.
    pub(crate) async fn record(&self, line: Vec<u8>) -> Result<(), Unrecorded> {
        match self.queue.try_send(Message::Line(line)) {
            Ok(()) => Ok(()),
            // Boxed, because it is seldom needed and would make every request's task larger.
            Err(mpsc::error::TrySendError::Full(line)) => Box::pin(self.wait_for_room(line)).await,
            Err(mpsc::error::TrySendError::Closed(_)) => Err(self.lose()),
        }
    }

    async fn wait_for_room(&self, line: Message) -> Result<(), Unrecorded> {
        if self.state.trouble().is_some() {
            // Others have waited already.
            return Err(self.lose());
        }
        if let Ok(sent) = timeout(AUDIT_PATIENCE, self.queue.send(line)).await {
            return sent.map_err(|_| self.lose());
        }
        self.state.note_trouble(format!("nothing was written for {} s", AUDIT_PATIENCE.as_secs()));
        Err(self.lose())
    }

    fn lose(&self) -> Unrecorded {
        self.state.lose(1);
        Unrecorded
    }

    /// Opens the file anew: it may have been rotated.
    pub(crate) fn reopen(&self) {
        self.state.reopen.store(true, Relaxed);
        self.wake();
    }

    /// Writes what is queued, for as long as that may take, and takes nothing more.
    pub(crate) async fn close(&self) {
        self.state.close.store(true, Relaxed);
        self.wake();
        let ended = self.ended.lock().expect("nothing panics while it holds this").take();
        if let Some(ended) = ended
            && timeout(AUDIT_LAST_WORDS, ended).await.is_err()
        {
            let lines = AUDIT_LINES - self.queue.capacity();
            error!(lines, "the audit log cannot be written: its last lines are lost");
        }
    }

    /// The writer sees what has been asked of it, whether it waits for a line or for the disk.
    fn wake(&self) {
        // If the queue is full, there is no need to.
        let _ = self.queue.try_send(Message::Wake);
        self.writer.unpark();
    }

    pub(crate) fn status(&self) -> AuditStatus {
        let trouble = self.state.trouble().clone();
        AuditStatus {
            state: if trouble.is_some() { "failing" } else { "writing" },
            written: self.state.written.load(Relaxed),
            lost: self.state.lost_ever.load(Relaxed),
            since: trouble.as_ref().map(|trouble| rfc3339(trouble.since)),
            error: trouble.map(|trouble| trouble.error),
        }
    }
}

impl State {
    fn lose(&self, lines: u64) {
        self.lost.fetch_add(lines, Relaxed);
        self.lost_ever.fetch_add(lines, Relaxed);
    }

    /// Shouts once for each time of trouble.
    fn note_trouble(&self, error: String) {
        let mut trouble = self.trouble();
        if trouble.is_none() {
            error!(error, "the audit log cannot be written: once its queue is full, requests are refused");
            *trouble = Some(Trouble { since: SystemTime::now(), error });
        }
    }

    fn note_success(&self) {
        if let Some(Trouble { since, error }) = self.trouble().take() {
            let lasted_s = since.elapsed().unwrap_or_default().as_secs();
            warn!(error, lasted_s, lost = self.lost_ever.load(Relaxed), "the audit log can be written again");
        }
    }

    fn trouble(&self) -> MutexGuard<'_, Option<Trouble>> {
        self.trouble.lock().expect("nothing panics while it holds the trouble")
    }
}
