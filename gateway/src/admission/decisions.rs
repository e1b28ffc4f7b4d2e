//! What was decided about agents, which of them have registered, and the file that remembers both.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use proto::wire::ServiceName;
use serde::{Deserialize, Serialize};

use super::registrations::Registrations;
use crate::limits::{DECISIONS, STATE_BYTES};

/// The only version of the file that there is.
const VERSION: u32 = 1;

/// Yes or no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Decision {
    Approved,
    Rejected,
}

/// For logs.
impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        })
    }
}

/// What was decided about one agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) decision: Decision,
    /// Whether a credential proved the name when it was decided.
    pub(crate) proven: bool,
    /// What the agent claimed then.
    pub(crate) services: Vec<String>,
}

impl Record {
    /// Whether it lets an agent in that claims these services. An approval of a name that anybody may give counts only
    /// for what was claimed then; how far a credential goes is its own matter.
    pub(crate) fn covers(&self, proven: bool, services: &[ServiceName]) -> bool {
        let known = |service: &ServiceName| self.services.iter().any(|known| known == service.as_str());
        self.decision == Decision::Approved && self.proven == proven && (proven || services.iter().all(known))
    }
}

/// Every decision, by the name that the agent is known by, and every registration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decisions {
    agents: BTreeMap<String, Record>,
    pub(super) registrations: Registrations,
}

/// The file's content.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    version: u32,
    agents: BTreeMap<String, Record>,
    #[serde(default, skip_serializing_if = "Registrations::is_empty")]
    registrations: Registrations,
}

impl Decisions {
    pub(crate) fn of(&self, agent: &str) -> Option<&Record> {
        self.agents.get(agent)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&String, &Record)> {
        self.agents.iter()
    }

    /// The same with one more; `None` if there are [`DECISIONS`] already. The token of an agent that is rejected is
    /// forgotten: let in again, it has to register again.
    pub(crate) fn with(&self, agent: &str, record: Record) -> Option<Self> {
        let mut all = self.clone();
        if record.decision == Decision::Rejected {
            all.registrations.forget_token(agent);
        }
        all.agents.insert(agent.to_owned(), record);
        (all.agents.len() <= DECISIONS).then_some(all)
    }

    fn read(text: &str) -> Result<Self, String> {
        let content: Content = serde_json::from_str(text).map_err(|error| error.to_string())?;
        if content.version != VERSION {
            return Err(format!("its version is {}, and this gateway knows {VERSION} only", content.version));
        }
        Ok(Self { agents: content.agents, registrations: content.registrations })
    }

    fn written(&self) -> Vec<u8> {
        let Self { agents, registrations } = self.clone();
        let content = Content { version: VERSION, agents, registrations };
        let mut text = serde_json::to_vec_pretty(&content).expect("plain text always serialises");
        text.push(b'\n');
        text
    }
}

/// The state file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// It is there, and cannot be read.
    #[error("cannot read the state file {}: {error}\n = {}", path.display(), unreadable(error))]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// It holds something else. It is left as it is.
    #[error(
        "the state file {} is damaged: {what}\n = it was left as it is: restore it, or move it away to start without decisions",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Another process has it.
    #[error(
        "the state file {} is in use by another gateway\n = each gateway needs a file of its own; one that drains lets go of it when it ends",
        path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error(
        "cannot write the state file {}: {error}\n = its folder must exist, and be writable for the user that the gateway runs as",
        path.display()
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

/// What to do about a state file that cannot be read.
fn unreadable(error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::InvalidInput => "name a file; if there is none, it is made",
        _ => "check its permissions",
    }
}

/// The file in which decisions outlive the process. One gateway's: two would forget each other's decisions.
#[derive(Clone, Debug)]
pub(crate) struct StateFile {
    path: PathBuf,
    /// Locked for as long as it is open. A file beside the other, which is replaced each time.
    _lock: Arc<File>,
}

impl StateFile {
    /// Opens a state file, or begins one: whether it can be written shows at the start and not with the first decision.
    pub(crate) fn open(path: &Path) -> Result<(Self, Decisions), StateError> {
        let unreadable = |error| StateError::Read { path: path.to_owned(), error };
        if let Err(error) = settings::file::open(path)
            && error.kind() != ErrorKind::NotFound
        {
            // Nothing is to be put beside a device.
            return Err(unreadable(error));
        }
        let file = Self { path: path.to_owned(), _lock: Arc::new(lock(path)?) };
        let mut text = String::new();
        match settings::file::open(path).and_then(|opened| opened.take(STATE_BYTES).read_to_string(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                file.write(&Decisions::default())?;
                return Ok((file, Decisions::default()));
            }
            Err(error) if error.kind() == ErrorKind::InvalidData => return Err(file.damaged("it is not UTF-8 text")),
            Err(error) => return Err(unreadable(error)),
        }
        let decisions = Decisions::read(&text).map_err(|what| file.damaged(what))?;
        Ok((file, decisions))
    }

    fn damaged(&self, what: impl Into<String>) -> StateError {
        StateError::Damaged { path: self.path.clone(), what: what.into() }
    }

