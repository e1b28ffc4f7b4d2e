//! A web site, a bridge to it, and the comparison of what a program does with either.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use reachback_tests::{
    bridge::{self, Setup, Sidecar},
    client,
    pattern::Sum,
    scratch::Scratch,
};
use serde_json::Value;

use crate::program::{self, Ended, Killed};

/// Headers that differ, as docs/http.md says, or with the clock. `Via` is looked at by itself.
const DIFFER: [&str; 9] =
    ["connection", "date", "expect", "keep-alive", "te", "trailer", "upgrade", "via", "x-request-id"];

/// The file with the heads of answers, if a program leaves one.
pub(crate) const HEADS: &str = "heads";

/// Files from this many bytes on are compared by their sums.
const LARGE: usize = 64 * 1024;

/// The site and the bridge to it.
pub(crate) struct World {
    /// What the site serves under `/file` and `/git`.
    pub(crate) folder: Scratch,
    site: SocketAddr,
    gateway: Sidecar,
    _agent: Sidecar,
    _process: Killed,
}

/// What came of a program: its words, its end, the files it left, and what the site saw of it.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    code: Option<i32>,
    said: Vec<String>,
    left: BTreeMap<String, Vec<String>>,
    seen: Vec<String>,
}

impl World {
    /// `None` if there is no Node, which runs the site.
    pub(crate) async fn start() -> Option<Self> {
        Self::with("site.mjs").await
    }

    /// With this script for the site.
    pub(crate) async fn with(site: &str) -> Option<Self> {
        let folder = Scratch::new();
        for name in ["files", "repositories"] {
            fs::create_dir(folder.path().join(name)).unwrap();
        }
        let mut command = program::command(&program::node()?, folder.path());
        command.arg(program::script(site)).args(["files", "repositories"]).stdout(Stdio::piped());
        let mut process = Killed(command.spawn().unwrap());
        let mut port = String::new();
        BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let site = SocketAddr::from(([127, 0, 0, 1], port.trim().parse().unwrap()));

        let allow = r#"[ "GET,HEAD,POST,PUT,DELETE,OPTIONS,PATCH,PROPFIND /**", "GET /", { methods: [GET], path: /socket/**, upgrade: websocket }, { methods: [GET], path: /socket, upgrade: websocket } ]"#;
        // Links that the site builds from `Host` lead back through the bridge.
        let setup = Setup { service: "host: preserve", allow, ..Setup::default() };
        let (gateway, agent) = bridge::pair(site, "".as_ref(), setup).await;
        Some(Self { folder, site, gateway, _agent: agent, _process: process })
    }

    /// Runs a program with the URL of the site, and with that of the facade, each in an empty folder; asserts that all
    /// that came of it is the same, and gives what it said. `sorted`: it asks for several things at once, in any order.
    pub(crate) async fn compare(
        &self,
        what: &str,
        sorted: bool,
        program: impl Fn(&str, &Path) -> Command,
    ) -> (Option<i32>, Vec<String>) {
        let direct = self.run(self.site, sorted, &program).await;
        let bridged = self.run(self.gateway.address("facade"), sorted, &program).await;
        let lines = |outcome: &Outcome| format!("{outcome:#?}").lines().map(str::to_owned).collect::<Vec<_>>();
        let (of_direct, of_bridged) = (lines(&direct), lines(&bridged));
        let only = |lines: &[String], other: &[String]| {
            lines.iter().filter(|line| !other.contains(line)).cloned().collect::<Vec<_>>().join("\n")
        };
        let (missing, new) = (only(&of_direct, &of_bridged), only(&of_bridged, &of_direct));
        assert!(direct == bridged, "{what}\nonly direct:\n{missing}\nonly through the bridge:\n{new}");
        assert!(!direct.seen.is_empty(), "{what} has not asked for anything");
        (direct.code, direct.said)
    }

    async fn run(&self, to: SocketAddr, sorted: bool, program: impl Fn(&str, &Path) -> Command) -> Outcome {
        let home = Scratch::new();
        let general = |text: &[u8]| {
            let text = text.escape_ascii().to_string().replace("\\n", "\n").replace("\\r", "");
            let text = text.replace(&to.to_string(), "SITE").replace(&*home.path().to_string_lossy(), "HOME");
            text.lines().filter(|line| !is_about(line, &DIFFER)).map(str::to_owned).collect::<Vec<_>>()
        };
        let Ended { code, stdout, stderr } = program::run(program(&format!("http://{to}"), home.path())).await;
        let said = [general(&stdout), general(&stderr)].concat();
        let mut left = BTreeMap::new();
        for file in fs::read_dir(home.path()).unwrap().flatten().filter(|file| file.path().is_file()) {
            let (name, bytes) = (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap());
            let told = match bytes.len() {
                LARGE.. => vec![sum(&bytes)],
                _ if name == HEADS => heads(&general(&bytes)),
                _ => general(&bytes),
            };
            left.insert(name, told);
        }
        let mut seen = self.seen(to != self.site).await;
        seen.iter_mut().for_each(|line| *line = line.replace(&to.to_string(), "SITE"));
        if sorted {
            seen.sort();
        }
        Outcome { code, said, left, seen }
    }

    /// What the site has seen since the last look.
    async fn seen(&self, bridged: bool) -> Vec<String> {
        let seen = client::json(&format!("http://{}/seen", self.site)).await;
        let line = |request: &Value| {
            let headers = request["headers"].as_object().unwrap();
            let via = headers.get("via").and_then(Value::as_str);
            assert_eq!(via, bridged.then_some("1.1 reachback"), "{request}");
            let headers = headers.iter().filter(|(name, _)| !DIFFER.contains(&name.as_str()));
            let mut headers: Vec<_> = headers.map(|(name, value)| format!("{name}: {value}")).collect();
            headers.sort();
            format!("{} {} {}", request["line"], headers.join(", "), request["body"])
        };
        seen.as_array().unwrap().iter().map(line).collect()
    }
}

/// Neither the case of headers' names nor their order means anything.
fn heads(lines: &[String]) -> Vec<String> {
    let lower = |line: &String| match line.split_once(':') {
        Some((name, value)) => format!("{}:{value}", name.to_ascii_lowercase()),
        None => line.clone(),
    };
    let mut lines: Vec<_> = lines.iter().map(lower).collect();
    lines.sort();
    lines
}

fn sum(bytes: &[u8]) -> String {
    let mut sum = Sum::default();
    sum.add(bytes);
    sum.show()
}

/// Whether a line is a header of one of these names.
fn is_about(line: &str, names: &[&str]) -> bool {
    let name = line.split(':').next().unwrap_or_default().trim();
    names.iter().any(|known| known.eq_ignore_ascii_case(name))
}
