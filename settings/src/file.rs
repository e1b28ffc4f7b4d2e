//! Opening files that are read whole, and perhaps again later. A pipe among them would hold up whoever opens it until
//! somebody writes into it, and hold nothing the second time.

use std::{
    fs::{self, File, FileType},
    io::{self, ErrorKind},
    os::unix::fs::FileTypeExt as _,
    path::Path,
};

/// Opens a regular file for reading. Symbolic links are followed.
///
/// # Errors
/// Why it cannot be opened; of kind `InvalidInput` if it is there and is something else.
pub fn open(path: &Path) -> io::Result<File> {
    match kind(fs::metadata(path)?.file_type()) {
        None => File::open(path),
        Some(kind) => Err(not_a_file(kind)),
    }
}

/// # Errors
/// If this is a pipe, whose opening waits for its other end. What is not there is none.
pub fn refuse_pipe(path: &Path) -> io::Result<()> {
    match fs::metadata(path).map(|metadata| metadata.file_type()) {
        Ok(it) if it.is_fifo() => Err(not_a_file("pipe")),
        _ => Ok(()),
    }
}

/// What it is, unless it is a regular file.
fn kind(it: FileType) -> Option<&'static str> {
    match it {
        it if it.is_file() => None,
        it if it.is_dir() => Some("folder"),
        it if it.is_fifo() => Some("pipe"),
        it if it.is_socket() => Some("socket"),
        _ => Some("device"),
    }
}

fn not_a_file(kind: &str) -> io::Error {
    io::Error::new(ErrorKind::InvalidInput, format!("it is a {kind}, not a file"))
}
