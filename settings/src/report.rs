//! What is wrong with a configuration, shown so that it can be put right at once: place, line, caret, reason, remedy.

use std::fmt;

use crate::source::{At, Place, Source, Text};

/// Longest piece of a source line that a report shows, in characters: about what a terminal shows without wrapping.
const SHOWN: usize = 140;

/// How many letters and digits behind `rb_` look like a token.
const TOKEN_LIKE: usize = 16;

/// Why a value cannot be taken, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    what: String,
    remedy: String,
    offset: Option<usize>,
    hide_rest: bool,
    hide_value: bool,
}

impl Fault {
    /// `what` is wrong; do what `remedy` says.
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), remedy: remedy.into(), offset: None, hide_rest: false, hide_value: false }
    }

    /// The path it is about was given as a flag.
    #[must_use]
    pub fn of_a_flag(mut self) -> Self {
        self.remedy = self.remedy.replace(crate::file::FOLDER_OF_THE_FILE, "relative ones start at the current folder");
        self
    }

    /// Says what else can be done.
    #[must_use]
    pub fn or(mut self, remedy: &str) -> Self {
        self.remedy = format!("{}; {remedy}", self.remedy);
        self
    }

    /// Points at one byte of the value instead of at the whole of it.
    #[must_use]
    pub fn at_byte(mut self, offset: usize) -> Self {
        self.offset = Some(offset);
        self
    }

    /// Shows nothing of the line after the place: a secret may stand there.
    #[must_use]
    pub fn hide_rest(mut self) -> Self {
        self.hide_rest = true;
        self
    }

    /// Shows neither the value nor what follows it: perhaps it is a secret itself.
    #[must_use]
    pub fn hide_value(mut self) -> Self {
        self.hide_value = true;
        self
    }
}

/// On one line, for logs: what is wrong, and what to do.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

/// Everything wrong with one configuration. Its `Display` is the whole report, several lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    report: String,
    count: usize,
}

impl Invalid {
    /// How many mistakes it reports.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report)
    }
}

impl std::error::Error for Invalid {}

/// Collects what is wrong and what is doubtful while a raw configuration is checked, so that one run shows it all.
///
/// A check returns `None` exactly if it has reported something; so a configuration put together from checks is
/// complete exactly if nothing is wrong.
#[derive(Debug)]
pub struct Findings<'a> {
    source: &'a Source,
    faults: Vec<(Option<Place>, Fault)>,
    warnings: Vec<String>,
}

impl<'a> Findings<'a> {
    /// Nothing found yet.
    #[must_use]
    pub fn new(source: &'a Source) -> Self {
        Self { source, faults: Vec::new(), warnings: Vec::new() }
    }

