//! `tokio::net`, as far as the agent and the gateway use it.

use std::{
    cell::Cell,
    io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd},
    pin::Pin,
    sync::OnceLock,
    task::{Context, Poll},
    vec,
};

/// Unix sockets are never between machines: those of a simulation are real.
pub use tokio::net::{UnixListener, UnixStream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

use crate::simulation;

/// What can be connected to: an address, or a name and a port.
pub trait ToSocketAddrs {
    /// Its addresses, at least one.
    ///
    /// # Errors
    /// Of the kind `NotFound`, if there is no such name.
    fn resolve(&self) -> io::Result<Vec<SocketAddr>>;
}

impl ToSocketAddrs for SocketAddr {
    fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![*self])
    }
}

impl ToSocketAddrs for &SocketAddr {
    fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        Ok(vec![**self])
    }
}

impl ToSocketAddrs for (&str, u16) {
    fn resolve(&self) -> io::Result<Vec<SocketAddr>> {
        let (host, port) = *self;
        simulation::addresses(host).map(|found| found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }
}

/// As tokio's, by the names of the simulation.
///
/// # Errors
/// Of the kind `NotFound`, if there is no such name.
#[expect(clippy::unused_async, reason = "tokio's waits for a resolver")]
pub async fn lookup_host(host: impl ToSocketAddrs) -> io::Result<vec::IntoIter<SocketAddr>> {
    host.resolve().map(Vec::into_iter)
}

/// As tokio's.
#[derive(Debug)]
pub struct TcpStream(turmoil::net::TcpStream);

impl TcpStream {
    /// As tokio's. What is lost on the way is lost: only the caller's patience ends that.
    ///
    /// # Errors
    /// Of the kind `ConnectionRefused`, if the machine is there and nobody listens.
    pub async fn connect(to: impl ToSocketAddrs) -> io::Result<Self> {
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for address in to.resolve()? {
            simulation::note_dial(address);
            let begun = Instant::now();
            match turmoil::net::TcpStream::connect(address).await {
                Ok(stream) => return Ok(Self(stream)),
                // A refusal takes a round trip. Turmoil says the same at once if the packet was lost.
                Err(_) if begun.elapsed().is_zero() => std::future::pending().await,
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// As tokio's.
    ///
    /// # Errors
    /// None.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// As tokio's.
    ///
    /// # Errors
    /// None.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.peer_addr()
    }

    /// Without effect.
    ///
    /// # Errors
    /// None.
    pub fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.0.set_nodelay(nodelay)
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A real socket that is connected to nothing: socket options may be set on it, and change nothing.
fn nowhere() -> BorrowedFd<'static> {
    static NOWHERE: OnceLock<std::net::TcpListener> = OnceLock::new();
    let bind = || std::net::TcpListener::bind("127.0.0.1:0").expect("a socket can be had");
    NOWHERE.get_or_init(bind).as_fd()
}

impl AsFd for TcpStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        nowhere()
    }
}

/// As tokio's.
pub struct TcpListener(turmoil::net::TcpListener);

impl TcpListener {
    /// As tokio's.
    ///
    /// # Errors
    /// If the port is taken on this machine.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        turmoil::net::TcpListener::bind(address).await.map(Self)
    }

    /// As tokio's.
    ///
    /// # Errors
    /// None.
    pub async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.0.accept().await.map(|(stream, peer)| (TcpStream(stream), peer))
    }

    /// As tokio's.
    ///
    /// # Errors
    /// None.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl AsFd for TcpListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        nowhere()
    }
}

impl std::fmt::Debug for TcpListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TcpListener").field(&self.local_addr()).finish()
    }
}

/// As tokio's.
#[derive(Debug, Default)]
pub struct TcpSocket(Cell<Option<SocketAddr>>);

impl TcpSocket {
    /// As tokio's.
    ///
    /// # Errors
    /// None.
    pub fn new_v4() -> io::Result<Self> {
        Ok(Self::default())
    }

    /// As tokio's.
    ///
    /// # Errors
    /// None.
    pub fn new_v6() -> io::Result<Self> {
        Ok(Self::default())
    }

    /// Without effect: a port of the simulation is free as soon as its listener is gone.
    ///
    /// # Errors
    /// None.
    pub fn set_reuseaddr(&self, _reuse: bool) -> io::Result<()> {
        Ok(())
    }

    /// As tokio's, but that a taken port is noticed by [`TcpSocket::listen`].
    ///
    /// # Errors
    /// None.
    pub fn bind(&self, address: SocketAddr) -> io::Result<()> {
        self.0.set(Some(address));
        Ok(())
    }

    /// As tokio's. The backlog is turmoil's.
    ///
    /// # Errors
    /// If the port is taken on this machine.
    pub fn listen(self, _backlog: u32) -> io::Result<TcpListener> {
        let address = self.0.get().ok_or(io::ErrorKind::InvalidInput)?;
        simulation::at_once(TcpListener::bind(address))
    }
}
