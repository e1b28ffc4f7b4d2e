//! Where a value was written: a line and column of a file, or a flag of the command line.

use std::{
    fmt::Write as _,
    fs::File,
    io::Read as _,
    ops::Range,
    path::{Path, PathBuf},
};

use crate::{
    report::{Fault, Findings, Invalid},
    units::show_bytes,
};

/// Longest configuration file, in bytes: a thousand services with a hundred rules each fit, a wrong path to a log
/// file or a device does not fill the memory.
const FILE_BYTES: u64 = 8 * 1024 * 1024;

/// A text that configures: the file, or the flags written one to a line.
#[derive(Clone, Debug)]
pub struct Source {
    name: String,
    text: String,
    folder: PathBuf,
    numbered: bool,
}

impl Source {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`Invalid`] if it cannot be read, is not UTF-8 or is longer than 8 MiB.
    pub fn read(path: &Path) -> Result<Self, Invalid> {
        Self::read_within(path, FILE_BYTES)
    }

    /// Reads a file of at most so many bytes.
    ///
    /// # Errors
    /// [`Invalid`] if it cannot be read, is not UTF-8 or is longer.
    pub fn read_within(path: &Path, most: u64) -> Result<Self, Invalid> {
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        let mut source = Self::file(&path.display().to_string(), "", &folder);
        match read_text(path, most) {
            Ok(text) => {
                source.text = text;
                Ok(source)
            }
            Err(fault) => Err(Findings::new(&source).fail(None, fault)),
        }
    }

    /// A file's text that is already at hand. Relative paths in it are relative to `folder`.
    #[must_use]
    pub fn file(name: &str, text: &str, folder: &Path) -> Self {
        Self { name: name.to_owned(), text: text.to_owned(), folder: folder.to_owned(), numbered: true }
    }

    /// What to call it: the path as it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether its lines have numbers: a file's have, the command line's have not.
    #[must_use]
    pub fn is_numbered(&self) -> bool {
        self.numbered
    }

    /// A path written in this text, relative to the text's folder.
    #[must_use]
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// The line at a place, without its end.
    #[must_use]
    pub fn line(&self, place: Place) -> &str {
        self.text.lines().nth(place.line.saturating_sub(1)).unwrap_or("")
    }

    /// The place of one byte of a scalar, if the scalar stands in the text as it is (perhaps quoted, but without
    /// escapes or folding); the place of the whole scalar otherwise.
    #[must_use]
    pub fn within(&self, scalar: &Text, offset: usize) -> Place {
        let line = self.line(scalar.place);
        let start = scalar.place.column.saturating_sub(1);
        let rest: String = line.chars().skip(start).collect();
        let quote = usize::from(rest.starts_with(['"', '\'']));
        let stands = rest.get(quote..).is_some_and(|rest| rest.starts_with(&scalar.value));
        match scalar.value.get(..offset) {
            Some(before) if stands => {
                Place { column: scalar.place.column + quote + before.chars().count(), width: 1, ..scalar.place }
            }
            _ => scalar.place,
        }
    }
}

fn read_text(path: &Path, most: u64) -> Result<String, Fault> {
    let unreadable = |error: std::io::Error| {
        Fault::new(format!("the file cannot be read: {error}"), "check the path and its permissions")
    };
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    let read = file.take(most + 1).read_to_string(&mut text).map_err(|error| match error.kind() {
        std::io::ErrorKind::InvalidData => Fault::new("the file is not UTF-8 text", "save it as UTF-8"),
        _ => unreadable(error),
    })?;
    if read as u64 > most {
        let what = format!("the file is longer than {}", show_bytes(most));
        return Err(Fault::new(what, "check that the path is the right one"));
    }
    Ok(text)
}

/// A line and a column of a [`Source`], both counted from 1, the column in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which line.
    pub line: usize,
    /// Which character of it.
    pub column: usize,
    /// How many characters, at least 1.
    pub width: usize,
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// A scalar as it was written. Every leaf of a raw configuration is one, so that what a value must look like is
/// decided, and explained, in one place: by us.
pub type Text = At<String>;

impl Text {
    /// A part of a text of the command line, at its own place. `range` counts bytes of the value.
    #[must_use]
    pub fn part(&self, range: Range<usize>) -> Self {
        let before = self.value.get(..range.start).map_or(0, |before| before.chars().count());
        let value = self.value.get(range).unwrap_or_default().to_owned();
        let width = value.chars().count().max(1);
        Self { place: Place { column: self.place.column + before, width, ..self.place }, value }
    }

    /// The text without spaces around it.
    #[must_use]
    pub fn trimmed(&self) -> Self {
        let start = self.value.len() - self.value.trim_start().len();
        self.part(start..start + self.value.trim().len())
    }

    /// Both sides of the first `separator`, or `None` if there is none. For texts of the command line.
    #[must_use]
    pub fn split(&self, separator: char) -> Option<(Self, Self)> {
        let at = self.value.find(separator)?;
        Some((self.part(0..at), self.part(at + separator.len_utf8()..self.value.len())))
    }
}

/// The flags of one command, collected into a text so that an error can point into them.
#[derive(Debug)]
pub struct CommandLine {
    text: String,
    lines: usize,
}

impl CommandLine {
    /// An empty command line.
    #[must_use]
    pub fn new() -> Self {
        Self { text: String::new(), lines: 0 }
    }

    /// Adds one flag and its value.
    pub fn flag(&mut self, flag: &str, value: &str) -> Text {
        self.lines += 1;
        let quote = if value.contains(char::is_whitespace) { "'" } else { "" };
        let shown: String = value.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        let place = Place {
            line: self.lines,
            column: flag.chars().count() + 2 + quote.len(),
            width: shown.chars().count().max(1),
        };
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{flag} {quote}{shown}{quote}");
        At { value: value.to_owned(), place }
    }

    /// The text to point into.
    #[must_use]
    pub fn into_source(self) -> Source {
        Source { name: "the command line".to_owned(), text: self.text, folder: PathBuf::new(), numbered: false }
    }
}

impl Default for CommandLine {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_within_a_scalar() {
        let source = Source::file("f", "allow: [ \"GET /a b\" ]\nplain: GÉT /a\n", Path::new(""));
        let quoted = At { value: "GET /a b".to_owned(), place: Place { line: 1, column: 10, width: 10 } };
        assert_eq!(source.within(&quoted, 6).column, 17);
        let plain = At { value: "GÉT /a".to_owned(), place: Place { line: 2, column: 8, width: 6 } };
        assert_eq!(source.within(&plain, 5).column, 12, "columns count characters");
        let escaped = At { value: "other".to_owned(), place: plain.place };
        assert_eq!(source.within(&escaped, 2), plain.place, "an escaped scalar is pointed at as a whole");
    }

    #[test]
    fn flags_have_places() {
        let mut line = CommandLine::new();
        line.flag("--gateway", "ws://g");
        let allow = line.flag("--allow", "orders: GET /");
        let (name, rule) = allow.split(':').unwrap();
        let source = line.into_source();
        assert_eq!(source.line(name.place), "--allow 'orders: GET /'");
        assert_eq!((name.place.column, rule.place.column), (10, 17));
        assert_eq!(rule.value, " GET /");
    }
}
