//! The tables, in Markdown.

use std::fmt::Write;

use crate::{
    Plan, bars,
    cores::Cores,
    samples::{Key, Samples, YARDSTICK},
};

/// A table: a row for each case and each who that was measured, a column for each metric.
struct Table<'a> {
    title: &'a str,
    section: &'a str,
    cases: &'a [(&'a str, &'a str)],
    whos: &'a [&'a str],
    columns: &'a [Column<'a>],
}

/// A metric, its heading, its decimals, and whether the ratio to the yardstick stands beside it.
struct Column<'a>(&'a str, &'a str, usize, bool);

const WAYS: [&str; 4] = ["direct", YARDSTICK, "nginx, two hops", "Reachback"];

const REQUESTS: [Column<'_>; 4] = [
    Column("rps", "requests/s", 0, true),
    Column("cpu_us", "CPU µs a request", 1, true),
    Column("p50_us", "p50 µs", 0, true),
    Column("p99_us", "p99 µs", 0, true),
];

const BULK: [Column<'_>; 2] = [Column("mbps", "MB/s", 0, true), Column("cpu_ms", "CPU ms/MiB", 2, true)];

const TABLES: [Table<'_>; 7] = [
    Table {
        title: "Small answers, by clients",
        section: "requests",
        cases: &[("1", "1"), ("64", "64"), ("256", "256")],
        whos: &WAYS,
        columns: &REQUESTS,
    },
    Table {
        title: "100 MiB",
        section: "bulk",
        cases: &[("download", "download"), ("upload", "upload")],
        whos: &WAYS,
        columns: &BULK,
    },
    Table {
        title: "Small answers, everything on the same two cores",
        section: "shared",
        cases: &[("1", "1"), ("64", "64")],
        whos: &WAYS,
        columns: &REQUESTS,
    },
    Table {
        title: "100 MiB, everything on the same two cores",
        section: "shared",
        cases: &[("download", "download"), ("upload", "upload")],
        whos: &WAYS,
        columns: &BULK,
    },
    Table {
        title: "Resident memory of the measured processes, MiB",
        section: "resident",
        cases: &[("fresh", "before the load"), ("loaded", "after the load")],
        whos: &[YARDSTICK, "gateway", "agent"],
        columns: &[Column("rss_mib", "now", 1, false), Column("peak_mib", "peak", 1, false)],
    },
    Table {
        title: "Memory of a fresh pair",
        section: "memory",
        cases: &[
            ("rest", "at rest"),
            ("waiting stream", "for each of 500 waiting streams"),
            ("after waiting streams", "when they have gone"),
            ("idle link", "for each of 200 idle links"),
        ],
        whos: &["gateway", "agent"],
        columns: &[
            Column("rss_mib", "MiB", 1, false),
            Column("peak_mib", "peak MiB", 1, false),
            Column("each_kib", "KiB each", 1, false),
        ],
    },
    Table {
        title: "One stream over 50 ms of round trip",
        section: "distance",
        cases: &[("100 MiB down", "100 MiB down"), ("256 MiB down", "256 MiB down"), ("100 MiB up", "100 MiB up")],
        whos: &["relay alone", "Reachback"],
        columns: &[Column("mbps", "MB/s", 0, false)],
    },
];

const NARROW: Table<'_> = Table {
    title: "Small calls on a 20 MB/s link",
    section: "narrow",
    cases: &[("quiet", "alone"), ("busy", "beside 4 downloads")],
    whos: &["relay alone", "Reachback"],
    columns: &[
        Column("p50_ms", "p50 ms", 1, false),
        Column("p99_ms", "p99 ms", 1, false),
        Column("mbps", "downloads MB/s", 1, false),
    ],
};

/// The whole report.
pub(crate) fn markdown(samples: &Samples, cores: &Cores, plan: &Plan) -> String {
    let pinned = if cores.pinned() {
        "proxies on one core, load and upstream on another, except where both are shared"
    } else {
        "**nothing pinned**"
    };
    let mut report = format!(
        "Medians of {} interleaved rounds; in brackets the median of the ratios to one nginx hop in the same round; \
         {pinned}.\n\n",
        plan.rounds
    );
    report.push_str(&bars::table(samples));
    for table in TABLES.iter().chain([&NARROW]) {
        report.push_str(&render(table, samples));
    }
    let errors = samples.above_zero("errors");
    if !errors.is_empty() {
        let _ = writeln!(report, "**Errors**, so beware of the figures above:\n");
        for error in errors {
            let _ = writeln!(report, "- {error}");
        }
    }
    report
}

fn render(table: &Table<'_>, samples: &Samples) -> String {
    let mut rows = String::new();
    for (case, label) in table.cases {
        for who in table.whos {
            let cells: Vec<Option<String>> =
                table.columns.iter().map(|column| cell(samples, table.section, case, who, column)).collect();
            if cells.iter().any(Option::is_some) {
                let cells: Vec<String> = cells.into_iter().map(Option::unwrap_or_default).collect();
                let _ = writeln!(rows, "| {label} | {who} | {} |", cells.join(" | "));
            }
        }
    }
    if rows.is_empty() {
        return rows;
    }
    let headings: Vec<&str> = table.columns.iter().map(|column| column.1).collect();
    let rule = "---|".repeat(headings.len() + 2);
    format!("### {}\n\n| | | {} |\n|{rule}\n{rows}\n", table.title, headings.join(" | "))
}

fn cell(samples: &Samples, section: &str, case: &str, who: &str, column: &Column<'_>) -> Option<String> {
    let Column(metric, _, decimals, with_ratio) = *column;
    let key = Key { section, case, who, metric };
    let value = samples.median(key)?;
    // On the direct way there is no proxy: the figure is the upstream's own CPU time, for information.
    if who == "direct" && metric.starts_with("cpu") {
        return Some(format!("({value:.decimals$})"));
    }
    match samples.ratio(key) {
        Some(ratio) if with_ratio => Some(format!("{value:.decimals$} [{ratio:.2}]")),
        _ => Some(format!("{value:.decimals$}")),
    }
}
