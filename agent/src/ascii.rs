//! JSON in which strangers' texts hide nothing.

use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// Writes plain data, every byte of it visible ASCII or a space.
pub(crate) fn json(data: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256);
    data.serialize(&mut Serializer::with_formatter(&mut bytes, Ascii)).expect("plain data always serialises");
    bytes
}

struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let is_plain = |c: char| matches!(c, ' '..='~');
        if fragment.chars().all(is_plain) {
            return writer.write_all(fragment.as_bytes());
        }
        for c in fragment.chars() {
            if is_plain(c) {
                write!(writer, "{c}")?;
            } else {
                c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))?;
            }
        }
        Ok(())
    }
}
