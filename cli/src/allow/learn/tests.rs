//! Logs, and what is proposed for them.

use std::path::PathBuf;

use agent::whitelist::{Rule, Whitelist};
use http::Method;
use proto::wire::ServiceName;
use serde_json::json;

use super::{Learner, LeftOut, block, enforced};
use crate::allow::{args::LearnArgs, head};

fn args() -> LearnArgs {
    LearnArgs { logs: vec![PathBuf::from("-")], config: None, service: None, denied: false }
}

fn line(verdict: &str, method: &str, path: &str) -> String {
    json!({ "service": "orders", "method": method, "path": path, "verdict": verdict }).to_string() + "\n"
}

/// What is proposed for a log, and how much of it is left out.
fn learn(args: &LearnArgs, log: &str) -> (String, LeftOut) {
    let mut learner = Learner::new(args).unwrap();
    learner.read_lines("log", log.as_bytes()).unwrap();
    (block(learner.proposals), learner.left_out)
}

fn check(requests: &[(&str, &str)], expected: &[&str]) {
    let log: String = requests.iter().map(|(method, path)| line("would_deny", method, path)).collect();
    let (text, _) = learn(&args(), &log);
    let lines = text.lines().filter_map(|line| line.trim_start().strip_prefix("- "));
    let lines: Vec<String> = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(lines, expected, "{requests:?}");
}

/// The rules of a text, without comments.
fn rules(text: &str) -> Vec<Rule> {
    let items = text.lines().filter_map(|line| line.trim_start().strip_prefix("- "));
    items.map(|item| item.split("  #").next().unwrap_or_default().trim_matches('\'').trim().parse().unwrap()).collect()
}

#[test]
fn what_was_seen_is_proposed() {
    check(&[("GET", "/orders")], &["GET /orders # 1 request"]);
    check(
        &[("GET", "/orders/1"), ("GET", "/orders/2"), ("GET", "/orders")],
        &["GET /orders/{id} # 2 requests; such as /orders/1", "GET /orders # 1 request"],
    );
    check(
        &[("GET", "/a"), ("HEAD", "/a"), ("GET", "/a"), ("DELETE", "/b")],
        &["GET,HEAD /a # 3 requests; GET 2, HEAD 1", "DELETE /b # 1 request"],
    );
    check(&[("OPTIONS", "*"), ("GET", "/")], &["OPTIONS * # 1 request", "GET / # 1 request"]);
    check(&[("GET", "/a/"), ("GET", "/a")], &["GET /a # 1 request", "GET /a/ # 1 request"]);
    check(&[("GET", "/%61*/%C3%A9")], &["GET /a%2A/%C3%A9 # 1 request"]);
    check(&[("GET", "/42")], &["GET /{id} # 1 request; such as /42; CHECK: anything may stand first"]);
    check(&[("#FIND", "/a:")], &["'#FIND /a:' # 1 request"]);
}

