//! Waits for a reason to read the file again: its folder stirs, somebody asks, or it was not looked at for a while.
//!
//! The folder is watched, not the file: a file that is replaced, or reached through a link that is (as the `..data` of
//! a ConfigMap), is no longer the one that was watched.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _,
    event::{AccessKind, AccessMode, ModifyKind},
};
use tokio::sync::Notify;
use tracing::{debug, warn};

use super::settle::{Happened, Settle};
use crate::limits::{RELOAD_POLL, RELOAD_QUIET};

/// Why the file is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    /// Somebody asked for it.
    Asked,
    /// Its folder stirred, and is quiet again.
    Stirred,
    /// It was not looked at for a while, or it was found changed that way and is looked at a second time.
    Polled,
}

pub(super) struct Watch {
    folder: PathBuf,
    /// `None` if the system does not tell; then there is only the poll.
    watcher: Option<RecommendedWatcher>,
    stir: Arc<Stir>,
    asked: Arc<Notify>,
    poll: Instant,
}

/// What the watcher's thread tells.
#[derive(Default)]
struct Stir {
    settle: Mutex<Settle>,
    news: Notify,
}

impl Watch {
    pub(super) fn new(file: &Path, asked: Arc<Notify>) -> Self {
        let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let stir = Arc::<Stir>::default();
        let watcher = watcher(file.file_name().unwrap_or_default().to_owned(), stir.clone());
        let mut watch =
            Self { folder: folder.to_owned(), watcher: None, stir, asked, poll: Instant::now() + RELOAD_POLL };
        match watcher.and_then(|mut watcher| watcher.watch(folder, RecursiveMode::NonRecursive).map(|()| watcher)) {
            Ok(watcher) => watch.watcher = Some(watcher),
            Err(error) => {
                let every_s = RELOAD_POLL.as_secs();
                warn!(%error, folder = %folder.display(), every_s, "the folder cannot be watched: looking at times");
            }
        }
        watch
    }

    /// Returns once the file should be read.
    pub(super) async fn next(&mut self) -> Why {
        loop {
            let due = self.stir.settle().due();
            // No poll looks at what is still being written.
            let wake = due.unwrap_or(self.poll);
            tokio::select! {
                () = self.asked.notified() => return Why::Asked,
                () = self.stir.news.notified() => {}
                () = tokio::time::sleep_until(wake.into()) => match due {
                    // Perhaps something happened just now.
                    Some(due) if self.stir.settle().due() != Some(due) => {}
                    Some(_) => {
                        self.stir.settle().clear();
                        return Why::Stirred;
                    }
                    None => {
                        self.poll = Instant::now() + RELOAD_POLL;
                        self.watch_again();
                        return Why::Polled;
                    }
                }
            }
        }
    }

    /// Whether nothing has happened since the last reading.
    pub(super) fn is_quiet(&self) -> bool {
        self.stir.settle().due().is_none()
    }

    /// Polls soon: what was found may be half of what is being written.
    pub(super) fn poll_soon(&mut self) {
        self.poll = Instant::now() + RELOAD_QUIET;
    }

    /// The folder itself may be another one by now.
    fn watch_again(&mut self) {
        if let Some(watcher) = &mut self.watcher
            && let Err(error) = watcher.watch(&self.folder, RecursiveMode::NonRecursive)
        {
            debug!(%error, "the folder cannot be watched at the moment");
        }
    }
}

impl Stir {
    fn settle(&self) -> MutexGuard<'_, Settle> {
        self.settle.lock().expect("nothing panics while it holds this")
    }
}

fn watcher(name: OsString, stir: Arc<Stir>) -> notify::Result<RecommendedWatcher> {
    notify::recommended_watcher(move |event: notify::Result<Event>| {
        // An error says that something may have been missed.
        let happened = event.map_or(Some(Happened::Touched), |event| happened(&event, &name));
        if let Some(happened) = happened {
            stir.settle().note(happened, Instant::now());
            stir.news.notify_one();
        }
    })
}

/// What an event says of the file. Writing to others in its folder, an audit log perhaps, says nothing, nor does reading.
fn happened(event: &Event, name: &OsStr) -> Option<Happened> {
    let is_ours = event.paths.iter().any(|path| path.file_name() == Some(name));
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => is_ours.then_some(Happened::Closed),
        EventKind::Access(_) => None,
        EventKind::Modify(ModifyKind::Data(_)) => is_ours.then_some(Happened::Written),
        EventKind::Modify(ModifyKind::Metadata(_)) => is_ours.then_some(Happened::Touched),
        EventKind::Modify(ModifyKind::Name(_)) if is_ours => Some(Happened::Moved),
        EventKind::Modify(_) | EventKind::Create(_) | EventKind::Remove(_) | EventKind::Any | EventKind::Other => {
            Some(Happened::Touched)
        }
    }
}
