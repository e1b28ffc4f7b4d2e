//! Configurations good and bad, and what is said about the bad ones.

use std::time::Duration;

use settings::{
    Source,
    scratch::{GATEWAY, Scratch, says, slips},
};

use super::*;

/// A folder with token files.
struct Folder(Scratch);

impl Folder {
    fn new() -> Self {
        let folder = Scratch::with_token();
        for (name, text) in [
            ("same.token", "seven-0123456789abcdef"),
            ("other.token", "other-0123456789abcdef"),
            ("empty.token", "\n"),
            ("short.token", "0123456789abcde\n"),
            ("spaced.token", "0123456789 abcdef\n"),
        ] {
            folder.write(name, text);
        }
        Self(folder)
    }

    fn config(&self, text: &str) -> Result<Config, Invalid> {
        Config::from_source(&Source::file("gateway.yaml", text, self.0.path()))
    }
}

#[test]
fn the_file_of_the_documentation() {
    let config = Folder::new().config(GATEWAY).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:7100");
    assert_eq!(config.path, "/reachback/v1");
    assert_eq!(config.admin.unwrap().port(), 7101);
    assert_eq!(config.health, None);
    let routings: Vec<_> = config.facades.iter().map(|facade| facade.routing.clone()).collect();
    let orders = "orders".parse().unwrap();
    assert_eq!(
        routings,
        [Routing::Service(orders), Routing::Host(Hosts::Below("localhost".to_owned())), Routing::Path]
    );
    let Agents::Listed(agents) = &config.agents else { panic!("agents are listed") };
    assert_eq!(agents[0].name, "warehouse-7");
    assert_eq!(agents[0].tokens, [TokenDigest::of(b"seven-0123456789abcdef")]);
    assert_eq!(agents[0].services[1].to_string(), "*.acme");
    assert_eq!(config.warnings, Vec::<String>::new());
    assert!(!format!("{config:?}").contains("0123456789"), "a configuration that is logged shows no token");
}

#[test]
fn defaults() {
    let folder = Folder::new();
    let config = folder.config("listen: 127.0.0.1:0\nfacades: [ { listen: '[::1]:0', service: a } ]\n").unwrap();
    assert!(!config.name.is_empty());
    assert!(matches!(config.agents, Agents::Anyone));
    assert_eq!(config.facades[0].wait_for_agent, Duration::from_secs(5));
    assert_eq!((config.heartbeat, config.drain_grace), (Duration::from_secs(10), Duration::from_secs(25)));
    assert_eq!((config.limits.streams, config.limits.window), (1024, 256 * 1024));
    assert_eq!(config.limits.growth(), 64 * 1024 * 1024);
    assert_eq!((config.requests, config.waiting_requests, config.failed_attempts), (4096, 1024, 12));
    assert_eq!((config.admission, config.state_file, config.address_header), (Admission::Auto, None, None));
    assert_eq!(config.allowed_origins, Vec::<String>::new());
    assert_eq!(config.warnings.len(), 1);
    assert!(config.warnings[0].starts_with("gateway.yaml: no agent credential"), "{:?}", config.warnings);
}

