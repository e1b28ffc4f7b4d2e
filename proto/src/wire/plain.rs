//! A short cut through the JSON of heads: those that our own writer writes, nothing in them escaped.
//!
//! Nearly every message is one, and to read it by what must come next costs a third of reading any JSON. Whatever
//! differs by a byte, and so everything that is wrong, is left to [`super::json`]: this reads nothing that it would
//! read otherwise.

use std::{borrow::Cow, str::FromStr};

use bytes::Bytes;

use super::json::{Fields, Headers, Lines, Str};

/// Reads the head of a request or of its response; `None` for everything else, of which it may have read a part.
pub(super) fn read<'a>(text: &'a str, fields: &mut Fields<'a>) -> Option<()> {
    if !(text.starts_with(r#"{"type":"re"#) && is_plain(text)) {
        return None;
    }
    let mut rest = Rest { text, whole: text };
    rest.raw(r#"{"type":""#)?;
    let kind = rest.string()?;
    match &*kind.0 {
        "request" => rest.request(fields)?,
        "response" => rest.response(fields)?,
        _ => return None,
    }
    fields.kind = Some(kind);
    (rest.text == "}").then_some(())
}

/// Whether every string ends at the next quote, and is what stands between. (Without an early end the compiler makes
/// it look at many bytes at once.)
fn is_plain(text: &str) -> bool {
    text.bytes().fold(true, |plain, byte| plain & matches!(byte, 0x20..=0x7E) & (byte != b'\\'))
}

/// What has not been read yet.
struct Rest<'a> {
    text: &'a str,
    /// And what has.
    whole: &'a str,
}

impl<'a> Rest<'a> {
    fn request(&mut self, fields: &mut Fields<'a>) -> Option<()> {
        self.raw(r#","id":"#)?;
        fields.id = Some(Some(self.number()?));
        self.raw(r#","service":""#)?;
        fields.service = Some(Some(self.string()?));
        self.raw(r#","method":""#)?;
        fields.method = Some(Some(self.string()?));
        self.raw(r#","target":""#)?;
        fields.target = Some(Some(self.string()?));
        fields.headers = Some(Some(self.headers()?));
        fields.end = self.flag(r#","end":true"#);
        self.raw(r#","request_id":""#)?;
        fields.request_id = Some(Some(self.string()?));
        if self.raw(r#","deadline_ms":"#).is_some() {
            fields.deadline_ms = Some(Some(self.number()?));
        }
        fields.upgrade = self.flag(r#","upgrade":true"#);
        Some(())
    }

    fn response(&mut self, fields: &mut Fields<'a>) -> Option<()> {
        self.raw(r#","id":"#)?;
        fields.id = Some(Some(self.number()?));
        self.raw(r#","status":"#)?;
        fields.status = Some(Some(self.number()?));
        fields.headers = Some(Some(self.headers()?));
        fields.end = self.flag(r#","end":true"#);
        Some(())
    }

    fn headers(&mut self) -> Option<Headers> {
        let mut lines = Lines::default();
        // All values are pieces of one copy: one for each would cost more than the decoding.
        let copy = Bytes::copy_from_slice(self.whole.as_bytes());
        self.raw(r#","headers":["#)?;
        let mut before = r#"[""#;
        while self.raw("]").is_none() {
            self.raw(before)?;
            let Str(name) = self.string()?;
            self.raw(r#",""#)?;
            let begin = self.position();
            self.string()?;
            let value = copy.slice(begin..self.position() - 1);
            self.raw("]")?;
            lines.append(&name, value).ok()?;
            before = r#",[""#;
        }
        Some(lines.into())
    }

    /// How many bytes have been read.
    fn position(&self) -> usize {
        self.whole.len() - self.text.len()
    }

    /// The rest of a string whose opening quote has been read.
    fn string(&mut self) -> Option<Str<'a>> {
        let end = self.text.bytes().position(|byte| byte == b'"')?;
        let (string, rest) = self.text.split_at(end);
        self.text = &rest[1..];
        Some(Str(Cow::Borrowed(string)))
    }

    /// A number as JSON spells it (RFC 8259 §6).
    fn number<T: FromStr>(&mut self) -> Option<T> {
        let end = self.text.bytes().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = self.text.split_at(end);
        if digits.len() > 1 && digits.starts_with('0') {
            return None;
        }
        self.text = rest;
        digits.parse().ok()
    }

    fn flag(&mut self, json: &str) -> Option<Option<bool>> {
        self.raw(json).map(|()| Some(true))
    }

    fn raw(&mut self, json: &str) -> Option<()> {
        self.text = self.text.strip_prefix(json)?;
        Some(())
    }
}
