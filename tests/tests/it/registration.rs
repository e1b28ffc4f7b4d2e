//! Registering by one-time codes: with the commands that people use, and by strangers who guess.

use std::{fs, os::unix::fs::PermissionsExt as _, time::SystemTime};

use gateway::config::TotpSecret;
use proto::wire::{Frame, Hello};
use reachback_tests::{
    bridge::{self, Setup, Sidecar},
    client::{Raw, call},
    peer::{Peer, agent_hello},
    process::{own_address, run, run_with},
    scratch::Scratch,
    upstream::Upstream,
    wait::until,
};
use serde_json::{Value, json};

const SECRET: &[u8] = b"12345678901234567890";

/// A folder with a secret, and an agent's file that names a token which is not there.
struct Scene {
    folder: Scratch,
    gateway: String,
    upstream: Upstream,
    secret: TotpSecret,
}

impl Scene {
    async fn new() -> Self {
        let (folder, upstream) = (Scratch::new(), Upstream::start().await);
        let secret = TotpSecret::new(SECRET).unwrap();
        folder.write("seven.totp", &secret.base32());
        let path = folder.path().display();
        let more = format!(
            "state_file: {path}/state.json\nagents: [ {{ name: warehouse-7, totp_secret_file: {path}/seven.totp, services: [ orders ] }} ]"
        );
        // An address of its own, so that the gateway comes back where it was.
        let gateway = bridge::gateway_yaml(&more).replacen("127.0.0.1:0", &format!("{}:7100", own_address()), 1);
        Self { folder, gateway, upstream, secret }
    }

