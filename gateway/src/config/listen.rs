//! Where a facade listens: an address, or a Unix socket.

use std::{fmt, net::SocketAddr, path::PathBuf};

use settings::{Fault, Source, net};

/// Longest path of a Unix socket, in bytes: what `sockaddr_un` holds besides the final zero.
const PATH_BYTES: usize = 107;

/// Rights of a Unix socket unless `mode` says otherwise: the gateway's own user. A facade asks for no credential.
const MODE: u32 = 0o600;

/// Where a facade listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix {
        /// Its file.
        path: PathBuf,
        /// The file's rights: whoever may write to it may connect.
        mode: u32,
    },
}

impl Listen {
    /// The address, if it is one that other machines could reach.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(address) => Some(*address),
            Self::Unix { .. } => None,
        }
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

/// As the configuration spells it.
impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix { path, .. } => write!(f, "unix:{}", path.display()),
        }
    }
}

/// An address, or `unix:` and a path.
pub(super) fn listen(text: &str, source: &Source) -> Result<Listen, Fault> {
    let Some(path) = text.strip_prefix("unix:") else { return net::address(text).map(Listen::Tcp) };
    let remedy = "write unix: and a path, such as unix:/run/reachback/orders.sock";
    if path.is_empty() || path.ends_with('/') || path.contains('\0') {
        return Err(Fault::new(format!("{text:?} names no file for the socket"), remedy));
    }
    let path = source.resolve(path);
    let length = path.as_os_str().len();
    if length > PATH_BYTES {
        let what = format!("the path of the socket is {length} bytes long; the system takes {PATH_BYTES} at most");
        return Err(Fault::new(what, "choose a shorter one, such as unix:/run/reachback/orders.sock"));
    }
    Ok(Listen::Unix { path, mode: MODE })
}

/// Rights as `chmod` takes them: three octal digits, perhaps behind a zero.
pub(super) fn mode(text: &str) -> Result<u32, Fault> {
    let digits = text.strip_prefix('0').filter(|digits| digits.len() == 3).unwrap_or(text);
    let is_octal = digits.len() == 3 && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    u32::from_str_radix(digits, 8).ok().filter(|_| is_octal).ok_or_else(|| {
        let remedy = "write three octal digits: 600 for the gateway's user alone, 660 for its group as well";
        Fault::new(format!("`{text}` are not the rights of a file"), remedy)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn addresses_and_sockets() {
        let source = Source::file("gateway.yaml", "", Path::new("/etc/reachback"));
        let shown = |text: &str| listen(text, &source).map(|listen| listen.to_string());
        for good in ["127.0.0.1:7080", "[::1]:0", "unix:/run/a.sock"] {
            assert_eq!(shown(good).unwrap(), good);
        }
        assert_eq!(shown("unix:a.sock").unwrap(), "unix:/etc/reachback/a.sock");
        let longest = "x".repeat(PATH_BYTES - 1);
        assert!(shown(&format!("unix:/{longest}")).is_ok() && shown(&format!("unix:/{longest}x")).is_err());
        for bad in ["unix:", "unix:/run/", "unix:a\0b", "/run/a.sock", "unix", "7080"] {
            assert!(shown(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rights() {
        for (text, rights) in [("600", 0o600), ("0660", 0o660), ("777", 0o777), ("000", 0)] {
            assert_eq!(mode(text), Ok(rights), "{text}");
        }
        for bad in ["", "0", "60", "0o600", "680", "1777", "00600", "rw-", "+60"] {
            assert!(mode(bad).is_err(), "{bad}");
        }
    }
}