    /// The text that is checked.
    #[must_use]
    pub fn source(&self) -> &'a Source {
        self.source
    }

    /// Reports a fault at a place, or of the whole file.
    pub fn fault(&mut self, place: impl Into<Option<Place>>, fault: Fault) {
        let fault = if self.source.is_numbered() { fault } else { fault.of_a_flag() };
        self.faults.push((place.into(), fault));
    }

    /// Reports the one fault that ends the check at once.
    #[must_use]
    pub fn fail(mut self, place: impl Into<Option<Place>>, fault: Fault) -> Invalid {
        self.fault(place, fault);
        self.into_invalid()
    }

    /// How many faults have been reported.
    #[must_use]
    pub fn count(&self) -> usize {
        self.faults.len()
    }

    /// Notes something that is permitted but probably not meant.
    pub fn warn(&mut self, place: impl Into<Option<Place>>, text: impl fmt::Display) {
        let location = location(self.source, place.into());
        self.warnings.push(format!("{location}: {text}"));
    }

    /// A value that must be there.
    pub fn required<T>(
        &mut self,
        text: Option<&Text>,
        missing: (Option<Place>, Fault),
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        match text {
            Some(text) => self.parsed(text, parse),
            None => {
                self.fault(missing.0, missing.1);
                None
            }
        }
    }

    /// A value that may be absent.
    pub fn optional<T>(
        &mut self,
        text: Option<&Text>,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<Option<T>> {
        match text {
            Some(text) => self.parsed(text, parse).map(Some),
            None => Some(None),
        }
    }

    /// A value with a default.
    pub fn or<T>(
        &mut self,
        text: Option<&Text>,
        default: T,
        parse: impl FnOnce(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        self.optional(text, parse).map(|value| value.unwrap_or(default))
    }

    /// A value that is there.
    pub fn parsed<T>(&mut self, text: &Text, parse: impl FnOnce(&str) -> Result<T, Fault>) -> Option<T> {
        match parse(&text.value) {
            Ok(value) => Some(value),
            Err(fault) => {
                let place = fault.offset.map_or(text.place, |offset| self.source.within(text, offset));
                self.fault(place, fault);
                None
            }
        }
    }

    /// Every value of a list, each with its place.
    pub fn each<T>(&mut self, texts: &[Text], parse: impl Fn(&str) -> Result<T, Fault>) -> Option<Vec<At<T>>> {
        let parsed: Vec<_> =
            texts.iter().map(|text| self.parsed(text, &parse).map(|value| At { value, place: text.place })).collect();
        parsed.into_iter().collect()
    }

    /// The end of the check: the configuration and the warnings, or the report.
    ///
    /// # Errors
    /// [`Invalid`] if anything was reported.
    pub fn finish<T>(self, checked: Option<T>) -> Result<(T, Vec<String>), Invalid> {
        match checked {
            Some(checked) if self.faults.is_empty() => Ok((checked, self.warnings)),
            _ => Err(self.into_invalid()),
        }
    }

    fn into_invalid(mut self) -> Invalid {
        assert!(!self.faults.is_empty(), "a check that returns nothing has reported why");
        self.faults.sort_by_key(|(place, _)| place.map_or((0, 0), |place| (place.line, place.column)));
        let reports: Vec<String> =
            self.faults.iter().map(|(place, fault)| report(self.source, *place, fault)).collect();
        Invalid { report: reports.join("\n\n"), count: reports.len() }
    }
}

/// `gateway.yaml:3:5`, or the name alone.
fn location(source: &Source, place: Option<Place>) -> String {
    match place {
        Some(place) if source.is_numbered() => format!("{}:{}:{}", source.name(), place.line, place.column),
        _ => source.name().to_owned(),
    }
}

fn report(source: &Source, place: Option<Place>, fault: &Fault) -> String {
    let location = location(source, place);
    let Fault { what, remedy, .. } = fault;
    let Some(place) = place else {
        return format!("error: {what}\n--> {location}\n = {remedy}");
    };
    let number = if source.is_numbered() { place.line.to_string() } else { String::new() };
    let gutter = " ".repeat(number.len());
    let (line, caret) = snippet(source, place, fault);
    format!(
        "error: {what}\n{gutter}--> {location}\n{gutter} |\n{number} | {line}\n{gutter} | {caret}\n{gutter} = {remedy}"
    )
}

/// The line and, below it, the caret. Long lines are cut around the place; tabs and control characters become
/// spaces, so that the caret stands where it should and nothing in a file can steer a terminal.
fn snippet(source: &Source, place: Place, fault: &Fault) -> (String, String) {
    let mut line: Vec<char> = source.line(place).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    hide_userinfo(&mut line);
    hide_tokens(&mut line);
    let column = place.column.saturating_sub(1).min(line.len());
    let end = (column + place.width.max(1)).min(line.len()).max(column);
    if fault.hide_value {
        line.truncate(column);
        line.push('…');
    } else if fault.hide_rest && end < line.len() {
        line.truncate(end);
        line.extend(": …".chars());
    }
    let from = if column > SHOWN / 2 { column - SHOWN / 4 } else { 0 };
    let to = (from + SHOWN).min(line.len());
    let shown: String = line.get(from..to).unwrap_or_default().iter().collect();
    let carets = "^".repeat(end.min(to).saturating_sub(column).max(1));
    (shown.trim_end().to_owned(), format!("{}{carets}", " ".repeat(column - from)))
}

/// Nor do tokens belong into a configuration. Those that `reachback token new` makes are known by how they begin.
fn hide_tokens(line: &mut [char]) {
    let mut at = 0;
    while let Some(start) = line[at..].windows(3).position(|w| w == ['r', 'b', '_']) {
        at += start + 3;
        let length = line[at..].iter().take_while(|c| c.is_ascii_alphanumeric()).count();
        if length >= TOKEN_LIKE {
            line[at..at + length].fill('*');
        }
        at += length;
    }
}

/// Credentials do not belong into a URL; where somebody wrote some, the report must not spread them into the logs.
fn hide_userinfo(line: &mut [char]) {
    let mut at = 0;
    while let Some(scheme) = line[at..].windows(3).position(|w| w == [':', '/', '/']) {
        let start = at + scheme + 3;
        let stop = |c: &char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | ',' | ']' | '}');
        let end = line[start..].iter().position(stop).map_or(line.len(), |length| start + length);
        if let Some(sign) = line[start..end].iter().rposition(|c| *c == '@') {
            line[start..start + sign].fill('*');
        }
        at = end;
    }
}

