//! Who is let in: approval, rejection and revocation, by `reachback agents` and by HTTP.

use std::net::SocketAddr;

use http::StatusCode;
use proto::wire::{Frame, Hello};
use reachback_tests::{
    bridge::{self, Setup, Sidecar},
    client::{self, Raw, call, http},
    peer::{Peer, Said, agent_hello},
    process::{Process, field, own_address, run},
    scratch::Scratch,
    upstream::Upstream,
    wait::{until, within},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

const TOKEN: &str = "seven-0123456789abcdef";

/// A gateway that lets in who is approved, with a state file in this folder.
fn approving(folder: &Scratch, more: &str) -> String {
    folder.write("seven.token", TOKEN);
    let path = folder.path().display();
    bridge::gateway_yaml(&format!(
        "admission: approve\nstate_file: {path}/state.json\n{more}\n\
         agents: [ {{ name: warehouse-7, token_file: {path}/seven.token, services: [ orders ] }} ]"
    ))
}

/// An agent with the token, beside this upstream.
fn agent(gateway: &Sidecar, upstream: &Upstream, folder: &Scratch) -> Sidecar {
    let setup = Setup { agent: "token_file: seven.token", ..Setup::default() };
    Sidecar::agent(&bridge::agent_yaml(gateway.address("tunnel"), upstream.address(), setup), folder.path())
}

/// Decides by HTTP.
async fn decide(gateway: &Sidecar, verb: &str, agent: &str) -> (StatusCode, Value) {
    let url = format!("http://{}/agents/{verb}", gateway.address("admin"));
    let request = http().post(url).header("content-type", "application/json");
    let answer = within("a decision", request.body(json!({ "agent": agent }).to_string()).send()).await.unwrap();
    let status = answer.status();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
}

/// The one agent that waits, once it does.
async fn pending(gateway: &Sidecar) -> Value {
    let waits = |status: &Value| Some(status["pending"][0].clone()).filter(|waiter| waiter["links"] == 1);
    gateway.until_status("an agent that waits", waits).await
}

#[tokio::test]
async fn an_agent_that_waits_for_approval_says_so() {
    let (folder, upstream) = (Scratch::new(), Upstream::start().await);
    let gateway = Sidecar::gateway(&approving(&folder, ""));
    let setup = Setup { agent: "token_file: seven.token", ..Setup::default() };
    let yaml = bridge::agent_yaml(gateway.address("tunnel"), upstream.address(), setup);
    let agent = Process::start("agent", &yaml, &folder);
    let why = "the gateway has not let this agent in yet: it may wait for approval";
    agent.line(&["INFO", why, "reachback agents list"]).await;
    let admin = agent.address("admin").await;
    let readiness = client::json(&format!("http://{admin}/readyz")).await;
    let reason = readiness["reasons"][0].as_str().unwrap();
    assert!(reason.starts_with("no link to ws://") && reason.contains(why), "{reason}");
    let last_error =
        async || client::json(&format!("http://{admin}/status")).await["gateways"][0]["last_error"].clone();
    assert!(last_error().await.as_str().unwrap().contains(why));
    decide(&gateway, "approve", "warehouse-7").await;
    until("a link", async || last_error().await.is_null().then_some(())).await;
}

#[tokio::test]
async fn an_agent_waits_for_approval_and_is_then_served() {
    let (folder, upstream) = (Scratch::new(), Upstream::start().await);
    let gateway = Sidecar::gateway(&approving(&folder, ""));
    let _agent = agent(&gateway, &upstream, &folder);
    let waiter = pending(&gateway).await;
    assert_eq!((&waiter["agent"], &waiter["calls_itself"]), (&json!("warehouse-7"), &json!("agent")));
    assert_eq!(waiter["services"], json!(["orders"]));
    assert!(waiter["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{waiter}");
    assert_eq!(waiter["instance"].as_str().unwrap().len(), 16);
    assert_eq!(gateway.status().await["links"], json!([]), "it is not there yet");

    let facade = gateway.address("facade");
    let waits = tokio::spawn(async move { call(facade, "GET", "/bytes/9", "").await });
    gateway.until_status("the request that waits", |status| (status["waiting"] == 1).then_some(())).await;
    let (status, decided) = decide(&gateway, "approve", "warehouse-7").await;
    assert_eq!(
        (status, &decided["decision"], &decided["services"]),
        (StatusCode::OK, &json!("approved"), &json!(["orders"]))
    );
    assert_eq!(within("the answer", waits).await.unwrap().status(), 200);
    assert_eq!(gateway.status().await["pending"], json!([]));
}

#[tokio::test]
async fn decisions_outlive_the_gateway_and_revoking_closes_links() {
    let (folder, upstream) = (Scratch::new(), Upstream::start().await);
    let mut gateway = Sidecar::gateway(&approving(&folder, ""));
    let first = agent(&gateway, &upstream, &folder);
    pending(&gateway).await;
    decide(&gateway, "approve", "warehouse-7").await;
    gateway.until_links(1).await;
    drop(first);
    gateway.kill();

    let gateway = Sidecar::gateway(&approving(&folder, ""));
    let _second = agent(&gateway, &upstream, &folder);
    gateway.until_links(1).await;
    let mut stays = Peer::dial(gateway.address("tunnel"), Some(TOKEN)).await.unwrap();
    stays.say(&Frame::Hello(Hello::Agent(agent_hello(&["orders"])))).await;
    gateway.until_links(2).await;
    assert_eq!(decide(&gateway, "reject", "warehouse-7").await.0, StatusCode::CONFLICT, "it is approved");
    let (status, decided) = decide(&gateway, "revoke", "warehouse-7").await;
    assert_eq!((status, &decided["links_closed"]), (StatusCode::OK, &json!(2)));
    assert!(stays.closing().await.is_some(), "the link is closed");
    gateway.until_links(0).await;
    let again = greeted(gateway.address("tunnel")).await;
    assert!(matches!(&again, Said::Frame(Frame::Reject(reject)) if reject.code == "rejected"), "{again:?}");
}

/// What the gateway answers to an agent with the token.
async fn greeted(tunnel: SocketAddr) -> Said {
    let mut peer = Peer::dial(tunnel, Some(TOKEN)).await.unwrap();
    peer.say(&Frame::Hello(Hello::Agent(agent_hello(&["orders"])))).await;
    peer.next().await
}

#[tokio::test]
async fn whoever_is_held_for_too_long_is_told_when_to_come_back() {
    let folder = Scratch::new();
    let gateway = Sidecar::gateway(&approving(&folder, "admission_hold: 50ms"));
    let Said::Frame(Frame::Reject(reject)) = greeted(gateway.address("tunnel")).await else { panic!("no reject") };
    assert_eq!((reject.code.as_str(), reject.retry_after.as_secs()), ("approval_pending", 15));
    assert!(reject.message.contains("reachback agents approve warehouse-7"), "{}", reject.message);
    let waiter = gateway.status().await["pending"][0].clone();
    assert_eq!((&waiter["agent"], &waiter["links"]), (&json!("warehouse-7"), &json!(0)), "it is expected back");
    assert_eq!(decide(&gateway, "approve", "warehouse-7").await.0, StatusCode::OK);
    assert!(matches!(greeted(gateway.address("tunnel")).await, Said::Frame(Frame::Hello(_))));
}

#[tokio::test]
async fn whoever_speaks_while_it_is_held_is_shown_the_door() {
    let folder = Scratch::new();
    let gateway = Sidecar::gateway(&approving(&folder, ""));
    for said in [r#"{"type":"services","services":[]}"#, "hello"] {
        let mut peer = Peer::dial(gateway.address("tunnel"), Some(TOKEN)).await.unwrap();
        peer.say(&Frame::Hello(Hello::Agent(agent_hello(&["orders"])))).await;
        pending(&gateway).await;
        peer.text(said).await;
        assert_eq!(peer.closing().await.map(|(code, _)| code), Some(1002), "{said}");
        let left = |status: &Value| (status["pending"][0]["links"] == 0).then_some(());
        gateway.until_status("the end of its wait", left).await;
    }
    let peer = Peer::dial(gateway.address("tunnel"), Some(TOKEN)).await.unwrap();
    drop(peer);
    gateway.drain();
    gateway.ended().await;
}

#[tokio::test]
async fn a_drain_sends_away_who_is_held() {
    let folder = Scratch::new();
    let gateway = Sidecar::gateway(&approving(&folder, ""));
    let mut peer = Peer::dial(gateway.address("tunnel"), Some(TOKEN)).await.unwrap();
    peer.say(&Frame::Hello(Hello::Agent(agent_hello(&["orders"])))).await;
    pending(&gateway).await;
    gateway.drain();
    let said = peer.next().await;
    assert!(matches!(&said, Said::Frame(Frame::Reject(reject)) if reject.code == "draining"), "{said:?}");
    gateway.ended().await;
}

#[tokio::test]
async fn without_credentials_more_services_need_another_approval() {
    let gateway = Sidecar::gateway(&bridge::gateway_yaml("admission: approve"));
    let tunnel = gateway.address("tunnel");
    let mut peer = Peer::dial(tunnel, None).await.unwrap();
    peer.say(&Frame::Hello(Hello::Agent(agent_hello(&["orders"])))).await;
    pending(&gateway).await;
    decide(&gateway, "approve", "peer").await;
    gateway.until_links(1).await;
    peer.text(r#"{"type":"services","services":["orders","billing"]}"#).await;
    assert!(peer.closing().await.is_some(), "nobody has approved that");
    gateway.until_links(0).await;
    let mut more = Peer::dial(tunnel, None).await.unwrap();
    more.say(&Frame::Hello(Hello::Agent(agent_hello(&["orders", "billing"])))).await;
    assert_eq!(pending(&gateway).await["services"], json!(["billing", "orders"]));
}

#[tokio::test]
async fn no_browser_decides() {
    let folder = Scratch::new();
    let gateway = Sidecar::gateway(&approving(&folder, ""));
    let admin = gateway.address("admin");
    let body = r#"{"agent":"warehouse-7"}"#;
    let post = async |host: &str, more: &str, body: &str| {
        let mut client = Raw::connect(admin).await;
        let length = body.len();
        client
            .send(format!(
                "POST /agents/revoke HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length}\r\n{more}\r\n{body}"
            ))
            .await;
        client.answer("POST").await.status()
    };
    let is_json = "Content-Type: application/json\r\n";
    for (host, more, expected) in [
        ("evil.example", is_json.to_owned(), 403),
        ("evil.example:7101", is_json.to_owned(), 403),
        ("localhost", format!("{is_json}Origin: http://localhost\r\n"), 403),
        ("localhost", format!("{is_json}Origin: null\r\n"), 403),
        ("localhost", "Content-Type: text/plain\r\n".to_owned(), 415),
        ("localhost", String::new(), 415),
    ] {
        assert_eq!(post(host, &more, body).await, expected, "{host} {more}");
    }
    assert_eq!(post("localhost", is_json, &format!("{{\"agent\":\"{}\"}}", "x".repeat(5000))).await, 413);
    assert_eq!(call(admin, "GET", "/agents/revoke", "").await.status(), 405);
    assert_eq!(call(admin, "GET", "/status", "Origin: http://localhost\r\n").await.status(), 403);
    assert_eq!(gateway.status().await["decisions"], json!([]), "nothing was decided");
    assert_eq!(post("localhost", is_json, body).await, 200);
    assert_eq!(gateway.status().await["decisions"][0]["decision"], "rejected");
}

#[tokio::test]
async fn the_command_lists_and_decides() {
    let folder = Scratch::new();
    let gateway = Sidecar::gateway(&approving(&folder, ""));
    let admin = gateway.address("admin").to_string();
    let command = async |args: &[&str]| run(&[&["agents", "--admin", &admin], args].concat()).await;
    let (code, output) = command(&["list"]).await;
    assert!(code == 0 && output.contains("New agents wait until they are approved."), "{output}");
    let mut peer = Peer::dial(gateway.address("tunnel"), Some(TOKEN)).await.unwrap();
    peer.say(&Frame::Hello(Hello::Agent(agent_hello(&["orders"])))).await;
    pending(&gateway).await;
    let (_, output) = command(&["list"]).await;
    assert!(output.contains("warehouse-7  pending  orders") && output.contains("calls itself peer"), "{output}");
    let (code, output) = command(&["approve", "warehouse-8"]).await;
    assert!(code == 1 && output.contains("no agent is named \"warehouse-8\""), "{output}");
    let (code, output) = command(&["revoke", "warehouse-8"]).await;
    assert!(code == 1 && output.contains("did you mean \"warehouse-7\"?"), "{output}");
    assert_eq!(gateway.status().await["decisions"], json!([]), "nothing was decided");
    let (code, output) = command(&["approve", "warehouse-7"]).await;
    assert!(code == 0 && output.contains("warehouse-7 is approved for orders"), "{output}");
    gateway.until_links(1).await;
    let (code, output) = command(&["revoke", "warehouse-7"]).await;
    assert!(
        code == 0 && output.contains("warehouse-7 is revoked, and sent away from now on; links closed: 1"),
        "{output}"
    );
    gateway.until_links(0).await;
    let (_, output) = command(&["list"]).await;
    assert!(output.contains("warehouse-7  rejected"), "{output}");
    assert_eq!(command(&["approve", "warehouse-7"]).await.0, 0);
    assert_eq!(command(&["revoke", "warehouse-7"]).await.0, 0, "also where nobody waits");
    let (code, output) = run(&["agents", "list", "--admin", &format!("{}:9", own_address())]).await;
    assert!(code == 1 && output.contains("cannot ask the gateway"), "{output}");
}

#[tokio::test]
async fn a_full_disk_keeps_nobody_from_being_revoked() {
    let (folder, upstream) = (Scratch::new(), Upstream::start().await);
    let state = folder.path().join("state");
    std::fs::create_dir(&state).unwrap();
    let gateway = Sidecar::gateway(&approving(&folder, "").replace("/state.json", "/state/state.json"));
    let admin = gateway.address("admin").to_string();
    let command = async |args: &[&str]| run(&[&["agents", "--admin", &admin], args].concat()).await;
    assert_eq!(command(&["approve", "warehouse-7"]).await.0, 0, "before it comes");
    let _agent = agent(&gateway, &upstream, &folder);
    gateway.until_links(1).await;
    std::fs::remove_dir_all(&state).unwrap();
    let (code, output) = command(&["revoke", "warehouse-7"]).await;
    assert!(code == 1 && output.contains("links closed: 1; but only until the gateway restarts"), "{output}");
    assert!(output.contains("\n = its folder must exist"), "{output}");
    gateway.until_links(0).await;
    let again = greeted(gateway.address("tunnel")).await;
    assert!(matches!(&again, Said::Frame(Frame::Reject(reject)) if reject.code == "rejected"), "{again:?}");
    let (code, output) = command(&["approve", "warehouse-7"]).await;
    assert!(code == 1 && output.contains("cannot write the state file"), "{output}");
    let again = greeted(gateway.address("tunnel")).await;
    assert!(matches!(&again, Said::Frame(Frame::Reject(reject)) if reject.code == "rejected"), "{again:?}");
}

#[tokio::test]
async fn a_damaged_state_file_stops_the_gateway_and_survives_it() {
    let folder = Scratch::new();
    folder.write("state.json", "{ half of it");
    let mut gateway = Process::start("gateway", &approving(&folder, ""), &folder);
    assert_eq!(gateway.code().await, Some(1));
    gateway.line(&["state.json is damaged"]).await;
    gateway.line(&["it was left as it is"]).await;
    assert_eq!(std::fs::read_to_string(folder.path().join("state.json")).unwrap(), "{ half of it");
}

#[tokio::test]
async fn a_rejected_agent_dials_once_in_its_hold_off() {
    let folder = Scratch::new();
    let upstream = "127.0.0.1:9".parse().unwrap();
    let reject = r#"{"type":"reject","code":"rejected","message":"no","retry_after_ms":60000}"#;
    let mut cases = Vec::new();
    for by_reject in [true, false] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let yaml = bridge::agent_yaml(listener.local_addr().unwrap(), upstream, Setup::default());
        let agent = Process::start("agent", &yaml, &folder);
        cases.push(async move {
            if by_reject {
                let mut peer = Peer::accept(&listener).await;
                peer.next().await;
                peer.text(reject).await;
            } else {
                let (stream, _) = within("a dial", listener.accept()).await.unwrap();
                let mut client = Raw::over(stream);
                client.head().await;
                client.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").await;
                client.finish().await;
            }
            let line = agent.line(&["no link: dialling again"]).await;
            assert!(field::<u64>(&line, "wait_ms").unwrap() >= 60_000, "{line}");
            let again = tokio::time::timeout(std::time::Duration::from_secs(10), listener.accept()).await;
            assert!(again.is_err(), "it dialled again within ten seconds (by reject: {by_reject})");
        });
    }
    let second = cases.pop().unwrap();
    tokio::join!(cases.pop().unwrap(), second);
}

#[tokio::test]
async fn held_links_are_capped_in_number() {
    let gateway = Sidecar::gateway(&bridge::gateway_yaml("admission: approve"));
    let mut held = Vec::new();
    for number in 0..64 {
        let mut peer = Peer::dial(gateway.address("tunnel"), None).await.unwrap();
        let mut hello = agent_hello(&["orders"]);
        hello.agent = format!("peer-{number}");
        peer.say(&Frame::Hello(Hello::Agent(hello))).await;
        held.push(peer);
    }
    let all = async || (gateway.status().await["pending"].as_array().unwrap().len() == 64).then_some(());
    until("all of them", all).await;
    let mut peer = Peer::dial(gateway.address("tunnel"), None).await.unwrap();
    peer.say(&Frame::Hello(Hello::Agent(agent_hello(&["orders"])))).await;
    let said = peer.next().await;
    assert!(matches!(&said, Said::Frame(Frame::Reject(reject)) if reject.code == "too_many_pending"), "{said:?}");
}
