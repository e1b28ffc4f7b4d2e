//! Opening files that are read whole, and perhaps again later. A pipe among them would hold up whoever opens it until
//! somebody writes into it, and hold nothing the second time.

use std::{
    fs::{self, File, FileType},
    io::{self, ErrorKind},
    os::unix::fs::FileTypeExt as _,
    path::Path,
};

use crate::report::Fault;

/// Where the relative paths of a configuration file start, for remedies.
pub(crate) const FOLDER_OF_THE_FILE: &str = "relative ones start at the configuration file's folder";

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

/// Whether a file can be made there as far as its folder goes. That may not be seen from here, and then it is taken for
/// good: who checks a configuration may be another user than who runs by it.
///
/// # Errors
/// A [`Fault`] if the folder is not there, or is none.
pub fn within_a_folder(path: &Path) -> Result<(), Fault> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let what = match fs::metadata(folder) {
        Ok(metadata) if !metadata.is_dir() => "is not a folder",
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => "does not exist",
        _ => return Ok(()),
    };
    let remedy = format!("make it, or write another path ({FOLDER_OF_THE_FILE})");
    Err(Fault::new(format!("the folder of {}, {}, {what}", path.display(), folder.display()), remedy))
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

#[cfg(all(test, feature = "scratch"))]
mod tests {
    use super::*;
    use crate::scratch::{Scratch, says};

    #[test]
    fn a_file_needs_a_folder() {
        let folder = Scratch::new();
        folder.write("file", "");
        for good in [folder.file("new"), folder.file("file"), "/new".into(), "new".into()] {
            assert_eq!(within_a_folder(&good), Ok(()), "{}", good.display());
        }
        let refuses = |name: &str, why: &str| {
            let fault = within_a_folder(&folder.file(name)).unwrap_err().to_string();
            says(&fault, name, &[name, why, "make it"]);
        };
        refuses("none/new", "does not exist");
        refuses("file/new", "is not a folder");
        refuses("file/none/new", "does not exist");
    }
}
