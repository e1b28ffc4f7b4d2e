//! Durations, sizes, counts and switches as people write them: `5s`, `64KiB`, `1024`, `true`.

use std::{fmt::Display, ops::RangeInclusive, time::Duration};

use crate::report::Fault;

/// A duration: a whole number and `ms`, `s`, `m` or `h`.
///
/// # Errors
/// A [`Fault`] that shows how to write one.
pub fn duration(text: &str) -> Result<Duration, Fault> {
    let (number, unit) = number_and_unit(text).ok_or_else(|| not_a_duration(text))?;
    let millis = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 60 * 60 * 1000,
        "" if number == 0 => 1,
        "" => return Err(Fault::new(format!("`{text}` lacks a unit"), format!("write {text}s or {text}ms"))),
        _ => {
            return Err(meant(number, unit).map_or_else(
                || not_a_duration(text),
                |meant| Fault::new(format!("`{text}` is not a duration"), format!("write {meant}")),
            ));
        }
    };
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(|| not_a_duration(text))
}

/// The same with a unit that is known.
fn meant(number: u64, unit: &str) -> Option<String> {
    match unit {
        "msec" | "millis" => Some(format!("{number}ms")),
        "S" | "sec" | "secs" | "second" | "seconds" => Some(format!("{number}s")),
        "M" | "min" | "mins" | "minute" | "minutes" => Some(format!("{number}m")),
        "H" | "hr" | "hrs" | "hour" | "hours" => Some(format!("{number}h")),
        "d" | "day" | "days" => Some(format!("{}h", number.checked_mul(24)?)),
        _ => None,
    }
}

fn not_a_duration(text: &str) -> Fault {
    Fault::new(format!("`{text}` is not a duration"), "write a whole number and its unit, such as 500ms, 5s, 2m or 1h")
}

/// A duration between two bounds.
pub fn duration_within(bounds: RangeInclusive<Duration>) -> impl Fn(&str) -> Result<Duration, Fault> {
    move |text| {
        let value = duration(text)?;
        let remedy = || format!("write {} to {}", show(*bounds.start()), show(*bounds.end()));
        bounds.contains(&value).then_some(value).ok_or_else(|| out_of_bounds(text, remedy()))
    }
}

fn out_of_bounds(text: impl Display, remedy: String) -> Fault {
    Fault::new(format!("`{text}` is out of bounds"), remedy)
}

/// A size in bytes: a whole number and nothing, `B`, `KiB`, `MiB` or `GiB`.
///
/// # Errors
/// A [`Fault`] that shows how to write one.
pub fn bytes(text: &str) -> Result<u64, Fault> {
    let wrong = || {
        Fault::new(format!("`{text}` is not a size"), "write a whole number and its unit, such as 64KiB, 10MiB or 1GiB")
    };
    let (number, unit) = number_and_unit(text).ok_or_else(wrong)?;
    let shift = match unit {
        "" | "B" => 0,
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(wrong()),
    };
    number.checked_mul(1 << shift).ok_or_else(wrong)
}

/// A size between two bounds.
pub fn bytes_within(bounds: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, Fault> {
    move |text| {
        let value = bytes(text)?;
        let remedy = || format!("write {} to {}", show_bytes(*bounds.start()), show_bytes(*bounds.end()));
        bounds.contains(&value).then_some(value).ok_or_else(|| out_of_bounds(text, remedy()))
    }
}

/// A whole number between two bounds.
pub fn count_within(bounds: RangeInclusive<u32>) -> impl Fn(&str) -> Result<u32, Fault> {
    move |text| {
        let remedy = || format!("write a whole number from {} to {}", bounds.start(), bounds.end());
        let value: u32 =
            text.parse().map_err(|_| Fault::new(format!("`{text}` is not a number possible here"), remedy()))?;
        bounds.contains(&value).then_some(value).ok_or_else(|| out_of_bounds(text, remedy()))
    }
}

/// `true` or `false`.
///
/// # Errors
/// A [`Fault`] for any other word: YAML's `yes` and `on` are refused, because readers take them for different things.
pub fn switch(text: &str) -> Result<bool, Fault> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Fault::new(format!("`{text}` is neither true nor false"), "write true or false")),
    }
}

fn number_and_unit(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    Some((number.parse().ok()?, unit.trim_start()))
}

/// A duration as it would be written.
#[must_use]
pub fn show(duration: Duration) -> String {
    let millis = duration.as_millis();
    match millis {
        0 => "0s".to_owned(),
        _ if millis.is_multiple_of(3_600_000) => format!("{}h", millis / 3_600_000),
        _ if millis.is_multiple_of(60_000) => format!("{}m", millis / 60_000),
        _ if millis.is_multiple_of(1000) => format!("{}s", millis / 1000),
        _ => format!("{millis}ms"),
    }
}

/// A size as it would be written.
#[must_use]
pub fn show_bytes(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(size, _)| bytes > 0 && bytes.is_multiple_of(*size)) {
        Some((size, unit)) => format!("{}{unit}", bytes / size),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        for (text, millis) in
            [("500ms", 500), ("5s", 5000), ("2m", 120_000), ("1h", 3_600_000), ("0", 0), ("5 s", 5000)]
        {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "5", "1.5s", "-1s", "5sec", "1m30s", "99999999999999999h", "5S"] {
            assert!(duration(text).is_err(), "{text}");
        }
        for (text, meant) in [("10min", "10m"), ("5 secs", "5s"), ("1d", "24h"), ("2hours", "2h"), ("5S", "5s")] {
            assert!(duration(text).unwrap_err().to_string().ends_with(&format!("; write {meant}")), "{text}");
        }
        for text in ["500ms", "5s", "2m", "1h", "90s", "0s"] {
            assert_eq!(show(duration(text).unwrap()), text);
        }
    }

    #[test]
    fn sizes() {
        for (text, size) in [("0", 0), ("7", 7), ("7B", 7), ("64KiB", 65_536), ("1 MiB", 1 << 20), ("2GiB", 2 << 30)] {
            assert_eq!(bytes(text), Ok(size), "{text}");
        }
        for text in ["", "KiB", "64k", "64KB", "1.5MiB", "-1", "99999999999GiB"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        for text in ["64KiB", "320MiB", "2GiB", "1000B", "0B"] {
            assert_eq!(show_bytes(bytes(text).unwrap()), text);
        }
    }

    #[test]
    fn bounds() {
        let second = duration_within(Duration::from_secs(1)..=Duration::from_secs(300));
        assert!(second("1s").is_ok() && second("5m").is_ok());
        assert!(second("999ms").is_err() && second("301s").is_err());
        let size = bytes_within(1024..=2048);
        assert!(size("1KiB").is_ok() && size("2KiB").is_ok());
        assert!(size("1023").is_err() && size("2049").is_err());
        let count = count_within(1..=10);
        assert!(count("1").is_ok() && count("10").is_ok());
        assert!(count("0").is_err() && count("11").is_err() && count("1e1").is_err() && count("-1").is_err());
        assert!(switch("true").unwrap() && !switch("false").unwrap() && switch("yes").is_err());
    }
}
