//! Standard output, which holds what was asked for and nothing else, and standard error, which holds the rest.

use std::io::{self, ErrorKind, Write as _};

use crate::exit::Exit;

/// Writes to standard output. A reader that has seen enough, such as `head`, is none of our errors.
pub(crate) fn print(text: &str) -> Result<(), Exit> {
    is_read(text).map(drop)
}

/// The same, and says whether anybody reads it still.
pub(crate) fn is_read(text: &str) -> Result<bool, Exit> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Exit::failed(format_args!("cannot write to standard output: {error}"))),
    }
}

/// Writes to standard error. If that fails, there is nobody left to tell.
pub(crate) fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
