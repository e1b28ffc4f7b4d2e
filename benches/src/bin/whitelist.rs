//! How long the whitelist takes to decide: ordinary requests, and the worst that can be made for it.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use agent::whitelist::{Host, Rule, Service, Whitelist};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proto::wire::{RequestHead, RequestId, ServiceName};

/// How many rules each list has.
const RULES: usize = 100;

/// How many samples are taken, and how long each is, at most or for one decision: shorter than a time slice, so that
/// the least of them knows nothing of other programs.
const SAMPLES: usize = 1000;
const SAMPLE: Duration = Duration::from_micros(200);

/// Longest target, in bytes.
const TARGET: usize = 8192;

fn main() {
    println!("| {RULES} rules | median ns | least ns | verdict |\n|---|---|---|---|");
    let api = list((0..RULES).map(resource));
    for (what, target) in [("first rule", "/api/v1/things00/42"), ("last rule", "/api/v1/things99/42/parts?page=2")] {
        measure(&format!("{what}, no headers"), &api, &head("GET", target, false));
        measure(&format!("{what}, 11 headers"), &api, &head("GET", target, true));
    }
    measure("no rule, 11 headers", &api, &head("GET", "/api/v1/secrets/42", true));
    measure("no rule, encoded", &api, &head("GET", "/api/v1/th%C3%A9/42", true));
    measure("refused: dot segment", &api, &head("GET", "/api/v1/things00/%2e%2e", true));
    for (what, rules, target) in worst() {
        measure(&what, &list(rules.into_iter()), &head("GET", &target, false));
    }
}

/// What an API has: collections, items, and what belongs to items.
fn resource(n: usize) -> String {
    match n % 4 {
        0 => format!("GET,HEAD /api/v1/things{n:02}/{{id}}"),
        1 => format!("POST /api/v1/things{n:02}"),
        2 => format!("GET /api/v1/things{n:02}/{{id}}/parts/{{part}}"),
        _ => format!("GET,PUT,DELETE /api/v1/things{n:02}/{{id}}/parts"),
    }
}

/// Lists with many wildcards, each with the target of 8 KiB that costs the most.
fn worst() -> Vec<(String, Vec<String>, String)> {
    let rules = |rule: &dyn Fn(usize) -> String| (0..RULES).map(rule).collect::<Vec<_>>();
    let near = |piece: &str| format!("/{}", piece.repeat((TARGET - 1) / piece.len()));
    // Each piece stands in the target but for its last byte, again and again.
    let piece = |n: usize, length: usize| format!("{}{n:02}b", "a".repeat(length - 3));
    let almost = |length: usize| near(&format!("{}99c", "a".repeat(length - 3)));
    let pair = format!("{}99c{}99b", "a".repeat(16), "a".repeat(16));
    let cases: [(&str, Vec<String>, String); 8] = [
        ("64 wildcards", rules(&|n| format!("GET /x{n}{}", "/*".repeat(63))), format!("/x{}", "/aa".repeat(63))),
        (
            "8 segments with wildcards",
            rules(&|n| format!("GET /x{n}{}", "/a*".repeat(8))),
            format!("/x{}", "/aa".repeat(8)),
        ),
        ("4,096 segments", rules(&|n| format!("GET /x{n}/**")), "/a".repeat(TARGET / 2)),
        ("encoded", rules(&|n| format!("GET /*{n}*x")), format!("/{}", "%41".repeat(TARGET / 3))),
        ("pieces of 20", rules(&|n| format!("GET /*{}*", piece(n, 20))), almost(20)),
        ("pieces of 2", rules(&|n| format!("GET /*ab*ab*ab*{n:02}*")), near("ab")),
        ("pieces of 8", rules(&|n| format!("GET /*{0}*{0}*", piece(n, 8))), almost(8)),
        ("pairs of 19", rules(&|n| format!("GET /*{}*{}*", piece(99, 19), piece(n, 19))), near(&pair)),
    ];
    cases.into_iter().map(|(what, rules, target)| (format!("worst: {what}"), rules, target)).collect()
}

fn list(rules: impl Iterator<Item = String>) -> Whitelist {
    let parse = |rule: String| rule.parse::<Rule>().unwrap_or_else(|error| panic!("{rule}: {error}"));
    let service = Service::new(rules.map(parse).collect(), Host::Fixed(HeaderValue::from_static("127.0.0.1:3000")));
    Whitelist::new([(name(), service)])
}

fn name() -> ServiceName {
    ServiceName::new("orders").expect("a service's name")
}

/// A head as it comes from a gateway: of a browser's call, or a bare one.
fn head(method: &str, target: &str, with_headers: bool) -> RequestHead {
    let lines = [
        ("host", "orders.localhost:7080"),
        ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
        ("accept", "application/json"),
        ("accept-language", "en-US,en;q=0.5"),
        ("accept-encoding", "gzip, deflate, br"),
        ("referer", "http://orders.localhost:7080/"),
        ("authorization", "Bearer 0123456789abcdef0123456789abcdef"),
        ("cookie", "session=0123456789abcdef"),
        ("x-csrf-token", "0123456789abcdef"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("via", "1.1 reachback"),
    ];
    let header = |(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    RequestHead {
        service: name(),
        method: Method::from_bytes(method.as_bytes()).expect("a method"),
        target: target.as_bytes().to_vec().into(),
        headers: if with_headers { lines.into_iter().map(header).collect() } else { HeaderMap::new() },
        request_id: RequestId::new("r-1").expect("a request id"),
        deadline: None,
        upgrade: false,
    }
}

fn measure(what: &str, whitelist: &Whitelist, head: &RequestHead) {
    let began = Instant::now();
    let _ = black_box(whitelist.admit(black_box(head)));
    let count = (SAMPLE.as_nanos() / began.elapsed().as_nanos().max(1)).clamp(1, 100);
    let mut samples: Vec<f64> = (0..SAMPLES).map(|_| sample(whitelist, head, count)).collect();
    samples.sort_by(f64::total_cmp);
    let verdict = whitelist.admit(head);
    let verdict = verdict.map_or_else(|denied| denied.to_string(), |admitted| format!("rule {:?}", admitted.rule()));
    println!("| {what} | {:.0} | {:.0} | {verdict} |", samples[SAMPLES / 2], samples[0]);
}

/// Nanoseconds a decision.
fn sample(whitelist: &Whitelist, head: &RequestHead, count: u128) -> f64 {
    let began = Instant::now();
    for _ in 0..count {
        let _ = black_box(whitelist.admit(black_box(head)));
    }
    began.elapsed().as_nanos() as f64 / count as f64
}