    /// Replaces the file: whoever reads it, and whatever happens meanwhile, finds the old content or the new one.
    /// Blocks until it is on the disk.
    pub(crate) fn write(&self, decisions: &Decisions) -> Result<(), StateError> {
        self.replace(&decisions.written()).map_err(|error| StateError::Write { path: self.path.clone(), error })
    }

    fn replace(&self, content: &[u8]) -> io::Result<()> {
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let new = beside(&self.path, ".new");
        // What a killed process left behind may have other rights.
        fs::remove_file(&new).or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        // The rename itself is on the disk when the folder is.
        File::open(folder)?.sync_all()
    }
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Keeps other gateways from a state file, where the file system knows locks.
fn lock(path: &Path) -> Result<File, StateError> {
    let beside = beside(path, ".lock");
    let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&beside);
    let lock = lock.map_err(|error| StateError::Write { path: beside, error })?;
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => Err(StateError::InUse { path: path.to_owned() }),
        Ok(()) | Err(TryLockError::Error(_)) => Ok(lock),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use settings::scratch::Scratch;

    use super::*;
    use crate::config::TokenDigest;

    fn approved(proven: bool, services: &[&str]) -> Record {
        let services = services.iter().map(|service| (*service).to_owned()).collect();
        Record { decision: Decision::Approved, proven, services }
    }

    #[test]
    fn what_was_decided_is_read_again() {
        let folder = Scratch::new();
        let path = folder.file("state.json");
        let (file, none) = StateFile::open(&path).unwrap();
        assert_eq!(none, Decisions::default());
        let mut some = none.with("edge \"1\"", approved(true, &["orders"])).unwrap();
        some.registrations = some.registrations.with("edge 2", 7, TokenDigest::of(b"token")).unwrap();
        fs::write(folder.file("state.json.new"), "half of it").unwrap();
        file.write(&some).unwrap();
        assert!(
            matches!(StateFile::open(&path), Err(StateError::InUse { .. })),
            "it would forget what the first decides"
        );
        drop(file);
        assert_eq!(StateFile::open(&path).unwrap().1, some);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!fs::exists(folder.file("state.json.new")).unwrap(), "nothing half is left");
    }

    #[test]
    fn a_damaged_file_is_reported_and_left_alone() {
        let folder = Scratch::new();
        let path = folder.file("state.json");
        let good = String::from_utf8(Decisions::default().written()).unwrap();
        for (text, what) in [
            (String::new(), "EOF"),
            (good[..good.len() / 2].to_owned(), "EOF"),
            ("{}".to_owned(), "version"),
            (good.replace('1', "2"), "its version is 2"),
            (r#"{"version":1,"agents":{"a":{"decision":"maybe","proven":true,"services":[]}}}"#.to_owned(), "maybe"),
            (r#"{"version":1,"agents":{},"more":1}"#.to_owned(), "more"),
            (
                r#"{"version":1,"agents":{},"registrations":{"a":{"spent_step":1,"token_sha256":"ab"}}}"#.to_owned(),
                "not the SHA-256",
            ),
        ] {
            fs::write(&path, &text).unwrap();
            let error = StateFile::open(&path).unwrap_err().to_string();
            assert!(error.contains("state.json is damaged") && error.contains(what), "{text:?}: {error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        fs::write(&path, [0xFF, 0xFE]).unwrap();
        assert!(StateFile::open(&path).unwrap_err().to_string().contains("not UTF-8"));
        let nowhere = folder.file("missing/state.json");
        assert!(StateFile::open(&nowhere).unwrap_err().to_string().contains("its folder must exist"));
        folder.pipe("pipe");
        for (path, what) in
            [(folder.path(), "folder"), (&folder.file("pipe"), "pipe"), (Path::new("/dev/null"), "device")]
        {
            let error = StateFile::open(path).unwrap_err().to_string();
            assert!(error.contains(&format!("it is a {what}, not a file\n = name a file;")), "{error}");
        }
    }

    #[test]
    fn an_approval_covers_what_was_seen() {
        let check = |record: &Record, proven, services: &[&str], expected| {
            let services: Vec<_> = services.iter().map(|name| ServiceName::new(name).unwrap()).collect();
            assert_eq!(record.covers(proven, &services), expected, "{record:?} {services:?}");
        };
        let named = approved(false, &["a", "b"]);
        check(&named, false, &["a", "b"], true);
        check(&named, false, &["b"], true);
        check(&named, false, &[], true);
        check(&named, false, &["a", "c"], false);
        check(&named, true, &["a"], false);
        let proved = approved(true, &["a"]);
        check(&proved, true, &["a", "c"], true);
        check(&proved, false, &["a"], false);
        check(&Record { decision: Decision::Rejected, ..proved }, true, &["a"], false);
    }

    #[test]
    fn decisions_are_bounded() {
        let mut all = Decisions::default();
        for number in 0..DECISIONS {
            all.agents.insert(number.to_string(), approved(true, &[]));
        }
        assert!(all.with("0", approved(true, &["a"])).is_some(), "one that is there can change");
        assert!(all.with("one more", approved(true, &[])).is_none());
    }
}
