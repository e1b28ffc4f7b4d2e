//! Bearer tokens: read from a file or the environment, never from an argument, and never shown.

use std::{fmt, fmt::Write as _, path::Path};

use crate::{
    report::{Fault, Findings},
    secret,
    source::Text,
};

/// Shortest token, in bytes: 16 random characters hold more than can be guessed over a network.
const SHORTEST: usize = 16;

/// Longest token, in bytes: a long signed token fits, and the header that carries it stays far below every server's
/// limit.
const LONGEST: usize = 4096;

/// What tokens made here begin with, so that scanners for leaked secrets find them.
const PREFIX: &str = "rb_";

/// A bearer token: 16 to 4,096 visible ASCII bytes. Its `Debug` hides it, and it has no `Display`.
#[derive(Clone)]
pub struct Token(Box<str>);

impl Token {
    /// Takes a token over. One trailing line end is not part of it: editors and `echo` add it.
    ///
    /// # Errors
    /// A [`Fault`] if it is empty, too short, too long, or holds anything but visible ASCII. It never repeats the
    /// token.
    pub fn new(text: &str) -> Result<Self, Fault> {
        let text = secret::without_line_end(text);
        let remedy = "put one token into it, for example the output of `openssl rand -hex 32`";
        let wrong = |what: String| Err(Fault::new(what, remedy));
        match text.len() {
            0 => wrong("the token is empty".to_owned()),
            _ if !text.bytes().all(|byte| byte.is_ascii_graphic()) => wrong(misfit(text)),
            length if length < SHORTEST => {
                wrong(format!("the token is only {length} bytes long; it must have at least {SHORTEST}"))
            }
            length if length > LONGEST => wrong(format!("the token is longer than {LONGEST} bytes")),
            _ => Ok(Self(text.into())),
        }
    }

    /// A token that was not there before: 32 random bytes nobody guesses, and a plain SHA-256 of it gives nothing away.
    #[must_use]
    pub fn of_random(bytes: &[u8; 32]) -> Self {
        let token = bytes.iter().fold(PREFIX.to_owned(), |mut token, byte| {
            let _ = write!(token, "{byte:02x}");
            token
        });
        Self(token.into())
    }

    /// The secret itself, for the one header that carries it and the one comparison that judges it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Reads a file that holds one token.
    ///
    /// # Errors
    /// A [`Fault`] if it cannot be read, or is no token. It never repeats any of it.
    pub fn from_file(path: &Path) -> Result<Self, Fault> {
        Self::new(&secret::from_file(path, "the token file", LONGEST)?)
    }

    fn from_env(name: &str) -> Result<Self, Fault> {
        Self::new(&secret::from_env(name, "token_file")?)
    }
}

/// In constant time it is not: both are this side's own.
impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Token {}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

/// What does not belong into a token, and where its first occurrence is.
fn misfit(text: &str) -> String {
    let at = text.bytes().take_while(u8::is_ascii_graphic).count();
    let what = match text.as_bytes().get(at) {
        Some(b' ') => "a space",
        Some(b'\t') => "a tab",
        Some(b'\n' | b'\r') => "a line break",
        _ => "something that is not visible ASCII",
    };
    if at == 0 {
        format!("the token begins with {what}")
    } else {
        format!("the token holds {what} behind its first {at} bytes")
    }
}

/// Reads the token that `token_file` or `token_env` names; `Some(None)` if neither is given. `makes` says what makes
/// the file, should it not be there.
pub fn token(found: &mut Findings<'_>, file: Option<&Text>, env: Option<&Text>, makes: &str) -> Option<Option<Token>> {
    match (file, env) {
        (Some(_), Some(env)) => {
            let fault = Fault::new("the token is given twice", "keep either `token_file` or `token_env`");
            found.fault(env.place, fault);
            None
        }
        (Some(file), None) => {
            let path = found.source().resolve(&file.value);
            let is_there = || path.try_exists().unwrap_or(true);
            let with_hint = |fault: Fault| if is_there() { fault } else { fault.or(makes) };
            found.parsed(file, |_| Token::from_file(&path).map_err(with_hint)).map(Some)
        }
        (None, env) => found.optional(env, Token::from_env),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens() {
        let longest = "x".repeat(LONGEST);
        for good in
            ["0123456789abcdef", "0123456789abcdef\n", "0123456789abcdef\r\n", &longest, &format!("{longest}\r\n")]
        {
            assert_eq!(Token::new(good).unwrap().expose(), good.trim_end());
        }
        let too_long = "x".repeat(LONGEST + 1);
        for bad in
            ["", "\n", "0123456789abcde", "0123456789abcdef\n\n", "0123456789 abcdef", "0123456789abcdefé", &too_long]
        {
            assert!(Token::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_does_not_belong_into_a_token_and_where() {
        let check = |text: &str, expected: &str| {
            let said = Token::new(text).unwrap_err().to_string();
            assert!(said.starts_with(&format!("the token {expected}; ")), "{said}");
        };
        check("0123456789abcdef\n0123456789abcdef\n", "holds a line break behind its first 16 bytes");
        check("0123456789abcdef\r\n\r\n", "holds a line break behind its first 16 bytes");
        check(" 0123456789abcdef", "begins with a space");
        check("0123456789\tabcdef", "holds a tab behind its first 10 bytes");
        check("0123456789abcdefé", "holds something that is not visible ASCII behind its first 16 bytes");
    }

    #[test]
    fn a_token_is_never_shown() {
        let token = Token::new("hunter2hunter2hunter2").unwrap();
        assert!(!format!("{token:?}").contains("hunter2"));
        assert!(!format!("{:?}", Token::new("hunter2 hunter2").unwrap_err()).contains("hunter2"));
    }
}
