//! A process that we started: its log, its CPU time, its memory, and its end.

use std::{
    fs::{self, File},
    io,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// How long a process may take until it listens, and until it has gone after SIGTERM.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks at a port or a process.
const POLL: Duration = Duration::from_millis(10);

/// A running child and its own children (nginx's workers). Dropping it ends it.
pub(crate) struct Process {
    child: Child,
    log: PathBuf,
}

/// Resident memory of a process and its children, in KiB.
#[derive(Clone, Copy, Default)]
pub(crate) struct Memory {
    pub(crate) now: f64,
    /// The most there ever was.
    pub(crate) peak: f64,
}

impl Process {
    /// Starts a program; what it says goes to `NAME.log`.
    pub(crate) fn start(name: &str, command: &mut Command, work: &Path) -> io::Result<Self> {
        let log = work.join(format!("{name}.log"));
        let file = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        Ok(Self { child: spawn(command)?, log })
    }

    /// Starts a program that is talked to over its standard input and output.
    pub(crate) fn start_piped(
        name: &str,
        command: &mut Command,
        work: &Path,
    ) -> io::Result<(Self, ChildStdin, ChildStdout)> {
        let log = work.join(format!("{name}.log"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        let mut child = spawn(command)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (stdin, stdout) = pipes.ok_or_else(|| io::Error::other("a piped child has pipes"))?;
        Ok((Self { child, log }, stdin, stdout))
    }

    /// Waits until the process accepts connections on a port of loopback.
    pub(crate) fn wait_for_port(&mut self, port: u16) -> io::Result<()> {
        let give_up = Instant::now() + PATIENCE;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(self.failure(&format!("ended with {status} before it listened on port {port}")));
            }
            if Instant::now() > give_up {
                return Err(self.failure(&format!("does not listen on port {port}")));
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// An error with the end of the process's log.
    pub(crate) fn failure(&self, what: &str) -> io::Error {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(10).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        io::Error::other(format!("{} {what}\n{}", self.log.display(), last.join("\n")))
    }

    /// The process and its children.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let main = self.child.id();
        let children = fs::read_to_string(format!("/proc/{main}/task/{main}/children")).unwrap_or_default();
        std::iter::once(main).chain(children.split_whitespace().filter_map(|pid| pid.parse().ok())).collect()
    }

    /// User and system time of all threads alive, to the nanosecond; the ten milliseconds of `/proc/PID/stat` are too
    /// coarse for short work.
    pub(crate) fn cpu(&self) -> io::Result<Duration> {
        let mut total = Duration::ZERO;
        for pid in self.pids() {
            let threads = fs::read_dir(format!("/proc/{pid}/task")).map_err(|_| self.failure("has ended"))?;
            for thread in threads {
                // A thread may end between the listing and the reading.
                let Ok(line) = fs::read_to_string(thread?.path().join("schedstat")) else { continue };
                let nanoseconds = line.split_whitespace().next().and_then(|field| field.parse().ok());
                total += Duration::from_nanos(nanoseconds.ok_or_else(|| io::Error::other("schedstat has no time"))?);
            }
        }
        Ok(total)
    }

    pub(crate) fn memory(&self) -> io::Result<Memory> {
        let mut total = Memory::default();
        for pid in self.pids() {
            // `VmRSS` is counted in batches by CPU and may be off by a quarter of a MiB; the roll-up is exact.
            total.now += kib(&format!("/proc/{pid}/smaps_rollup"), "Rss:")?;
            total.peak += kib(&format!("/proc/{pid}/status"), "VmHWM:")?;
        }
        Ok(total)
    }
}

impl Drop for Process {
    /// SIGTERM first, since nginx's master must end its workers.
    fn drop(&mut self) {
        let _ = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status();
        let give_up = Instant::now() + PATIENCE;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > give_up {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return;
            }
            thread::sleep(POLL);
        }
    }
}

fn spawn(command: &mut Command) -> io::Result<Child> {
    let program = command.get_program().to_owned();
    command.spawn().map_err(|error| io::Error::other(format!("cannot start {}: {error}", program.display())))
}

fn kib(file: &str, field: &str) -> io::Result<f64> {
    let text = fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    let number = line.and_then(|rest| rest.split_whitespace().next()).and_then(|number| number.parse().ok());
    number.ok_or_else(|| io::Error::other(format!("{file} has no {field}")))
}
