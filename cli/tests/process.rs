//! `reachback` as a process: what it prints, and the code it ends with.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod folder;
mod running;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    thread,
    time::Instant,
};

use folder::Folder;
use running::PATIENCE;
use settings::scratch::{AGENT, GATEWAY};

/// What the admin listener says about the gateway.
fn status(admin: SocketAddr) -> String {
    let mut connection = TcpStream::connect(admin).unwrap();
    connection.write_all(b"GET /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn help_and_usage() {
    let folder = Folder::new();
    folder.check(&["--version"], 0, &["reachback 0."]);
    folder.check(&["--help"], 0, &["gateway", "agent", "check", "allow", "demo", "--log-format"]);
    folder.check(&["gateway", "--help"], 0, &["--facade <ADDR=SERVICE>", "--token-file"]);
    folder.check(&[], 2, &["Usage: reachback"]);
    folder.check(&["gatway"], 2, &["gateway"]);
    folder.check(&["gateway"], 2, &["--config", "--listen ADDR --facade ADDR=SERVICE"]);
    folder.check(&["--log-level", "loud", "check", "--config", "agent.yaml"], 2, &["not a log filter", "debug"]);
    folder.check(&["check", "--config", "none.yaml"], 2, &["cannot be read", "none.yaml"]);
}

#[test]
fn a_secret_makes_codes() {
    let folder = Folder::new();
    let made = folder.check(&["token", "secret", "--agent", "edge-1"], 0, &["otpauth://totp/Reachback:edge-1?"]);
    let secret = String::from_utf8(made.stdout).unwrap();
    assert_eq!(secret.trim().len(), 32, "160 bits in base32, and nothing else");
    let advice = String::from_utf8(made.stderr).unwrap();
    assert!(!advice.contains(secret.trim()), "what is no terminal may be a log: {advice}");
    folder.write("edge-1.totp", &secret);
    let shown = folder.check(&["token", "code", "--secret-file", "edge-1.totp"], 0, &["this one is good for"]);
    let code = String::from_utf8(shown.stdout).unwrap();
    assert!(code.trim().len() == 6 && code.trim().bytes().all(|byte| byte.is_ascii_digit()), "{code}");
    folder.write("edge-1.totp", "hunter2!");
    let wrong = folder.check(&["token", "code", "--secret-file", "edge-1.totp"], 2, &["not base32"]);
    assert!(!String::from_utf8_lossy(&wrong.stderr).contains("hunter2"));
    let gateway = GATEWAY.replace("token_file: warehouse-7.token", "totp_secret_file: codes");
    folder.write("codes", &secret);
    folder.write("gateway.yaml", &gateway);
    folder.check(&["check", "--config", "gateway.yaml"], 2, &["nothing could remember that", "add `state_file`"]);
    folder.write("gateway.yaml", &format!("state_file: state.json\n{gateway}"));
    folder.check(
        &["check", "--config", "gateway.yaml"],
        0,
        &["warehouse-7 for orders, *.acme, once it has registered"],
    );
    let twice = "  - { name: b, totp_secret_file: codes, services: [orders] }\n";
    folder.write("gateway.yaml", &format!("state_file: state.json\n{gateway}{twice}"));
    folder.check(&["check", "--config", "gateway.yaml"], 2, &["have the same registration secret"]);
}

#[test]
fn a_flags_path_starts_where_the_command_does() {
    let folder = Folder::new();
    let here = "relative ones start at the current folder";
    let flags = ["gateway", "--listen", "127.0.0.1:0", "--facade", "127.0.0.1:0=orders", "--token-file", "nope"];
    folder.check(&flags, 2, &["nope cannot be read", here]);
    folder.check(&["token", "code", "--secret-file", "nope"], 2, &["nope cannot be read", here]);
    folder.write("agent.yaml", &AGENT.replace("warehouse-7.token", "nope"));
    folder.check(&["check", "--config", "agent.yaml"], 2, &["relative ones start at the configuration file's folder"]);
}

#[test]
fn a_code_is_asked_for_if_it_is_needed() {
    let folder = Folder::new();
    let check = |code: i32, fragments: &[&str]| {
        let output = folder.check(&["register", "--config", "agent.yaml"], code, fragments);
        assert_eq!(output.status.code(), Some(code));
    };
    check(1, &["there is a token already", "move that file away"]);
    folder.write("agent.yaml", "gateways: [ 'ws://127.0.0.1:1' ]\n");
    check(2, &["it is not said where to keep the token"]);
    folder.write("agent.yaml", &AGENT.replace("warehouse-7.token", "new.token"));
    check(2, &["this is not a code"]);
}

#[test]
fn a_name_that_no_agent_can_have_is_not_asked_about() {
    let folder = Folder::new();
    let said = ["this is not the name of an agent", "1 to 253 letters"];
    folder.check(&["agents", "approve", &"a".repeat(5000), "--admin", "127.0.0.1:1"], 2, &said);
}

#[test]
fn check() {
    let folder = Folder::new();
    let good = ["a gateway's", "http://127.0.0.1:7080/… to orders", "warehouse-7 for orders, *.acme"];
    folder.check(&["check", "--config", "gateway.yaml"], 0, &good);
    let good = ["an agent's", "ws://127.0.0.1:7100/reachback/v1", "GET,HEAD /orders/{id}"];
    folder.check(&["check", "--config", "agent.yaml"], 0, &good);
    folder.write(
        "proxy.yaml",
        "listen: 127.0.0.1:0\nfacades: [ { listen: 127.0.0.1:7083, route: proxy, suffix: internal } ]\n",
    );
    folder.check(&["check", "--config", "proxy.yaml"], 0, &["with http_proxy=http://127.0.0.1:7083"]);
    folder.write("empty.yaml", &AGENT.replace(r#"allow: [ "GET /orders","#, r#"allow: [] #"#));
    folder.check(&["check", "--config", "empty.yaml"], 0, &["warning: empty.yaml:7:3: nothing of `orders` is allowed"]);

    folder.write("bad.yaml", &GATEWAY.replace("facades", "facade"));
    let report =
        "error: unknown key `facade`\n --> bad.yaml:3:1\n  |\n3 | facade: …\n  | ^^^^^^\n  = did you mean `facades`?";
    let output = folder.check(&["check", "--config", "bad.yaml"], 2, &[report]);
    assert!(output.stdout.is_empty(), "errors go to standard error");
    folder.write("bad.yaml", &format!("gateways: [ ws://127.0.0.1:7100 ]\n{GATEWAY}"));
    let mixed = "unknown key `gateways`";
    let why = "\n\nbad.yaml was taken for a gateway's configuration because of `listen`, `facades`, `agents`\n = an agent's has `gateways`: give each";
    folder.check(&["check", "--config", "bad.yaml"], 2, &[mixed, why]);
    folder.write("bad.yaml", &AGENT.replace("\"POST /orders\"", "POST orders"));
    folder.check(&["check", "--config", "bad.yaml"], 2, &["bad.yaml:9:59", "a path begins with '/'"]);
    folder.write("bad.yaml", "name: x\nlimits: {}\n");
    folder.check(&["check", "--config", "bad.yaml"], 2, &["cannot be seen from its keys", "facades", "gateways"]);
}

#[test]
fn a_signal_drains_and_ends_well() {
    let folder = Folder::new();
    for signal in ["TERM", "INT"] {
        let mut gateway = folder.start(&["gateway", "--listen", "127.0.0.1:0", "--facade", "127.0.0.1:0=orders"]);
        gateway.line_with(&["WARN", "no agent credential"]);
        let tunnel = gateway.address("tunnel");
        gateway.address("facade");
        let url = format!("ws://{tunnel}");
        let flags = ["--gateway", &url, "--service", "orders=http://127.0.0.1:1", "--allow", "orders: GET /"];
        let mut agent = folder.start(&[&["agent", "--log-level", "debug"], &flags[..]].concat());
        agent.line_with(&["WARN", "no token"]);
        gateway.line_with(&["link", "up"]);
        for process in [&mut agent, &mut gateway] {
            process.signal(signal);
            process.line_with(&["stopped"]);
            assert_eq!(process.code(), Some(0), "{signal}");
        }
    }
}

#[test]
fn a_drain_that_is_asked_for_leaves_the_process_until_it_is_told_to_end() {
    let folder = Folder::new();
    folder.write(
        "g.yaml",
        "listen: 127.0.0.1:0\nadmin: { listen: 127.0.0.1:0 }\nfacades: [ { listen: 127.0.0.1:0, service: orders } ]\n",
    );
    let mut gateway = folder.start(&["gateway", "--config", "g.yaml"]);
    let admin = gateway.address("admin").to_string();
    for _ in 0..2 {
        let output = folder.check(&["drain", "--admin", &admin], 0, &[]);
        assert_eq!(output.stdout, b"drained\n");
    }
    assert!(status(admin.parse().unwrap()).contains(r#""drained":true"#));
    gateway.signal("TERM");
    assert_eq!(gateway.code(), Some(0));
    folder.check(&["drain", "--admin", &admin], 1, &["cannot drain what listens on", "does the sidecar run"]);
}

/// An upstream that answers everything with 204, for as long as the test runs.
fn upstream() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
            let _ = connection.write_all(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
        }
    });
    address
}

/// Asks for something, and gives the status of the answer.
fn ask(facade: SocketAddr, method: &str, target: &str) -> String {
    let mut connection = TcpStream::connect(facade).unwrap();
    write!(connection, "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer.split(' ').nth(1).unwrap().to_owned()
}

/// The whole way: audit mode, its log, the proposals, the configuration with them, enforced.
#[test]
fn what_audit_mode_has_seen_can_be_learned_and_enforced() {
    let folder = Folder::new();
    let mut gateway = folder.start(&["gateway", "--listen", "127.0.0.1:0", "--facade", "127.0.0.1:0=orders"]);
    let (tunnel, facade) = (gateway.address("tunnel"), gateway.address("facade"));
    let agent = |mode: &str, service: &str| {
        format!("gateways: [ws://{tunnel}]\naudit_log: audit.jsonl\n{service}    mode: {mode}\n")
    };
    let service = format!("services:\n  orders:\n    upstream: http://{}\n    allow: []\n", upstream());
    folder.write("audit.yaml", &agent("audit", &service));
    let mut running = folder.start(&["agent", "--config", "audit.yaml"]);
    running.line_with(&["link up"]);
    let seen = [
        ("GET", "/orders/42?page=1"),
        ("GET", "/orders/43"),
        ("POST", "/orders"),
        ("GET", "/caf%C3%A9"),
        ("GET", "/a;b"),
    ];
    for (method, target) in seen {
        assert_eq!(ask(facade, method, target), "204", "{method} {target}");
    }
    assert_eq!(ask(facade, "GET", "/orders//42"), "403");
    running.signal("TERM");
    assert_eq!(running.code(), Some(0));

    let output =
        folder.check(&["allow", "learn", "audit.jsonl"], 0, &["audit.jsonl:5: the path holds ';'", "1 request denied"]);
    let learned = String::from_utf8(output.stdout).unwrap();
    let rules =
        ["- GET /orders/{id}  # 2 requests; such as /orders/42; query: page\n", "- POST /orders ", "- GET /caf%C3%A9 "];
    assert!(rules.iter().all(|rule| learned.contains(rule)), "{learned}");
    let service = service.replace("    allow: []\n", learned.strip_prefix("services:\n  orders:\n").unwrap());
    folder.write("enforce.yaml", &agent("enforce", &service));
    let mut running = folder.start(&["agent", "--config", "enforce.yaml"]);
    running.line_with(&["link up"]);
    for (method, target) in &seen[..4] {
        assert_eq!(ask(facade, method, target), "204", "{method} {target}");
    }
    for (method, target) in [seen[4], ("DELETE", "/orders/42"), ("GET", "/orders")] {
        assert_eq!(ask(facade, method, target), "403", "{method} {target}");
    }
}

#[test]
fn an_audit_log_that_cannot_be_written_is_no_usage_error() {
    let folder = Folder::new();
    let audited = AGENT.replace("7201", "0").replace("services:", "audit_log: /\nservices:");
    folder.write("audited.yaml", &audited);
    folder.check(&["check", "--config", "audited.yaml"], 0, &["audit log"]);
    let reasons = ["cannot write the audit log to / (audit_log): Is a directory", "its folder must exist"];
    folder.check(&["agent", "--config", "audited.yaml"], 1, &reasons);
}

#[test]
fn audit_mode_is_not_to_be_overlooked() {
    let folder = Folder::new();
    folder.write("audited.yaml", &AGENT.replace("upstream:", "mode: audit\n    upstream:"));
    let said = ["SENT, and logged", "warning: audited.yaml:8:11: `orders` is in audit mode"];
    folder.check(&["check", "--config", "audited.yaml"], 0, &said);
    let args = ["allow", "test", "--config", "audited.yaml", "orders", "DELETE", "/orders/42"];
    folder.check(&args, 1, &["refused", "SENT ALL THE SAME: orders is in audit mode"]);
}

#[test]
fn a_second_signal_ends_at_once() {
    let folder = Folder::new();
    folder.write(
        "slow.yaml",
        "listen: 127.0.0.1:0\nfacades: [ { listen: 127.0.0.1:0, service: orders, wait_for_agent: 5m } ]\ndrain_grace: 5m\nadmin: { listen: 127.0.0.1:0 }\n",
    );
    let mut gateway = folder.start(&["gateway", "--config", "slow.yaml", "--log-level", "debug"]);
    let facade = gateway.address("facade");
    let admin = gateway.address("admin");
    // A request that waits for an agent, so that the drain has something to wait for.
    let mut client = TcpStream::connect(facade).unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let begun = Instant::now();
    while !status(admin).contains("\"requests\":1") {
        assert!(begun.elapsed() < PATIENCE, "the request never arrived: {}", status(admin));
    }
    gateway.signal("TERM");
    gateway.line_with(&["drain"]);
    gateway.signal("INT");
    gateway.line_with(&["second signal"]);
    assert_eq!(gateway.code(), Some(1));
}

#[test]
fn a_taken_port_is_no_usage_error() {
    let folder = Folder::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let remedy = "\n = another program listens there: end it, or name another port";
    let args = ["gateway", "--listen", &address, "--facade", "127.0.0.1:0=orders"];
    folder.check(&args, 1, &["cannot listen on", &address, remedy]);
    folder.write("agent.yaml", &AGENT.replace("127.0.0.1:7201", &address));
    folder.check(&["agent", "--config", "agent.yaml"], 1, &["cannot listen on", &address, remedy]);
}

#[test]
fn json_logs_are_one_object_a_line() {
    let folder = Folder::new();
    let args = ["gateway", "--listen", "127.0.0.1:0", "--facade", "127.0.0.1:0=orders", "--log-format", "json"];
    let mut gateway = folder.start(&args);
    let mut lines = vec![gateway.line_with(&["facade"])];
    gateway.signal("TERM");
    assert_eq!(gateway.code(), Some(0));
    lines.extend(gateway.log.iter());
    let objects: Vec<serde_json::Value> = lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&objects[0]["level"], &objects[0]["what"]), (&"INFO".into(), &"facade".into()));
    assert!(objects[0]["address"].as_str().unwrap().starts_with("127.0.0.1:"));
}
