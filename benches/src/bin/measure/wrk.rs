//! Runs wrk and reads its summary.

use std::{
    io,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

/// A script that only reports: without `request` or `response` functions it costs nothing while wrk runs.
const SCRIPT: &str = r#"
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\nSUMMARY {"requests":%d,"microseconds":%d,"p50":%d,"p99":%d,"errors":%d}\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    e.connect + e.read + e.write + e.status + e.timeout))
end
"#;

/// What one run of wrk showed.
pub(crate) struct Summary {
    pub(crate) requests: f64,
    pub(crate) seconds: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    /// Broken or late connections, and statuses of 400 and above.
    pub(crate) errors: f64,
}

/// Keeps so many connections busy for so many seconds.
pub(crate) fn run(port: u16, clients: u32, seconds: u32, work: &Path) -> io::Result<Summary> {
    let script = work.join("wrk.lua");
    std::fs::write(&script, SCRIPT)?;
    let output = Command::new("wrk")
        .args(["-t1", "--latency", "--timeout", "10s"])
        .args([format!("-c{clients}"), format!("-d{seconds}s"), "-s".to_owned()])
        .arg(script)
        .arg(format!("http://127.0.0.1:{port}/small"))
        .stderr(Stdio::inherit())
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text).ok_or_else(|| io::Error::other(format!("wrk on port {port} gave no summary: {text}")))
}

fn parse(text: &str) -> Option<Summary> {
    let summary = text.lines().find_map(|line| line.strip_prefix("SUMMARY "))?;
    let summary: Value = serde_json::from_str(summary).ok()?;
    let field = |name| summary.get(name).and_then(Value::as_f64);
    Some(Summary {
        requests: field("requests").filter(|requests| *requests > 0.0)?,
        seconds: field("microseconds")? / 1e6,
        p50_us: field("p50")?,
        p99_us: field("p99")?,
        errors: field("errors")?,
    })
}
