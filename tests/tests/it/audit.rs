//! Audit mode and the audit log: what is sent and told, and a log that is rotated, full, or on standard output.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};

use reachback_tests::{
    bridge::{self, Bridge, Setup},
    client::{self, Raw, call},
    process::{Process, own_address, until_listening},
    scratch::Scratch,
    upstream::Upstream,
    wait::{until, until_so, within},
};
use serde_json::{Value, json};

/// A bridge whose agent keeps an audit log.
struct Scene {
    folder: Scratch,
    bridge: Bridge,
}

impl Scene {
    async fn new(service: &str) -> Self {
        Self::with(service, |_| {}).await
    }

    async fn with(service: &str, prepare: impl FnOnce(&Path)) -> Self {
        let folder = Scratch::new();
        prepare(folder.path());
        let allow = r#"[ "GET /bytes/{n}", "POST /echo" ]"#;
        let setup = Setup { agent: "audit_log: audit.jsonl", service, allow, ..Setup::default() };
        let bridge = Bridge::within(folder.path(), setup).await;
        Self { folder, bridge }
    }

    fn log(&self) -> PathBuf {
        self.folder.file("audit.jsonl")
    }

    async fn calls(&self, method: &str, target: &str) -> u16 {
        call(self.bridge.facade(), method, target, "X-Secret: hunter2\r\n").await.status()
    }

    /// Waits for so many lines.
    async fn lines(&self, count: usize) -> Vec<Value> {
        until_so("the lines of the log", || read(&self.log()).len() >= count).await;
        read(&self.log())
    }
}

fn read(log: &Path) -> Vec<Value> {
    let text = fs::read_to_string(log).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"))).collect()
}

#[tokio::test]
async fn every_decision_has_its_line() {
    let scene = Scene::new("").await;
    assert_eq!(scene.calls("GET", "/bytes/7?token=hunter2&page=1").await, 200);
    assert_eq!(scene.calls("GET", "/admin?token=hunter2").await, 403);
    assert_eq!(scene.calls("GET", "/a%2Fb").await, 403);
    assert_eq!(scene.calls("GET", "/%zz").await, 400);
    let lines = scene.lines(4).await;
    let of = |line: usize, keys: &[&str]| keys.iter().map(|key| lines[line][key].clone()).collect::<Vec<_>>();
    let what = ["service", "method", "path", "verdict"];
    assert_eq!(of(0, &what), ["orders", "GET", "/bytes/7", "allowed"]);
    assert_eq!(of(0, &["rule", "text", "query"]), [json!(0), json!("GET /bytes/{n}"), json!(["page", "token"])]);
    let why = ["path", "verdict", "code", "step"];
    assert_eq!(of(1, &why), ["/admin", "denied", "denied", "rules"]);
    assert_eq!(of(2, &why), [json!("/a%2Fb"), json!("denied"), json!("denied"), json!(7)]);
    assert_eq!(of(3, &why), [json!("/%zz"), json!("denied"), json!("bad_request"), json!(3)]);
    let sent = scene.bridge.upstream.last_head();
    assert_eq!(lines[0]["request_id"].as_str(), sent.one("x-request-id"), "the id is the same everywhere");
    let text = fs::read_to_string(scene.log()).unwrap();
    assert!(!text.contains("hunter2"), "{text}");

    let service = scene.bridge.agent.status().await["services"][0].clone();
    let rules = json!([{ "text": "GET /bytes/{n}", "allowed": 1 }, { "text": "POST /echo", "allowed": 0 }]);
    let denied = json!([
        { "step": "3", "code": "bad_request", "count": 1 },
        { "step": "7", "code": "denied", "count": 1 },
        { "step": "rules", "code": "denied", "count": 1 },
    ]);
    assert_eq!((&service["rules"], &service["denied"], &service["would_deny"]), (&rules, &denied, &json!([])));
    let log = scene.bridge.agent.status().await["audit_log"].clone();
    assert_eq!(log, json!({ "state": "writing", "written": 4, "lost": 0 }));
}

#[tokio::test]
async fn what_a_limit_refuses_is_not_on_record_as_allowed() {
    let folder = Scratch::new();
    let allow = r#"[ { path: "/bytes/{n}", methods: [GET], rate: 1/h }, "GET /gate" ]"#;
    let setup = Setup { agent: "audit_log: audit.jsonl", service: "max_in_flight: 1", allow, ..Setup::default() };
    let scene = Scene { bridge: Bridge::within(folder.path(), setup).await, folder };
    assert_eq!([scene.calls("GET", "/bytes/1").await, scene.calls("GET", "/bytes/2").await], [200, 429]);
    let facade = scene.bridge.facade();
    let waits = tokio::spawn(async move { call(facade, "GET", "/gate", "").await });
    scene.bridge.upstream.until("a call", |counts| counts.requests == 2).await;
    assert_eq!(scene.calls("GET", "/gate").await, 503);
    scene.bridge.upstream.open_gate(1);
    assert_eq!(within("the gate", waits).await.unwrap().status(), 200);
    let lines = scene.lines(4).await;
    let said: Vec<_> = lines.iter().map(|line| [&line["verdict"], &line["rule"], &line["code"]]).collect();
    let [allowed, limited, none] = [json!("allowed"), json!("limited"), Value::Null];
    let (first, second) = (json!(0), json!(1));
    let expected = [
        [&allowed, &first, &none],
        [&limited, &first, &json!("rate_limited")],
        [&allowed, &second, &none],
        [&limited, &second, &json!("overloaded")],
    ];
    assert_eq!(said, expected);
    assert_eq!(lines[1]["reason"], "the rule allows 1/h requests, and as many have come");
}

