//! The WebSocket under a link: its settings, and a count of what it read and wrote.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::protocol::{Role, WebSocketConfig},
};

use super::limits::{READ_BUFFER, UNSENT_BYTES, WRITE_BUFFER};
use crate::{session::Side, wire::limits::MESSAGE_BYTES};

/// Settings of a tunnel's TCP connection, on either side: no delay for small messages, and little that is unsent in
/// the kernel, where no round robin reaches.
///
/// # Errors
/// Those of the operating system.
pub fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    SockRef::from(stream).set_tcp_notsent_lowat(UNSENT_BYTES)?;
    Ok(())
}

/// Says whether a connection's end is a reset from now on, however it comes about: the process may be killed, too. For
/// bytes without framing an ordinary end would mean that they are complete.
///
/// # Errors
/// Those of the operating system.
pub fn reset_when_closed(stream: &TcpStream, reset: bool) -> io::Result<()> {
    SockRef::from(stream).set_linger(reset.then_some(Duration::ZERO))
}

/// Whether the process or the system has run out of what a connection needs: nobody else is to blame, and trying again
/// at once would spin.
#[must_use]
pub fn is_exhaustion(error: &io::Error) -> bool {
    /// `ENOMEM`, `ENFILE`, `EMFILE` and `ENOBUFS` of Linux.
    const ERRNOS: [i32; 4] = [12, 23, 24, 105];
    error.raw_os_error().is_some_and(|errno| ERRNOS.contains(&errno))
}

/// A WebSocket whose upgrade is done, not yet a link.
pub(super) type Socket<S> = WebSocketStream<Metered<S>>;

/// Wraps a connection on which the HTTP upgrade to `reachback.v1` has been made.
pub(super) async fn socket<S: AsyncRead + AsyncWrite + Unpin>(io: S, side: Side) -> Socket<S> {
    let role = match side {
        Side::Gateway => Role::Server,
        Side::Agent => Role::Client,
    };
    // The library's defaults allow 64 MiB messages and an unbounded write buffer.
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_write_buffer_size(WRITE_BUFFER + 4 * MESSAGE_BYTES)
        .max_message_size(Some(MESSAGE_BYTES))
        .max_frame_size(Some(MESSAGE_BYTES));
    WebSocketStream::from_raw_socket(Metered { io, read: 0, written: 0 }, role, Some(config)).await
}

/// Counts the bytes that a connection gave and took, so that a slow peer can be told from a dead one.
#[derive(Debug)]
pub(super) struct Metered<S> {
    io: S,
    read: u64,
    written: u64,
}

impl<S> Metered<S> {
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Metered<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf);
        self.read += (buf.filled().len() - before) as u64;
        polled
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = std::task::ready!(Pin::new(&mut self.io).poll_write(cx, buf))?;
        self.written += written as u64;
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