/// A version is no identifier: it is always the same, whatever comes behind it.
#[test]
fn a_short_number_that_never_changes_stays() {
    let rules = |requests: &[(&str, &str)]| {
        let log: String = requests.iter().map(|(method, path)| line("would_deny", method, path)).collect();
        rules(&learn(&args(), &log).0).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let gets = |paths: &[&str]| rules(&paths.iter().map(|path| ("GET", *path)).collect::<Vec<_>>());
    assert_eq!(gets(&["/rest/api/2/a", "/rest/api/2/b"]), ["GET /rest/api/2/a", "GET /rest/api/2/b"]);
    assert_eq!(gets(&["/1/a", "/1/b"]), ["GET /1/a", "GET /1/b"]);
    assert_eq!(gets(&["/a/10/x/1", "/a/%310/y"]), ["GET /a/10/x/{id}", "GET /a/10/y"]);
    assert_eq!(gets(&["/a/2", "/a/2/", "/a/2/b"]), ["GET /a/2", "GET /a/2/", "GET /a/2/b"]);
    let of_all_methods = rules(&[("GET", "/api/2/a/7"), ("POST", "/api/2/b"), ("GET", "/api/2/a/8")]);
    assert_eq!(of_all_methods, ["GET /api/2/a/{id}", "POST /api/2/b"]);
    let below = gets(&["/api/2/a/5/x", "/api/2/a/6/x", "/api/2/a/5/y", "/api/2/b/5/x"]);
    assert_eq!(below, ["GET /api/2/a/{id}/x", "GET /api/2/a/{id}/y", "GET /api/2/b/{id}/x"]);
    // Two values, with one path behind them or several; one path; an identifier beside it, or a longer number.
    assert_eq!(gets(&["/api/2/a", "/api/3/a"]), ["GET /api/{id}/a"]);
    assert_eq!(gets(&["/api/2/a", "/api/3/b"]), ["GET /api/{id}/a", "GET /api/{id}/b"]);
    assert_eq!(gets(&["/api/2/a", "/api/2/a"]), ["GET /api/{id}/a"]);
    assert_eq!(rules(&[("GET", "/a/2/b"), ("PUT", "/a/2/b")]), ["GET,PUT /a/{id}/b"]);
    assert_eq!(gets(&["/api/2/a", "/api/2026-01/b"]), ["GET /api/{id}/a", "GET /api/{id}/b"]);
    assert_eq!(gets(&["/api/100/a", "/api/100/b"]), ["GET /api/{id}/a", "GET /api/{id}/b"]);
}

#[test]
fn what_no_rule_can_allow_is_left_out() {
    for (method, path) in [
        ("GET", "/a//b"),
        ("GET", "/a;b"),
        ("GET", "/a%2Fb"),
        ("GET", "/a/.."),
        ("GET", "/%2e%2e/42"),
        ("GET", "/%FF"),
        ("GET", "/%2541"),
        ("GET", "/a b"),
        ("GET", "/\u{e9}"),
        ("GET", "/a\n- GET /**"),
        ("GET", "/a?b"),
        ("GET", ""),
        ("GET", "*"),
        ("TRACE", "/a"),
        ("get", "/a"),
        ("GET", &format!("/{}", "a".repeat(8192))),
    ] {
        let (text, left_out) = learn(&args(), &line("would_deny", method, path));
        assert_eq!((&*text, left_out.bad), ("", 1), "{method} {path}");
    }
}

#[test]
fn a_query_that_names_a_method_makes_no_rule() {
    let line = |method: &str, name: &str| {
        json!({ "service": "s", "method": method, "path": "/a", "verdict": "would_deny", "query": ["x", name] })
            .to_string()
    };
    assert_eq!(learn(&args(), &line("POST", "_method")).1.bad, 1);
    for (method, name) in [("POST", "method"), ("GET", "_method"), ("POST", "a&_method=PUT")] {
        assert_eq!(learn(&args(), &line(method, name)).1.bad, 0, "{method} {name}");
    }
}

#[test]
fn many_words_at_one_place_are_opened_and_marked() {
    let log = |count: usize, path: &dyn Fn(usize) -> String| -> String {
        (0..count).map(|n| line("would_deny", "GET", &path(n))).collect()
    };
    let name = |n: usize| ["a", "b", "c", "d", "e"][n / 5].to_owned() + ["v", "w", "x", "y", "z"][n % 5];
    let users = |n: usize| format!("/users/{}/profile", name(n));
    assert_eq!(rules(&learn(&args(), &log(20, &users)).0).len(), 20, "these can be words of the API");
    let (text, _) = learn(&args(), &(log(21, &users) + &line("would_deny", "PUT", "/users/av/profile")));
    assert!(text.contains("- GET /users/{id}/profile  # 21 requests; such as /users/av/profile; CHECK: segment 2 was 21 different words\n"), "{text}");
    assert!(
        text.contains("- PUT /users/av/profile    # 1 request\n"),
        "one method's words open nothing for another: {text}"
    );
    let first = log(25, &|n| format!("/{}", name(n)));
    assert_eq!(rules(&learn(&args(), &first).0).len(), 25, "the first segment is never opened");
    let nested = log(25, &|n| format!("/users/{}/posts/{n}", name(n)));
    assert_eq!(rules(&learn(&args(), &nested).0).len(), 1);
    let last = log(25, &|n| format!("/users/{}/", name(n)));
    assert!(learn(&args(), &last).0.contains("- GET /users/{id}/  #"), "the slash at the end stays");
}

#[test]
fn verdicts_and_services_choose() {
    let other = line("allowed", "GET", "/c").replace("orders", "stock");
    let log = line("denied", "GET", "/a") + &line("allowed", "GET", "/b") + &other;
    let (text, left_out) = learn(&args(), &log);
    assert_eq!((rules(&text).len(), left_out.denied), (2, 1));
    assert_eq!(text.matches("allow:").count(), 2);
    let (text, left_out) = learn(&LearnArgs { denied: true, ..args() }, &log);
    assert_eq!((rules(&text).len(), left_out.denied), (3, 0));
    let (text, _) = learn(&LearnArgs { service: Some("stock".to_owned()), ..args() }, &log);
    assert_eq!(text, "services:\n  stock:\n    allow:\n      - GET /c  # 1 request\n");
}

#[test]
fn the_comment_says_which_rule_allowed_it_and_which_parameters_came() {
    let line = |rule: &str, query: &[&str]| {
        json!({ "service": "s", "method": "GET", "path": "/a", "verdict": "allowed", "rule": 0, "text": rule, "query": query })
            .to_string()
            + "\n"
    };
    let comment = |log: &str| learn(&args(), log).0.split("  # ").nth(1).unwrap().trim().to_owned();
    assert_eq!(
        comment(&(line("GET /*", &["b"]) + &line("GET /*", &["a"]))),
        "2 requests; allowed by GET /*; query: a, b"
    );
    assert_eq!(comment(&(line("GET /*", &[]) + &line("GET /a", &[]))), "2 requests");
    let names: Vec<String> = (0..100).map(|n| format!("\n{n:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let comment = comment(&line("x\n- GET /**", &names));
    assert!(comment.starts_with("1 request; allowed by x\\n- GET /**; query: \\n000, \\n001, "), "{comment}");
    assert!(comment.len() < 300, "{comment}");
}

/// Whatever a hostile client has sent: the text is one list of rules, none of them is wide, and each request that is
/// not complained of is admitted by one of them.
#[test]
fn hostile_paths_make_no_wide_rules() {
    let pieces = [
        "a",
        "**",
        "*",
        "{*x}",
        "42",
        "%2A%2A",
        "%7B*x%7D",
        "..",
        "",
        "\u{202e}",
        "%0A",
        "'",
        "#",
        ":",
        " #",
        "a".repeat(300).leak(),
    ];
    let mut log = String::new();
    let mut sent = Vec::new();
    for one in pieces {
        for two in pieces {
            let path = format!("/{one}/{two}");
            log += &line("would_deny", "GET", &path);
            sent.push(path);
        }
    }
    let (text, left_out) = learn(&args(), &log);
    let rules = rules(&text);
    assert!(rules.iter().all(|rule| !rule.to_string().contains('*')), "{text}");
    assert_eq!(text.lines().count(), rules.len() + 3, "{text}");
    let orders = ServiceName::new("orders").unwrap();
    let whitelist = Whitelist::new([(orders.clone(), enforced(rules))]);
    let admitted =
        sent.iter().filter(|path| whitelist.admit(&head(orders.clone(), Method::GET, (*path).clone())).is_ok());
    assert_eq!(admitted.count() as u64 + left_out.bad, sent.len() as u64);
}
