//! Sidecars as processes of the real binary, which can be killed without a word. They die with the test.

use std::{
    env,
    io::{BufRead as _, BufReader, Write as _},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU8, AtomicU16, Ordering},
    },
    thread,
};

use crate::{
    scratch::Scratch,
    wait::{until, until_so, within},
};

/// A running `reachback`. Dropping it kills it.
#[derive(Debug)]
pub struct Process {
    child: Child,
    file: PathBuf,
    log: Lines,
    output: Lines,
}

type Lines = Arc<Mutex<Vec<String>>>;

impl Process {
    /// `reachback ROLE --config …`, logging at debug, with this configuration.
    ///
    /// # Panics
    /// If there is no binary and none can be built.
    #[must_use]
    pub fn start(role: &str, yaml: &str, folder: &Scratch) -> Self {
        Self::start_in(&[], role, yaml, folder)
    }

    /// The same with these environment variables. Those of the tests that name proxies are not passed on.
    ///
    /// # Panics
    /// As [`Process::start`].
    #[must_use]
    pub fn start_in(environment: &[(&str, &str)], role: &str, yaml: &str, folder: &Scratch) -> Self {
        Self::spawn(Command::new(binary()), environment, role, yaml, folder)
    }

    /// The same by another program, which runs in its own place what it is given as arguments.
    ///
    /// # Panics
    /// As [`Process::start`].
    #[must_use]
    pub fn start_by(mut program: Command, role: &str, yaml: &str, folder: &Scratch) -> Self {
        program.arg(binary());
        Self::spawn(program, &[], role, yaml, folder)
    }

    fn spawn(command: Command, environment: &[(&str, &str)], role: &str, yaml: &str, folder: &Scratch) -> Self {
        static NEXT: AtomicU16 = AtomicU16::new(0);
        let file = format!("{role}-{}.yaml", NEXT.fetch_add(1, Ordering::Relaxed));
        folder.write(&file, yaml);
        Self::run_in(command, environment, &[role, "--config", &file], folder, folder.path().join(&file))
    }

    /// `reachback …` with these arguments and no file, logging at debug.
    ///
    /// # Panics
    /// As [`Process::start`].
    #[must_use]
    pub fn start_with(args: &[&str], folder: &Scratch) -> Self {
        Self::run_in(Command::new(binary()), &[], args, folder, PathBuf::new())
    }

    fn run_in(
        mut command: Command,
        environment: &[(&str, &str)],
        args: &[&str],
        folder: &Scratch,
        file: PathBuf,
    ) -> Self {
        command.args(args).args(["--log-level", "debug"]).current_dir(folder.path());
        let names_a_proxy = |name: &str| name.to_ascii_lowercase().ends_with("_proxy");
        for (name, _) in env::vars_os().filter(|(name, _)| names_a_proxy(&name.to_string_lossy())) {
            command.env_remove(name);
        }
        command.envs(environment.iter().copied());
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary can be started");
        let log = collect(child.stderr.take().expect("standard error is piped"));
        let output = collect(child.stdout.take().expect("standard output is piped"));
        Self { child, file, log, output }
    }

    /// Its configuration.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Its log so far.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.log.lock().expect("nothing panics while it holds the log").clone()
    }

    /// Its standard output so far.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn output(&self) -> Vec<String> {
        self.output.lock().expect("nothing panics while it holds the output").clone()
    }

    /// The first line of the log that holds all of `words`, once it is there.
    pub async fn line(&self, words: &[&str]) -> String {
        let what = format!("a line with {words:?}");
        let found = |line: &String| words.iter().all(|word| line.contains(word));
        until(&what, async || self.log().into_iter().find(found)).await
    }

    /// Where its first listener of a kind listens.
    ///
    /// # Panics
    /// If the log does not say it readably.
    pub async fn address(&self, what: &str) -> SocketAddr {
        let line = self.line(&["listening", &format!("what={what}")]).await;
        field(&line, "address").expect("a listener has an address")
    }

    /// What `ps` shows of it.
    ///
    /// # Panics
    /// If the system does not tell.
    #[must_use]
    pub fn arguments(&self) -> String {
        let path = format!("/proc/{}/cmdline", self.child.id());
        std::fs::read_to_string(path).expect("the process is there")
    }

    /// Sends a signal, such as `TERM`.
    ///
    /// # Panics
    /// If that cannot be done.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "SIG{name} cannot be sent");
    }

    /// Kills it with SIGKILL, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end, and says with which code; `None` if a signal ended it.
    pub async fn code(&mut self) -> Option<i32> {
        let over = async || self.child.try_wait().ok().flatten();
        until("the end of a process", over).await.code()
    }

    /// Whether it still runs.
    pub fn lives(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Processor time that it has used, in ticks of a hundredth of a second; 0 where the system does not tell.
    #[must_use]
    pub fn ticks(&self) -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // The name, in parentheses, may hold anything; time in user and kernel mode are fields 14 and 15.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum()
    }

    /// Memory that it holds, in bytes; 0 where the system does not tell.
    #[must_use]
    pub fn resident(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most that it has held so far.
    #[must_use]
    pub fn most_resident(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, which: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(which)).unwrap_or_default();
        line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("the log of a process:\n{}", self.log().join("\n"));
        }
    }
}

