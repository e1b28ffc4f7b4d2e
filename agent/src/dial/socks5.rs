//! A SOCKS5 client (RFC 1928, and RFC 1929 for name and password) that does one thing: connect to a name.
//!
//! hyper-util has one as well, but its errors cannot be told apart, and an agent must: a gateway that is away is dialled
//! again soon, wrong credentials are not.

use std::{fmt, io, net::IpAddr};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::config::Login;

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const LOGIN: u8 = 2;
const NONE_OF_THESE: u8 = 0xff;
const LOGIN_VERSION: u8 = 1;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Why the proxy has not connected.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("it wants credentials, or others")]
    Credentials,
    #[error("{0}")]
    Reply(Reply),
    #[error("{0}")]
    Protocol(String),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What the proxy replied instead of success (RFC 1928, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply(u8);

impl Reply {
    /// Whether it is the proxy's own rule, and no accident.
    pub(super) fn is_forbidden(self) -> bool {
        self.0 == 2
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let says = match self.0 {
            1 => "a general failure",
            2 => "its rules do not allow it",
            3 => "the network cannot be reached",
            4 => "the host cannot be reached",
            5 => "the connection was refused",
            6 => "the time to live has expired",
            7 => "it knows no CONNECT",
            8 => "it does not know this kind of address",
            _ => "a failure without a name",
        };
        write!(f, "{says} (reply {})", self.0)
    }
}

/// Has the proxy at the other end of a stream connect to a host, which may be a name or an address. Afterwards the
/// stream is a connection to it.
pub(super) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    host: &str,
    port: u16,
    login: Option<&Login>,
) -> Result<(), Error> {
    let offered = if login.is_some() { LOGIN } else { NO_LOGIN };
    stream.write_all(&[VERSION, 1, offered]).await?;
    let [version, method] = read(stream).await?;
    expect("the version", version, VERSION)?;
    match (method, login) {
        (NONE_OF_THESE, _) => return Err(Error::Credentials),
        (NO_LOGIN, None) => {}
        (LOGIN, Some(login)) => log_in(stream, login).await?,
        _ => return Err(Error::Protocol(format!("it chose method {method}, which was not offered"))),
    }
    stream.write_all(&request(host, port)).await?;
    let [version, reply, _, kind] = read(stream).await?;
    expect("the version", version, VERSION)?;
    if reply != 0 {
        return Err(Error::Reply(Reply(reply)));
    }
    skip_address(stream, kind).await
}

async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, login: &Login) -> Result<(), Error> {
    let mut message = vec![LOGIN_VERSION];
    for text in [&login.user, &login.password] {
        message.push(short(text));
        message.extend_from_slice(text.as_bytes());
    }
    stream.write_all(&message).await?;
    let [version, status] = read(stream).await?;
    expect("the version of the login", version, LOGIN_VERSION)?;
    if status == 0 { Ok(()) } else { Err(Error::Credentials) }
}

fn request(host: &str, port: u16) -> Vec<u8> {
    let mut message = vec![VERSION, CONNECT, 0];
    match host.parse() {
        Ok(IpAddr::V4(address)) => {
            message.push(IPV4);
            message.extend(address.octets());
        }
        Ok(IpAddr::V6(address)) => {
            message.push(IPV6);
            message.extend(address.octets());
        }
        Err(_) => {
            message.extend([NAME, short(host)]);
            message.extend_from_slice(host.as_bytes());
        }
    }
    message.extend(port.to_be_bytes());
    message
}

/// From where the proxy connects, which is of no interest: it is read to the byte, because what follows is the gateway's.
async fn skip_address<S: AsyncRead + Unpin>(stream: &mut S, kind: u8) -> Result<(), Error> {
    let length = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => {
            let [length] = read(stream).await?;
            usize::from(length)
        }
        _ => return Err(Error::Protocol(format!("it names an address of kind {kind}"))),
    };
    let mut address = vec![0; length + 2];
    stream.read_exact(&mut address).await?;
    Ok(())
}

async fn read<const N: usize>(stream: &mut (impl AsyncRead + Unpin)) -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await?;
    Ok(bytes)
}

fn expect(what: &str, said: u8, expected: u8) -> Result<(), Error> {
    if said == expected { Ok(()) } else { Err(Error::Protocol(format!("{what} is {said}, not {expected}"))) }
}

