//! What becomes of `reachback` when its terminal does: SIGHUP, and what nobody reads any more.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod folder;
mod running;

use std::{
    fs::{self, OpenOptions},
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    sync::mpsc,
};

use folder::Folder;
use running::Running;
use settings::scratch::GATEWAY;

/// With flags, from a terminal that is gone.
const WITH_FLAGS: [(&[&str], &str); 2] = [
    (&["agent", "--gateway", "ws://127.0.0.1:1", "--service", "orders=http://127.0.0.1:1"], "no link"),
    (&["gateway", "--listen", "127.0.0.1:0", "--facade", "127.0.0.1:0=orders"], "listening"),
];

/// The command, with or without a hangup ignored from the start, whatever the tests themselves were started with
/// (`nohup`, say): a shell cannot undo that (POSIX, `trap`).
fn with_hangup(folder: &Folder, ignored: bool, args: &[&str]) -> Command {
    let mut command = Command::new("env");
    command.arg(if ignored { "--ignore-signal=HUP" } else { "--default-signal=HUP" });
    command.arg(env!("CARGO_BIN_EXE_reachback")).args(args).current_dir(folder.0.path());
    command
}

#[test]
fn a_hangup_drains_what_has_no_file() {
    let folder = Folder::new();
    for (args, up) in WITH_FLAGS {
        let mut running = Running::of(&mut with_hangup(&folder, false, args));
        running.line_with(&[up]);
        running.signal("HUP");
        running.line_with(&["draining"]);
        running.line_with(&["stopped"]);
        assert_eq!(running.code(), Some(0), "{args:?}");
    }
}

#[test]
fn a_log_that_nobody_reads_any_more_breaks_nothing() {
    let folder = Folder::new();
    for (args, up) in WITH_FLAGS {
        let mut child = with_hangup(&folder, false, args).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        lines.find(|line| line.as_ref().unwrap().contains(up)).unwrap().unwrap();
        drop(lines);
        let mut running = Running { child, log: mpsc::channel().1 };
        running.signal("HUP");
        assert_eq!(running.code(), Some(0), "{args:?}");
    }
}

#[test]
fn a_hangup_that_is_ignored_stays_so() {
    let folder = Folder::new();
    for (args, up) in WITH_FLAGS {
        let mut running = Running::of(&mut with_hangup(&folder, true, args));
        running.line_with(&[up]);
        running.signal("HUP");
        let status = fs::read_to_string(format!("/proc/{}/status", running.child.id())).unwrap();
        let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap().trim();
        assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & 1, 1, "{args:?}");
        running.signal("TERM");
        assert_eq!(running.code(), Some(0), "{args:?}");
    }
}

#[test]
fn a_hangup_tells_that_a_gateway_is_to_be_restarted() {
    let folder = Folder::new();
    let ports = ["7080", "7081", "7082", "7100", "7101"];
    folder.write("gateway.yaml", &ports.iter().fold(GATEWAY.to_owned(), |text, port| text.replace(port, "0")));
    let mut gateway = folder.start(&["gateway", "--config", "gateway.yaml"]);
    gateway.line_with(&["listening", "tunnel"]);
    for _ in 0..2 {
        gateway.signal("HUP");
        gateway.line_with(&["WARN", "restart it for a change"]);
    }
    gateway.signal("TERM");
    assert_eq!(gateway.code(), Some(0));
}

#[test]
fn what_nobody_reads_ends_silently_and_what_finds_no_room_is_an_error() {
    let folder = Folder::new();
    folder.write("codes", "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP\n");
    let check = |args: &[&str], stdout: Stdio, code: i32, said: &str| {
        let output = folder.command(args).stdout(stdout).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!((output.status.code(), text.as_str()), (Some(code), said), "{args:?}");
    };
    for args in [
        &["demo"][..],
        &["token", "new"],
        &["token", "secret"],
        &["token", "code", "--secret-file", "codes"],
        &["check", "--config", "agent.yaml"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        check(args, writer.into(), 0, "");
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        check(args, full.into(), 1, "error: cannot write to standard output: No space left on device (os error 28)\n");
    }
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = folder.command(&["token", "new"]).stderr(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(0), 68), "advice that nobody reads");
}
