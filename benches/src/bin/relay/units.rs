//! The arguments' units: `25ms`, `20MB/s`.

use std::time::Duration;

/// Reads a duration in `us`, `ms` or `s`.
pub(crate) fn delay(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text)?;
    let seconds = match unit {
        "us" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        _ => return Err("expected a unit of us, ms or s, as in 25ms".to_owned()),
    };
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// Reads bytes a second in `kB/s`, `MB/s` or `GB/s`, powers of ten.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    let (number, unit) = split(text)?;
    let rate = match unit {
        "kB/s" => number * 1e3,
        "MB/s" => number * 1e6,
        "GB/s" => number * 1e9,
        _ => return Err("expected a unit of kB/s, MB/s or GB/s, as in 20MB/s".to_owned()),
    };
    if rate > 0.0 { Ok(rate) } else { Err("a rate is above zero".to_owned()) }
}

fn split(text: &str) -> Result<(f64, &str), String> {
    let unit = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit);
    Ok((number.parse().map_err(|_| format!("{number:?} is not a number"))?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_read() {
        for (text, expected) in [("25ms", 25_000), ("0.5s", 500_000), ("70us", 70)] {
            assert_eq!(delay(text), Ok(Duration::from_micros(expected)), "{text}");
        }
        for (text, expected) in [("20MB/s", 20e6), ("1.5GB/s", 1.5e9), ("9kB/s", 9e3)] {
            assert_eq!(rate(text), Ok(expected), "{text}");
        }
        for text in ["", "25", "ms", "20MB", "0MB/s", "-1MB/s"] {
            assert!(delay(text).is_err() && rate(text).is_err(), "{text}");
        }
    }
}
