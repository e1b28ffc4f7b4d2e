//! Logs: to standard error, for people or for machines.

use std::{
    env,
    io::{self, IsTerminal as _},
};

use tracing_subscriber::{
    EnvFilter,
    field::MakeExt as _,
    filter::{LevelFilter, ParseError},
    fmt::format::debug_fn,
};

use crate::{
    args::{LogArgs, LogFormat},
    exit::Exit,
    shown,
};

/// What is logged if nobody says otherwise: the life of links, and who is wrong.
pub(crate) const DEFAULT: &str = "info";

/// The demo's: what it shows is its output.
pub(crate) const DEMO: &str = "error";

/// Starts logging for the whole process, at `default` unless an argument or the environment says otherwise.
pub(crate) fn start(args: &LogArgs, default: &str) -> Result<(), Exit> {
    let (origin, filter) = match (&args.log_level, env::var("RUST_LOG")) {
        (Some(level), _) => ("--log-level", level.clone()),
        (None, Ok(level)) if !level.is_empty() => ("RUST_LOG", level),
        _ => ("the default", default.to_owned()),
    };
    let filter = parse(&filter).map_err(|error| {
        Exit::usage(format_args!(
            "{origin} is not a log filter: {filter:?}: {error}\n = write error, warn, info, debug or trace"
        ))
    })?;
    // Whoever reads the log may be gone, as a terminal is at SIGHUP: to complain about that there would be a panic.
    let builder = tracing_subscriber::fmt().with_env_filter(filter).log_internal_errors(false);
    match args.log_format {
        LogFormat::Text => {
            let fields = debug_fn(shown::field).delimited(" ");
            builder.with_writer(io::stderr).with_target(false).with_ansi(coloured()).fmt_fields(fields).init();
        }
        LogFormat::Json => {
            let builder = builder.with_writer(|| shown::Json(io::stderr()));
            builder.json().flatten_event(true).with_span_list(false).init();
        }
    }
    Ok(())
}

/// A word alone must be a level: a filter takes any other for the name of a module, and then nothing is logged.
fn parse(filter: &str) -> Result<EnvFilter, ParseError> {
    if filter.contains(['=', ',', '[', ':']) {
        return EnvFilter::try_new(filter);
    }
    let level: LevelFilter = filter.parse()?;
    // This library warns of each frame that a stranger sends too many of.
    let h2 = if level == LevelFilter::TRACE { level } else { level.min(LevelFilter::ERROR) };
    EnvFilter::try_new(format!("{level},h2={h2}"))
}

/// On a terminal, unless the user says otherwise (<https://no-color.org>).
fn coloured() -> bool {
    io::stderr().is_terminal() && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}
