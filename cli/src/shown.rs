//! How the log shows what others have said: no text of theirs can pose as another field, end its line or steer a
//! terminal.

use std::{
    fmt::{self, Write as _},
    io,
};

use tracing::field::Field;
use tracing_subscriber::fmt::format::Writer;

/// Fields that hold a text of ours on several lines.
const REPORTS: [&str; 2] = ["message", "report"];

/// Writes one field for people: `name=value`, quoted unless the value is one word.
pub(crate) fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let (name, value) = (field.name(), format!("{value:?}"));
    if name != "message" {
        let (italic, dimmed, plain) =
            if writer.has_ansi_escapes() { ("\x1b[3m", "\x1b[2m", "\x1b[0m") } else { ("", "", "") };
        write!(writer, "{italic}{name}{plain}{dimmed}={plain}")?;
    }
    if REPORTS.contains(&name) {
        value
            .chars()
            .try_for_each(|c| if is_hidden(c) { write!(writer, "{}", c.escape_debug()) } else { writer.write_char(c) })
    } else if is_word(&value) || is_quoted(&value) {
        writer.write_str(&value)
    } else {
        write!(writer, "{value:?}")
    }
}

/// Whether nobody can take it for anything but one value.
fn is_word(value: &str) -> bool {
    !value.is_empty() && !value.contains(|c: char| matches!(c, ' ' | '\n' | '"' | '=' | '{' | '}') || is_hidden(c))
}

/// Whether it is a string as Rust quotes it, which is how strings come here. What is only shown does not.
fn is_quoted(value: &str) -> bool {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else { return false };
    let mut is_escaped = false;
    for c in inner.chars() {
        if is_hidden(c) || c == '\n' || (c == '"' && !is_escaped) {
            return false;
        }
        is_escaped = c == '\\' && !is_escaped;
    }
    !is_escaped
}

/// What shows as nothing, or changes how other text shows: controls, formats such as U+202E, separators such as U+2028.
/// The end of a line is none.
fn is_hidden(c: char) -> bool {
    c != '\n' && (c.is_control() || (!c.is_ascii() && c.escape_debug().len() > 1))
}

/// A log in JSON, in which what is hidden in a string is escaped.
pub(crate) struct Json<W>(pub(crate) W);

impl<W: io::Write> io::Write for Json<W> {
    /// Takes whole events, as they come from the log.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(event) {
            Ok(text) if text.contains(is_hidden) => self.0.write_all(escaped(text).as_bytes())?,
            _ => self.0.write_all(event)?,
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// JSON has escapes for halves of UTF-16 alone (RFC 8259 §7).
fn escaped(json: &str) -> String {
    json.chars().fold(String::with_capacity(json.len()), |mut text, c| {
        if is_hidden(c) {
            // Writing to a String cannot fail.
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| _ = write!(text, "\\u{unit:04x}"));
        } else {
            text.push(c);
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        sync::{Arc, Mutex},
    };

    use tracing::{info, info_span, subscriber::with_default};
    use tracing_subscriber::fmt::{MakeWriter, format::debug_fn};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Memory {
        type Writer = Self;

        fn make_writer(&self) -> Self {
            self.clone()
        }
    }

    /// What is logged, without times and colours.
    fn logged(log: impl FnOnce()) -> String {
        let memory = Memory::default();
        let builder = tracing_subscriber::fmt().with_writer(memory.clone()).with_ansi(false).with_target(false);
        let fields = tracing_subscriber::field::MakeExt::delimited(debug_fn(field), " ");
        with_default(builder.without_time().fmt_fields(fields).finish(), log);
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_value_is_one_value() {
        let check = |value: &str, shown: &str| {
            assert_eq!(logged(|| info!(path = %value, "denied")), format!(" INFO denied path={shown}\n"));
        };
        check("/orders/7", "/orders/7");
        check("[::1]:7100", "[::1]:7100");
        check("café", "café");
        check("", r#""""#);
        check("/pub/x HTTP/1.1", r#""/pub/x HTTP/1.1""#);
        check("/a reason=fine service=x", r#""/a reason=fine service=x""#);
        check("/a=b", r#""/a=b""#);
        check("/a}:", r#""/a}:""#);
        check("a\nb", r#""a\nb""#);
        check("a\u{1b}[31m", r#""a\u{1b}[31m""#);
        check("a\u{202e}b\u{2028}\u{85}c", r#""a\u{202e}b\u{2028}\u{85}c""#);
        check(r#""a" reason="b""#, r#""\"a\" reason=\"b\"""#);
        check(r#""a\"#, r#""\"a\\""#);
        check(r#""a""#, r#""a""#);
    }

    #[test]
    fn strings_and_spans_are_shown_alike() {
        let string = "a\u{202e} \"b\"";
        let shown = r#""a\u{202e} \"b\"""#;
        assert_eq!(logged(|| info!(string, n = 7, "event")), format!(" INFO event string={shown} n=7\n"));
        let spanned = || info_span!("link", name = %"a}: b").in_scope(|| info!("event"));
        assert_eq!(logged(spanned), " INFO link{name=\"a}: b\"}: event\n");
    }

    #[test]
    fn a_report_has_lines_and_nothing_hidden() {
        let report = "error: a\n --> f\u{202e}:1";
        assert_eq!(logged(|| info!(%report, "wrong")), " INFO wrong report=error: a\n --> f\\u{202e}:1\n");
        assert_eq!(logged(|| info!("{report}")), " INFO error: a\n --> f\\u{202e}:1\n");
    }

    #[test]
    fn json_stays_json() {
        let mut written = Vec::new();
        for event in ["{\"a\":\"\u{202e}\u{e0001}\u{7f}\u{e9}\"}\n", "{}\n"] {
            Json(&mut written).write_all(event.as_bytes()).unwrap();
        }
        assert_eq!(String::from_utf8(written).unwrap(), "{\"a\":\"\\u202e\\udb40\\udc01\\u007f\u{e9}\"}\n{}\n");
    }
}
