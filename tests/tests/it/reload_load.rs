//! Many reloads: under load no request is lost and none is judged by half a file; gateways are not told too often.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use reachback_tests::{
    bridge::{self, Sidecar},
    client::Raw,
    scratch::Scratch,
    upstream::Upstream,
    wait::until_so,
};
use serde_json::Value;

const RELOADS: u64 = 100;
const CLIENTS: usize = 4;

/// Both services lead to this upstream, and allow this one path.
fn yaml(tunnel: SocketAddr, upstream: &Upstream, path: &str) -> String {
    let service =
        |name: &str| format!("  {name}: {{ upstream: \"http://{}\", allow: [ GET {path} ] }}\n", upstream.address());
    format!(
        "gateways: [ ws://{tunnel} ]\nadmin: {{ listen: 127.0.0.1:0 }}\naudit_log: audit.jsonl\nservices:\n{}{}",
        service("a"),
        service("b")
    )
}

/// Asks both services for both paths, over and over.
async fn ask(facade: SocketAddr, over: Arc<AtomicBool>, answered: Arc<AtomicU64>) {
    let mut client = Raw::connect(facade).await;
    while !over.load(Relaxed) {
        for target in ["/a/bytes/1", "/b/bytes/2", "/a/bytes/2", "/b/bytes/1"] {
            let answer = client.call("GET", target, "").await;
            match answer.status() {
                200 => assert_eq!(answer.body.len(), usize::from(target.ends_with('2')) + 1, "{target}"),
                403 => assert_eq!(answer.failure(), Some("denied"), "{target}"),
                other => panic!("{target}: {other} {}", answer.text()),
            }
            answered.fetch_add(1, Relaxed);
        }
    }
}

/// Which of the two configurations each decision was made by, in the order of the decisions.
fn verdicts(log: &Path) -> Vec<bool> {
    let text = fs::read_to_string(log).unwrap();
    let verdict = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let allowed = line["verdict"] == "allowed";
        allowed == (line["path"] == "/bytes/1")
    };
    text.lines().map(verdict).collect()
}

#[tokio::test]
async fn a_hundred_reloads_under_load() {
    let (folder, first, second) = (Scratch::new(), Upstream::start().await, Upstream::start().await);
    let gateway = Sidecar::gateway(&bridge::gateway_yaml(""));
    let texts = [(&first, "/bytes/1"), (&second, "/bytes/2")];
    let texts = texts.map(|(upstream, path)| yaml(gateway.address("tunnel"), upstream, path));
    folder.write("agent.yaml", &texts[0]);
    let file = folder.path().join("agent.yaml");
    let agent = Sidecar::agent_of(&file);
    gateway.until_links(1).await;

    let (over, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let facade = gateway.addresses("facade")[2];
    let clients: Vec<_> = (0..CLIENTS).map(|_| tokio::spawn(ask(facade, over.clone(), answered.clone()))).collect();
    for reload in 1..=RELOADS {
        // Each configuration decides something.
        let before = answered.load(Relaxed) + 8 * CLIENTS as u64;
        until_so("answers", || answered.load(Relaxed) >= before).await;
        let text = &texts[usize::from(reload % 2 == 1)];
        if reload % 4 < 2 {
            fs::write(&file, text).unwrap();
        } else {
            fs::write(file.with_extension("new"), text).unwrap();
            fs::rename(file.with_extension("new"), &file).unwrap();
        }
        let applied = |status: &Value| (status["reload"]["generation"] == reload + 1).then_some(());
        agent.until_status("the reload", applied).await;
    }
    over.store(true, Relaxed);
    for client in clients {
        client.await.expect("every request got one of the two answers that it may get");
    }

    let reload = agent.status().await["reload"].clone();
    assert_eq!((&reload["state"], &reload["failures"]), (&"current".into(), &0.into()));
    agent.drain();
    agent.ended().await;
    let verdicts = verdicts(&folder.path().join("audit.jsonl"));
    assert_eq!(verdicts.len() as u64, answered.load(Relaxed), "one line for each decision");
    let changes = verdicts.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(changes as u64 <= RELOADS, "{changes}: the services did not change together");
    assert!(changes as u64 > RELOADS / 2, "{changes}: the load was too small to show anything");
    for (upstream, path) in [(first, "/bytes/1"), (second, "/bytes/2")] {
        let strays = upstream.heads().into_iter().filter(|head| head.word(1) != path).count();
        assert_eq!(strays, 0, "what one configuration admitted went to the upstream of the other");
    }
}

/// More often than a gateway bears to be told: it would close the link.
const FLICKERS: u64 = 50;

#[tokio::test]
async fn a_flickering_service_does_not_cost_the_link() {
    let (folder, upstream) = (Scratch::new(), Upstream::start().await);
    let gateway = Sidecar::gateway(&bridge::gateway_yaml(""));
    let both = yaml(gateway.address("tunnel"), &upstream, "/bytes/1");
    let one = both.lines().filter(|line| !line.starts_with("  b:")).map(|line| format!("{line}\n")).collect::<String>();
    folder.write("agent.yaml", &both);
    let agent = Sidecar::agent_of(&folder.path().join("agent.yaml"));
    gateway.until_links(1).await;
    let link = gateway.status().await["links"][0]["address"].clone();
    for flicker in 1..=FLICKERS {
        folder.write("agent.yaml", if flicker % 2 == 0 { &both } else { &one });
        let applied = |status: &Value| (status["reload"]["generation"] == flicker + 1).then_some(());
        agent.until_status("the reload", applied).await;
    }
    folder.write("agent.yaml", &one);
    let told = |status: &Value| (status["links"][0]["services"] == serde_json::json!(["a"])).then_some(());
    gateway.until_status("the last change", told).await;
    assert_eq!(gateway.status().await["links"][0]["address"], link, "it is the same link");
}