#[tokio::test]
async fn audit_mode_sends_what_only_the_rules_would_deny() {
    let scene = Scene::new("mode: audit").await;
    let mut requests = 0;
    for (method, target, sent) in [
        ("GET", "/bytes/1", true),
        ("DELETE", "/bytes/2?x=1", true),
        ("GET", "/a;b", true),
        ("GET", "/a%2Fb", true),
        ("POST", "/echo?_method=PUT", true),
        ("GET", "/a/../b", false),
        ("GET", "/%2e%2e", false),
        ("GET", "//a", false),
        ("GET", "/%00", false),
        ("GET", "/%zz", false),
        ("TRACE", "/bytes/1", false),
    ] {
        let more = if method == "POST" { "Content-Length: 0\r\n" } else { "X-Forwarded-For: 1.2.3.4\r\n" };
        let answer = call(scene.bridge.facade(), method, target, more).await;
        assert_eq!(answer.failure().is_none(), sent, "{method} {target}: {}", answer.text());
        requests += usize::from(sent);
        assert_eq!(scene.bridge.upstream.counts().requests, requests, "{method} {target}");
        if sent {
            let head = scene.bridge.upstream.last_head();
            assert_eq!((head.word(0), head.word(1)), (method, target));
            assert_eq!(head.one("x-forwarded-for"), None, "headers are rebuilt in this mode too");
        }
    }
    let lines = scene.lines(11).await;
    let verdicts: Vec<_> = lines.iter().map(|line| line["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, [vec!["allowed"], vec!["would_deny"; 4], vec!["denied"; 6]].concat());

    // Nobody forgets it.
    let status = scene.bridge.agent.status().await;
    assert_eq!(status["services"][0]["mode"], "audit");
    let count =
        |steps: &Value| steps.as_array().unwrap().iter().map(|step| step["count"].as_u64().unwrap()).sum::<u64>();
    assert_eq!(count(&status["services"][0]["would_deny"]), 4);
    assert_eq!(count(&status["services"][0]["denied"]), 6);
    let ready = client::json(&format!("http://{}/readyz", scene.bridge.agent.address("admin"))).await;
    let note = "orders is in audit mode: what no rule allows is sent";
    assert_eq!(ready, json!({ "ready": true, "reasons": [], "notes": [note] }));
    assert_eq!(status["notes"], json!([note]));
}

/// Cut in place, renamed, or removed, with nobody saying so.
#[tokio::test]
async fn a_rotated_log_is_found_again() {
    let scene = Scene::new("").await;
    let old = scene.folder.path().join("audit.jsonl.1");
    assert_eq!(scene.calls("GET", "/bytes/1").await, 200);
    scene.lines(1).await;
    fs::copy(scene.log(), &old).unwrap();
    fs::File::options().write(true).open(scene.log()).unwrap().set_len(0).unwrap();
    assert_eq!(scene.calls("GET", "/bytes/2").await, 200);
    assert_eq!(scene.lines(1).await[0]["path"], "/bytes/2", "no hole where the old lines were");

    fs::rename(scene.log(), &old).unwrap();
    until("a line in a new file", async || {
        assert_eq!(scene.calls("GET", "/bytes/3").await, 200);
        (!read(&scene.log()).is_empty()).then_some(())
    })
    .await;
    fs::remove_file(scene.log()).unwrap();
    fs::write(scene.log(), "").unwrap();
    until("a line in the next", async || {
        assert_eq!(scene.calls("GET", "/bytes/4").await, 200);
        (!read(&scene.log()).is_empty()).then_some(())
    })
    .await;
    assert!(read(&old).iter().all(|line| line["path"] != "/bytes/4"));
    assert_eq!(read(&old)[0]["path"], "/bytes/2");
}

/// `/dev/full` takes no byte. What is not on record is not sent, and once there is a disk again all of it is there.
#[tokio::test]
async fn a_full_disk_stops_requests_and_loses_none() {
    let scene = Scene::with("", |folder| symlink("/dev/full", folder.join("audit.jsonl")).unwrap()).await;
    let mut client = Raw::connect(scene.bridge.facade()).await;
    let mut sent = 0;
    let refused = loop {
        let answer = client.call("GET", "/bytes/1", "").await;
        if answer.status() != 200 {
            break answer;
        }
        sent += 1;
        assert!(sent <= 2048, "more than wait to be written");
    };
    assert_eq!((refused.status(), refused.failure()), (503, Some("overloaded")), "{}", refused.text());
    assert!(refused.text().contains(r#""retry_safe":true"#) && refused.text().contains("audit log"));
    assert_eq!(scene.bridge.upstream.counts().requests, sent);
    let status = scene.bridge.agent.status().await["audit_log"].clone();
    assert_eq!((&status["state"], &status["lost"]), (&json!("failing"), &json!(1)), "{status}");
    let ready =
        client::http().get(format!("http://{}/readyz", scene.bridge.agent.address("admin"))).send().await.unwrap();
    assert_eq!(ready.status(), 503);
    assert_eq!(client.call("GET", "/bytes/1", "").await.status(), 503, "as /readyz says");
    assert_eq!(client.call("GET", "/admin", "").await.status(), 403, "a refusal is answered, and queued");

    fs::remove_file(scene.log()).unwrap();
    let lines = scene.lines(sent + 2).await;
    let of = |verdict: &str| lines.iter().filter(|line| line["verdict"] == verdict).collect::<Vec<_>>();
    assert_eq!((of("allowed").len(), of("denied").len(), of("lost").len()), (sent, 1, 1));
    assert_eq!(of("lost")[0]["lines"], 2);
    let writing = |status: &Value| (status["audit_log"]["state"] == "writing").then_some(());
    scene.bridge.agent.until_status("the end of the trouble", writing).await;
    assert_eq!(scene.calls("GET", "/bytes/1").await, 200);
}

/// A real agent beside a gateway, with these top-level keys.
async fn process(keys: &str) -> (Process, Process, std::net::SocketAddr, Upstream, Scratch) {
    let (folder, upstream, ip) = (Scratch::new(), Upstream::start().await, own_address());
    let (tunnel, facade) = ((ip, 7100).into(), (ip, 7080).into());
    let yaml = format!("listen: {tunnel}\nfacades: [ {{ listen: {facade}, service: orders, wait_for_agent: 60s }} ]\n");
    let gateway = Process::start("gateway", &yaml, &folder);
    until_listening(facade).await;
    let setup = Setup { agent: keys, service: "mode: audit", ..Setup::default() };
    let agent = Process::start("agent", &bridge::agent_yaml(tunnel, upstream.address(), setup), &folder);
    (gateway, agent, facade, upstream, folder)
}

#[tokio::test]
async fn a_signal_opens_the_log_anew() {
    let (_gateway, mut agent, facade, _upstream, folder) = process("audit_log: audit.jsonl").await;
    let (log, old) = (folder.path().join("audit.jsonl"), folder.path().join("audit.jsonl.1"));
    for round in 0..3 {
        assert_eq!(call(facade, "GET", &format!("/bytes/{round}"), "").await.status(), 200);
        until_so("the line", || read(&log).len() == 1).await;
        fs::rename(&log, &old).unwrap();
        agent.signal("HUP");
        until_so("the new file", || log.exists()).await;
        assert_eq!(read(&old)[0]["path"], format!("/bytes/{round}"));
    }
    assert_eq!(call(facade, "GET", "/bytes/9", "").await.status(), 200);
    agent.signal("TERM");
    assert_eq!(agent.code().await, Some(0));
    assert_eq!(read(&log).len(), 1, "written before the end");
    assert_eq!(agent.log().iter().filter(|line| line.contains("the audit log is opened anew")).count(), 3);
}

#[tokio::test]
async fn standard_output_is_for_the_audit_log_alone() {
    let (_gateway, mut agent, facade, _upstream, _folder) = process("audit_log: stdout").await;
    assert_eq!(call(facade, "GET", "/bytes/1", "").await.status(), 200);
    assert_eq!(call(facade, "PATCH", "/bytes/1", "").await.status(), 200);
    assert_eq!(call(facade, "GET", "/%00", "").await.status(), 403);
    agent.signal("TERM");
    assert_eq!(agent.code().await, Some(0));
    until_so("the lines", || agent.output().len() == 3).await;
    let verdicts: Vec<Value> =
        agent.output().iter().map(|line| serde_json::from_str::<Value>(line).unwrap()["verdict"].clone()).collect();
    assert_eq!(verdicts, ["allowed", "would_deny", "denied"]);
    // The ordinary log says so at the start, and with each denial.
    agent.line(&["WARN", "`orders` is in audit mode"]).await;
    agent.line(&["WARN", "would deny, but sent", "mode=\"audit\"", "method=PATCH"]).await;
    agent.line(&["WARN", "denied", "reason=\"", "control character", "\" mode=\"audit\""]).await;
}

#[tokio::test]
async fn a_stop_says_how_many_lines_it_loses() {
    let (_gateway, mut agent, facade, upstream, _folder) = process("audit_log: /dev/full").await;
    while call(facade, "GET", "/bytes/1", "").await.status() == 200 {}
    assert_eq!(call(facade, "GET", "/bytes/1", "").await.status(), 503);
    agent.signal("TERM");
    assert_eq!(agent.code().await, Some(0));
    let lines = format!("lines={} refused=2", upstream.counts().requests);
    agent.line(&["ERROR", "its last lines are lost", "No space left", &lines]).await;
}
