//! A small blocking HTTP/1.1 client: as little as possible between the socket and the clock.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::TcpStream,
    ops::ControlFlow,
    time::Duration,
};

/// The longest that one read or write may take, so that a stuck proxy fails the run and does not hang it.
const STALL: Duration = Duration::from_secs(30);

/// What is read or written at once.
const PIECE_BYTES: usize = 256 * 1024;

/// Longest answer head.
const HEAD_BYTES: u64 = 16 * 1024;

/// One keep-alive connection.
pub(crate) struct Client {
    stream: BufReader<TcpStream>,
    piece: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(STALL))?;
        stream.set_write_timeout(Some(STALL))?;
        Ok(Self { stream: BufReader::new(stream), piece: vec![0; PIECE_BYTES] })
    }

    /// Sends a request without a body and leaves the answer for later.
    pub(crate) fn ask(&mut self, path: &str) -> io::Result<()> {
        write!(self.stream.get_mut(), "GET {path} HTTP/1.1\r\nHost: bench.localhost\r\n\r\n")
    }

    /// Downloads and drops the body. Returns its length.
    pub(crate) fn get(&mut self, path: &str) -> io::Result<u64> {
        self.get_while(path, |_| ControlFlow::Continue(()))
    }

    /// Downloads as long as `on_bytes`, told of every piece, says so.
    pub(crate) fn get_while(
        &mut self,
        path: &str,
        mut on_bytes: impl FnMut(usize) -> ControlFlow<()>,
    ) -> io::Result<u64> {
        self.ask(path)?;
        let length = self.head()?;
        let mut left = length;
        while left > 0 {
            let most = self.piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            let read = self.stream.read(&mut self.piece[..most])?;
            if read == 0 {
                return Err(io::Error::other(format!("{path} was cut short: {left} of {length} bytes are missing")));
            }
            left -= read as u64;
            if on_bytes(read).is_break() {
                break;
            }
        }
        Ok(length - left)
    }

    /// Downloads a short body.
    pub(crate) fn get_text(&mut self, path: &str) -> io::Result<String> {
        self.ask(path)?;
        self.text()
    }

    /// Uploads so many bytes to an upstream that answers how many it read.
    pub(crate) fn put(&mut self, path: &str, bytes: u64) -> io::Result<()> {
        let stream = self.stream.get_mut();
        write!(stream, "PUT {path} HTTP/1.1\r\nHost: bench.localhost\r\nContent-Length: {bytes}\r\n\r\n")?;
        let mut left = bytes;
        while left > 0 {
            let piece = self.piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            stream.write_all(&self.piece[..piece])?;
            left -= piece as u64;
        }
        let answer = self.text()?;
        if answer == bytes.to_string() {
            Ok(())
        } else {
            Err(io::Error::other(format!("{bytes} sent, {answer} arrived")))
        }
    }

    fn text(&mut self) -> io::Result<String> {
        let length = self.head()?;
        let mut text = String::new();
        self.stream.by_ref().take(length).read_to_string(&mut text)?;
        Ok(text)
    }

    /// Reads the head of an answer, which must be a 200 of known length. Returns the length.
    fn head(&mut self) -> io::Result<u64> {
        let mut head = self.stream.by_ref().take(HEAD_BYTES);
        let mut line = String::new();
        head.read_line(&mut line)?;
        if !line.starts_with("HTTP/1.1 200") {
            return Err(io::Error::other(format!("not a 200 but {:?}", line.trim_end())));
        }
        let mut length = None;
        loop {
            line.clear();
            if head.read_line(&mut line)? == 0 {
                return Err(io::Error::other("a head has no end"));
            }
            if line.trim_end().is_empty() {
                return length.ok_or_else(|| io::Error::other("an answer of known length came without Content-Length"));
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().ok();
            }
        }
    }
}
