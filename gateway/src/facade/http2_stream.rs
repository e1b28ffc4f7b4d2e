//! A stream of HTTP/2 that a WebSocket has got (RFC 8441), as a connection that tells a reset from an end.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// hyper reads a reset by `CANCEL` or `NO_ERROR` as an end, and such are the resets of clients that go away. Its writing
/// half knows better, as soon as the task that serves it has seen the reset; that was woken ahead of this one.
#[derive(Debug)]
pub(super) struct Http2Stream {
    io: TokioIo<Upgraded>,
    /// An end was read, and the other task has had its turn.
    ended: bool,
}

impl Http2Stream {
    pub(super) fn new(upgraded: Upgraded) -> Self {
        Self { io: TokioIo::new(upgraded), ended: false }
    }
}

impl AsyncRead for Http2Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if !self.ended {
            ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
            if buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
            self.ended = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // It holds nothing back: if it is not broken it is ready.
        Pin::new(&mut self.io).poll_flush(cx)
    }
}

impl AsyncWrite for Http2Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
