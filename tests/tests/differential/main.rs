//! The same bytes direct and through the bridge: raw requests to an upstream that takes anything, and raw answers of
//! one that says anything. Whatever differs at either end stands in a table, with the sentence of docs/http.md that
//! says so. An unlisted difference fails, and so does a listed one that no longer occurs.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod answers;
mod observed;
mod refused;
mod requests;
mod sentences;
mod upstream;

use std::{fmt::Write as _, net::SocketAddr};

use reachback_tests::{
    bridge::{self, Setup, Sidecar},
    client::Raw,
};
use upstream::{PROBE, Upstream};

/// What is sent from either end, and what differs through the bridge.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// What the client sends. `UPSTREAM` in it is the upstream's address.
    pub(crate) send: String,
    /// What the upstream answers.
    pub(crate) answer: String,
    /// Whether it closes the connection then.
    pub(crate) closes: bool,
    /// Each difference, with the sentence that says so.
    pub(crate) differs: &'static [Difference],
}

/// A sentence of docs/http.md, and what a test sees of it.
pub(crate) type Difference = (&'static str, &'static str);

/// The usual answer.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 2\r\n\r\nok";
const OK_BODY: &[u8] = b"ok";

/// Differences of every call. A case that lists another one of the same header does without.
const REQUESTS: [Difference; 2] = [
    (sentences::VIA, "upstream + header via: 1.1 reachback"),
    (sentences::REQUEST_ID, "upstream + header x-request-id: NEW"),
];
const ANSWERS: [Difference; 1] = [(sentences::REQUEST_ID, "client + header x-request-id: NEW")];

/// A gateway and an agent before an upstream.
struct World {
    upstream: Upstream,
    gateway: Sidecar,
    _agent: Sidecar,
}

impl World {
    async fn start() -> Self {
        let upstream = Upstream::start().await;
        let allow = r#"[ "GET,HEAD,POST,PUT,DELETE,OPTIONS,PROPFIND,BREW,M-SEARCH /**", "GET /", "OPTIONS *",
                         { path: "/**", methods: [GET], upgrade: websocket } ]"#;
        let setup = Setup { allow, ..Setup::default() };
        let (gateway, agent) = bridge::pair(upstream.address, "".as_ref(), setup).await;
        Self { upstream, gateway, _agent: agent }
    }

    fn facade(&self) -> SocketAddr {
        self.gateway.address("facade")
    }

    /// What upstream and client see.
    async fn run(&self, case: &Case, to: SocketAddr) -> (Vec<String>, Vec<String>) {
        self.upstream.says(&case.answer, case.closes);
        let client = self.call(&case.send, false, to).await;
        let mut seen = Vec::new();
        for (number, request) in self.upstream.seen().into_iter().enumerate() {
            seen.extend(request.iter().map(|line| self.general(&numbered(number, line))));
        }
        (seen, client)
    }

    /// Sends what a case says and tells what comes back. `UPSTREAM` in it is the upstream's address; each character is
    /// a byte.
    async fn call(&self, send: &str, ends: bool, to: SocketAddr) -> Vec<String> {
        let send = send.replace("UPSTREAM", &self.upstream.address.to_string());
        let bytes: Vec<u8> = send.chars().map(|c| u8::try_from(c).unwrap()).collect();
        client(&bytes, ends, to).await.iter().map(|line| self.general(line)).collect()
    }

    /// A line without what is new each time.
    fn general(&self, line: &str) -> String {
        let line = line.replace(&self.upstream.address.to_string(), "UPSTREAM");
        if let Some((before, id)) = line.split_once("header x-request-id: ")
            && id.split_once('-').is_some_and(|(process, _)| process.len() == 16)
        {
            return format!("{before}header x-request-id: NEW");
        }
        if line.starts_with("header date: ") && line.ends_with(" GMT") { "header date: NOW".to_owned() } else { line }
    }

    /// What differs from what is listed, in words.
    async fn check(&self, case: &Case) -> String {
        let direct = self.run(case, self.upstream.address).await;
        let bridged = self.run(case, self.facade()).await;
        let found = [
            observed::differences("upstream", &direct.0, &bridged.0),
            observed::differences("client", &direct.1, &bridged.1),
        ];
        let mut listed: Vec<&str> = case.differs.iter().map(|(_, text)| *text).collect();
        if bridged.0.iter().any(|line| line.starts_with("header via: ")) {
            listed.extend(usual(&REQUESTS, case, &direct.0, &bridged.0));
        }
        if bridged.1.iter().any(|line| line.starts_with("HTTP/1.")) {
            listed.extend(usual(&ANSWERS, case, &direct.1, &bridged.1));
        }
        let mut wrong = String::new();
        for line in found.concat() {
            match listed.iter().position(|text| *text == line) {
                Some(at) => drop(listed.remove(at)),
                None => writeln!(wrong, "{}: not listed: {line:?}", case.name).unwrap(),
            }
        }
        for text in listed {
            writeln!(wrong, "{}: listed, but not so: {text:?}", case.name).unwrap();
        }
        wrong
    }
}

/// The usual differences, less those that the case says better and those of a header that is the same in both.
fn usual(all: &'static [Difference], case: &Case, direct: &[String], bridged: &[String]) -> Vec<&'static str> {
    let expected = |text: &&str| {
        let begin = text.split_inclusive(": ").next().unwrap_or_default();
        let header = begin.split("+ ").nth(1).unwrap_or_default();
        let said = case.differs.iter().any(|(_, text)| text.starts_with(begin));
        !said && !bridged.iter().any(|line| line.starts_with(header) && direct.contains(line))
    };
    all.iter().map(|(_, text)| *text).filter(expected).collect()
}

/// Sends bytes (and the end of what it sends, or not) and tells what comes back, and whether the connection takes another
/// request then.
async fn client(send: &[u8], ends: bool, to: SocketAddr) -> Vec<String> {
    let mut client = Raw::connect(to).await;
    client.send(send).await;
    if ends {
        client.finish().await;
    }
    let method = send.split(|byte| *byte == b' ').next().unwrap_or_default();
    let mut method = String::from_utf8_lossy(method).into_owned();
    let mut lines = Vec::new();
    for number in 0.. {
        let Some(answer) = client.try_answer(&method).await.filter(|answer| answer.whole) else {
            if number == 0 {
                lines.push("no whole answer".to_owned());
            }
            break;
        };
        if answer.head.one("x-probe").is_some() {
            lines.push("the connection goes on".to_owned());
            return lines;
        }
        lines.extend(observed::answer(&answer).iter().map(|line| numbered(number, line)));
        if number == 0 {
            client.send(format!("GET {PROBE} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        }
        "GET".clone_into(&mut method);
    }
    lines.push("the connection ends".to_owned());
    lines
}

fn numbered(number: usize, line: &str) -> String {
    if number == 0 { line.to_owned() } else { format!("{}: {line}", number + 1) }
}

/// Tries all cases, and tells of all that are wrong.
async fn check(cases: Vec<Case>) {
    let world = World::start().await;
    let mut wrong = String::new();
    for case in cases {
        case.differs.iter().for_each(|(sentence, _)| sentences::documented(sentence));
        wrong.push_str(&world.check(&case).await);
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[tokio::test]
async fn requests_that_pass() {
    check(requests::cases()).await;
}

#[tokio::test]
async fn answers_of_every_kind() {
    check(answers::cases()).await;
}
