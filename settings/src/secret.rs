//! Text that nobody may see: read from a file or the environment, never from an argument.

use std::{env, fs, io::Read as _, os::unix::fs::MetadataExt as _, path::Path};

use crate::{
    file::{self, FOLDER_OF_THE_FILE},
    report::{Fault, Findings},
    source::Text,
};

/// Reads a secret of at most `longest` bytes, and perhaps one line end after it, which the caller takes off. A longer
/// one comes cut short, but longer than `longest`. `what` names it: "the token file".
///
/// # Errors
/// A [`Fault`] if the file cannot be read, or is none.
pub fn from_file(path: &Path, what: &str, longest: usize) -> Result<String, Fault> {
    let unreadable = |error: std::io::Error| {
        Fault::new(
            format!("{what} {} cannot be read: {error}", path.display()),
            format!("check the path ({FOLDER_OF_THE_FILE}) and its permissions"),
        )
    };
    let mut bytes = Vec::new();
    // Two bytes more than the longest secret with its line end, so that a longer one is noticed and does not fill the
    // memory.
    let most = longest as u64 + 4;
    file::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes)).map_err(unreadable)?;
    // A byte that is not UTF-8 becomes a character that is not ASCII, for which each secret has its own reason.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Warns if everybody on this machine can write into the file that a key names. That everybody can read it is no reason
/// to: where secrets are mounted it is usual, and nobody else is there.
pub fn warn_of_writers(found: &mut Findings<'_>, key: &Text) {
    let path = found.source().resolve(&key.value);
    let is_open = fs::metadata(&path).is_ok_and(|metadata| metadata.mode() & 0o002 != 0);
    if is_open {
        let path = path.display();
        let what =
            "whoever is on this machine can write to it, and so decide what is shown as proof, or that nothing is";
        found.warn(key.place, format_args!("{path} holds a secret, and {what}: chmod 600 {path}"));
    }
}

/// Reads a secret from the environment; `instead` is the key for one in a file.
///
/// # Errors
/// A [`Fault`] if the variable is not set.
pub fn from_env(name: &str, instead: &str) -> Result<String, Fault> {
    env::var(name).map_err(|_| {
        let remedy = format!("set it before starting, or use `{instead}`");
        Fault::new(format!("the environment variable `{name}` is not set"), remedy)
    })
}

/// The text without one line end, which editors and `echo` add.
#[must_use]
pub fn without_line_end(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

#[cfg(all(test, feature = "scratch"))]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::scratch::{Scratch, says};

    #[test]
    fn a_secret_is_in_a_file() {
        let folder = Scratch::new();
        folder.write("secret", "hunter2\n");
        folder.pipe("pipe");
        symlink(folder.file("secret"), folder.file("link")).unwrap();
        symlink(folder.file("pipe"), folder.file("link-to-pipe")).unwrap();
        let read = |path: &Path| from_file(path, "the token file", 64);
        for good in ["secret", "link"] {
            assert_eq!(read(&folder.file(good)).unwrap(), "hunter2\n", "{good}");
        }
        let refuses = |path: &Path, why: &str| {
            says(
                &read(path).unwrap_err().to_string(),
                why,
                &["the token file", "cannot be read", why, "check the path"],
            );
        };
        refuses(&folder.file("pipe"), "it is a pipe, not a file");
        refuses(&folder.file("link-to-pipe"), "it is a pipe, not a file");
        refuses(folder.path(), "it is a folder, not a file");
        refuses(Path::new("/dev/zero"), "it is a device, not a file");
        refuses(&folder.file("none"), "No such file");
    }
}
