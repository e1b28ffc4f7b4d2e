//! A folder with configuration files in which `reachback` runs.

#![allow(dead_code, reason = "not every test needs all of it")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio, id},
    sync::atomic::{AtomicU32, Ordering},
};

pub(crate) const GATEWAY: &str = r#"# gateway.yaml
listen: 127.0.0.1:7100
facades:
  - { listen: 127.0.0.1:7080, service: orders }
  - { listen: 127.0.0.1:7081, route: host, suffix: localhost }     # http://orders.localhost:7081/
  - { listen: 127.0.0.1:7082, route: path }                        # http://127.0.0.1:7082/orders/…
admin: { listen: 127.0.0.1:7101 }
agents:
  - { name: warehouse-7, token_file: warehouse-7.token, services: [orders, "*.acme"] }
"#;

pub(crate) const AGENT: &str = r#"# agent.yaml
name: warehouse-7
gateways: [ws://127.0.0.1:7100]
token_file: warehouse-7.token
admin: { listen: 127.0.0.1:7201 }
services:
  orders:
    upstream: http://127.0.0.1:3000
    allow: [ "GET /orders", "GET,HEAD /orders/{id}", "POST /orders" ]
"#;

/// A folder with configuration files and a token, removed at the end.
pub(crate) struct Folder(pub(crate) PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("process-{}-{}", id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        let folder = Self(folder);
        folder.write("gateway.yaml", GATEWAY);
        folder.write("agent.yaml", AGENT);
        folder.write("warehouse-7.token", "seven-0123456789abcdef\n");
        folder
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.0.join(name), text).unwrap();
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_reachback"));
        command.args(args).current_dir(&self.0).env_remove("RUST_LOG").stdin(Stdio::null());
        command
    }

    /// Runs to the end and expects a code and pieces of the output.
    pub(crate) fn check(&self, args: &[&str], code: i32, fragments: &[&str]) -> Output {
        let output = self.command(args).output().unwrap();
        let text = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
        assert_eq!(output.status.code(), Some(code), "{args:?}:\n{text}");
        for fragment in fragments {
            assert!(text.contains(fragment), "{args:?} lacks {fragment:?}:\n{text}");
        }
        output
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
