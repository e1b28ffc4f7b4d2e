//! A client's connection: counts what it takes, and can be broken off so that nobody takes a cut body for a whole one.

use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use crate::{limits::FIRST_BYTES, socket::Socket};

/// What a client that speaks HTTP/2 without being asked says first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What is known of a connection without asking it.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    begun: AtomicU64,
    ended: AtomicU64,
    written: AtomicU64,
    cut: AtomicBool,
    rest: Rest,
}

/// What becomes of a connection once HTTP has ended on it.
#[derive(Default)]
struct Rest(Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>);

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rest")
    }
}

impl Activity {
    /// Whether no request is in flight; and a number that changes with every request and every byte written.
    pub(crate) fn look(&self) -> (bool, u64) {
        let begun = self.begun.load(Ordering::Relaxed);
        let in_flight = begun != self.ended.load(Ordering::Relaxed);
        (!in_flight, begun.wrapping_add(self.written.load(Ordering::Relaxed)))
    }

    /// Says what the connection's task does once HTTP has ended: it goes on as the same connection, in the same place.
    pub(crate) fn go_on_with(&self, rest: impl Future<Output = ()> + Send + 'static) {
        *self.lock() = Some(Box::pin(rest));
    }

    /// What [`Activity::go_on_with`] said. Always to be asked for: what it holds may hold this.
    pub(crate) fn take_rest(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        self.lock().take()
    }

    fn lock(&self) -> MutexGuard<'_, Option<Pin<Box<dyn Future<Output = ()> + Send>>>> {
        self.rest.0.lock().expect("nothing panics while it holds it")
    }
}

/// A request in flight. Dropped when its answer has been handed over to the last byte.
#[derive(Debug)]
pub(crate) struct Busy(Arc<Activity>);

impl Busy {
    pub(crate) fn new(activity: &Arc<Activity>) -> Self {
        activity.begun.fetch_add(1, Ordering::Relaxed);
        Self(activity.clone())
    }

    /// The connection that the request came on.
    pub(crate) fn connection(&self) -> Arc<Activity> {
        self.0.clone()
    }

    /// The answer was cut short, and its framing does not tell: the connection is to be reset when it closes.
    pub(crate) fn cut(&self) {
        self.0.cut.store(true, Ordering::Relaxed);
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::Relaxed);
    }
}

/// The connection itself.
#[derive(Debug)]
pub(crate) struct Client {
    stream: Socket,
    activity: Arc<Activity>,
    /// What was read to learn the protocol, until it is read again.
    first: BytesMut,
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

impl Client {
    pub(crate) fn new(stream: Socket, activity: Arc<Activity>) -> Self {
        Self { stream, activity, first: BytesMut::new() }
    }

    /// Tells by the first bytes what the client speaks. They are not lost.
    pub(crate) async fn protocol(&mut self) -> io::Result<Protocol> {
        // Room for a usual head, so that HTTP/1.1 costs no second read.
        self.first.reserve(FIRST_BYTES);
        loop {
            let ended = self.stream.read_buf(&mut self.first).await? == 0;
            if self.first.starts_with(PREFACE) {
                return Ok(Protocol::Http2);
            }
            if ended || !PREFACE.starts_with(&self.first) {
                return Ok(Protocol::Http1);
            }
        }
    }

    /// Says whether its end is a reset from now on, if the process is killed too.
    pub(crate) fn reset_when_closed(&self, reset: bool) {
        self.stream.reset_when_closed(reset);
    }

    fn count(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(bytes)) = written {
            self.activity.written.fetch_add(*bytes as u64, Ordering::Relaxed);
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        if self.activity.cut.load(Ordering::Relaxed) {
            self.reset_when_closed(true);
        }
    }
}

impl AsyncRead for Client {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let length = buf.remaining().min(self.first.len());
            buf.put_slice(&self.first.split_to(length));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Client {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.count(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.count(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
