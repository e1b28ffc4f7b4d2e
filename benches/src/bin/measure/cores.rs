//! Which core runs what.

use std::{fs, io, process::Command};

use crate::process::Process;

const PIN_ATTEMPTS: usize = 5;

/// Where the processes of a measurement run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Proxies on one core, everything else on another.
    Apart,
    /// Everything on the same two cores, wherever the kernel puts it.
    Shared,
}

/// The two cores, or none if nothing is pinned.
pub(crate) struct Cores {
    two: Option<(usize, usize)>,
}

impl Cores {
    pub(crate) fn new(pin: bool) -> io::Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
        let two = match parse_list(allowed)[..] {
            [first, second, ..] if pin => Some((first, second)),
            _ => None,
        };
        if pin && two.is_none() {
            eprintln!("only one core: nothing is pinned");
        }
        Ok(Self { two })
    }

    pub(crate) fn pinned(&self) -> bool {
        self.two.is_some()
    }

    /// Puts the proxies on their core and the others, ourselves and our future children among them, on theirs.
    pub(crate) fn place<'a>(
        &self,
        layout: Layout,
        proxies: impl IntoIterator<Item = &'a Process>,
        others: impl IntoIterator<Item = &'a Process>,
    ) -> io::Result<()> {
        let Some((first, second)) = self.two else { return Ok(()) };
        let (of_proxies, of_others) = match layout {
            Layout::Apart => (first.to_string(), second.to_string()),
            Layout::Shared => (format!("{first},{second}"), format!("{first},{second}")),
        };
        for pid in proxies.into_iter().flat_map(Process::pids) {
            pin(pid, &of_proxies)?;
        }
        for pid in others.into_iter().flat_map(Process::pids).chain([std::process::id()]) {
            pin(pid, &of_others)?;
        }
        Ok(())
    }
}

/// Pins all threads of a process. `taskset` fails when a thread ends while it goes through them, so it is tried again.
fn pin(pid: u32, cores: &str) -> io::Result<()> {
    let pid = pid.to_string();
    for _ in 0..PIN_ATTEMPTS {
        let output = Command::new("taskset").args(["-a", "-c", "-p", cores, &pid]).output()?;
        if output.status.success() {
            return Ok(());
        }
    }
    Err(io::Error::other(format!("taskset could not pin process {pid} to {cores}")))
}

/// Reads a kernel CPU list such as `0-2,5`.
fn parse_list(text: &str) -> Vec<usize> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse::<usize>().ok()?..=last.trim().parse().ok()?)
    };
    text.split(',').filter_map(range).flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists_are_read() {
        for (text, expected) in [("\t0-1\n", vec![0, 1]), ("3", vec![3]), ("0-2,5", vec![0, 1, 2, 5]), ("", vec![])] {
            assert_eq!(parse_list(text), expected, "{text:?}");
        }
    }
}
