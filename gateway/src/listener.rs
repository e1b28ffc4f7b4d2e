//! What connections come from: a port or a Unix socket, with TLS or without.

use std::{fmt, io, net::SocketAddr, sync::Arc, time::Duration};

#[cfg(target_os = "linux")]
use socket2::{SockFilter, SockRef};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    time::Instant,
};
use tokio_rustls::TlsAcceptor;

use crate::{
    admission::Turns,
    certificates::Certificate,
    config::{Listen, Tls},
    limits::BACKLOG,
    socket::Socket,
    unix::UnixSocket,
};

/// A bound listener.
pub(crate) enum Listener {
    Tcp(TcpListener, Option<Arc<Certificate>>, Option<Turns>),
    Unix(UnixSocket),
}

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Tcp(SocketAddr),
    /// A process of this machine: a Unix socket knows no addresses.
    Local,
}

/// A connection, before anything was said on it.
pub(crate) enum Accepted {
    Ready(Socket),
    /// TLS is to be agreed upon first, after a while.
    Tls(TcpStream, TlsAcceptor, Duration),
}

impl Listener {
    pub(crate) async fn bind(listen: &Listen, tls: Option<&Tls>) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => {
                let certificate = tls.map(|tls| Arc::new(Certificate::new(tls.clone())));
                Ok(Self::Tcp(listen_on(*address)?, certificate, None))
            }
            Listen::Unix { path, mode } => UnixSocket::bind(path, *mode).map(Self::Unix),
        }
    }

    /// The same, but connections wait for their turn before they speak TLS.
    pub(crate) fn in_turns(self) -> Self {
        match self {
            Self::Tcp(listener, certificate, _) => Self::Tcp(listener, certificate, Some(Turns::new(Instant::now()))),
            unix @ Self::Unix(_) => unix,
        }
    }

    /// Where it listens, as bound; `None` if the system does not say.
    pub(crate) fn address(&self) -> Option<Listen> {
        match self {
            Self::Tcp(listener, ..) => listener.local_addr().ok().map(Listen::Tcp),
            Self::Unix(socket) => Some(socket.address()),
        }
    }

    /// What it proves itself with.
    pub(crate) fn certificate(&self) -> Option<&Arc<Certificate>> {
        match self {
            Self::Tcp(_, certificate, _) => certificate.as_ref(),
            Self::Unix(_) => None,
        }
    }

    /// Lets nobody new into the queue of those that wait to be accepted: whoever knocks is not heard, knocks again after a
    /// second, and finds the next process, or none. Without it those that come between the last look at the queue and
    /// its end would be reset, whatever they have sent.
    pub(crate) fn shut(&self) {
        #[cfg(target_os = "linux")]
        if let Self::Tcp(listener, ..) = self {
            // Let through 0 bytes of each packet. Where that may not be said, the queue is as it was.
            const NOTHING: SockFilter = SockFilter::new(0x06, 0, 0, 0);
            let _ = SockRef::from(listener).attach_filter(&[NOTHING]);
        }
    }

    /// The next connection; `tune` sets its options.
    pub(crate) async fn accept(&self, tune: fn(&TcpStream) -> io::Result<()>) -> io::Result<(Accepted, Peer)> {
        let (listener, certificate, turns) = match self {
            Self::Tcp(listener, certificate, turns) => (listener, certificate, turns),
            Self::Unix(socket) => return Ok((Accepted::Ready(Socket::Unix(socket.accept().await?)), Peer::Local)),
        };
        let (stream, peer) = listener.accept().await?;
        tune(&stream)?;
        let accepted = match certificate {
            Some(certificate) => {
                let wait = turns.as_ref().map_or(Some(Duration::ZERO), |turns| turns.take(Instant::now()));
                let wait = wait.ok_or_else(|| io::Error::other("too many connections wait for TLS"))?;
                Accepted::Tls(stream, certificate.acceptor(), wait)
            }
            None => Accepted::Ready(Socket::Tcp(stream)),
        };
        Ok((accepted, Peer::Tcp(peer)))
    }
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // Elsewhere than on Unix it would let two listeners share the port.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG.into())
}

impl Accepted {
    /// Waits for its turn, if it has to.
    pub(crate) async fn turn(&self) {
        if let Self::Tls(_, _, wait) = self {
            tokio::time::sleep(*wait).await;
        }
    }

    /// The connection, once it is ready for HTTP. What a stranger does to TLS is none of the listener's business, so
    /// this belongs into the connection's own task.
    pub(crate) async fn ready(self) -> io::Result<Socket> {
        match self {
            Self::Ready(socket) => Ok(socket),
            Self::Tls(stream, acceptor, _) => acceptor.accept(stream).await.map(|stream| Socket::Tls(Box::new(stream))),
        }
    }
}

/// For logs.
impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Local => f.write_str("unix"),
        }
    }
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Listener").field(&self.address()).finish()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_shut_listener_has_its_queue_and_nobody_else() {
        let listener = Listener::bind(&Listen::Tcp("127.0.0.1:0".parse().unwrap()), None).await.unwrap();
        let Some(Listen::Tcp(address)) = listener.address() else { panic!("it has an address") };
        let queued = TcpStream::connect(address).await.unwrap();
        listener.shut();
        let late = timeout(Duration::from_millis(100), TcpStream::connect(address)).await;
        assert!(late.is_err(), "neither taken nor refused: {late:?}");
        let (_, peer) = listener.accept(|_| Ok(())).await.unwrap();
        assert_eq!(peer, Peer::Tcp(queued.local_addr().unwrap()));
        drop(listener);
        assert!(TcpStream::connect(address).await.is_err(), "and then none is there");
    }
}