/// The length of a text, as one byte.
fn short(text: &str) -> u8 {
    u8::try_from(text.len()).expect("the configuration takes no longer hosts, names and passwords than 255 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client says to a proxy that says `says`, and what comes of it. Each side's words are whole, so that
    /// nothing waits.
    async fn check(login: Option<(&str, &str)>, host: &str, says: &[u8], heard: &[u8], outcome: &str) {
        let login = login.map(|(user, password)| Login { user: user.to_owned(), password: password.to_owned() });
        let (mut near, mut far) = tokio::io::duplex(1024);
        far.write_all(says).await.unwrap();
        far.write_all(b"!").await.unwrap();
        let connected = connect(&mut near, host, 443, login.as_ref()).await;
        let told = connected.as_ref().map_or_else(ToString::to_string, |()| "connected".to_owned());
        assert_eq!(told, outcome, "{host} {says:?}");
        if connected.is_ok() {
            assert_eq!(near.read_u8().await.unwrap(), b'!', "what follows is left where it is");
        }
        drop(near);
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, heard, "{host} {says:?}");
    }

    #[tokio::test]
    async fn connects() {
        let heard = b"\x05\x01\x00\x05\x01\x00\x03\x01g\x01\xbb";
        check(None, "g", b"\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x01", heard, "connected").await;
        check(None, "g", b"\x05\x00\x05\x00\x00\x03\x02ab\x00\x01", heard, "connected").await;
        let six = [b"\x05\x00\x05\x00\x00\x04".as_slice(), &[7; 18]].concat();
        check(None, "g", &six, heard, "connected").await;
        let heard = b"\x05\x01\x00\x05\x01\x00\x01\x0a\x00\x00\x01\x01\xbb";
        check(None, "10.0.0.1", b"\x05\x00\x05\x00\x00\x01\0\0\0\0\0\0", heard, "connected").await;
        let heard = [b"\x05\x01\x00\x05\x01\x00\x04".as_slice(), &[0; 15], b"\x01\x01\xbb"].concat();
        check(None, "::1", b"\x05\x00\x05\x00\x00\x01\0\0\0\0\0\0", &heard, "connected").await;
    }

    #[tokio::test]
    async fn logs_in() {
        let login = Some(("ada", "pw"));
        let shown = b"\x05\x01\x02\x01\x03ada\x02pw";
        let heard = [shown.as_slice(), b"\x05\x01\x00\x03\x01g\x01\xbb"].concat();
        check(login, "g", b"\x05\x02\x01\x00\x05\x00\x00\x01\0\0\0\0\0\0", &heard, "connected").await;
        check(login, "g", b"\x05\x02\x01\x01", shown, "it wants credentials, or others").await;
        check(login, "g", b"\x05\xff", b"\x05\x01\x02", "it wants credentials, or others").await;
        check(login, "g", b"\x05\x00", b"\x05\x01\x02", "it chose method 0, which was not offered").await;
        check(login, "g", b"\x05\x02\x05\x00", shown, "the version of the login is 5, not 1").await;
        check(None, "g", b"\x05\xff", b"\x05\x01\x00", "it wants credentials, or others").await;
        check(None, "g", b"\x05\x02", b"\x05\x01\x00", "it chose method 2, which was not offered").await;
    }

    #[tokio::test]
    async fn refusals() {
        let heard = b"\x05\x01\x00\x05\x01\x00\x03\x01g\x01\xbb";
        check(None, "g", b"\x05\x00\x05\x02\x00\x01", heard, "its rules do not allow it (reply 2)").await;
        check(None, "g", b"\x05\x00\x05\x05\x00\x01", heard, "the connection was refused (reply 5)").await;
        check(None, "g", b"\x05\x00\x05\x77\x00\x01", heard, "a failure without a name (reply 119)").await;
        check(None, "g", b"\x05\x00\x05\x00\x00\x02", heard, "it names an address of kind 2").await;
        check(None, "g", b"\x05\x00\x04\x00\x00\x01", heard, "the version is 4, not 5").await;
        check(None, "g", b"HTTP/1.1 400", b"\x05\x01\x00", "the version is 72, not 5").await;
        assert!(Reply(2).is_forbidden() && !Reply(1).is_forbidden());
    }
}
