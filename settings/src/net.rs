//! Addresses to listen on, and names on the network.

use std::{
    env, fs,
    io::{self, ErrorKind},
    net::{IpAddr, SocketAddr},
};

use serde::Deserialize;

use crate::{
    report::{Fault, Findings},
    source::{At, Text},
};

/// Longest name of a gateway or an agent, in bytes: that of a DNS name, as the wire has it.
const NAME_BYTES: usize = 253;

/// A listener of its own, such as `admin: { listen: 127.0.0.1:7101 }`, as written.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawListener {
    /// `listen`.
    #[serde(default)]
    pub listen: Option<Text>,
}

impl RawListener {
    /// Checks the address; `key` is the listener's own key.
    pub fn check(
        raw: Option<&At<Self>>,
        key: &str,
        found: &mut Findings<'_>,
        parse: impl FnOnce(&str) -> Result<SocketAddr, Fault>,
    ) -> Option<Option<At<SocketAddr>>> {
        let Some(raw) = raw else { return Some(None) };
        let missing = Fault::new(
            format!("`{key}` has no address to listen on"),
            format!("write {key}: {{ listen: 127.0.0.1:7101 }}"),
        );
        let text = raw.value.listen.as_ref();
        let value = found.required(text, (Some(raw.place), missing), parse)?;
        Some(text.map(|text| At { value, place: text.place }))
    }
}

/// An address to listen on: an IP address and a port.
///
/// # Errors
/// A [`Fault`] that shows how to write one.
pub fn address(text: &str) -> Result<SocketAddr, Fault> {
    text.parse().map_err(|_| {
        let remedy = match text.trim_start_matches(':').parse::<u16>() {
            Ok(port) => format!("write 127.0.0.1:{port}"),
            Err(_) => match text.strip_prefix("localhost:") {
                Some(port) => format!("write 127.0.0.1:{port}"),
                None => "write an IP address and a port, such as 127.0.0.1:7100 or [::1]:7100".to_owned(),
            },
        };
        Fault::new(format!("`{text}` is not an address to listen on"), remedy)
    })
}

/// An address that only this machine (or pod) can reach.
///
/// # Errors
/// A [`Fault`] for any other.
pub fn loopback_address(text: &str) -> Result<SocketAddr, Fault> {
    let address = address(text)?;
    if is_loopback(address.ip()) {
        return Ok(address);
    }
    Err(Fault::new(
        format!("{address} can be reached from other machines, but this listener must be loopback"),
        format!("write 127.0.0.1:{}; for probes from outside there is `health`", address.port()),
    ))
}

/// Whether an address is this machine's own.
#[must_use]
pub fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

/// Whether a host of a URL (an address without brackets, or a name) is this machine itself.
#[must_use]
pub fn is_loopback_host(host: &str) -> bool {
    match host.parse() {
        Ok(address) => is_loopback(address),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// Reports listeners that cannot all be bound. Each comes with what it is, such as "a facade".
pub fn distinct(found: &mut Findings<'_>, listeners: &[(&str, At<SocketAddr>)]) -> Option<()> {
    let mut clear = Some(());
    for (later, (_, address)) in listeners.iter().enumerate() {
        let taken = listeners[..later].iter().find(|(_, earlier)| overlap(earlier.value, address.value));
        if let Some((by, earlier)) = taken {
            let what = format!("{} is taken already: {by} listens on {}", address.value, earlier.value);
            found.fault(address.place, Fault::new(what, "give each listener a port of its own"));
            clear = None;
        }
    }
    clear
}

/// Whether the second bind would fail. Port 0 means any free port, and `[::]` takes the IPv4 port too.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let all = |all: IpAddr, other: IpAddr| all.is_unspecified() && (all.is_ipv6() || other.is_ipv4());
    a.port() == b.port() && a.port() != 0 && (a.ip() == b.ip() || all(a.ip(), b.ip()) || all(b.ip(), a.ip()))
}

/// What to do about a port that cannot be had: a line of its own for behind the error, or nothing.
#[must_use]
pub fn bind_remedy(address: SocketAddr, error: &io::Error) -> &'static str {
    match error.kind() {
        ErrorKind::AddrInUse => "\n = another program listens there: end it, or name another port",
        ErrorKind::PermissionDenied if address.port() < 1024 => {
            "\n = a port below 1024 needs a right of its own (CAP_NET_BIND_SERVICE): name a higher one, or give that right"
        }
        ErrorKind::AddrNotAvailable => "\n = this machine has no such address: name one of its own",
        _ => "",
    }
}

/// The name of a gateway or an agent: 1 to 253 letters, digits, `-`, `_` and `.`, because it stands in logs.
///
/// # Errors
/// A [`Fault`] if it holds anything else.
pub fn name(text: &str) -> Result<String, Fault> {
    if is_name(text) {
        return Ok(text.to_owned());
    }
    Err(Fault::new(format!("{text:?} is not a name"), "write 1 to 253 letters, digits, `-`, `_` and `.`"))
}

fn is_name(text: &str) -> bool {
    let fits = (1..=NAME_BYTES).contains(&text.len());
    fits && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// This machine's (in a cluster: the pod's) name, or `otherwise` if it has none that can be used.
#[must_use]
pub fn host_name(otherwise: &str) -> String {
    let kernel = || fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let found = kernel().or_else(|| env::var("HOSTNAME").ok()).map(|name| name.trim().to_owned());
    found.filter(|name| is_name(name)).unwrap_or_else(|| otherwise.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlaps() {
        let check = |a: &str, b: &str, expected: bool| {
            let (a, b) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!((overlap(a, b), overlap(b, a)), (expected, expected), "{a} {b}");
        };
        check("127.0.0.1:1", "127.0.0.1:1", true);
        check("127.0.0.1:1", "127.0.0.1:2", false);
        check("127.0.0.1:0", "127.0.0.1:0", false);
        check("0.0.0.0:1", "127.0.0.1:1", true);
        check("127.0.0.2:1", "127.0.0.1:1", false);
        check("0.0.0.0:1", "[::1]:1", false);
        check("[::]:1", "127.0.0.1:1", true);
        check("[::]:1", "0.0.0.0:1", true);
    }

    #[test]
    fn loopback() {
        for host in ["localhost", "a.localhost", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in ["example.org", "localhost.example.org", "10.0.0.1", "0.0.0.0", "::", "notlocalhost"] {
            assert!(!is_loopback_host(host), "{host}");
        }
        assert!(loopback_address("[::1]:1").is_ok() && loopback_address("0.0.0.0:1").is_err());
    }

    #[test]
    fn remedies_for_ports() {
        let check = |port: u16, kind: ErrorKind, expected: &str| {
            let remedy = bind_remedy(SocketAddr::from(([127, 0, 0, 1], port)), &kind.into());
            assert!(remedy.contains(expected) && remedy.is_empty() == expected.is_empty(), "{port} {kind}: {remedy}");
        };
        check(7100, ErrorKind::AddrInUse, "\n = another program listens there: end it, or name another port");
        check(1023, ErrorKind::PermissionDenied, "name a higher one");
        check(1024, ErrorKind::PermissionDenied, "");
        check(7100, ErrorKind::AddrNotAvailable, "name one of its own");
        check(7100, ErrorKind::Other, "");
    }

    #[test]
    fn names() {
        for good in ["warehouse-7", "A_b.c", &"a".repeat(253)] {
            assert!(name(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a\nb", "é", "a/b", &"a".repeat(254)] {
            assert!(name(bad).is_err(), "{bad}");
        }
        assert!(is_name(&host_name("x")));
    }
}
