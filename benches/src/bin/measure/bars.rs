//! What the project promises, each promise beside what was measured.

use std::fmt::Write;

use crate::samples::{Key, Samples};

/// One promise.
struct Bar {
    what: &'static str,
    key: Key<'static>,
    /// Whether the ratio to one nginx hop is judged, or the median itself.
    ratio: bool,
    limit: Limit,
    unit: &'static str,
}

enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

const fn key(section: &'static str, case: &'static str, who: &'static str, metric: &'static str) -> Key<'static> {
    Key { section, case, who, metric }
}

const fn ratio(
    what: &'static str,
    section: &'static str,
    case: &'static str,
    metric: &'static str,
    limit: Limit,
) -> Bar {
    Bar { what, key: key(section, case, "Reachback", metric), ratio: true, limit, unit: "× one nginx hop" }
}

const fn plain(what: &'static str, key: Key<'static>, limit: Limit, unit: &'static str) -> Bar {
    Bar { what, key, ratio: false, limit, unit }
}

use Limit::{AtLeast, AtMost};

const BARS: [Bar; 17] = [
    ratio("CPU per small request, 64 clients", "requests", "64", "cpu_us", AtMost(1.4)),
    ratio("the same on shared cores", "shared", "64", "cpu_us", AtMost(1.4)),
    ratio("requests/s, 64 clients, shared cores", "shared", "64", "rps", AtLeast(0.65)),
    ratio("100 MiB download, rate", "bulk", "download", "mbps", AtLeast(1.0)),
    ratio("the same on shared cores", "shared", "download", "mbps", AtLeast(1.0)),
    ratio("100 MiB download, CPU", "bulk", "download", "cpu_ms", AtMost(0.85)),
    ratio("the same on shared cores", "shared", "download", "cpu_ms", AtMost(0.85)),
    ratio("p50, one client", "requests", "1", "p50_us", AtMost(1.4)),
    ratio("the same on shared cores", "shared", "1", "p50_us", AtMost(1.4)),
    plain("gateway at rest", key("memory", "rest", "gateway", "rss_mib"), AtMost(12.0), "MiB"),
    plain("agent at rest", key("memory", "rest", "agent", "rss_mib"), AtMost(12.0), "MiB"),
    plain("idle link at the gateway", key("memory", "idle link", "gateway", "each_kib"), AtMost(40.0), "KiB"),
    plain("waiting stream at the gateway", key("memory", "waiting stream", "gateway", "each_kib"), AtMost(30.0), "KiB"),
    plain("waiting stream at the agent", key("memory", "waiting stream", "agent", "each_kib"), AtMost(30.0), "KiB"),
    plain(
        "one 100 MiB stream, 50 ms round trip",
        key("distance", "100 MiB down", "Reachback", "mbps"),
        AtLeast(100.0),
        "MB/s",
    ),
    plain(
        "one 256 MiB stream, 50 ms round trip",
        key("distance", "256 MiB down", "Reachback", "mbps"),
        AtLeast(100.0),
        "MB/s",
    ),
    plain(
        "small call beside 4 downloads on 20 MB/s, p50",
        key("narrow", "busy", "Reachback", "p50_ms"),
        AtMost(50.0),
        "ms",
    ),
];

/// The bars that were measured in this run, as a table. Empty without any.
pub(crate) fn table(samples: &Samples) -> String {
    let mut rows = String::new();
    for bar in &BARS {
        let value = if bar.ratio { samples.ratio(bar.key) } else { samples.median(bar.key) };
        let Some(value) = value else { continue };
        let (sign, limit, kept) = match bar.limit {
            AtMost(limit) => ('≤', limit, value <= limit),
            AtLeast(limit) => ('≥', limit, value >= limit),
        };
        let verdict = if kept { "ok" } else { "**short**" };
        let _ = writeln!(rows, "| {} | {sign} {limit} {} | {value:.2} | {verdict} |", bar.what, bar.unit);
    }
    if rows.is_empty() {
        return rows;
    }
    format!("### The bars\n\n| what | bar | measured | |\n|---|---|---|---|\n{rows}\n")
}
