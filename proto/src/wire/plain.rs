//! A short cut through the JSON of heads: those that our own writer writes, nothing in them escaped.
//!
//! Nearly every message is one, and to read it by what must come next costs a third of reading any JSON. Whatever
//! differs by a byte, and so everything that is wrong, is left to [`super::json`]: this reads nothing that it would
//! read otherwise.

use std::{borrow::Cow, str::FromStr};

use super::json::{Fields, Headers, Lines, Str};

/// Reads the head of a request or of its response; `None` for everything else.
pub(super) fn read(text: &str) -> Option<Fields<'_>> {
    let mut rest = Rest(text);
    rest.raw(r#"{"type":""#)?;
    let fields = match rest.string()? {
        Str(kind) if kind == "request" => rest.request(Str(kind)),
        Str(kind) if kind == "response" => rest.response(Str(kind)),
        _ => None,
    }?;
    (rest.0 == "}").then_some(fields)
}

/// What has not been read yet.
struct Rest<'a>(&'a str);

impl<'a> Rest<'a> {
    fn request(&mut self, kind: Str<'a>) -> Option<Fields<'a>> {
        let mut fields = Fields { kind: Some(kind), ..Fields::default() };
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
        Some(fields)
    }

    fn response(&mut self, kind: Str<'a>) -> Option<Fields<'a>> {
        let mut fields = Fields { kind: Some(kind), ..Fields::default() };
        self.raw(r#","id":"#)?;
        fields.id = Some(Some(self.number()?));
        self.raw(r#","status":"#)?;
        fields.status = Some(Some(self.number()?));
        fields.headers = Some(Some(self.headers()?));
        fields.end = self.flag(r#","end":true"#);
        Some(fields)
    }

    fn headers(&mut self) -> Option<Headers> {
        let mut lines = Lines::default();
        self.raw(r#","headers":["#)?;
        let mut before = r#"[""#;
        while self.raw("]").is_none() {
            self.raw(before)?;
            let Str(name) = self.string()?;
            self.raw(r#",""#)?;
            let Str(value) = self.string()?;
            self.raw("]")?;
            lines.append(&name, &value).ok()?;
            before = r#",[""#;
        }
        Some(lines.into())
    }

    /// The rest of a string whose opening quote has been read.
    fn string(&mut self) -> Option<Str<'a>> {
        let end = self.0.bytes().position(|byte| !super::writer::is_plain(byte))?;
        let string = &self.0[..end];
        self.0 = self.0[end..].strip_prefix('"')?;
        Some(Str(Cow::Borrowed(string)))
    }

    /// A number as JSON spells it (RFC 8259 §6).
    fn number<T: FromStr>(&mut self) -> Option<T> {
        let end = self.0.bytes().position(|byte| !byte.is_ascii_digit())?;
        let (digits, rest) = self.0.split_at(end);
        if digits.len() > 1 && digits.starts_with('0') {
            return None;
        }
        self.0 = rest;
        digits.parse().ok()
    }

    fn flag(&mut self, json: &str) -> Option<Option<bool>> {
        self.raw(json).map(|()| Some(true))
    }

    fn raw(&mut self, json: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(json)?;
        Some(())
    }
}