/// Runs `reachback` to its end: its exit code, and what it printed and complained about.
///
/// # Panics
/// If a signal ends it, or the deadline comes first.
pub async fn run(args: &[&str]) -> (i32, String) {
    run_with(args, "").await
}

/// The same with this on standard input.
///
/// # Panics
/// As [`run`].
pub async fn run_with(args: &[&str], input: &str) -> (i32, String) {
    let (mut command, input) = (Command::new(binary()), input.to_owned());
    command.args(args).env_remove("RUST_LOG").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ended = tokio::task::spawn_blocking(move || {
        let mut child = command.spawn().expect("the binary can be started");
        // Dropped at once, so that it comes to an end. Who reads nothing may have gone by then.
        let _ = child.stdin.take().expect("standard input is piped").write_all(input.as_bytes());
        child.wait_with_output().expect("its output can be read")
    });
    let ended = within("the end of a command", ended).await.expect("nothing panics");
    let printed = [ended.stdout, ended.stderr].concat();
    (ended.status.code().expect("no signal ends it"), String::from_utf8_lossy(&printed).into_owned())
}

/// Reads lines as they come.
fn collect(from: impl std::io::Read + Send + 'static) -> Lines {
    let lines = Lines::default();
    let collected = lines.clone();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            collected.lock().expect("nothing panics while it holds the lines").push(line);
        }
    });
    lines
}

/// The value of `name=value` in a line of the log.
#[must_use]
pub fn field<T: std::str::FromStr>(line: &str, name: &str) -> Option<T> {
    let (_, rest) = line.split_once(&format!("{name}="))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// A loopback address that no other test uses, so that its ports are still free after a restart.
#[must_use]
pub fn own_address() -> IpAddr {
    if cfg!(not(target_os = "linux")) {
        return Ipv4Addr::LOCALHOST.into();
    }
    static NEXT: AtomicU8 = AtomicU8::new(2);
    let [.., a, b] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, a, b, NEXT.fetch_add(1, Ordering::Relaxed)).into()
}

/// Waits until somebody listens there.
pub async fn until_listening(address: SocketAddr) {
    until_so("a listener", || std::net::TcpStream::connect(address).is_ok()).await;
}

/// The binary beside the tests, brought up to date if cargo is at hand.
fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let test = env::current_exe().expect("a process knows its program");
        let profile = test.ancestors().nth(2).expect("tests lie in target/PROFILE/deps");
        let binary = profile.join("reachback").with_extension(env::consts::EXE_EXTENSION);
        if let Some(cargo) = env::var_os("CARGO") {
            build(&cargo, profile);
        }
        assert!(binary.exists(), "{} is not there: run cargo build -p reachback", binary.display());
        binary
    })
}

/// Builds the binary as `cargo test --workspace` has built it, so that usually there is nothing left to do.
fn build(cargo: &std::ffi::OsStr, profile: &Path) {
    let name = match profile.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let mut command = Command::new(cargo);
    command.args(["build", "--quiet", "--workspace", "--bin", "reachback", "--profile", name, "--target-dir"]);
    command.arg(profile.parent().expect("a profile's folder lies in target"));
    // Cargo has told the tests about themselves; the build is none of theirs.
    let told = env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("CARGO_PKG_"));
    for (name, _) in told {
        command.env_remove(name);
    }
    command.env_remove("CARGO_MANIFEST_DIR").env_remove("CARGO_MANIFEST_PATH");
    let built = command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR"))).status();
    assert!(built.is_ok_and(|status| status.success()), "the binary cannot be built");
}
