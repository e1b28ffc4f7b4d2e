//! The kinds of URL an agent is given: where gateways are, where upstreams are, and where a proxy is.
//!
//! Parsed by hand and only as far as needed: no type that repairs or re-normalises stands here, and what is not
//! understood to the last byte is refused.

use std::fmt;

use settings::{Fault, net};

use super::PATH;

/// Longest host name, in bytes (RFC 1035, section 2.3.4).
const HOST_BYTES: usize = 253;

/// Where a gateway can be dialled: `ws://host:port/path` or `wss://…`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct GatewayUrl {
    /// Whether TLS is spoken: `wss://`.
    pub tls: bool,
    /// The name or address in lower case; an IPv6 address without brackets.
    pub host: String,
    /// The port; 80 or 443 if none was written.
    pub port: u16,
    /// The path of the tunnel; [`PATH`] if none was written.
    pub path: String,
}

impl GatewayUrl {
    /// Host and port, as a proxy is asked for them.
    #[must_use]
    pub fn host_and_port(&self) -> String {
        authority(&self.host, Some(self.port))
    }

    /// What the `Host` field of the upgrade says: the host, and the port unless it is the scheme's own.
    #[must_use]
    pub fn authority(&self) -> String {
        authority(&self.host, Some(self.port).filter(|port| *port != default_port(self.tls)))
    }

    /// Whether it is this machine itself.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        net::is_loopback_host(&self.host)
    }
}

impl fmt::Display for GatewayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.host_and_port(), self.path)
    }
}

/// Where an upstream is: `http://host:port`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Upstream {
    /// The name or address in lower case; an IPv6 address without brackets.
    pub host: String,
    /// The port; 80 if none was written.
    pub port: u16,
}

impl Upstream {
    /// What the `Host` field says by default: the host, and the port unless it is 80.
    #[must_use]
    pub fn authority(&self) -> String {
        authority(&self.host, Some(self.port).filter(|port| *port != 80))
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", authority(&self.host, Some(self.port)))
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

pub(super) fn authority(host: &str, port: Option<u16>) -> String {
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    match port {
        Some(port) => format!("{host}:{port}"),
        None => host,
    }
}

/// A gateway's URL.
pub(super) fn gateway(text: &str) -> Result<GatewayUrl, Fault> {
    let remedy = "write ws://HOST:PORT, or wss://HOST where TLS is spoken";
    let parts = parts(text, remedy)?;
    let tls = match parts.scheme.as_str() {
        "ws" => false,
        "wss" => true,
        "http" | "https" => {
            let scheme = parts.scheme.replace("http", "ws");
            return Err(Fault::new("a gateway is dialled by WebSocket", format!("write {scheme}://{}", parts.rest)));
        }
        _ => return Err(Fault::new("this is no scheme by which a gateway can be dialled", remedy)),
    };
    let path = if matches!(parts.path, "" | "/") { PATH } else { parts.path };
    let port = parts.port.unwrap_or(default_port(tls));
    Ok(GatewayUrl { tls, host: parts.host, port, path: path.to_owned() })
}

/// An upstream's URL.
pub(super) fn upstream(text: &str) -> Result<Upstream, Fault> {
    let remedy = "write http://HOST:PORT, such as http://127.0.0.1:3000";
    let parts = parts(text, remedy)?;
    match parts.scheme.as_str() {
        "http" => {}
        "https" => return Err(Fault::new("upstreams are spoken to in plain HTTP; https is not supported", remedy)),
        _ => return Err(Fault::new("this is no scheme by which an upstream can be called", remedy)),
    }
    if !matches!(parts.path, "" | "/") {
        let fault = Fault::new(
            "an upstream has no path: requests carry their own",
            "remove the path, and write it in the rules under `allow`",
        );
        return Err(fault.at_byte(text.len() - parts.path.len()));
    }
    Ok(Upstream { host: parts.host, port: parts.port.unwrap_or(80) })
}

/// A proxy's URL: scheme, host and port as they were written.
pub(super) fn proxy(text: &str) -> Result<String, Fault> {
    let remedy = "write http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT, or none";
    let parts = parts(text, remedy)?;
    if !matches!(parts.scheme.as_str(), "http" | "https" | "socks5" | "socks5h") {
        return Err(Fault::new("this is no scheme by which a proxy can be spoken to", remedy));
    }
    if !matches!(parts.path, "" | "/") {
        return Err(Fault::new("a proxy has no path", remedy).at_byte(text.len() - parts.path.len()));
    }
    Ok(format!("{}://{}", parts.scheme, authority(&parts.host, parts.port)))
}

/// A fixed `Host`: a host and perhaps a port.
pub(super) fn host_and_port(text: &str) -> Result<String, Fault> {
    let remedy = "write `upstream`, `preserve`, or a host name such as orders.internal";
    let (host, port) = split_port(text, 0, remedy)?;
    Ok(authority(&host, port))
}

struct Parts<'a> {
    scheme: String,
    host: String,
    port: Option<u16>,
    path: &'a str,
    /// Everything behind the scheme.
    rest: &'a str,
}

fn parts<'a>(text: &'a str, remedy: &'static str) -> Result<Parts<'a>, Fault> {
    let wrong = |what: &str, at: usize| Fault::new(what, remedy).at_byte(at);
    let (scheme, rest) = text.split_once("://").ok_or_else(|| Fault::new("this is not a URL", remedy))?;
    let start = scheme.len() + 3;
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        let remedy = "remove them; a secret goes into a file: `token_file` for a gateway's, `proxy_credentials_file` for a proxy's";
        return Err(Fault::new("credentials do not belong into a URL", remedy).at_byte(start));
    }
    if let Some(at) = path.find('#') {
        return Err(wrong("a fragment (`#…`) has no meaning here", start + end + at));
    }
    if let Some(at) = path.find('?') {
        return Err(wrong("a query (`?…`) has no meaning here", start + end + at));
    }
    if let Some(at) = path.bytes().position(|byte| !is_path_byte(byte)) {
        return Err(wrong("this byte cannot stand in a path", start + end + at));
    }
    let (host, port) = split_port(authority, start, remedy)?;
    Ok(Parts { scheme: scheme.to_ascii_lowercase(), host, port, path, rest })
}

fn is_path_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@%".contains(&byte)
}

/// Host (lower case, without brackets) and port of an authority that stands at byte `start` of its value.
fn split_port(authority: &str, start: usize, remedy: &'static str) -> Result<(String, Option<u16>), Fault> {
    let bracketed = authority.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (host, rest) = match bracketed {
        Some((host, rest)) => (host, rest),
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let good = if bracketed.is_some() { host.parse::<std::net::Ipv6Addr>().is_ok() } else { is_host(host) };
    if !good {
        return Err(Fault::new("this is not a host name or address", remedy).at_byte(start));
    }
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        digits => Some(digits.and_then(port_number).ok_or_else(|| {
            Fault::new("this is not a port", "write a number from 1 to 65535")
                .at_byte(start + authority.len() - rest.len())
        })?),
    };
    Ok((host.to_ascii_lowercase(), port))
}

/// `u16::from_str` accepts a leading plus sign, a port does not.
fn port_number(digits: &str) -> Option<u16> {
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|port| plain && *port != 0)
}

fn is_host(host: &str) -> bool {
    let label =
        |label: &str| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    let name = host.strip_suffix('.').unwrap_or(host);
    host.len() <= HOST_BYTES && name.split('.').all(label)
}
