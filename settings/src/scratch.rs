//! What tests of configurations stand on: a folder for files, the files of the documentation, and slips of the pen.
//! Only with the feature `scratch`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// A gateway's file, as the documentation shows it. Its token is in a [`Scratch::with_token`].
pub const GATEWAY: &str = r#"# gateway.yaml
listen: 127.0.0.1:7100
facades:
  - { listen: 127.0.0.1:7080, service: orders }
  - { listen: 127.0.0.1:7081, route: host, suffix: localhost }     # http://orders.localhost:7081/
  - { listen: 127.0.0.1:7082, route: path }                        # http://127.0.0.1:7082/orders/…
admin: { listen: 127.0.0.1:7101 }
agents:
  - { name: warehouse-7, token_file: warehouse-7.token, services: [orders, "*.acme"] }
"#;

/// An agent's file, as the documentation shows it.
pub const AGENT: &str = r#"# agent.yaml
name: warehouse-7
gateways: [ws://127.0.0.1:7100]
token_file: warehouse-7.token
admin: { listen: 127.0.0.1:7201 }
services:
  orders:
    upstream: http://127.0.0.1:3000
    allow: [ "GET /orders", "GET,HEAD /orders/{id}", "POST /orders" ]
"#;

/// A folder for files, removed at the end.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new, empty folder.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("reachback-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = env::temp_dir().join(name);
        // One that a killed process has left is nobody's any more.
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).expect("the folder for temporary files can be written");
        Self(path)
    }

    /// One with the token that [`GATEWAY`] and [`AGENT`] name.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn with_token() -> Self {
        let folder = Self::new();
        folder.write("warehouse-7.token", "seven-0123456789abcdef\n");
        folder
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Where a file of it is, or would be.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file into it.
    ///
    /// # Panics
    /// If that fails.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).expect("the folder can be written");
    }

    /// Makes a named pipe in it.
    ///
    /// # Panics
    /// If that fails.
    pub fn pipe(&self, name: &str) {
        let made = process::Command::new("mkfifo").arg(self.file(name)).status().expect("mkfifo can be run");
        assert!(made.success(), "{made}");
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Hands over a text with every slip of one character in it, and cut short everywhere.
pub fn slips(text: &str, mut take: impl FnMut(&str)) {
    for (at, character) in text.char_indices() {
        let (before, after) = (&text[..at], &text[at + character.len_utf8()..]);
        take(before);
        take(&format!("{before}{after}"));
        for slip in [" ", "\n", "\t", "'", "\"", ":", "-", "*", "&a ", "[", "}", "#", "!", "0", "\u{e9}", "\0"] {
            take(&format!("{before}{slip}{after}"));
        }
    }
}

/// Holds that a text says each of these.
///
/// # Panics
/// If it does not.
pub fn says(text: &str, of: &str, fragments: &[&str]) {
    for fragment in fragments {
        assert!(text.contains(fragment), "{of}\nlacks {fragment:?}:\n{text}");
    }
}
