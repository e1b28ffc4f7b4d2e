//! What was read of an HTTP/1 connection, kept beside the HTTP library that reads it. The library takes a request with
//! both lengths by its chunks and drops the `Content-Length` before anybody can see that there was one; here it is seen
//! (RFC 9112 §6.1).
//!
//! To look at every head would cost each request; a copy costs little. So the bytes are kept until the library has taken
//! them all, and are looked at only when it has found a body in chunks. They begin with a head: the library reads on
//! while a request is in flight only when it has nothing left. Only bodies are not kept; what was read along with the end
//! of one, ahead of its answer, is not known, and a request found there is in doubt if it has a body in chunks.

use crate::limits::{CLIENT_BUFFER, FIRST_BYTES};

/// The longest body that the HTTP library takes; of a longer one it says that the head is too large.
const LONGEST_BODY: u64 = u64::MAX - 2;

/// What every connection with TLS begins with: the record of a handshake (RFC 8446 §5.1).
pub(crate) const TLS_HANDSHAKE: u8 = 0x16;

/// Bytes as they were read, since the library had last taken all.
#[derive(Debug, Default)]
pub(crate) struct Raw {
    bytes: Vec<u8>,
    /// Requests that had begun before them.
    since: u64,
    /// There are more, which were not kept.
    incomplete: bool,
}

impl Raw {
    /// All that is here was taken when so many requests had begun.
    pub(crate) fn start(&mut self, begun: u64) {
        self.bytes.clear();
        // Idle connections hold little.
        self.bytes.shrink_to(FIRST_BYTES);
        self.since = begun;
        self.incomplete = false;
    }

    /// Keeps what was read next.
    pub(crate) fn keep(&mut self, bytes: &[u8], is_body: bool) {
        let room = CLIENT_BUFFER.saturating_sub(self.bytes.len());
        self.incomplete |= is_body || bytes.len() > room;
        if !self.incomplete {
            self.bytes.extend_from_slice(bytes);
        }
    }

    /// Whether it cannot be said for sure that the last of so many requests, whose body comes in chunks, has no other
    /// length.
    pub(crate) fn is_in_doubt(&self, begun: u64) -> bool {
        let mut heads = Heads { rest: &self.bytes };
        let number = begun.saturating_sub(self.since + 1);
        let head = usize::try_from(number).ok().and_then(|number| heads.nth(number));
        head.is_none_or(|head| head.length.is_some())
    }

    /// What is wrong with the request behind so many, where the HTTP library cannot say it: it takes it for something
    /// else.
    pub(crate) fn fault(&self, begun: u64) -> Option<&'static str> {
        if self.bytes.first() == Some(&TLS_HANDSHAKE) {
            return Some("it looks like TLS, and no TLS is spoken here: say http:// instead of https://");
        }
        let mut heads = Heads { rest: &self.bytes };
        let head = heads.nth(usize::try_from(begun.saturating_sub(self.since)).ok()?)?;
        (head.length? > LONGEST_BODY).then_some("its Content-Length is larger than any body can be")
    }
}

/// The heads in some bytes that begin with one. What is malformed is the library's to refuse: nothing behind it matters.
struct Heads<'a> {
    rest: &'a [u8],
}

/// What a head says of its body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Head {
    length: Option<u64>,
    is_chunked: bool,
}

impl Iterator for Heads<'_> {
    type Item = Head;

    /// The next head that is here to its end. Its body is passed over.
    fn next(&mut self) -> Option<Head> {
        // Empty lines ahead of a request are nothing (RFC 9112 §2.2).
        let mut line = self.lines().find(|line| !is_empty(line))?;
        let mut head = Head::default();
        while !is_empty(line) {
            head.read(line);
            line = self.line()?;
        }
        // With nothing left there is no next one.
        let passed = if head.is_chunked { self.pass_chunks() } else { self.pass(head.length.unwrap_or_default()) };
        passed.unwrap_or_else(|| self.rest = &[]);
        Some(head)
    }
}

impl<'a> Heads<'a> {
    fn line(&mut self) -> Option<&'a [u8]> {
        let end = self.rest.iter().position(|byte| *byte == b'\n')?;
        let (line, rest) = self.rest.split_at(end + 1);
        self.rest = rest;
        Some(line)
    }

    fn lines(&mut self) -> impl Iterator<Item = &'a [u8]> {
        std::iter::from_fn(|| self.line())
    }

    fn pass(&mut self, length: u64) -> Option<()> {
        self.rest = self.rest.get(usize::try_from(length).ok()?..)?;
        Some(())
    }

    /// Passes over chunks and trailers (RFC 9112 §7.1).
    fn pass_chunks(&mut self) -> Option<()> {
        loop {
            let line = self.line()?;
            let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
            match number(&line[..digits], 16)? {
                0 => return self.lines().find(|line| is_empty(line)).map(|_| ()),
                size => self.pass(size.checked_add(2)?)?,
            }
        }
    }
}

