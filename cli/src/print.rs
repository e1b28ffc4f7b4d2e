//! Standard output, which holds what was asked for and nothing else.

use std::io::{self, ErrorKind, Write as _};

use crate::exit::Exit;

/// Writes to standard output. A reader that has seen enough, such as `head`, is none of our errors.
pub(crate) fn print(text: &str) -> Result<(), Exit> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Exit::failed(error)),
        _ => Ok(()),
    }
}
