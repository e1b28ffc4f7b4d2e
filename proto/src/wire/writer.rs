//! The JSON of heads and control frames as it is written; [`super::json`] reads it.
//!
//! By hand, piece after piece into one string: serde's machinery around every field and its look at every byte cost
//! three times as much. What its type proves to be free of quotes, backslashes and control characters goes out
//! unlooked at.

use std::time::Duration;

use http::HeaderMap;

use super::{Failure, Frame, Hello, RequestHead, ServiceName, StreamId, limits::MESSAGE_TEXT_BYTES};

/// Writes a frame that is no data frame.
pub(super) fn text(frame: &Frame) -> String {
    let mut json = Json::for_frame(frame);
    match frame {
        Frame::Hello(hello) => json.hello(hello),
        Frame::Reject(reject) => json
            .raw(r#"{"type":"reject","code":""#)
            .string(&reject.code)
            .raw(r#"","message":""#)
            .prose(&reject.message)
            .raw(r#"","retry_after_ms":"#)
            .millis(reject.retry_after),
        Frame::Request { id, head, end } => json.request(*id, head, *end),
        Frame::Response { id, head, end } => json
            .raw(r#"{"type":"response","id":"#)
            .number(id.0)
            .raw(r#","status":"#)
            .number(head.status.as_u16())
            .raw(r#","headers":"#)
            .headers(&head.headers)
            .raw_if(*end, r#","end":true"#),
        Frame::Failure { id, failure } => json.failure(*id, failure),
        Frame::Interim { id, status, headers } => json
            .raw(r#"{"type":"interim","id":"#)
            .number(id.0)
            .raw(r#","status":"#)
            .number(status.as_u16())
            .raw(r#","headers":"#)
            .headers(headers),
        Frame::Trailers { id, headers } => {
            json.raw(r#"{"type":"trailers","id":"#).number(id.0).raw(r#","headers":"#).headers(headers)
        }
        Frame::Window { id, bytes } => {
            json.raw(r#"{"type":"window","id":"#).number(id.0).raw(r#","bytes":"#).number(*bytes)
        }
        Frame::Reset { id, code, message } => {
            json.raw(r#"{"type":"reset","id":"#).number(id.0).raw(r#","code":""#).raw(code.as_str()).raw("\"");
            if message.is_empty() { &mut json } else { json.raw(r#","message":""#).prose(message).raw("\"") }
        }
        Frame::GoAway { last_id, reason } => {
            json.raw(r#"{"type":"go-away","last_id":"#).number(last_id.0).raw(r#","reason":""#).prose(reason).raw("\"")
        }
        Frame::Services(services) => json.raw(r#"{"type":"services","services":"#).services(services),
        Frame::Renew(credential) => json.raw(r#"{"type":"renew","credential":""#).string(&credential.0).raw("\""),
        Frame::Data { .. } => unreachable!("data frames are binary"),
    }
    .raw("}");
    String::from_utf8(json.0).expect("every piece is UTF-8")
}

/// A text that grows at its end.
struct Json(Vec<u8>);

/// Room for all of a frame but its headers, and for one header line: most fit, so that the text never moves.
const FRAME_BYTES: usize = 256;
const LINE_BYTES: usize = 64;

impl Json {
    fn for_frame(frame: &Frame) -> Self {
        let lines = match frame {
            Frame::Request { head, .. } => head.headers.len(),
            Frame::Response { head, .. } => head.headers.len(),
            _ => 0,
        };
        Self(Vec::with_capacity(FRAME_BYTES + lines * LINE_BYTES))
    }

    fn hello(&mut self, hello: &Hello) -> &mut Self {
        match hello {
            Hello::Agent(hello) => self
                .raw(r#"{"type":"hello","agent":""#)
                .string(&hello.agent)
                .raw(r#"","instance":""#)
                .string(&hello.instance)
                .raw(r#"","services":"#)
                .services(&hello.services)
                .raw(r#","version":""#)
                .string(&hello.version)
                .raw(r#"","window":"#)
                .number(hello.window)
                .raw(r#","streams":"#)
                .number(hello.streams),
            Hello::Gateway(hello) => self
                .raw(r#"{"type":"hello","gateway":""#)
                .string(&hello.gateway)
                .raw(r#"","window":"#)
                .number(hello.window)
                .raw(r#","streams":"#)
                .number(hello.streams)
                .raw(r#","heartbeat_ms":"#)
                .millis(hello.heartbeat),
        }
    }

    fn request(&mut self, id: StreamId, head: &RequestHead, end: bool) -> &mut Self {
        self.raw(r#"{"type":"request","id":"#)
            .number(id.0)
            .raw(r#","service":""#)
            .raw(head.service.as_str())
            .raw(r#"","method":""#)
            .raw(head.method.as_str())
            .raw(r#"","target":""#)
            .latin1(&head.target)
            .raw(r#"","headers":"#)
            .headers(&head.headers)
            .raw_if(end, r#","end":true"#)
            .raw(r#","request_id":""#)
            .string(head.request_id.as_str())
            .raw("\"");
        if let Some(deadline) = head.deadline {
            self.raw(r#","deadline_ms":"#).millis(deadline);
        }
        self.raw_if(head.upgrade, r#","upgrade":true"#)
    }

    fn failure(&mut self, id: StreamId, failure: &Failure) -> &mut Self {
        self.raw(r#"{"type":"response","id":"#)
            .number(id.0)
            .raw(r#","error":{"code":""#)
            .raw(failure.code.as_str())
            .raw(r#"","message":""#)
            .prose(&failure.message)
            .raw(if failure.retry_safe { r#"","retry_safe":true}"# } else { r#"","retry_safe":false}"# });
        if let Some(after) = failure.retry_after {
            self.raw(r#","retry_after_ms":"#).millis(after);
        }
        self
    }

    /// Headers as a list of pairs.
    fn headers(&mut self, headers: &HeaderMap) -> &mut Self {
        let mut before = "[[\"";
        for (name, value) in headers {
            self.raw(before).raw(name.as_str()).raw(r#"",""#).latin1(value.as_bytes());
            before = r#""],[""#;
        }
        self.raw(if headers.is_empty() { "[]" } else { r#""]]"# })
    }

    fn services(&mut self, services: &[ServiceName]) -> &mut Self {
        let mut before = "[\"";
        for service in services {
            self.raw(before).raw(service.as_str());
            before = "\",\"";
        }
        self.raw(if services.is_empty() { "[]" } else { "\"]" })
    }

    /// A text for people as it may travel: cut to [`MESSAGE_TEXT_BYTES`], and without control characters. Whoever
    /// wrote it may have quoted anything, and the peer would end the link over it.
    fn prose(&mut self, text: &str) -> &mut Self {
        let mut end = text.len().min(MESSAGE_TEXT_BYTES);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        // A control character takes one or two bytes: a space is never longer.
        self.chars(&text[..end], |c| if c.is_control() { ' ' } else { c })
    }

    fn string(&mut self, text: &str) -> &mut Self {
        self.chars(text, |c| c)
    }

    fn chars(&mut self, text: &str, travels_as: impl Fn(char) -> char) -> &mut Self {
        if text.bytes().all(is_plain) {
            return self.raw(text);
        }
        for c in text.chars() {
            self.escaped(travels_as(c));
        }
        self
    }

    /// Bytes as code points below 256.
    fn latin1(&mut self, bytes: &[u8]) -> &mut Self {
        if !bytes.iter().all(|&byte| is_plain(byte)) {
            return self.latin1_in_pieces(bytes);
        }
        self.0.extend_from_slice(bytes);
        self
    }

    /// The same where something is to be escaped: what stands between is still copied whole.
    #[cold]
    fn latin1_in_pieces(&mut self, bytes: &[u8]) -> &mut Self {
        let mut rest = bytes;
        while let Some(at) = rest.iter().position(|&byte| !is_plain(byte)) {
            self.0.extend_from_slice(&rest[..at]);
            self.escaped(char::from(rest[at]));
            rest = &rest[at + 1..];
        }
        self.0.extend_from_slice(rest);
        self
    }

    /// One character of a string (RFC 8259 §7).
    fn escaped(&mut self, c: char) -> &mut Self {
        match c {
            '"' => self.raw(r#"\""#),
            '\\' => self.raw(r"\\"),
            '\t' => self.raw(r"\t"),
            '\n' => self.raw(r"\n"),
            '\r' => self.raw(r"\r"),
            '\u{8}' => self.raw(r"\b"),
            '\u{c}' => self.raw(r"\f"),
            '\0'..' ' => self.raw(&format!(r"\u{:04x}", u32::from(c))),
            _ => self.raw(c.encode_utf8(&mut [0; 4])),
        }
    }

    fn millis(&mut self, duration: Duration) -> &mut Self {
        self.number(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
    }

    fn number(&mut self, number: impl itoa::Integer) -> &mut Self {
        self.raw(itoa::Buffer::new().format(number))
    }

    fn raw_if(&mut self, condition: bool, json: &str) -> &mut Self {
        if condition { self.raw(json) } else { self }
    }

    /// What is JSON already, or a part of a string that needs no escape.
    fn raw(&mut self, json: &str) -> &mut Self {
        self.0.extend_from_slice(json.as_bytes());
        self
    }
}

/// Whether a byte of a string travels as it is. (A look into a table a byte is the cheapest for strings as short as
/// these; wider steps spend more on their beginning and end than they save.)
fn is_plain(byte: u8) -> bool {
    PLAIN[usize::from(byte)]
}

/// ASCII without what JSON escapes, and without DEL, which JSON does not mind but a text for people must not hold.
const PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0x20;
    while byte < 0x7F {
        plain[byte] = byte != b'"' as usize && byte != b'\\' as usize;
        byte += 1;
    }
    plain
};
