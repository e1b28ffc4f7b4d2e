//! Secrets for one-time codes (TOTP, RFC 6238), and the codes that they make: six digits, HMAC-SHA-1, 30 s, which is what
//! every authenticator app takes for granted.

use std::{
    fmt,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aws_lc_rs::hmac;
use settings::{Fault, secret};

/// How long a code is the current one (RFC 6238 §5.2).
const STEP: Duration = Duration::from_secs(30);

/// Shortest secret, in bytes (RFC 4226 §4, R6).
const SHORTEST: usize = 16;

/// Longest secret as written, in characters: four times the 32 that 160 bits take, with room for spaces.
const LONGEST_TEXT: usize = 256;

/// RFC 4648 §6.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The secret from which codes are made. Its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct TotpSecret(Box<[u8]>);

/// A code: six ASCII digits.
pub type Code = [u8; 6];

impl TotpSecret {
    /// Of these bytes, 20 of them if the secret is a new one (RFC 4226 §4, R6).
    ///
    /// # Errors
    /// A [`Fault`] if there are fewer than 16.
    pub fn new(bytes: &[u8]) -> Result<Self, Fault> {
        if bytes.len() >= SHORTEST {
            return Ok(Self(bytes.into()));
        }
        let what = format!("the secret for codes has {} bytes; it must have at least {SHORTEST}", bytes.len());
        Err(Fault::new(what, REMEDY))
    }

    /// As authenticator apps take it: base32 (RFC 4648 §6), in any case, with spaces or without.
    ///
    /// # Errors
    /// A [`Fault`] for anything else. It does not repeat it.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
        for digit in text.trim().trim_end_matches('=').bytes().filter(|byte| *byte != b' ') {
            let value = BASE32.iter().position(|known| *known == digit.to_ascii_uppercase());
            let value = value.and_then(|value| u32::try_from(value).ok()).ok_or_else(|| {
                Fault::new("the secret for codes is not base32 (letters, and digits from 2 to 7)", REMEDY)
            })?;
            (bits, held) = (bits << 5 | value, held + 5);
            if held >= 8 {
                held -= 8;
                bytes.push((bits >> held & 0xff) as u8);
            }
            bits &= (1 << held) - 1;
        }
        Self::new(&bytes)
    }

    /// Reads a file that holds one secret.
    ///
    /// # Errors
    /// A [`Fault`] if it cannot be read, or is no secret. It never repeats any of it.
    pub fn from_file(path: &Path) -> Result<Self, Fault> {
        let text = secret::from_file(path, "the file with the secret for codes", LONGEST_TEXT)?;
        if text.len() > LONGEST_TEXT {
            let what = format!("the secret for codes is longer than {LONGEST_TEXT} characters");
            return Err(Fault::new(what, REMEDY));
        }
        Self::parse(&text)
    }

    /// As [`TotpSecret::parse`] reads it.
    #[must_use]
    pub fn base32(&self) -> String {
        let bit = |at: usize| self.0.get(at / 8).map_or(0, |byte| byte >> (7 - at % 8) & 1);
        let digit = |start: usize| (start..start + 5).fold(0, |value, at| value << 1 | bit(at));
        (0..self.0.len() * 8).step_by(5).map(|start| char::from(BASE32[usize::from(digit(start))])).collect()
    }

    /// The code of a step (RFC 4226 §5.3).
    #[must_use]
    pub fn code(&self, step: u64) -> Code {
        let number = self.truncated(step) % 1_000_000;
        let mut rest = number;
        let mut code = [b'0'; 6];
        for digit in code.iter_mut().rev() {
            *digit = b"0123456789"[(rest % 10) as usize];
            rest /= 10;
        }
        code
    }

    /// 31 bits of the HMAC.
    fn truncated(&self, step: u64) -> u32 {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &self.0);
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let offset = usize::from(tag[tag.len() - 1] & 0xf);
        let four = tag[offset..offset + 4].try_into().expect("an offset of four bits leaves four of 20 bytes");
        u32::from_be_bytes(four) & 0x7fff_ffff
    }

    /// The number of the 30 s in which a time lies, counted from 1970, and how much of them is left.
    #[must_use]
    pub fn step_at(time: SystemTime) -> (u64, Duration) {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let step = since.as_secs() / STEP.as_secs();
        (step, STEP * u32::try_from(step + 1).unwrap_or(u32::MAX) - since)
    }
}

const REMEDY: &str = "put the output of `reachback token secret` into it";

impl fmt::Debug for TotpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TotpSecret(hidden)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B, the rows for SHA-1: seconds, and codes of eight digits.
    const VECTORS: &[(u64, u32)] = &[
        (59, 94_287_082),
        (1_111_111_109, 7_081_804),
        (1_111_111_111, 14_050_471),
        (1_234_567_890, 89_005_924),
        (2_000_000_000, 69_279_037),
        (20_000_000_000, 65_353_130),
    ];

    #[test]
    fn the_codes_of_the_rfc() {
        let secret = TotpSecret::new(b"12345678901234567890").unwrap();
        for (seconds, eight) in VECTORS {
            let (step, left) = TotpSecret::step_at(UNIX_EPOCH + Duration::from_secs(*seconds));
            assert_eq!(secret.truncated(step) % 100_000_000, *eight, "{seconds}");
            let six = format!("{:06}", eight % 1_000_000);
            assert_eq!(secret.code(step), six.as_bytes(), "{seconds}");
            assert_eq!(left.as_secs(), 30 - seconds % 30);
        }
    }

    #[test]
    fn secrets_as_people_write_them() {
        let secret = TotpSecret::new(b"12345678901234567890").unwrap();
        let text = "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
        assert_eq!(secret.base32(), text);
        for same in ["gezd gnbv gy3t qojq gezd gnbv gy3t qojq\n", &format!("{text}\r\n"), &format!("{text}======")] {
            assert_eq!(TotpSecret::parse(same).unwrap(), secret, "{same:?}");
        }
        for length in SHORTEST..40 {
            let bytes: Vec<u8> = (0..length).map(|at| (at * 73 % 256) as u8).collect();
            let secret = TotpSecret::new(&bytes).unwrap();
            assert_eq!(TotpSecret::parse(&secret.base32()).unwrap(), secret, "{length}");
        }
    }

    #[test]
    fn what_is_no_secret_is_not_repeated() {
        for bad in ["", "GEZDGNBVGY3TQOJQGEZDGNBV", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJ1", "secret secret secret secret!"]
        {
            let fault = TotpSecret::parse(bad).unwrap_err().to_string();
            assert!(bad.is_empty() || !fault.contains(bad), "{fault}");
        }
        let shown = format!("{:?}", TotpSecret::new(b"12345678901234567890").unwrap());
        assert!(!shown.contains("49") && !shown.contains("GEZD"), "{shown}");
    }
}
