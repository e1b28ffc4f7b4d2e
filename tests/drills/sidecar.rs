//! One sidecar: a process of the real binary that is stopped, killed, frozen and started again in the same place.

use std::{
    fs::{self, File},
    net::{IpAddr, SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use reachback_tests::wait::until;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

/// How long a probe may take: longer, and the process is frozen or gone.
const PROBE: Duration = Duration::from_secs(2);

/// A gateway or an agent. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Sidecar {
    role: &'static str,
    config: PathBuf,
    log: PathBuf,
    pub(crate) admin: SocketAddr,
    /// Most file descriptors, if that is limited.
    descriptors: Option<u32>,
    child: Option<Child>,
}

/// What a process holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holds {
    pub(crate) resident_kib: u64,
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
    pub(crate) tasks: u64,
}

impl Sidecar {
    /// Writes its configuration and starts it.
    pub(crate) fn start(
        role: &'static str,
        name: &str,
        folder: &Path,
        yaml: &str,
        admin: SocketAddr,
        descriptors: Option<u32>,
    ) -> Self {
        let config = folder.join(format!("{name}.yaml"));
        fs::write(&config, yaml).expect("the folder can be written");
        let log = folder.join(format!("{name}.log"));
        let mut sidecar = Self { role, config, log, admin, descriptors, child: None };
        sidecar.restart();
        sidecar
    }

    /// Where its configuration lies.
    pub(crate) fn config(&self) -> &Path {
        &self.config
    }

    /// Starts it again; it must not run.
    pub(crate) fn restart(&mut self) {
        assert!(self.child.is_none(), "a sidecar runs once");
        let binary = std::env::current_exe().expect("a process knows its program").with_file_name("reachback");
        let log = File::options().create(true).append(true).open(&self.log).expect("the folder can be written");
        let mut command = match self.descriptors {
            None => Command::new(&binary),
            // The shell sets the limit and becomes the sidecar, so that the process is the one to be signalled.
            Some(descriptors) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", "ulimit -n \"$0\" && exec \"$@\"", &descriptors.to_string()]).arg(&binary);
                shell
            }
        };
        command.args([self.role, "--config"]).arg(&self.config);
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().expect("a shell can be started"));
    }

    /// Sends a signal, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIG{name} cannot be sent");
    }

    /// SIGTERM, and the wait for its end.
    pub(crate) async fn stop(&mut self) -> ExitStatus {
        self.signal("TERM");
        let child = self.child.as_mut().expect("it runs");
        let status = until("the end of a sidecar", async || child.try_wait().ok().flatten()).await;
        self.child = None;
        status
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Its `/status`, if it answers.
    pub(crate) async fn status(&self) -> Option<Value> {
        let (_, body) = probe(self.admin, "/status").await?;
        serde_json::from_str(&body).ok()
    }

    /// What it holds now.
    pub(crate) async fn holds(&self) -> Holds {
        let pid = self.pid();
        let entries = |folder: &str| fs::read_dir(format!("/proc/{pid}/{folder}")).map_or(0, Iterator::count);
        let roll_up = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
        let line = roll_up.lines().find_map(|line| line.strip_prefix("Rss:")).unwrap_or_default();
        Holds {
            resident_kib: line.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0),
            descriptors: entries("fd"),
            threads: entries("task"),
            tasks: self.status().await.and_then(|status| status["tasks"].as_u64()).unwrap_or(0),
        }
    }

    /// Processor time of all its threads so far.
    pub(crate) fn cpu(&self) -> Duration {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid())).into_iter().flatten().flatten();
        let spent = |thread: fs::DirEntry| {
            let line = fs::read_to_string(thread.path().join("schedstat")).unwrap_or_default();
            line.split_whitespace().next().and_then(|nanoseconds| nanoseconds.parse().ok()).unwrap_or(0)
        };
        Duration::from_nanos(threads.map(spent).sum())
    }

    /// The end of its log.
    pub(crate) fn last_words(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(8)..].join("\n")
    }

    fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the end of the log of a sidecar:\n{}", self.last_words());
        }
        self.kill();
    }
}

/// Asks an admin listener; the status and the body.
pub(crate) async fn probe(admin: SocketAddr, path: &str) -> Option<(u16, String)> {
    let asked = async {
        let mut stream = TcpStream::connect(admin).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
    };
    timeout(PROBE, asked).await.ok().flatten()
}

/// A port that is free on an address nobody else uses, and so still is after a restart.
pub(crate) fn free_port(ip: IpAddr) -> SocketAddr {
    let listener = TcpListener::bind((ip, 0)).expect("the address has a free port");
    listener.local_addr().expect("a bound listener has an address")
}
