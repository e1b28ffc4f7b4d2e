//! The thread that writes. It appends, so that a log cut in place goes on from its new end, and finds its file again
//! when it was renamed or removed, with a signal or without one.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::{
        fd::AsFd as _,
        unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    },
    path::Path,
    sync::atomic::Ordering::Relaxed,
    thread,
    time::{Instant, SystemTime},
};

use tokio::sync::mpsc;
use tracing::warn;

use super::{Message, State, line};
use crate::{
    config::AuditTarget,
    limits::{AUDIT_LINES, AUDIT_RETRY},
};

pub(super) struct Writer {
    target: AuditTarget,
    file: File,
    /// When it was last looked whether the file is still where it was.
    looked: Instant,
    /// Whole lines.
    pending: Vec<u8>,
    /// How much of `pending` is in the file.
    written: usize,
}

impl Writer {
    pub(super) fn open(target: AuditTarget) -> io::Result<Self> {
        let file = open(&target)?;
        Ok(Self { target, file, looked: Instant::now(), pending: Vec::new(), written: 0 })
    }

    /// Writes until it is told to close, or nobody is left to send a line.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Message>, state: &State) {
        let mut messages = Vec::new();
        while queue.blocking_recv_many(&mut messages, AUDIT_LINES) > 0 {
            let lines = messages.drain(..).filter_map(|message| match message {
                Message::Line(line) => Some(line),
                Message::Wake => None,
            });
            let mut count = 0;
            for line in lines {
                self.pending.extend(line);
                count += 1;
            }
            let written = self.write_out(state).map_or_else(|whole| whole, |()| count);
            state.written.fetch_add(written, Relaxed);
            self.account(state);
            if state.close.load(Relaxed) {
                queue.close();
            }
        }
        self.account(state);
    }

    /// Writes how many lines are missing, if any are.
    fn account(&mut self, state: &State) {
        let lost = state.lost.swap(0, Relaxed);
        if lost == 0 {
            return;
        }
        self.pending.extend(line::lost(lost, SystemTime::now()));
        if self.write_out(state).is_err() {
            state.lost.fetch_add(lost, Relaxed);
        }
    }

    /// Writes all that is pending, however long it takes; but a log that is to be closed is not waited for.
    ///
    /// # Errors
    /// How many lines of it were written whole before the others were given up.
    fn write_out(&mut self, state: &State) -> Result<(), u64> {
        if self.pending.is_empty() && state.close.load(Relaxed) {
            return Ok(()); // what was given up has not been written
        }
        loop {
            self.follow(state);
            let Err(error) = self.write() else {
                state.note_success();
                return Ok(());
            };
            state.note_trouble(error.to_string());
            if state.close.load(Relaxed) {
                let whole = self.pending[..self.written].iter().filter(|byte| **byte == b'\n').count();
                self.pending.clear();
                self.written = 0;
                return Err(whole as u64);
            }
            thread::park_timeout(AUDIT_RETRY);
        }
    }

    fn write(&mut self) -> io::Result<()> {
        while self.written < self.pending.len() {
            match self.file.write(&self.pending[self.written..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.written += written,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.pending.clear();
        self.written = 0;
        Ok(())
    }

    /// Opens the file anew if that was asked for, or if it is not where it was. If it cannot, nothing is lost: what it
    /// has still takes lines.
    fn follow(&mut self, state: &State) {
        let asked = state.reopen.swap(false, Relaxed);
        if !asked && (self.looked.elapsed() < AUDIT_RETRY || !self.is_elsewhere()) {
            return;
        }
        self.looked = Instant::now();
        match open(&self.target) {
            Ok(file) => {
                self.file = file;
                // A line that was cut in the old file stands whole in the new one.
                let whole = self.pending[..self.written].iter().rposition(|byte| *byte == b'\n');
                self.written = whole.map_or(0, |end| end + 1);
            }
            Err(error) => warn!(%error, "the audit log cannot be opened anew: it goes on where it was"),
        }
    }

    fn is_elsewhere(&self) -> bool {
        let AuditTarget::File(path) = &self.target else { return false };
        let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        fs::metadata(path).map(identity).ok() != self.file.metadata().map(identity).ok()
    }
}

fn open(target: &AuditTarget) -> io::Result<File> {
    match target {
        // Not Rust's own handle, which buffers: what is written is counted as written.
        AuditTarget::Stdout => io::stdout().as_fd().try_clone_to_owned().map(File::from),
        AuditTarget::File(path) => open_file(path),
    }
}

/// Only its owner may read what an audit log tells.
fn open_file(path: &Path) -> io::Result<File> {
    // Opening one would wait for a reader.
    settings::file::refuse_pipe(path)?;
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use settings::scratch::Scratch;

    use super::*;

    #[test]
    fn a_line_that_was_cut_stands_whole_in_the_new_file() {
        let folder = Scratch::new();
        let path = folder.file("log");
        for (written, left) in [(0, "one\ntwo\n"), (2, "one\ntwo\n"), (4, "two\n"), (6, "two\n"), (8, "")] {
            let mut writer = Writer::open(AuditTarget::File(path.clone())).unwrap();
            writer.pending = b"one\ntwo\n".to_vec();
            writer.written = written;
            fs::remove_file(&path).unwrap();
            let state = State::default();
            state.reopen.store(true, Relaxed);
            writer.write_out(&state).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), left, "after {written} bytes");
            assert!(writer.pending.is_empty() && writer.written == 0);
        }
    }
}