impl Head {
    fn read(&mut self, line: &[u8]) {
        if let Some(value) = value(line, b"content-length:") {
            // Where it stands behind the chunks the library takes anything.
            self.length = Some(number(value, 10).unwrap_or_default());
        }
        self.is_chunked |= value(line, b"transfer-encoding:").is_some();
    }
}

/// What stands behind a name and its colon.
fn value<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn number(digits: &[u8], radix: u32) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, radix).ok()
}

fn is_empty(line: &[u8]) -> bool {
    matches!(line, b"\n" | b"\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    const CHUNKED: &str = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    const BOTH: &str = "POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n";

    /// Whether the last of so many requests is in doubt, the same however the bytes are cut.
    fn check(text: &str, requests: u64, expected: bool) {
        let bytes = text.as_bytes();
        for cut in 0..=bytes.len() {
            let mut raw = Raw::default();
            raw.keep(b"of earlier requests", false);
            raw.start(7);
            raw.keep(&bytes[..cut], false);
            raw.keep(&bytes[cut..], false);
            assert_eq!(raw.is_in_doubt(7 + requests), expected, "{requests} in {text:?} cut at {cut}");
        }
    }

    #[test]
    fn both_lengths_are_seen() {
        check(BOTH, 1, true);
        check("POST / HTTP/1.1\r\nTRANSFER-encoding:chunked\r\nX: y\r\ncontent-LENGTH:\t5 \r\n\r\n", 1, true);
        check("POST / HTTP/1.1\nTransfer-Encoding: chunked\nContent-Length: 0\n\n", 1, true);
        check(&BOTH.replace(": 5", ": five"), 1, true);
    }

    #[test]
    fn chunks_alone_are_in_no_doubt() {
        check(CHUNKED, 1, false);
        check(&format!("{CHUNKED}5\r\n{BOTH}"), 1, false);
        check("POST / HTTP/1.1\r\nX-Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 1, false);
        check("POST / HTTP/1.1\r\nContent-Length-X: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 1, false);
        check("POST /?Content-Length:5 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", 1, false);
    }

    #[test]
    fn what_comes_ahead_is_not_mistaken() {
        let behind = |ahead: &str| {
            check(&format!("{ahead}{BOTH}"), 2, true);
            check(&format!("{ahead}{CHUNKED}{BOTH}"), 2, false);
        };
        let chunk = |content: &str| format!("{:X};x=y\r\n{content}\r\n", content.len());
        behind(GET);
        behind(&format!("\r\n\n{GET}\r\n"));
        behind(&format!("POST / HTTP/1.1\r\nContent-Length: {:03}\r\n\r\n{BOTH}", BOTH.len()));
        behind("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n");
        behind(&format!("{CHUNKED}{}{}0\r\n\r\n", chunk(BOTH), chunk("\n\n")));
        behind(&format!("{CHUNKED}00\r\nContent-Length: 5\r\nTransfer-Encoding: x\r\n\r\n"));
    }

    #[test]
    fn what_is_not_known_is_in_doubt() {
        check("", 1, true);
        check(CHUNKED.trim_end(), 1, true);
        check(CHUNKED, 2, true);
        check(&format!("{CHUNKED}ffffffffffffffff\r\n{CHUNKED}"), 2, true);
        check(&format!("{CHUNKED}\r\n{CHUNKED}"), 2, true);
        let mut raw = Raw::default();
        raw.keep(b"0\r\n\r\n", true);
        raw.keep(CHUNKED.as_bytes(), false);
        assert!(raw.is_in_doubt(1), "a head behind a body");
        raw.start(1);
        raw.keep(CHUNKED.as_bytes(), false);
        assert!(!raw.is_in_doubt(2), "a new beginning");
    }

    #[test]
    fn little_is_kept() {
        let mut raw = Raw::default();
        raw.keep(&[b'x'; CLIENT_BUFFER], false);
        raw.keep(b"x", false);
        assert_eq!((raw.bytes.len(), raw.incomplete), (CLIENT_BUFFER, true));
        raw.start(1);
        assert!(raw.bytes.capacity() <= FIRST_BYTES);
    }
}
