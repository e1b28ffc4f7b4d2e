//! Registering: the agent makes a token of its own, shows it to its gateways with a one-time code, and keeps it.
//!
//! Until every gateway has taken it, the token lies beside its place, and the next try shows the same one: a gateway
//! that has it already, and whose answer was lost, says so.

use std::{
    fmt::Write as _,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use settings::{Fault, Invalid, Token};
use tracing::warn;

use crate::{
    config::Unregistered,
    dial::{Standing, register_everywhere},
};

/// A one-time code: six digits.
pub struct Code(String);

impl Code {
    /// As authenticator apps show it: spaces in it do not count.
    ///
    /// # Errors
    /// A [`Fault`] for anything but six digits. It does not repeat it.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        if digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self(digits));
        }
        Err(Fault::new("this is not a code", "give the six digits that an authenticator app shows for this agent"))
    }
}

/// The agent has registered everywhere.
#[derive(Debug)]
pub struct Registered {
    /// Each gateway, and the name that the agent is known by there.
    pub gateways: Vec<(String, String)>,
    /// Where its token is kept.
    pub token_file: PathBuf,
}

/// The agent has not registered, or not everywhere.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The configuration cannot be used.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// It has a token.
    #[error(
        "there is a token already, in {}\n = an agent registers once; to do so again, move that file away", .0.display()
    )]
    HasToken(PathBuf),
    /// A token cannot be made or kept.
    #[error(
        "cannot keep a token in {}: {error}\n = its folder must exist, and be writable for this user", path.display()
    )]
    Keep {
        /// Where.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// The configured authorities are not usable.
    #[error("a certificate of ca_file cannot be used: {0}")]
    Authorities(rustls::Error),
    /// Some gateways have not taken it; one line for each of all gateways.
    #[error("not registered everywhere:{0}\n = try again with the next code; the token is the same until all have it")]
    Gateways(String),
}

/// Whether there is anything to register: to be asked for a code in vain is a nuisance.
///
/// # Errors
/// [`RegisterError`] if the configuration names no place for a token, or there is one already.
pub fn awaits_registration(path: &Path) -> Result<(), RegisterError> {
    unregistered(path).map(drop)
}

fn unregistered(path: &Path) -> Result<Unregistered, RegisterError> {
    let unregistered = Unregistered::load(path)?;
    let file = unregistered.token_file();
    if file.try_exists().unwrap_or(true) { Err(RegisterError::HasToken(file)) } else { Ok(unregistered) }
}

/// Makes a token, registers it at every gateway of a configuration file, and puts it where the agent looks for it.
///
/// # Errors
/// [`RegisterError`]; nothing is then where the agent would look.
pub async fn register(path: &Path, code: &Code) -> Result<Registered, RegisterError> {
    let unregistered = unregistered(path)?;
    let (file, pending) = (unregistered.token_file(), unregistered.pending_file());
    let keeping = |error| RegisterError::Keep { path: file.clone(), error };
    if Token::from_file(&pending).is_err() {
        make(&pending).map_err(keeping)?;
    }
    let config = unregistered.config()?;
    config.warnings.iter().for_each(|warning| warn!("{warning}"));
    let standing = Standing::new(&config, &config.name, "").map_err(RegisterError::Authorities)?;
    let attempts = register_everywhere(&config.gateways, standing, &code.0).await;
    if attempts.iter().any(|attempt| attempt.outcome.is_err()) || attempts.is_empty() {
        let lines = attempts.into_iter().fold(String::new(), |mut lines, attempt| {
            let outcome = attempt.outcome.map_or_else(|why| why, |name| format!("registered as {name}"));
            let _ = write!(lines, "\n   {}: {outcome}", attempt.gateway);
            lines
        });
        return Err(RegisterError::Gateways(lines));
    }
    fs::rename(&pending, &file).and_then(|()| sync_folder(&file)).map_err(keeping)?;
    let named = attempts.into_iter().filter_map(|attempt| Some((attempt.gateway, attempt.outcome.ok()?)));
    Ok(Registered { gateways: named.collect(), token_file: file })
}

/// Writes a new token into a file that only its owner can read.
fn make(path: &Path) -> io::Result<()> {
    let mut random = [0; 32];
    getrandom::fill(&mut random)?;
    let token = Token::of_random(&random);
    // Half a token that a killed process left behind.
    fs::remove_file(path).or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{}", token.expose())?;
    file.sync_all()?;
    sync_folder(path)
}

/// A name is on the disk when its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
