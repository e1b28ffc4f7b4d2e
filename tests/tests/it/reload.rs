//! Hot reload: each way to change a file, and what becomes of requests, links, gateways and services meanwhile.

use std::{
    fs,
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    time::Duration,
};

use reachback_tests::{
    bridge::{self, Setup, Sidecar},
    client::{self, Raw, call},
    process::Process,
    scratch::Scratch,
    upstream::Upstream,
    wait::until_so,
};
use serde_json::Value;

/// An agent that follows a file.
struct Scene {
    folder: Scratch,
    upstream: Upstream,
    gateway: Sidecar,
    agent: Sidecar,
}

impl Scene {
    /// With this list of rules for `orders`, written as `agent.yaml`.
    async fn new(allow: &str) -> Self {
        let (folder, upstream) = (Scratch::new(), Upstream::start().await);
        let gateway = Sidecar::gateway(&bridge::gateway_yaml(""));
        folder.write("agent.yaml", &yaml(gateway.address("tunnel"), upstream.address(), allow));
        let agent = Sidecar::agent_of(&folder.path().join("agent.yaml"));
        gateway.until_links(1).await;
        Self { folder, upstream, gateway, agent }
    }

    fn yaml(&self, allow: &str) -> String {
        yaml(self.gateway.address("tunnel"), self.upstream.address(), allow)
    }

    fn file(&self) -> PathBuf {
        self.folder.file("agent.yaml")
    }

    async fn generation(&self, wanted: u64) -> Value {
        let reached = |status: &Value| (status["reload"]["generation"] == wanted).then(|| status["reload"].clone());
        self.agent.until_status(&format!("generation {wanted}"), reached).await
    }

    async fn status_of(&self, target: &str) -> u16 {
        call(self.gateway.address("facade"), "GET", target, "").await.status()
    }

    /// `/bytes/1` is allowed, or `/bytes/2` is.
    async fn allows(&self, one: u16, two: u16) {
        assert_eq!((self.status_of("/bytes/1").await, self.status_of("/bytes/2").await), (one, two));
    }
}

fn yaml(tunnel: SocketAddr, upstream: SocketAddr, allow: &str) -> String {
    bridge::agent_yaml(tunnel, upstream, Setup { allow, ..Setup::default() })
}

const ONE: &str = "[ GET /bytes/1 ]";
const TWO: &str = "[ GET /bytes/2 ]";

fn rename_over(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::rename(beside, path).unwrap();
}

/// Makes a file at this path say something else.
type Change = fn(&Path, &str);

#[tokio::test]
async fn every_way_to_change_a_file() {
    let scene = Scene::new(ONE).await;
    scene.allows(200, 403).await;
    let link = scene.gateway.status().await["links"][0]["address"].clone();
    let ways: [(&str, Change); 5] = [
        ("a plain write", |path, text| fs::write(path, text).unwrap()),
        ("a rename", rename_over),
        ("a removal and a new file", |path, text| {
            fs::remove_file(path).unwrap();
            fs::write(path, text).unwrap();
        }),
        ("a copy aside, as editors make it", |path, text| {
            fs::rename(path, path.with_extension("yaml~")).unwrap();
            fs::write(path, text).unwrap();
        }),
        ("a link to another file", |path, text| {
            let other = path.with_file_name("other.yaml");
            fs::write(&other, text).unwrap();
            fs::remove_file(path).unwrap();
            symlink(other, path).unwrap();
        }),
    ];
    for (number, (way, change)) in (2..).zip(ways) {
        let (allow, one, two) = if number % 2 == 0 { (TWO, 403, 200) } else { (ONE, 200, 403) };
        change(&scene.file(), &scene.yaml(allow));
        let reload = scene.generation(number).await;
        assert_eq!((&reload["state"], &reload["failures"]), (&"current".into(), &0.into()), "{way}");
        scene.allows(one, two).await;
    }
    assert_eq!(scene.gateway.status().await["links"][0]["address"], link, "the link has lived through all of it");
}

