//! Programs that may be installed or not, and running them.

use std::{
    env,
    io::{Read, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
};

use reachback_tests::wait::until;

/// Where Debian's packages put what Node is to find.
const NODE_PATH: &str = "/usr/share/nodejs";

/// A program, from the first of these names that there is and that takes these arguments; `None` is said aloud, or is
/// a failure where all are required.
pub(crate) fn find(names: &[&str], probe: &[&str], package: &str) -> Option<PathBuf> {
    let works = |name: &&&str| {
        let mut command = Command::new(name);
        command.args(probe).env("NODE_PATH", NODE_PATH).stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    if let Some(name) = names.iter().find(works) {
        return Some(name.into());
    }
    let missing = format!("{} is not there (on Debian: apt-get install {package})", names.join(" or "));
    assert!(env::var_os("CI").is_none() && env::var_os("REACHBACK_REQUIRE_PROGRAMS").is_none(), "{missing}");
    // Not through the macro, whose words cargo keeps back while a test passes.
    let _ = writeln!(std::io::stderr().lock(), "skipped: {missing}");
    None
}

/// Python with a module.
pub(crate) fn python(module: &str, package: &str) -> Option<PathBuf> {
    find(&["/usr/bin/python3", "python3"], &["-c", &format!("import {module}")], package)
}

/// Node.
pub(crate) fn node() -> Option<PathBuf> {
    find(&["node"], &["-e", "if (!globalThis.fetch) process.exit(1)"], "nodejs")
}

/// A program that knows nothing of this machine but its path: no proxies, no settings.
pub(crate) fn command(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("HOME", home).env("TMPDIR", home).env("LANG", "C.UTF-8").env("NODE_PATH", NODE_PATH);
    if let Some(path) = env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.current_dir(home).stdin(Stdio::null());
    command
}

/// A file beside these tests.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/software").join(name)
}

/// How a program ended, and what it said.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// Runs a program to its end.
pub(crate) async fn run(mut command: Command) -> Ended {
    let what = format!("the end of {command:?}");
    let mut child = Killed(command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect(&what));
    let stdout = reader(child.0.stdout.take());
    let stderr = reader(child.0.stderr.take());
    let status = until(&what, async || child.0.try_wait().unwrap()).await;
    Ended { code: status.code(), stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

fn reader(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.unwrap().read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// A process that does not outlive its test.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
