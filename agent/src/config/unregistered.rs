//! The configuration of an agent that has no token yet, but is about to.

use std::path::{Path, PathBuf};

use settings::{Fault, Findings, Invalid, Source};

use super::{Config, check, raw::RawConfig};

/// What the name of a token ends in that not all gateways have yet.
const PENDING: &str = ".new";

/// A file that names a `token_file`, which need not be there.
pub(crate) struct Unregistered {
    source: Source,
    raw: RawConfig,
    token_file: String,
}

impl Unregistered {
    /// # Errors
    /// [`Invalid`] if it cannot be read, or does not say where to keep the token.
    pub(crate) fn load(path: &Path) -> Result<Self, Invalid> {
        let source = Source::read(path)?;
        let raw: RawConfig = settings::yaml::read(&source)?;
        let Some(token_file) = raw.token_file.as_ref().map(|file| file.value.clone()) else {
            let fault =
                Fault::new("it is not said where to keep the token", "add `token_file`: token_file: agent.token");
            return Err(Findings::new(&source).fail(None, fault));
        };
        Ok(Self { source, raw, token_file })
    }

    /// Where the agent looks for its token.
    pub(crate) fn token_file(&self) -> PathBuf {
        self.source.resolve(&self.token_file)
    }

    /// Where the token is until it is registered.
    pub(crate) fn pending_file(&self) -> PathBuf {
        self.source.resolve(&format!("{}{PENDING}", self.token_file))
    }

    /// The configuration with that token, which is there by now.
    ///
    /// # Errors
    /// [`Invalid`] with everything that is wrong.
    pub(crate) fn config(mut self) -> Result<Config, Invalid> {
        if let Some(file) = &mut self.raw.token_file {
            file.value.push_str(PENDING);
        }
        check::check(&self.raw, &self.source)
    }
}