/// What a kubelet does: a folder with the new file, a link to it beside the old one, and a rename.
fn publish(folder: &Path, number: u64, text: &str) {
    let data = format!("..2026_11_20_{number}");
    fs::create_dir(folder.join(&data)).unwrap();
    fs::write(folder.join(&data).join("agent.yaml"), text).unwrap();
    symlink(data, folder.join("..data_tmp")).unwrap();
    fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
    let _ = fs::remove_dir_all(folder.join(format!("..2026_11_20_{}", number - 1)));
}

#[tokio::test]
async fn the_dance_of_a_config_map() {
    let (folder, upstream) = (Scratch::new(), Upstream::start().await);
    let gateway = Sidecar::gateway(&bridge::gateway_yaml(""));
    publish(folder.path(), 1, &yaml(gateway.address("tunnel"), upstream.address(), ONE));
    symlink("..data/agent.yaml", folder.path().join("agent.yaml")).unwrap();
    let agent = Sidecar::agent_of(&folder.path().join("agent.yaml"));
    gateway.until_links(1).await;
    let scene = Scene { folder, upstream, gateway, agent };
    scene.allows(200, 403).await;
    for (number, allow, one, two) in [(2, TWO, 403, 200), (3, ONE, 200, 403)] {
        publish(scene.folder.path(), number, &scene.yaml(allow));
        scene.generation(number).await;
        scene.allows(one, two).await;
    }
}

/// The file is reached through a link, and its real folder is not watched: it is looked at each half minute.
#[tokio::test]
async fn what_nobody_tells_is_found_by_looking() {
    let (folder, elsewhere) = (Scratch::new(), Scratch::new());
    let (gateway, upstream) = (Sidecar::gateway(&bridge::gateway_yaml("")), Upstream::start().await);
    let real = elsewhere.path().join("agent.yaml");
    fs::write(&real, yaml(gateway.address("tunnel"), upstream.address(), ONE)).unwrap();
    symlink(&real, folder.path().join("agent.yaml")).unwrap();
    let agent = Sidecar::agent_of(&folder.path().join("agent.yaml"));
    gateway.until_links(1).await;
    let scene = Scene { folder, upstream, gateway, agent };
    scene.allows(200, 403).await;
    // The first may still be seen by the look at the beginning.
    for (number, allow, one, two) in [(2, TWO, 403, 200), (3, ONE, 200, 403)] {
        fs::write(&real, scene.yaml(allow)).unwrap();
        scene.generation(number).await;
        scene.allows(one, two).await;
    }
}

