//! How reading the file again has gone, for `/status` and for whoever looks at the log.

use std::{
    sync::{Mutex, MutexGuard},
    time::SystemTime,
};

use serde::Serialize;
use settings::Invalid;
use tracing::{error, info};

use crate::utc::rfc3339;

/// The last reload, and what came after it.
#[derive(Debug)]
pub(crate) struct Reloads(Mutex<ReloadStatus>);

/// As `/status` tells it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ReloadStatus {
    state: State,
    /// How many configurations this agent has run with.
    generation: u64,
    /// Since when it runs with this one.
    loaded: String,
    /// How often the file was found wrong, each wrong text counted once.
    failures: u64,
    /// What is wrong with it now, and since when.
    #[serde(flatten)]
    failed: Option<Failed>,
    /// What the file says otherwise than the agent does until it is started again.
    needs_restart: Vec<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    /// There is no file.
    Off,
    /// The agent does what the file says.
    Current,
    /// The file is wrong; the agent does what it said before.
    Failed,
}

#[derive(Clone, Debug, Serialize)]
struct Failed {
    since: String,
    error: String,
}

impl ReloadStatus {
    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    pub(crate) fn failures(&self) -> u64 {
        self.failures
    }

    pub(crate) fn needs_restart(&self) -> bool {
        !self.needs_restart.is_empty()
    }
}

impl Reloads {
    pub(crate) fn new(has_file: bool) -> Self {
        Self(Mutex::new(ReloadStatus {
            state: if has_file { State::Current } else { State::Off },
            generation: 1,
            loaded: rfc3339(SystemTime::now()),
            failures: 0,
            failed: None,
            needs_restart: Vec::new(),
        }))
    }

    pub(crate) fn status(&self) -> ReloadStatus {
        self.lock().clone()
    }

    /// What is wrong with the file, if something is.
    pub(crate) fn error(&self) -> Option<String> {
        self.lock().failed.as_ref().map(|failed| failed.error.clone())
    }

    /// A new configuration is in force; gives its number.
    pub(super) fn succeeded(&self, needs_restart: Vec<&'static str>) -> u64 {
        let mut status = self.lock();
        let (generation, failures) = (status.generation + 1, status.failures);
        let loaded = rfc3339(SystemTime::now());
        *status = ReloadStatus { state: State::Current, generation, loaded, failures, failed: None, needs_restart };
        generation
    }

    /// The file says what it said when it was last good.
    pub(super) fn unchanged(&self, asked: bool) {
        let mut status = self.lock();
        if status.failed.take().is_some() {
            status.state = State::Current;
            info!("the configuration file is good again, and says what it said before");
        } else if asked {
            info!("the configuration file has not changed");
        }
    }

    /// The file is wrong. Shouts, unless it is as wrong as before and nobody asked.
    pub(super) fn failed(&self, invalid: &Invalid, asked: bool) {
        let mut status = self.lock();
        let report = invalid.to_string();
        let known = status.failed.as_ref().is_some_and(|failed| failed.error == report);
        if !known {
            status.state = State::Failed;
            status.failures += 1;
            status.failed = Some(Failed { since: rfc3339(SystemTime::now()), error: report });
        }
        if !known || asked {
            let generation = status.generation;
            let report = format_args!("\n{invalid}");
            error!(generation, %report, "the configuration file is wrong: what it said before stays in force");
        }
    }

    fn lock(&self) -> MutexGuard<'_, ReloadStatus> {
        self.0.lock().expect("nothing panics while it holds the status")
    }
}
