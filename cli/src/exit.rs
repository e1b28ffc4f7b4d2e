//! How the process ends when it does not end well: 2 for bad usage or configuration, 1 for anything else.

use std::{fmt, process::ExitCode};

use settings::Invalid;

use crate::print::say;

/// Why the process ends, and with which code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// The arguments or the configuration are wrong; code 2. The text is a whole report.
    Usage(String),
    /// Something else went wrong; code 1.
    Failed(String),
    /// The answer asked for is no; code 1, and it has been printed.
    Refused,
}

impl Exit {
    pub(crate) fn usage(text: impl fmt::Display) -> Self {
        Self::Usage(format!("error: {text}"))
    }

    pub(crate) fn failed(error: impl fmt::Display) -> Self {
        Self::Failed(format!("error: {error}"))
    }

    /// Says why, on standard error, and gives the code.
    pub(crate) fn report(self) -> ExitCode {
        match self {
            Self::Usage(text) => {
                say(&(text + "\n"));
                ExitCode::from(2)
            }
            Self::Failed(text) => {
                say(&(text + "\n"));
                ExitCode::FAILURE
            }
            Self::Refused => ExitCode::FAILURE,
        }
    }
}

impl From<Invalid> for Exit {
    fn from(invalid: Invalid) -> Self {
        let count = invalid.count();
        let total = if count > 1 { format!("\n\n{count} errors") } else { String::new() };
        Self::Usage(format!("{invalid}{total}"))
    }
}