/// Half of a list of rules is a good file, but not what anybody meant.
#[tokio::test]
async fn half_a_file_is_left_alone() {
    let scene = Scene::new(r#"[ GET /bytes/1, GET /bytes/2 ]"#).await;
    let head = scene.yaml("").lines().take_while(|line| !line.contains("upstream")).collect::<Vec<_>>().join("\n");
    let text = format!(
        "{head}\n  orders:\n    upstream: http://{}\n    allow:\n      - GET /bytes/2\n      - GET /bytes/1\n      - GET /bytes/3\n",
        scene.upstream.address()
    );
    let (half, rest) = text.split_at(text.find("      - GET /bytes/1").unwrap());
    let mut file = fs::File::create(scene.file()).unwrap();
    file.write_all(half.as_bytes()).unwrap();
    file.flush().unwrap();
    // Long enough for an agent that does not wait for the end to have read it; the test's success depends on no timing.
    let until = tokio::time::Instant::now() + Duration::from_secs(1);
    while tokio::time::Instant::now() < until {
        assert_eq!(scene.status_of("/bytes/1").await, 200);
    }
    file.write_all(rest.as_bytes()).unwrap();
    drop(file);
    let reload = scene.generation(2).await;
    assert_eq!((&reload["state"], &reload["failures"]), (&"current".into(), &0.into()));
    scene.allows(200, 200).await;
    assert_eq!(scene.status_of("/bytes/3").await, 200);
}

#[tokio::test]
async fn a_bad_file_changes_nothing_and_is_shouted_about() {
    let scene = Scene::new(ONE).await;
    let ready = format!("http://{}/readyz", scene.agent.address("admin"));
    for (failures, bad, place) in [
        (1, scene.yaml("[ GET /bytes/2, get /x ]"), "agent.yaml:6:"),
        (2, "services: [".to_owned(), "agent.yaml:1:"),
        (3, String::new(), "the file is empty"),
    ] {
        rename_over(&scene.file(), &bad);
        let failed = |status: &Value| (status["reload"]["failures"] == failures).then(|| status["reload"].clone());
        let reload = scene.agent.until_status("the refusal", failed).await;
        assert_eq!((&reload["state"], &reload["generation"]), (&"failed".into(), &1.into()));
        assert!(reload["error"].as_str().unwrap().contains(place) && reload["since"].is_string(), "{reload}");
        scene.allows(200, 403).await;
        let answer = client::json(&ready).await;
        assert_eq!((&answer["ready"], answer["notes"].as_array().map(Vec::len)), (&true.into(), Some(1)), "{answer}");
    }
    rename_over(&scene.file(), &scene.yaml(ONE));
    let good = |status: &Value| (status["reload"]["state"] == "current").then(|| status["reload"].clone());
    let reload = scene.agent.until_status("the good file", good).await;
    assert_eq!((&reload["generation"], &reload["error"]), (&1.into(), &Value::Null));
    rename_over(&scene.file(), &scene.yaml(TWO));
    scene.generation(2).await;
    scene.allows(403, 200).await;
}

#[tokio::test]
async fn services_come_and_go() {
    let scene = Scene::new(ONE).await;
    let by_path = scene.gateway.addresses("facade")[2];
    let upstream = scene.upstream.address();
    let more = format!("{}  more: {{ upstream: \"http://{upstream}\", allow: {TWO} }}\n", scene.yaml(ONE));
    // It waits for an agent that offers it, for as long as the gateway's configuration says.
    let waiting = call(by_path, "GET", "/more/bytes/2", "");
    let change = async { rename_over(&scene.file(), &more) };
    let (answer, ()) = tokio::join!(waiting, change);
    assert_eq!(answer.status(), 200);
    assert_eq!(call(by_path, "GET", "/orders/bytes/1", "").await.status(), 200);
    rename_over(&scene.file(), &scene.yaml(ONE));
    let gone = |status: &Value| status["services"]["more"].is_null().then_some(());
    scene.gateway.until_status("the end of the service", gone).await;
    assert_eq!(call(by_path, "GET", "/orders/bytes/1", "").await.status(), 200);
}

#[tokio::test]
async fn gateways_come_and_go() {
    let scene = Scene::new("[ GET /gate, GET /bytes/1 ]").await;
    let other = Sidecar::gateway(&bridge::gateway_yaml(""));
    let pending = call(scene.gateway.address("facade"), "GET", "/gate", "");
    let change = async {
        scene.upstream.until("the call", |counts| counts.requests == 1).await;
        rename_over(&scene.file(), &yaml(other.address("tunnel"), scene.upstream.address(), "[ GET /bytes/1 ]"));
        other.until_links(1).await;
        scene.upstream.open_gate(1);
    };
    let (answer, ()) = tokio::join!(pending, change);
    assert_eq!(answer.status(), 200, "what is in flight ends as it began");
    scene.gateway.until_links(0).await;
    assert_eq!(call(other.address("facade"), "GET", "/bytes/1", "").await.status(), 200);
    let gateways = scene.agent.status().await["gateways"].clone();
    assert_eq!(gateways.as_array().map(Vec::len), Some(1), "{gateways}");
    rename_over(&scene.file(), &scene.yaml(ONE));
    scene.gateway.until_links(1).await;
    other.until_links(0).await;
}

#[tokio::test]
async fn a_token_that_was_put_right_is_shown_at_once() {
    let (folder, upstream) = (Scratch::new(), Upstream::start().await);
    folder.write("good.token", "good-0123456789abcdef");
    folder.write("own.token", "wrong-0123456789abcdef");
    let token = folder.path().join("good.token");
    let agents = format!("agents: [ {{ name: a, token_file: {}, services: [ orders ] }} ]", token.display());
    let gateway = Sidecar::gateway(&bridge::gateway_yaml(&agents));
    let setup = Setup { agent: "token_file: own.token", ..Setup::default() };
    folder.write("agent.yaml", &bridge::agent_yaml(gateway.address("tunnel"), upstream.address(), setup));
    let agent = Sidecar::agent_of(&folder.path().join("agent.yaml"));
    let refused = |status: &Value| status["gateways"][0]["last_error"].as_str()?.contains("401").then_some(());
    agent.until_status("the refusal", refused).await;
    // Otherwise it would not dial again for a minute.
    fs::rename(token, folder.path().join("own.token")).unwrap();
    gateway.until_links(1).await;
}

#[tokio::test]
async fn what_is_under_way_ends_as_it_began_and_connections_stay() {
    let scene = Scene::new("[ GET /bytes/1, GET /gate ]").await;
    let mut client = Raw::connect(scene.gateway.address("facade")).await;
    assert_eq!(client.call("GET", "/bytes/1", "").await.status(), 200);
    rename_over(&scene.file(), &scene.yaml("[ GET /gate ]"));
    scene.generation(2).await;
    client.send("GET /gate HTTP/1.1\r\nHost: a\r\n\r\n").await;
    scene.upstream.until("the call", |counts| counts.requests == 2).await;
    rename_over(&scene.file(), &scene.yaml("[ GET /bytes/1 ]"));
    scene.generation(3).await;
    scene.upstream.open_gate(1);
    assert_eq!(client.answer("GET").await.status(), 200, "under the rules that admitted it");
    assert_eq!(client.call("GET", "/gate", "").await.status(), 403);
    assert_eq!(client.call("GET", "/bytes/1", "").await.status(), 200);
    assert_eq!(scene.upstream.counts().connections, 1, "the upstream is the same, and so is the connection");
    let rules = scene.agent.status().await["services"][0]["rules"].clone();
    assert_eq!(rules, serde_json::json!([{ "text": "GET /bytes/1", "allowed": 1 }]), "it began anew");
}

#[tokio::test]
async fn what_needs_a_restart_is_said() {
    let scene = Scene::new(ONE).await;
    let changed = scene.yaml(TWO).replace("name: agent", "name: other\naudit_log: audit.jsonl");
    rename_over(&scene.file(), &changed);
    let reload = scene.generation(2).await;
    assert_eq!(reload["needs_restart"], serde_json::json!(["name", "audit_log"]));
    assert_eq!(scene.agent.status().await["agent"], "agent");
    scene.allows(403, 200).await;
    rename_over(&scene.file(), &scene.yaml(TWO));
    assert_eq!(scene.generation(3).await["needs_restart"], serde_json::json!([]));
}

/// With a signal, a wrong file is shouted about each time, with its place.
#[tokio::test]
async fn a_signal_reads_the_file_again() {
    let folder = Scratch::new();
    let good = yaml("127.0.0.1:1".parse().unwrap(), "127.0.0.1:1".parse().unwrap(), ONE);
    let mut agent = Process::start("agent", &good, &folder);
    agent.line(&["no link"]).await;
    agent.signal("HUP");
    agent.line(&["the configuration file has not changed"]).await;
    let shouts = |count| {
        let heard = || agent.log().iter().filter(|line| line.contains("the configuration file is wrong")).count();
        async move { until_so("a shout", || heard() == count).await }
    };
    rename_over(agent.file(), &good.replace("GET /bytes", "GET bytes"));
    shouts(1).await;
    agent.line(&["-->", "agent-", ".yaml:6:"]).await;
    agent.signal("HUP");
    shouts(2).await;
    rename_over(agent.file(), &good);
    agent.line(&["the configuration file is good again"]).await;
    assert!(agent.lives());
}
