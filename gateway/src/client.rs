//! A client's connection: counts what it takes, can be broken off so that nobody takes a cut body for a whole one, and
//! sees the client's end behind whatever it has sent ahead.

use std::{
    fmt,
    io::{self, IoSlice},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use bytes::BytesMut;
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

use crate::{
    limits::{AHEAD, FIRST_BYTES},
    raw::Raw,
    socket::Socket,
};

/// What a client that speaks HTTP/2 without being asked says first (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What is known of a connection without asking it.
#[derive(Debug, Default)]
pub(crate) struct Activity {
    begun: AtomicU64,
    ended: AtomicU64,
    written: AtomicU64,
    cut: AtomicBool,
    /// Something was read since the last request has begun, and while none was in flight: a part of the next one's head.
    has_part: AtomicBool,
    /// Whether the request that has begun last has a body.
    has_body: AtomicBool,
    /// How many requests had begun with the last one that was read to its end.
    whole: AtomicU64,
    raw: Mutex<Raw>,
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

    /// Whether the client has begun with a head and not ended it. Of HTTP/1 only: in HTTP/2 much else comes between
    /// requests.
    pub(crate) fn has_part_of_head(&self) -> bool {
        self.has_part.load(Ordering::Relaxed)
    }

    /// Takes note of the request of HTTP/1 that a facade's connection has just begun with: to be called before anything
    /// more is read. Whether its end is in doubt.
    pub(crate) fn note(&self, body: &Incoming) -> bool {
        self.has_body.store(!body.is_end_stream(), Ordering::Relaxed);
        if body.is_end_stream() {
            self.whole.store(self.begun.load(Ordering::Relaxed), Ordering::Relaxed);
        }
        let is_chunked = !body.is_end_stream() && body.size_hint().exact().is_none();
        is_chunked && self.lock_raw().is_in_doubt(self.begun.load(Ordering::Relaxed))
    }

    /// Says what the connection's task does once HTTP has ended: it goes on as the same connection, in the same place.
    pub(crate) fn go_on_with(&self, rest: impl Future<Output = ()> + Send + 'static) {
        *self.lock() = Some(Box::pin(rest));
    }

    /// What [`Activity::go_on_with`] said. Always to be asked for: what it holds may hold this.
    pub(crate) fn take_rest(&self) -> Option<impl Future<Output = ()> + Send + use<>> {
        self.lock().take()
    }

    /// Whether a request is in flight that was read to its end, and nothing but HTTP will come of it.
    fn waits_for_answer(&self) -> bool {
        let begun = self.begun.load(Ordering::Relaxed);
        begun != self.ended.load(Ordering::Relaxed)
            && begun == self.whole.load(Ordering::Relaxed)
            // A client that has its 101 may end its half.
            && self.lock().is_none()
    }

    fn lock_raw(&self) -> MutexGuard<'_, Raw> {
        self.raw.lock().expect("nothing panics while it holds it")
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
        activity.has_part.store(false, Ordering::Relaxed);
        Self(activity.clone())
    }

    /// The connection that the request came on.
    pub(crate) fn connection(&self) -> Arc<Activity> {
        self.0.clone()
    }

    /// To say that the body of the request was read to its end.
    pub(crate) fn body_end(&self) -> BodyEnd {
        BodyEnd { connection: self.0.clone(), number: self.0.begun.load(Ordering::Relaxed) }
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

/// Which request a body belongs to.
#[derive(Debug)]
pub(crate) struct BodyEnd {
    connection: Arc<Activity>,
    number: u64,
}

impl BodyEnd {
    /// All of the body was read. That of an earlier request may come late. Wherever this is said, the connection is looked
    /// at again: by its own task, or because the HTTP library wakes that when the body is dropped.
    pub(crate) fn note(&self) {
        self.connection.whole.fetch_max(self.number, Ordering::Relaxed);
    }
}

/// The connection itself.
#[derive(Debug)]
pub(crate) struct Client {
    stream: Socket,
    activity: Arc<Activity>,
    /// What was read to learn the protocol, or to see whether the client's end stands behind it, until it is read again.
    ahead: BytesMut,
    /// Once it is known that the client of a facade speaks HTTP/1, and as long as it does.
    watch: Option<Watch>,
}

/// What is looked at behind the HTTP library's back, which does not tell all that it does.
#[derive(Debug, Default)]
struct Watch {
    /// Something was read that the library may not have taken yet.
    has_read: bool,
    /// The library waits for more to read, and so sees the client's end by itself.
    is_waiting: bool,
    /// How many requests had begun when last all was written and none was in flight.
    answered: u64,
    /// The library's own answer to what it could not read as a request.
    withheld: Vec<u8>,
}

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Http1,
    Http2,
}

impl Client {
    pub(crate) fn new(stream: Socket, activity: Arc<Activity>) -> Self {
        Self { stream, activity, ahead: BytesMut::new(), watch: None }
    }

    /// Tells by the first bytes what the client of a facade speaks. They are not lost.
    pub(crate) async fn protocol(&mut self) -> io::Result<Protocol> {
        // Room for a usual head, so that HTTP/1.1 costs no second read.
        self.ahead.reserve(FIRST_BYTES);
        loop {
            let ended = self.stream.read_buf(&mut self.ahead).await? == 0;
            if self.ahead.starts_with(PREFACE) {
                return Ok(Protocol::Http2);
            }
            self.activity.has_part.store(true, Ordering::Relaxed);
            if ended || !PREFACE.starts_with(&self.ahead) {
                self.watch = Some(Watch::default());
                return Ok(Protocol::Http1);
            }
        }
    }

    /// Says whether its end is a reset from now on, if the process is killed too.
    pub(crate) fn reset_when_closed(&self, reset: bool) {
        self.stream.reset_when_closed(reset);
    }

    /// What comes from now on is not HTTP.
    pub(crate) fn is_upgraded(&mut self) {
        self.watch = None;
    }

    /// What the HTTP library wanted to say to what it could not read, if it came to that. It has not been said.
    pub(crate) fn take_withheld(&mut self) -> Option<Vec<u8>> {
        self.watch.take().map(|watch| watch.withheld).filter(|withheld| !withheld.is_empty())
    }

    /// What is wrong with what the HTTP library could not read, if it cannot say it.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        self.activity.lock_raw().fault(self.activity.begun.load(Ordering::Relaxed))
    }

    /// The HTTP library reads on while a request is in flight only when it has taken all that it has.
    fn note_taken(&mut self) {
        let begun = self.activity.begun.load(Ordering::Relaxed);
        if let Some(watch) = self.watch.as_mut().filter(|watch| watch.has_read)
            && begun != self.activity.ended.load(Ordering::Relaxed)
        {
            watch.has_read = false;
            self.activity.lock_raw().start(begun);
        }
    }

    /// Keeps what was read until it is taken.
    fn note_read(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let in_flight = !self.activity.look().0;
        if !in_flight {
            self.activity.has_part.store(true, Ordering::Relaxed);
        }
        if let Some(watch) = &mut self.watch {
            watch.has_read = true;
            let is_body = in_flight && self.activity.has_body.load(Ordering::Relaxed);
            self.activity.lock_raw().keep(bytes, is_body);
        }
    }

    /// Keeps what is not to be written: an answer although no request has begun since the last one was written. That can
    /// only be the library's own, and there is no reason in it.
    fn withholds(&mut self, bytes: &[u8]) -> bool {
        let begun = self.activity.begun.load(Ordering::Relaxed);
        let Some(watch) = self.watch.as_mut().filter(|watch| watch.answered == begun) else { return false };
        if bytes.starts_with(b"HTTP/1.1 4") {
            bytes.clone_into(&mut watch.withheld);
        }
        !watch.withheld.is_empty()
    }

    /// The HTTP library flushes when it has written all that it had.
    fn note_flushed(&mut self) {
        let begun = self.activity.begun.load(Ordering::Relaxed);
        if let Some(watch) = &mut self.watch
            && begun == self.activity.ended.load(Ordering::Relaxed)
        {
            watch.answered = begun;
        }
    }

    /// Reads on where the HTTP library does not: it looks for the client's end only while it holds nothing that it has
    /// not taken, and a line end behind a request is enough to make it blind. An error if the client is gone.
    fn look_ahead(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.watch.as_ref().is_none_or(|watch| watch.is_waiting) || !self.activity.waits_for_answer() {
            return Ok(());
        }
        while self.ahead.len() < AHEAD {
            self.ahead.reserve(FIRST_BYTES);
            match pin!(self.stream.read_buf(&mut self.ahead)).poll(cx)? {
                Poll::Ready(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the client is gone")),
                Poll::Ready(_) => {}
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    fn take_ahead(&mut self, buf: &mut ReadBuf<'_>) {
        let length = buf.remaining().min(self.ahead.len());
        buf.put_slice(&self.ahead.split_to(length));
        if self.ahead.is_empty() {
            // Gives its memory back.
            self.ahead = BytesMut::new();
        }
    }

    /// Counts what was written. While the client takes nothing it is looked after as when there is nothing to write.
    fn count(&mut self, written: Poll<io::Result<usize>>, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = &written {
            self.activity.written.fetch_add(*bytes as u64, Ordering::Relaxed);
        } else if written.is_pending() {
            self.look_ahead(cx)?;
        }
        written
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
        self.note_taken();
        let before = buf.filled().len();
        let read = if self.ahead.is_empty() {
            Pin::new(&mut self.stream).poll_read(cx, buf)
        } else {
            self.take_ahead(buf);
            Poll::Ready(Ok(()))
        };
        if let Some(watch) = &mut self.watch {
            watch.is_waiting = read.is_pending();
        }
        self.note_read(&buf.filled()[before..]);
        read
    }
}

impl AsyncWrite for Client {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if self.withholds(buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.count(written, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Some(first) = bufs.iter().find(|first| !first.is_empty())
            && self.withholds(first)
        {
            return Poll::Ready(Ok(first.len()));
        }
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.count(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if flushed.is_ready() {
            self.note_flushed();
        }
        // The library flushes whenever its connection is polled, and last of all.
        self.look_ahead(cx)?;
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.watch.as_ref().is_some_and(|watch| !watch.withheld.is_empty()) {
            // Another answer comes in place of what was withheld.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