    fn start(&self) -> Sidecar {
        let gateway = Sidecar::gateway(&self.gateway);
        let setup = Setup { agent: "token_file: own.token", ..Setup::default() };
        self.folder.write("agent.yaml", &bridge::agent_yaml(gateway.address("tunnel"), self.upstream.address(), setup));
        gateway
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// The code of the step that many after this one.
    fn code(&self, later: i64) -> String {
        let (step, _) = TotpSecret::step_at(SystemTime::now());
        String::from_utf8_lossy(&self.secret.code(step.checked_add_signed(later).unwrap())).into_owned()
    }

    /// `reachback register` with this code.
    async fn register(&self, code: &str) -> (i32, String) {
        run_with(&["register", "--config", &self.path("agent.yaml")], code).await
    }

    fn agent(&self) -> Sidecar {
        Sidecar::agent_of(&self.folder.path().join("agent.yaml"))
    }
}

/// What a gateway answers to a code, shown by whoever makes the request by hand.
async fn shown(gateway: &Sidecar, code: &str, token: &str, more: &str) -> (u16, Option<u32>) {
    let mut client = Raw::connect(gateway.address("tunnel")).await;
    let headers = format!("Authorization: Bearer {token}\r\nReachback-Registration-Code: {code}\r\n{more}");
    client.send(format!("POST /reachback/v1 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n{headers}\r\n")).await;
    let answer = client.answer("POST").await;
    assert_eq!(client.closed().await, 0, "nothing is kept of it");
    (answer.status(), answer.head.one("retry-after").and_then(|value| value.parse().ok()))
}

#[tokio::test]
async fn an_agent_registers_once_and_is_known_from_then_on() {
    let scene = Scene::new().await;
    let mut gateway = scene.start();
    let (code, printed) = run(&["token", "code", "--secret-file", &scene.path("seven.totp")]).await;
    assert_eq!(code, 0, "{printed}");
    let digits = printed.lines().find(|line| line.len() == 6).expect("the code stands alone").to_owned();
    // As an authenticator app shows it.
    let (code, printed) = scene.register(&format!("{} {}\n", &digits[..3], &digits[3..])).await;
    assert!(code == 0 && printed.contains("registered as warehouse-7"), "{printed}");
    let token = fs::read_to_string(scene.path("own.token")).unwrap();
    assert!(token.starts_with("rb_") && token.trim().len() == 67, "it is a token of 32 bytes");
    let rights = fs::metadata(scene.path("own.token")).unwrap().permissions().mode();
    assert_eq!(rights & 0o777, 0o600);
    let state = fs::read_to_string(scene.path("state.json")).unwrap();
    assert!(state.contains("warehouse-7") && !state.contains(token.trim()), "only a digest is kept");
    assert!(!printed.contains(token.trim()) && !fs::exists(scene.path("own.token.new")).unwrap());

    let agent = scene.agent();
    gateway.until_links(1).await;
    let link = gateway.status().await["links"][0].clone();
    assert_eq!((&link["agent"], &link["proof"]), (&json!("warehouse-7"), &json!("registration")));
    assert_eq!(call(gateway.address("facade"), "GET", "/bytes/9", "").await.body.len(), 9);
    assert_eq!(shown(&gateway, &digits, "rb_another-0123456789", "").await.0, 401, "the code is spent");
    let (code, printed) = scene.register(&scene.code(1)).await;
    assert!(code == 1 && printed.contains("there is a token already"), "{printed}");

    // The gateway forgets nothing.
    gateway.kill();
    let gateway = scene.start();
    gateway.until_links(1).await;
    for later in [0, 1] {
        assert_eq!(shown(&gateway, &scene.code(later), "rb_another-0123456789", "").await.0, 401, "{later}");
    }
    let admin = gateway.address("admin").to_string();
    let (code, printed) = run(&["agents", "revoke", "warehouse-7", "--admin", &admin]).await;
    assert!(code == 0 && printed.contains("links closed: 1"), "{printed}");
    gateway.until_links(0).await;
    drop(agent);
    let again = scene.agent();
    let refused = until("the refusal", async || {
        again.status().await["gateways"][0]["last_error"].as_str().map(str::to_owned).filter(|why| why.contains("401"))
    });
    refused.await;
    assert_eq!(shown(&gateway, &scene.code(1), "rb_another-0123456789", "").await.0, 401, "it is rejected");
}

#[tokio::test]
async fn a_revoked_agent_can_be_let_in_to_register_anew() {
    let scene = Scene::new().await;
    let gateway = scene.start();
    let admin = gateway.address("admin").to_string();
    let first = scene.code(0);
    assert_eq!(scene.register(&first).await.0, 0);
    assert_eq!(run(&["agents", "revoke", "warehouse-7", "--admin", &admin]).await.0, 0);
    assert_eq!(run(&["agents", "approve", "warehouse-7", "--admin", &admin]).await.0, 0);
    let old = fs::read_to_string(scene.path("own.token")).unwrap();
    fs::remove_file(scene.path("own.token")).unwrap();
    let (code, printed) = scene.register(&first).await;
    assert!(code == 1 && printed.contains("401"), "the first code stays spent: {printed}");
    let (code, printed) = scene.register(&scene.code(1)).await;
    assert!(code == 0, "{printed}");
    assert_ne!(fs::read_to_string(scene.path("own.token")).unwrap(), old, "a revoked token is never used again");
    let _agent = scene.agent();
    gateway.until_links(1).await;
}

#[tokio::test]
async fn a_revoked_token_is_good_for_nothing_that_has_begun_with_it() {
    let scene = Scene::new().await;
    let gateway = scene.start();
    let admin = gateway.address("admin").to_string();
    let token = "rb_another-0123456789";
    assert_eq!(shown(&gateway, &scene.code(0), token, "").await.0, 201);
    let mut half_way = Peer::dial(gateway.address("tunnel"), Some(token)).await.unwrap();
    assert_eq!(run(&["agents", "revoke", "warehouse-7", "--admin", &admin]).await.0, 0);
    assert_eq!(run(&["agents", "approve", "warehouse-7", "--admin", &admin]).await.0, 0);
    half_way.say(&Frame::Hello(Hello::Agent(agent_hello(&["orders"])))).await;
    assert!(half_way.closing().await.is_some(), "it has shown the old token before it was revoked");
    gateway.until_links(0).await;
}

#[tokio::test]
async fn who_has_registered_may_still_need_approval() {
    let scene = Scene::new().await;
    let gateway = Sidecar::gateway(&scene.gateway.replace("state_file", "admission: approve\nstate_file"));
    let token = "rb_another-0123456789";
    assert_eq!(shown(&gateway, &scene.code(0), token, "").await.0, 201);
    let mut peer = Peer::dial(gateway.address("tunnel"), Some(token)).await.unwrap();
    peer.say(&Frame::Hello(Hello::Agent(agent_hello(&["orders"])))).await;
    let waits = |status: &Value| (status["pending"][0]["agent"] == "warehouse-7").then_some(());
    gateway.until_status("an agent that waits", waits).await;
}

#[tokio::test]
async fn guessing_is_slowed_down_whatever_the_address() {
    let scene = Scene::new().await;
    let gateway = Sidecar::gateway(&scene.gateway.replace("state_file", "address_header: X-Forwarded-For\nstate_file"));
    let from = |at: u32| format!("X-Forwarded-For: 192.0.2.{at}\r\n");
    for at in 0..5 {
        assert_eq!(shown(&gateway, "000000", "rb_another-0123456789", &from(at)).await, (401, None), "{at}");
    }
    for code in ["000000", &scene.code(0)] {
        let (status, retry_after) = shown(&gateway, code, "rb_another-0123456789", &from(9)).await;
        assert_eq!(status, 429, "{code}: none is judged, not even a good one");
        assert!((1..=31).contains(&retry_after.unwrap()), "{retry_after:?}");
    }
    let origin = "Origin: https://evil.example\r\n";
    assert_eq!(shown(&gateway, &scene.code(0), "rb_another-0123456789", origin).await.0, 403);
    assert_eq!(shown(&gateway, "12345", "rb_another-0123456789", "").await.0, 400);
    assert!(!fs::read_to_string(scene.path("state.json")).unwrap().contains("warehouse-7"));
}

#[tokio::test]
async fn what_goes_wrong_is_said_and_the_same_token_is_tried_again() {
    let scene = Scene::new().await;
    let mut gateway = scene.start();
    let (code, printed) = scene.register("12345").await;
    assert!(code == 2 && printed.contains("six digits") && !printed.contains("12345"), "{printed}");
    let (code, printed) = scene.register(&scene.code(5)).await;
    assert!(code == 1 && printed.contains("401") && printed.contains("wrong, too old or used already"), "{printed}");
    let pending = fs::read_to_string(scene.path("own.token.new")).unwrap();
    assert!(!fs::exists(scene.path("own.token")).unwrap(), "an agent must not start with it");
    gateway.kill();
    let (code, printed) = scene.register(&scene.code(0)).await;
    assert!(code == 1 && printed.contains("cannot connect"), "{printed}");
    // Its answer got lost, it seems.
    let gateway = scene.start();
    assert_eq!(shown(&gateway, &scene.code(0), pending.trim(), "").await.0, 201);
    let (code, printed) = scene.register("000000").await;
    assert!(code == 0 && printed.contains("registered as warehouse-7"), "{printed}");
    assert_eq!(fs::read_to_string(scene.path("own.token")).unwrap(), pending);

    scene.folder.write("agent.yaml", &fs::read_to_string(scene.path("agent.yaml")).unwrap().replace("token_file", "#"));
    let (code, printed) = scene.register(&scene.code(1)).await;
    assert!(code == 2 && printed.contains("add `token_file`"), "{printed}");
}
