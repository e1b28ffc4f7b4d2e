//! A folder with configuration files in which `reachback` runs.

#![allow(dead_code, reason = "not every test needs all of it")]

use std::process::{Command, Output, Stdio};

use settings::scratch::{AGENT, GATEWAY, Scratch, says};

/// A folder with both configuration files and their token.
pub(crate) struct Folder(pub(crate) Scratch);

impl Folder {
    pub(crate) fn new() -> Self {
        let folder = Scratch::with_token();
        folder.write("gateway.yaml", GATEWAY);
        folder.write("agent.yaml", AGENT);
        Self(folder)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        self.0.write(name, text);
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reachback"));
        command.args(args).current_dir(self.0.path()).env_remove("RUST_LOG").stdin(Stdio::null());
        command
    }

    /// Runs to the end and expects a code and pieces of the output.
    pub(crate) fn check(&self, args: &[&str], code: i32, fragments: &[&str]) -> Output {
        let output = self.command(args).output().unwrap();
        let text = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}:\n{text}");
        says(&text, &format!("{args:?}"), fragments);
        output
    }
}