/// The known word that was probably meant: the first that the word is the beginning of, or else the one most like it.
#[must_use]
pub fn did_you_mean<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    // Below 0.8 the guesses of Jaro-Winkler begin to be wrong ones.
    const LIKENESS: f64 = 0.8;
    let spelt = word.to_ascii_lowercase().replace('-', "_");
    let goes_on = |known: &&&str| known.strip_prefix(&*spelt).is_some_and(|rest| rest.starts_with('_'));
    if let (Some(first), false) = (known.iter().find(goes_on), known.contains(&&*spelt)) {
        return Some(first);
    }
    let likeness = |known: &&&str| (strsim::jaro_winkler(&spelt, known) * 1e6) as u64;
    let best = known.iter().max_by_key(likeness)?;
    (strsim::jaro_winkler(&spelt, best) >= LIKENESS).then_some(best)
}

/// The known word that is one slip away: a letter too many, too few or another, or two of them swapped.
#[must_use]
pub fn one_slip_from<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    known.iter().copied().find(|known| strsim::osa_distance(word, known) == 1)
}

/// One of a few words.
///
/// # Errors
/// A [`Fault`] that names the words, and the one probably meant.
pub fn one_of<T: Copy>(word: &str, known: &[(&'static str, T)]) -> Result<T, Fault> {
    if let Some((_, value)) = known.iter().find(|(name, _)| *name == word) {
        return Ok(*value);
    }
    let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
    let guess = did_you_mean(word, &names).map(|name| format!("did you mean `{name}`? ")).unwrap_or_default();
    Err(Fault::new(format!("`{word}` is none of the words possible here"), format!("{guess}write {}", listed(&names))))
}

/// `a, b or c`.
#[must_use]
pub fn listed(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => format!("`{one}`"),
        [first @ .., last] => {
            let first: Vec<String> = first.iter().map(|name| format!("`{name}`")).collect();
            format!("{} or `{last}`", first.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn shown(text: &str, place: Place) -> String {
        let source = Source::file("f.yaml", text, Path::new(""));
        Findings::new(&source).fail(place, Fault::new("bad", "good")).to_string()
    }

    #[test]
    fn the_caret_stands_below_the_value() {
        let report = shown("a: 1\n\tb: \u{1b}2é3 # c\n", Place { line: 2, column: 5, width: 4 });
        assert_eq!(report, "error: bad\n --> f.yaml:2:5\n  |\n2 |  b:  2é3 # c\n  |     ^^^^\n  = good");
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let text = format!("k: {}X{}", "a".repeat(500), "b".repeat(500));
        let report = shown(&text, Place { line: 1, column: 504, width: 1 });
        let lines: Vec<&str> = report.lines().collect();
        let caret = lines[4].find('^').unwrap();
        assert_eq!(&lines[3][caret..=caret], "X");
        assert!(lines[3].len() < 160);
    }

    #[test]
    fn a_place_past_the_end_is_still_shown() {
        for place in [Place { line: 9, column: 9, width: 9 }, Place::default(), Place { line: 1, column: 99, width: 0 }]
        {
            assert!(shown("a: 1\n", place).contains('^'));
        }
    }

    #[test]
    fn credentials_in_urls_are_not_repeated() {
        let report = shown("g: [ws://me:pa@ss@host/p, 'wss://b@c']", Place { line: 1, column: 5, width: 3 });
        assert!(report.contains("ws://********@host/p, 'wss://*@c']"), "{report}");
    }

    #[test]
    fn guesses() {
        let known = ["facades", "listen", "token_file", "token_env", "services"];
        for (word, guess) in [
            ("facade", Some("facades")),
            ("token-file", Some("token_file")),
            ("Listen", Some("listen")),
            ("token", Some("token_file")),
            ("servces", Some("services")),
            ("upstream", None),
            ("", None),
        ] {
            assert_eq!(did_you_mean(word, &known), guess, "{word}");
        }
        assert_eq!(one_of("host", &[("host", 1), ("path", 2)]), Ok(1));
        let fault = one_of("hosts", &[("host", 1), ("path", 2)]).unwrap_err();
        assert_eq!(fault.remedy, "did you mean `host`? write `host` or `path`");
    }
}
