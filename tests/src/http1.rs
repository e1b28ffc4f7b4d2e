//! HTTP/1.1 as bytes: heads kept as they came, bodies taken apart by hand, so that nothing is repaired on the way.

use std::io;

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// A head as it came, up to and with the empty line.
#[derive(Clone, Debug)]
pub struct Head(pub String);

impl Head {
    /// The request line or status line.
    #[must_use]
    pub fn line(&self) -> &str {
        self.0.lines().next().unwrap_or_default()
    }

    /// One word of that line: method, target, version; or version, status, reason.
    #[must_use]
    pub fn word(&self, at: usize) -> &str {
        self.line().splitn(3, ' ').nth(at).unwrap_or_default()
    }

    /// Every value of a header, in order.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.0.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    /// The one value of a header.
    #[must_use]
    pub fn one(&self, name: &str) -> Option<&str> {
        match self.all(name)[..] {
            [value] => Some(value),
            _ => None,
        }
    }

    /// How the body of this message is framed, if it has one; `otherwise` if the head does not say.
    #[must_use]
    pub fn framing(&self, otherwise: Left) -> Left {
        if self.all("transfer-encoding").iter().any(|value| value.eq_ignore_ascii_case("chunked")) {
            return Left::Chunk(0);
        }
        self.all("content-length").first().and_then(|value| value.parse().ok()).map_or(otherwise, Left::Length)
    }
}

/// What is left of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// So many bytes.
    Length(u64),
    /// So many bytes of this chunk; then more chunks.
    Chunk(u64),
    /// Whatever comes before the connection ends.
    UntilClose,
}

/// The next of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// Some bytes.
    Data(Bytes),
    /// It was whole.
    End,
    /// The connection ended first, or the framing is broken.
    Cut,
}

/// Reads messages from a connection.
#[derive(Debug)]
pub struct Reader<R> {
    io: R,
    buffer: BytesMut,
    /// The trailer lines of the last chunked body.
    pub trailers: Vec<String>,
}

impl<R: AsyncRead + Unpin> Reader<R> {
    /// Reads from the start of a message.
    pub fn new(io: R) -> Self {
        Self { io, buffer: BytesMut::new(), trailers: Vec::new() }
    }

    /// The next head, or `None` if the connection ends before it does.
    pub async fn head(&mut self) -> Option<Head> {
        loop {
            // Empty lines before a message mean nothing (RFC 9112 §2.2).
            while self.buffer.starts_with(b"\r\n") {
                self.buffer.advance(2);
            }
            if let Some(end) = end_of_head(&self.buffer) {
                let head = self.buffer.split_to(end);
                // Each byte is a character, so that nothing is lost.
                return Some(Head(head.iter().map(|&byte| char::from(byte)).collect()));
            }
            if !self.fill().await {
                return None;
            }
        }
    }

    /// The next piece of a body.
    pub async fn piece(&mut self, left: &mut Left) -> Piece {
        match left {
            Left::Length(0) => Piece::End,
            Left::Length(bytes) => self.take(bytes).await,
            Left::Chunk(0) => match self.chunk().await {
                Some(0) => self.trailers().await,
                Some(mut bytes) => {
                    let piece = self.take(&mut bytes).await;
                    self.leave(left, bytes, piece).await
                }
                None => Piece::Cut,
            },
            Left::Chunk(bytes) => {
                let mut bytes = *bytes;
                let piece = self.take(&mut bytes).await;
                self.leave(left, bytes, piece).await
            }
            Left::UntilClose => {
                let mut bytes = u64::MAX;
                if self.buffer.is_empty() && !self.fill().await { Piece::End } else { self.take(&mut bytes).await }
            }
        }
    }

    /// The whole body, and whether it was whole.
    pub async fn body(&mut self, mut left: Left) -> (Vec<u8>, bool) {
        let mut body = Vec::new();
        loop {
            match self.piece(&mut left).await {
                Piece::Data(data) => body.extend_from_slice(&data),
                Piece::End => return (body, true),
                Piece::Cut => return (body, false),
            }
        }
    }

    /// Waits for the end of the connection; what comes before it is thrown away, and counted.
    pub async fn closed(&mut self) -> usize {
        let mut bytes = self.buffer.split().len();
        while self.fill().await {
            bytes += self.buffer.split().len();
        }
        bytes
    }

    /// Waits for the end of the connection, whatever comes before it: whether it was a reset, and no ordinary end.
    pub async fn is_reset(&mut self) -> bool {
        loop {
            self.buffer.clear();
            match self.io.read_buf(&mut self.buffer).await {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == io::ErrorKind::ConnectionReset,
            }
        }
    }

    /// Reads something; `false` at the end of the connection.
    async fn fill(&mut self) -> bool {
        self.buffer.reserve(256 * 1024);
        matches!(self.io.read_buf(&mut self.buffer).await, Ok(1..))
    }

    async fn take(&mut self, left: &mut u64) -> Piece {
        if self.buffer.is_empty() && !self.fill().await {
            return Piece::Cut;
        }
        let bytes = usize::try_from(*left).unwrap_or(usize::MAX).min(self.buffer.len());
        *left -= bytes as u64;
        Piece::Data(self.buffer.split_to(bytes).freeze())
    }

    /// Notes what is left of a chunk, and reads the line end behind it.
    async fn leave(&mut self, left: &mut Left, bytes: u64, piece: Piece) -> Piece {
        *left = Left::Chunk(bytes);
        if bytes == 0 && self.line().await.as_deref() != Some("") {
            return Piece::Cut;
        }
        piece
    }

    async fn chunk(&mut self) -> Option<u64> {
        let line = self.line().await?;
        u64::from_str_radix(line.split(';').next()?, 16).ok()
    }

    async fn trailers(&mut self) -> Piece {
        self.trailers.clear();
        while let Some(line) = self.line().await {
            if line.is_empty() {
                return Piece::End;
            }
            self.trailers.push(line);
        }
        Piece::Cut
    }

    async fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|window| window == b"\r\n") {
                let line = self.buffer.split_to(end + 2);
                return Some(String::from_utf8_lossy(&line[..end]).into_owned());
            }
            if !self.fill().await {
                return None;
            }
        }
    }
}

/// Behind the first empty line, whether lines end with CRLF or, as some lenient readers have it, with LF alone.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let after = |end: &[u8]| Some(bytes.windows(end.len()).position(|window| window == end)? + end.len());
    match (after(b"\r\n\r\n"), after(b"\n\n")) {
        (Some(strict), Some(lenient)) => Some(strict.min(lenient)),
        (strict, lenient) => strict.or(lenient),
    }
}