#[test]
fn every_key() {
    let text = r#"
name: edge-1
listen: 0.0.0.0:7100
insecure_listen: true
path: /tunnel/v1
wait_for_agent: 1s
facades:
  - listen: 127.0.0.1:7080
    service: orders
    wait_for_agent: 500ms
  - listen: 127.0.0.1:7081
    route: host
    hosts:
      Orders.Example.org: orders
      jira.example.org: jira.acme
admin: { listen: "[::1]:7101" }
health: { listen: 0.0.0.0:7102 }
agents:
  - { name: a, token_file: warehouse-7.token, services: ["*"] }
  - { name: b, token_file: other.token, services: [orders] }
heartbeat: 5s
drain_grace: 1m
limits: { streams_per_link: 100, window: 1MiB, memory_per_link: 200MiB, requests_per_facade: 10, waiting_requests: 5, failed_attempts: 0 }
admission: approve
admission_hold: 2s
state_file: decisions.json
address_header: X-Forwarded-For
allowed_origins: [ "https://Console.example.org", "http://localhost:3000" ]
"#;
    let config = Folder::new().config(text).unwrap();
    assert_eq!((config.name.as_str(), config.path.as_str()), ("edge-1", "/tunnel/v1"));
    let waits: Vec<_> = config.facades.iter().map(|facade| facade.wait_for_agent.as_millis()).collect();
    assert_eq!(waits, [500, 1000]);
    let Routing::Host(Hosts::Listed(hosts)) = &config.facades[1].routing else { panic!("hosts are given") };
    assert_eq!(hosts["orders.example.org"].as_str(), "orders");
    assert_eq!((config.limits.streams, config.limits.growth()), (100, 100 * 1024 * 1024));
    assert_eq!((config.requests, config.heartbeat.as_secs(), config.drain_grace.as_secs()), (10, 5, 60));
    assert_eq!((config.waiting_requests, config.failed_attempts), (5, 0));
    assert_eq!(config.admission, Admission::Approve { hold: Duration::from_secs(2) });
    assert!(config.state_file.unwrap().ends_with("decisions.json"));
    assert_eq!(config.address_header.unwrap(), "x-forwarded-for");
    assert_eq!(config.allowed_origins, ["https://console.example.org", "http://localhost:3000"]);
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn how_long_a_drain_serves_on() {
    let folder = Folder::new();
    let check = |listen: &str, more: &str, expected_ms: Option<u128>| {
        let agents = "agents: [ { name: a, token_file: other.token, services: [a] } ]\ninsecure_listen: true\n";
        let text = format!("listen: 127.0.0.1:0\nfacades: [ {{ listen: '{listen}', service: a }} ]\n{agents}{more}\n");
        let delay = folder.config(&text).map(|config| config.drain_delay.as_millis());
        assert_eq!(delay.ok(), expected_ms, "{listen} {more}");
    };
    check("127.0.0.1:7080", "", Some(1000));
    check("unix:a.sock", "", Some(1000));
    check("0.0.0.0:7080", "", Some(5000));
    check("0.0.0.0:7080", "drain_grace: 1s", Some(200));
    check("0.0.0.0:7080", "drain_delay: 0s", Some(0));
    check("127.0.0.1:7080", "drain_delay: 25s", Some(25_000));
    check("127.0.0.1:7080", "drain_delay: 26s", None);
    check("127.0.0.1:7080", "drain_delay: 26s\ndrain_grace: 30s", Some(26_000));
}

#[test]
fn more_streams_ask_for_no_more_arithmetic() {
    let text = "listen: 127.0.0.1:0\nfacades: [ { listen: 127.0.0.1:0, route: path } ]\nlimits: { window: 1MiB }\n";
    let config = Folder::new().config(text).unwrap();
    assert_eq!((config.limits.memory, config.limits.growth()), (1 << 30, 0), "the memory follows if it is not given");
}

/// What a wrong file is told; `@` stands for a good beginning that needs no credential, on lines 1 and 2.
fn check(text: &str, fragments: &[&str]) {
    let good = "listen: 127.0.0.1:7100\nfacades: [ { listen: 127.0.0.1:7080, service: orders } ]\n";
    let text = text.replace('@', good);
    let report = Folder::new().config(&text).expect_err(&text).to_string();
    says(&report, &text, fragments);
}

#[test]
fn wrong_keys() {
    check("@facade: []\n", &["gateway.yaml:3:1", "unknown key `facade`", "did you mean `facades`?"]);
    check("@admin: { listen: 127.0.0.1:7101, lsten: 1 }\n", &["gateway.yaml:3:34", "did you mean `listen`?"]);
    check("@limits: { streams: 5 }\n", &["gateway.yaml:3:11", "did you mean `streams_per_link`?"]);
    check("name: x\n", &["there is no address where agents could connect", "there is no facade"]);
}

#[test]
fn a_state_file_needs_a_folder() {
    check("@state_file: none/state.json\n", &["gateway.yaml:3:13", "none, does not exist", "make it"]);
}

#[test]
fn wrong_addresses() {
    check("@admin: { listen: 0.0.0.0:7101 }\n", &["gateway.yaml:3:18", "must be loopback", "write 127.0.0.1:7101"]);
    check("@admin: {}\n", &["gateway.yaml:3:8", "`admin` has no address"]);
    check("@health: { listen: 7102 }\n", &["gateway.yaml:3:19", "write 127.0.0.1:7102"]);
    check("@health: { listen: localhost:7102 }\n", &["gateway.yaml:3:19", "write 127.0.0.1:7102"]);
    check("@health: { listen: 127.0.0.1:7080 }\n", &["gateway.yaml:3:19", "taken already: a facade listens on"]);
    check("@admin: { listen: 127.0.0.1:7100 }\n", &["gateway.yaml:3:18", "taken already: the tunnel listens on"]);
    check(
        "listen: 127.0.0.1:1\nfacades:\n- { listen: 127.0.0.1:2, service: a }\n- { listen: 127.0.0.1:2, service: b }\n",
        &["gateway.yaml:4:13", "127.0.0.1:2 is taken already", "a port of its own"],
    );
}

#[test]
fn exposed_listeners() {
    let facade = "facades: [ { listen: 127.0.0.1:7080, service: orders } ]\n";
    let agents = "agents: [ { name: a, token_file: other.token, services: [orders] } ]\n";
    check(
        &format!("listen: 0.0.0.0:7100\n{facade}"),
        &["gateway.yaml:1:9", "anyone could pose as an agent", "`agents`"],
    );
    check(
        &format!("listen: 0.0.0.0:7100\ninsecure_listen: true\n{facade}"),
        &["gateway.yaml:1:9", "anyone could pose"],
    );
    check(
        &format!("listen: 10.0.0.1:7100\n{facade}{agents}"),
        &["gateway.yaml:1:9", "not encrypted", "insecure_listen"],
    );
    check(
        &format!("listen: 127.0.0.1:1\nfacades: [ {{ listen: '[::]:2', service: orders }} ]\n{agents}"),
        &["gateway.yaml:2:22", "a facade on [::]:2 can be reached from other machines"],
    );
    check("@insecure_listen: yes\n", &["gateway.yaml:3:18", "write true or false"]);
}

#[test]
fn wrong_facades() {
    let with = |facade: &str| format!("listen: 127.0.0.1:1\nfacades:\n  - {facade}\n");
    check(&with("{ service: a }"), &["gateway.yaml:3:5", "no address to listen on"]);
    check(&with("{ listen: 127.0.0.1:2 }"), &["gateway.yaml:3:5", "does not say which service"]);
    check(&with("{ listen: 127.0.0.1:2, service: A }"), &["gateway.yaml:3:37", "\"A\" is not a service name"]);
    check(
        &with("{ listen: 127.0.0.1:2, service: a, route: path }"),
        &["gateway.yaml:3:47", "both `service` and `route`"],
    );
    check(&with("{ listen: 127.0.0.1:2, route: hosts }"), &["gateway.yaml:3:35", "did you mean `host`?"]);
    check(&with("{ listen: 127.0.0.1:2, route: host }"), &["gateway.yaml:3:5", "needs to know the hosts", "suffix"]);
    check(&with("{ listen: 127.0.0.1:2, route: path, suffix: a }"), &["gateway.yaml:3:49", "`suffix` has no meaning"]);
    check(&with("{ listen: 127.0.0.1:2, service: a, hosts: {} }"), &["gateway.yaml:3:47", "`hosts` has no meaning"]);
    check(
        &with("{ listen: 127.0.0.1:2, route: host, suffix: a, hosts: { b: c } }"),
        &["gateway.yaml:3:59", "both `suffix` and `hosts`"],
    );
    check(&with("{ listen: 127.0.0.1:2, route: host, hosts: {} }"), &["gateway.yaml:3:48", "names no host"]);
    check(
        &with("{ listen: 127.0.0.1:2, route: host, hosts: { 'a:80': b } }"),
        &["gateway.yaml:3:50", "not a host name"],
    );
    check(
        &with("{ listen: 127.0.0.1:2, route: host, hosts: { a: b, A: c } }"),
        &["gateway.yaml:3:56", "a second time"],
    );
    check(&with("{ listen: 127.0.0.1:2, service: a, wait_for_agent: 10m }"), &["gateway.yaml:3:56", "write 0s to 5m"]);
}

#[test]
fn wrong_agents() {
    let agent = |agent: &str| format!("@agents:\n  - {agent}\n");
    check(&agent("{ token_file: other.token, services: [a] }"), &["gateway.yaml:4:5", "this agent has no name"]);
    check(&agent("{ name: a b, token_file: other.token, services: [a] }"), &["gateway.yaml:4:13", "not a name"]);
    check(&agent("{ name: a, services: [a] }"), &["gateway.yaml:4:5", "nothing to prove itself"]);
    check(&agent("{ name: a, token_file: other.token }"), &["gateway.yaml:4:5", "may serve nothing"]);
    check(&agent("{ name: a, token: x, services: [a] }"), &["gateway.yaml:4:16", "did you mean `token_", "token: …"]);
    check(
        &agent("{ name: a, token_file: none.token, services: [a] }"),
        &["gateway.yaml:4:28", "none.token cannot be read", "; `reachback token new`"],
    );
    check(&agent("{ name: a, token_file: empty.token, services: [a] }"), &["gateway.yaml:4:28", "the token is empty"]);
    check(&agent("{ name: a, token_file: short.token, services: [a] }"), &["gateway.yaml:4:28", "only 15 bytes"]);
    check(
        &agent("{ name: a, token_file: spaced.token, services: [a] }"),
        &["gateway.yaml:4:28", "the token holds a space"],
    );
    check(&agent("{ name: a, token_env: NOT_SET_ANYWHERE, services: [a] }"), &["gateway.yaml:4:27", "is not set"]);
    check(&agent("{ name: a, token_file: a, token_env: B, services: [a] }"), &["gateway.yaml:4:42", "given twice"]);
    check(&agent("{ name: a, token_file: other.token, services: ['*a'] }"), &["gateway.yaml:4:52", "not a pattern"]);
    check(&agent("{ name: a, token_file: other.token, services: [*.b] }"), &["gateway.yaml:4:52", "into quotes"]);
    let two = |name: &str, file: &str| {
        let first = "{ name: a, token_file: warehouse-7.token, services: [orders] }";
        format!("@agents:\n  - {first}\n  - {{ name: {name}, token_file: {file}, services: [orders] }}\n")
    };
    check(&two("a", "other.token"), &["gateway.yaml:5:13", "a second agent is named `a`"]);
    check(&two("b", "same.token"), &["gateway.yaml:5:13", "`a` and `b` have the same token"]);
}

#[test]
fn wrong_numbers_and_words() {
    check("@heartbeat: 10\n", &["gateway.yaml:3:12", "`10` lacks a unit", "write 10s or 10ms"]);
    check("@heartbeat: 500ms\n", &["gateway.yaml:3:12", "out of bounds", "write 1s to 5m"]);
    check("@drain_grace: 2h\n", &["gateway.yaml:3:14", "write 0s to 1h"]);
    check("@limits: { window: 64k }\n", &["gateway.yaml:3:19", "`64k` is not a size", "64KiB"]);
    check("@limits: { window: 32KiB }\n", &["gateway.yaml:3:19", "write 64KiB to 16MiB"]);
    check("@limits: { streams_per_link: 0 }\n", &["gateway.yaml:3:29", "from 1 to 65536"]);
    check(
        "@limits: { memory_per_link: 100MiB }\n",
        &["gateway.yaml:3:28", "1024 streams of 256KiB need 256MiB", "raise `memory_per_link` to 256MiB"],
    );
    check("@path: tunnel\n", &["gateway.yaml:3:7", "not a path for the tunnel", "/reachback/v1"]);
    check("@path: /\n", &["gateway.yaml:3:7", "not a path for the tunnel"]);
    check("@admission: ask\n", &["gateway.yaml:3:12", "auto", "approve"]);
    check("@admission: approve\n", &["gateway.yaml:3:12", "nobody could approve", "add admin:"]);
    check("@admission_hold: 16s\n", &["gateway.yaml:3:17", "write 0s to 15s"]);
    check("@address_header: X Y\n", &["gateway.yaml:3:17", "not the name of a header"]);
    check("@allowed_origins: ['*']\n", &["gateway.yaml:3:19", "not an origin"]);
    check("@allowed_origins: [https://a/b]\n", &["gateway.yaml:3:19", "not an origin"]);
}

#[test]
fn everything_wrong_is_said_at_once_and_in_order() {
    let text = "listen: here\nfacades:\n  - { listen: there, route: nowhere }\nheartbeat: 1\nlimits: { window: big }\n";
    let error = Folder::new().config(text).unwrap_err();
    assert_eq!(error.count(), 5);
    let report = error.to_string();
    let places: Vec<&str> = report.lines().filter_map(|line| line.trim().strip_prefix("--> gateway.yaml:")).collect();
    assert_eq!(places, ["1:9", "3:15", "3:29", "4:12", "5:19"]);
}

#[test]
fn approvals_that_nobody_remembers_are_warned_about() {
    let check = |more: &str, fragment: &str| {
        let config = Folder::new().config(&format!("{GATEWAY}{more}\n")).unwrap();
        assert!(config.warnings.iter().any(|warning| warning.contains(fragment)), "{more}: {:?}", config.warnings);
    };
    check("admission: approve", "without `state_file` approvals are forgotten");
    check("admission_hold: 5s", "has no meaning without `admission: approve`");
}

#[test]
fn a_facade_nobody_may_serve_is_warned_about() {
    let text = GATEWAY.replace("service: orders }", "service: order }");
    let config = Folder::new().config(&text).unwrap();
    assert_eq!(config.warnings.len(), 1);
    assert!(
        config.warnings[0].starts_with("gateway.yaml:4:15: no agent listed may serve `order`"),
        "{:?}",
        config.warnings
    );
}

#[test]
fn flags() {
    let folder = Folder::new();
    let token = folder.0.file("other.token").display().to_string();
    let good = Flags {
        listen: "127.0.0.1:7100".to_owned(),
        facades: vec!["127.0.0.1:7080=orders".to_owned(), "127.0.0.1:7081=jira.acme".to_owned()],
        token_file: Some(token),
    };
    let config = Config::from_flags(&good).unwrap();
    let Agents::Listed(agents) = &config.agents else { panic!("a token is given") };
    assert_eq!((agents[0].name.as_str(), agents[0].services.as_slice()), ("agent", &[ServicePattern::Any][..]));
    assert_eq!(config.facades[1].listen.address().unwrap().port(), 7081);
    assert_eq!(config.warnings, Vec::<String>::new());

    let check = |flags: &Flags, fragments: &[&str]| {
        let report = Config::from_flags(flags).expect_err("wrong flags").to_string();
        says(&report, "flags", fragments);
    };
    let listen = |listen: &str| Flags { listen: listen.to_owned(), ..good.clone() };
    check(&listen("7100"), &["the command line", " | --listen 7100", "write 127.0.0.1:7100"]);
    check(&listen("0.0.0.0:7100"), &["--listen 0.0.0.0:7100", "needs a configuration file"]);
    check(&Flags { token_file: None, ..listen("0.0.0.0:7100") }, &["anyone could pose", "a configuration file"]);
    let facade = |facade: &str| Flags { facades: vec![facade.to_owned()], ..good.clone() };
    check(&facade("127.0.0.1:7080"), &["--facade 127.0.0.1:7080", "--facade ADDRESS=SERVICE"]);
    check(
        &facade("127.0.0.1:7080=A"),
        &["--facade 127.0.0.1:7080=A\n | ", "                        ^", "not a service name"],
    );
    check(&Flags { token_file: Some("none".to_owned()), ..good.clone() }, &["--token-file none", "cannot be read"]);
    let open = Config::from_flags(&Flags { token_file: None, ..good.clone() }).unwrap();
    assert!(open.warnings[0].contains("no agent credential"), "{:?}", open.warnings);
}

/// Every slip of one character, and every file cut short, is either taken or explained with a place; none panics.
#[test]
fn no_slip_of_the_pen_is_too_much() {
    let folder = Folder::new();
    let check = |text: &str| {
        if let Err(error) = folder.config(text) {
            let report = error.to_string();
            assert!(report.starts_with("error: ") && report.contains("--> gateway.yaml"), "{text}\n{report}");
        }
    };
    slips(GATEWAY, check);
}
