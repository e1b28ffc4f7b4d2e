//! The audit log: one line of JSON for each decision of the whitelist, written before what was admitted is sent.
//!
//! A thread of its own writes, so that a slow disk stops no link; a bounded queue leads to it, and what is sent has its
//! line in there before. From the first write that fails, or if the queue stays full, requests are refused instead of
//! sent, until what is queued is written. How many lines were lost meanwhile is written as soon as it works again.

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
    queued: AtomicU64,
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
    pub(crate) written: u64,
    pub(crate) lost: u64,
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

    /// Puts the line of what is to be sent into the queue.
    ///
    /// # Errors
    /// [`Unrecorded`] if the log cannot be written now, or the line is lost: then it must not be sent.
    pub(crate) async fn record(&self, line: Vec<u8>) -> Result<(), Unrecorded> {
        if self.state.trouble().is_some() {
            return Err(self.lose());
        }
        self.note(line).await
    }

    /// Puts the line of a refusal into the queue. If that is full, waits; if it stays full, gives up.
    ///
    /// # Errors
    /// [`Unrecorded`] if the line is lost.
    pub(crate) async fn note(&self, line: Vec<u8>) -> Result<(), Unrecorded> {
        match self.queue.try_send(Message::Line(line)) {
            Ok(()) => {
                self.state.queued.fetch_add(1, Relaxed);
                Ok(())
            }
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
            return sent.map(|()| _ = self.state.queued.fetch_add(1, Relaxed)).map_err(|_| self.lose());
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

    /// Writes what is queued, unless that cannot be done or lasts too long, and takes nothing more.
    pub(crate) async fn close(&self) {
        self.state.close.store(true, Relaxed);
        self.wake();
        let Some(ended) = self.ended.lock().expect("nothing panics while it holds this").take() else { return };
        let in_time = timeout(AUDIT_LAST_WORDS, ended).await.is_ok();
        let (lines, refused) = self.state.missing();
        if lines + refused > 0 {
            let error = self.status().error.filter(|_| in_time);
            let error = error.unwrap_or_else(|| format!("nothing was written for {} s", AUDIT_LAST_WORDS.as_secs()));
            error!(lines, refused, error, "the audit log cannot be written: its last lines are lost");
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

    /// How many decisions have no line in the file: of those that were queued, and of requests that were refused for want
    /// of a line.
    fn missing(&self) -> (u64, u64) {
        // Lines are counted as queued after the writer may have seen them.
        let lines = self.queued.load(Relaxed).saturating_sub(self.written.load(Relaxed));
        (lines, self.lost.load(Relaxed))
    }

    /// Shouts once for each time of trouble.
    fn note_trouble(&self, error: String) {
        let mut trouble = self.trouble();
        if trouble.is_none() {
            error!(error, "the audit log cannot be written: until it can, requests are refused");
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

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use settings::scratch::Scratch;

    use super::*;

    /// A folder for a log.
    struct Folder(Scratch);

    impl Folder {
        fn new() -> Self {
            Self(Scratch::new())
        }

        fn log(&self) -> AuditLog {
            AuditLog::open(&AuditTarget::File(self.0.file("log"))).unwrap()
        }

        fn read(&self, name: &str) -> String {
            fs::read_to_string(self.0.file(name)).unwrap_or_default()
        }
    }

    fn text(line: &str) -> Vec<u8> {
        format!("{line}\n").into_bytes()
    }

    #[tokio::test]
    async fn lines_are_appended_and_written_before_the_end() {
        let folder = Folder::new();
        for round in ["a", "b"] {
            let log = folder.log();
            for _ in 0..AUDIT_LINES * 2 {
                log.record(text(round)).await.unwrap();
            }
            log.close().await;
            assert_eq!(log.status().written, AUDIT_LINES as u64 * 2);
            assert_eq!(log.record(text("late")).await, Err(Unrecorded), "it takes nothing more");
        }
        assert_eq!(folder.read("log"), format!("{}{}", "a\n".repeat(AUDIT_LINES * 2), "b\n".repeat(AUDIT_LINES * 2)));
        let mode = fs::metadata(folder.0.file("log")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "only its owner reads it");
    }

    #[tokio::test]
    async fn what_is_no_file_is_refused() {
        let folder = Folder::new();
        let open = |name: &str| AuditLog::open(&AuditTarget::File(folder.0.file(name))).map(|_| ());
        assert!(open("").is_err(), "a folder");
        assert!(open("none/log").is_err());
        folder.0.pipe("pipe");
        assert!(open("pipe").unwrap_err().to_string().contains("a pipe"));
    }

    /// The device takes nothing, until the way to it leads elsewhere.
    #[tokio::test]
    async fn a_full_disk_stops_what_passes_and_loses_none_of_it() {
        let folder = Folder::new();
        symlink("/dev/full", folder.0.file("log")).unwrap();
        let log = folder.log();
        log.record(text("first")).await.unwrap();
        until_in_trouble(&log).await;
        assert_eq!(log.record(text("refused")).await, Err(Unrecorded), "although there is room");
        let mut queued = 0;
        while log.note(text("queued")).await.is_ok() {
            queued += 1;
        }
        assert_eq!(queued, AUDIT_LINES, "a refusal needs room, and no disk");
        assert_eq!((log.status().state, log.status().lost, log.status().written), ("failing", 2, 0));

        fs::remove_file(folder.0.file("log")).unwrap();
        log.reopen();
        while log.status().error.is_some() || !folder.read("log").contains("lost") {
            tokio::task::yield_now().await;
        }
        log.record(text("last")).await.unwrap();
        log.close().await;
        let written = folder.read("log");
        let (lost, lines): (Vec<&str>, Vec<&str>) = written.lines().partition(|line| line.contains("lost"));
        let expected = [vec!["first"], vec!["queued"; queued], vec!["last"]].concat();
        assert_eq!(lines, expected);
        assert!(lost.len() == 1 && lost[0].contains(r#""lines":2,"#), "{lost:?}");
    }

    #[tokio::test]
    async fn what_a_close_loses_is_counted() {
        let folder = Folder::new();
        symlink("/dev/full", folder.0.file("log")).unwrap();
        let log = folder.log();
        log.record(text("first")).await.unwrap();
        until_in_trouble(&log).await;
        for _ in 0..AUDIT_LINES - 2 {
            log.note(text("queued")).await.unwrap();
        }
        for _ in 0..3 {
            log.record(text("refused")).await.unwrap_err();
        }
        log.close().await;
        assert_eq!(log.state.missing(), (AUDIT_LINES as u64 - 1, 3));
    }

    #[tokio::test]
    async fn a_log_that_gives_up_is_not_said_to_work_again() {
        let folder = Folder::new();
        symlink("/dev/full", folder.0.file("log")).unwrap();
        let log = folder.log();
        log.record(text("first")).await.unwrap();
        until_in_trouble(&log).await;
        log.close().await;
        assert_eq!((log.status().state, log.state.missing()), ("failing", (1, 0)));
    }

    async fn until_in_trouble(log: &AuditLog) {
        while log.status().error.is_none() {
            tokio::task::yield_now().await;
        }
    }
}
