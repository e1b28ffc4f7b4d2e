//! Who may connect: credentials, services, TLS, and what an agent does when it is refused.

use proto::wire::{Frame, Hello};
use reachback_tests::{
    bridge::{self, Setup, Sidecar},
    client::{Raw, call},
    peer::{Peer, agent_hello},
    process::{Process, field, own_address},
    scratch::Scratch,
    tls::Relay,
    upstream::Upstream,
    wait::until,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    time::{Duration, Instant, timeout_at},
};

const TOKEN: &str = "seven-0123456789abcdef";

/// A gateway that knows one agent, `warehouse-7`, which may serve `orders` and `*.acme`.
fn guarded(folder: &Scratch) -> String {
    folder.write("seven.token", TOKEN);
    let file = folder.path().join("seven.token");
    let agents = format!(
        "agents:\n  - {{ name: warehouse-7, token_file: {}, services: [ orders, \"*.acme\" ] }}",
        file.display()
    );
    bridge::gateway_yaml(&agents)
}

#[tokio::test]
async fn strangers_get_plain_http_and_leave_nothing_behind() {
    let folder = Scratch::new();
    let gateway = Sidecar::gateway(&guarded(&folder));
    let good = format!("Authorization: Bearer {TOKEN}\r\n");
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: reachback.v1\r\n";
    let check = async |line: &str, headers: &str, status: u16| {
        let mut client = Raw::connect(gateway.address("tunnel")).await;
        client.send(format!("{line} HTTP/1.1\r\nHost: a\r\n{headers}\r\n")).await;
        let answer = client.answer("GET").await;
        assert_eq!(answer.status(), status, "{line} {headers}: {answer:?}");
        assert_eq!(answer.head.one("www-authenticate").is_some(), status == 401);
        assert_eq!(client.closed().await, 0, "nothing is kept of {headers}");
    };
    let get = "GET /reachback/v1";
    check(get, upgrade, 401).await;
    for wrong in [
        "Bearer wrong-0123456789abcdef",
        "Bearer seven-0123456789abcde",
        "Bearer seven-0123456789abcdefg",
        "Bearer",
        "Bearer ",
        "Basic seven-0123456789abcdef",
        "seven-0123456789abcdef",
    ] {
        check(get, &format!("Authorization: {wrong}\r\n{upgrade}"), 401).await;
    }
    check(get, &format!("{good}{good}{upgrade}"), 401).await;
    check("GET /reachback/v1?token=seven-0123456789abcdef", upgrade, 401).await;
    check("GET /reachback/v2", &format!("{good}{upgrade}"), 404).await;
    check("POST /reachback/v1", &format!("{good}{upgrade}"), 405).await;
    check(get, &format!("{good}{upgrade}Origin: https://evil.example\r\n"), 403).await;
    check(get, &good, 400).await;
    check(get, &format!("{good}{}", upgrade.replace("Version: 13", "Version: 8")), 426).await;
    check(get, &format!("{good}{}", upgrade.replace("reachback.v1", "reachback.v2")), 426).await;
    assert_eq!(gateway.status().await["links"], serde_json::json!([]));

    let peer = Peer::dial(gateway.address("tunnel"), Some(TOKEN)).await;
    assert!(peer.is_ok(), "the right one gets in");
}

#[tokio::test]
async fn an_agent_that_claims_too_much_is_told_so() {
    let folder = Scratch::new();
    let gateway = Sidecar::gateway(&guarded(&folder));
    let mut peer = Peer::dial(gateway.address("tunnel"), Some(TOKEN)).await.unwrap();
    peer.say(&Frame::Hello(Hello::Agent(agent_hello(&["orders"])))).await;
    gateway.until_links(1).await;
    peer.text(r#"{"type":"services","services":["orders","invoices"]}"#).await;
    assert_eq!(peer.closing().await, Some((1008, "service_not_permitted".to_owned())));
}

/// An agent process that dials `tunnel`, with a token.
fn agent(tunnel: std::net::SocketAddr, token: &str, service: &str, folder: &Scratch) -> Process {
    folder.write("own.token", token);
    let upstream = "127.0.0.1:9".parse().unwrap();
    let yaml = bridge::agent_yaml(tunnel, upstream, Setup { agent: "token_file: own.token", ..Setup::default() });
    Process::start("agent", &yaml.replace("  orders:", &format!("  {service}:")), folder)
}

/// How long it means to wait after the first dial, in milliseconds.
async fn wait_after_the_first_dial(agent: &Process) -> u64 {
    let line = agent.line(&["no link: dialling again"]).await;
    let dials = agent.log().iter().filter(|line| line.contains("no link: dialling again")).count();
    assert_eq!(dials, 1);
    field(&line, "wait_ms").expect("the log says how long")
}

#[tokio::test]
async fn a_refused_agent_holds_off() {
    let folder = Scratch::new();
    let gateway = Process::start("gateway", &guarded(&folder), &folder);
    let tunnel = gateway.address("tunnel").await;
    for (token, service, why) in [
        ("wrong-0123456789abcdef", "orders", "401"),
        (TOKEN, "invoices", "service_not_permitted"),
        (TOKEN, "acme", "service_not_permitted"),
    ] {
        let agent = agent(tunnel, token, service, &folder);
        agent.line(&["no link: dialling again", why]).await;
        let wait = wait_after_the_first_dial(&agent).await;
        assert!((60_000..=66_000).contains(&wait), "{why}: {wait} ms");
        assert!(agent.log().iter().all(|line| !line.contains(token)), "a token is in the log");
    }
    gateway.line(&["WARN", "401"]).await;
    gateway.line(&["WARN", "invoices", "may not serve"]).await;
    assert!(gateway.log().iter().all(|line| !line.contains("0123456789abcdef")), "a token is in the log");
}

/// However many links it would like to have.
#[tokio::test]
async fn a_refused_agent_dials_once_in_a_hold_off() {
    let folder = Scratch::new();
    folder.write("token", TOKEN);
    let refuses = "HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n";
    let tells = "HTTP/1.1 503 Busy\r\nRetry-After: 4\r\nContent-Length: 0\r\n\r\n";
    let dials = async |answer: &str| {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let setup = Setup { agent: "token_file: token\nlinks: 8", ..Setup::default() };
        let yaml = bridge::agent_yaml(listener.local_addr().unwrap(), "127.0.0.1:9".parse().unwrap(), setup);
        let _agent = Process::start("agent", &yaml, &folder);
        let mut dials = 0;
        let end = Instant::now() + Duration::from_secs(10);
        while let Ok(accepted) = timeout_at(end, listener.accept()).await {
            dials += 1;
            let (mut stream, _) = accepted.unwrap();
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
        }
        dials
    };
    let (refused, told) = tokio::join!(dials(refuses), dials(tells));
    assert_eq!(refused, 1, "dials in ten seconds of a minute");
    assert!((2..=3).contains(&told), "{told} dials in ten seconds, one each four");
}

#[tokio::test]
async fn an_agent_goes_by_the_time_that_it_is_told() {
    let folder = Scratch::new();
    let reject = r#"{"type":"reject","code":"not_now","message":"later","retry_after_ms":WAIT}"#;
    for (told, least, most) in [(5_000_u64, 5_000, 5_500), (86_400_000, 3_600_000, 3_960_000)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let agent = agent(listener.local_addr().unwrap(), TOKEN, "orders", &folder);
        let mut peer = Peer::accept(&listener).await;
        peer.next().await;
        peer.text(reject.replace("WAIT", &told.to_string())).await;
        let wait = wait_after_the_first_dial(&agent).await;
        assert!((least..=most).contains(&wait), "told {told} ms, waits {wait} ms");
    }
    for (answer, range) in [
        ("HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", 7_000..=7_700),
        ("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", 60_000..=66_000),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 0..=500),
        (
            "HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n",
            0..=500,
        ),
        ("garbage\r\n\r\n", 0..=500),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let agent = agent(listener.local_addr().unwrap(), TOKEN, "orders", &folder);
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = vec![0; 4096];
        let length = stream.read(&mut head).await.unwrap();
        let head = String::from_utf8_lossy(&head[..length]).to_ascii_lowercase();
        assert!(head.contains(&format!("authorization: bearer {TOKEN}")), "{head}");
        stream.write_all(answer.as_bytes()).await.unwrap();
        let wait = wait_after_the_first_dial(&agent).await;
        assert!(range.contains(&wait), "{answer:?}: waits {wait} ms");
    }
}

#[tokio::test]
async fn an_agent_is_known_by_its_credentials_name() {
    let (folder, upstream) = (Scratch::new(), Upstream::start().await);
    let gateway = Sidecar::gateway(&guarded(&folder));
    let setup = Setup { agent: "token_file: seven.token", ..Setup::default() };
    let yaml = bridge::agent_yaml(gateway.address("tunnel"), upstream.address(), setup);
    let _agent = Sidecar::agent(&yaml.replace("name: agent", "name: somebody-else"), folder.path());
    gateway.until_links(1).await;
    assert_eq!(gateway.status().await["links"][0]["agent"], "warehouse-7");
    assert_eq!(call(gateway.address("facade"), "GET", "/bytes/1", "").await.status(), 200);
}

#[tokio::test]
async fn over_tls_with_a_known_authority() {
    let (folder, upstream) = (Scratch::new(), Upstream::start().await);
    let gateway = Sidecar::gateway(&bridge::gateway_yaml(""));
    let relay = Relay::start("127.0.0.1".parse().unwrap(), gateway.address("tunnel")).await;
    folder.write("ca.pem", &relay.authority);
    let setup = Setup { agent: "ca_file: ca.pem", ..Setup::default() };
    let yaml = bridge::agent_yaml(relay.address, upstream.address(), setup).replace("ws://", "wss://");
    let _agent = Sidecar::agent(&yaml, folder.path());
    assert_eq!(call(gateway.address("facade"), "GET", "/bytes/100000", "").await.body.len(), 100_000);
}

#[tokio::test]
async fn no_tls_with_an_unknown_authority_or_another_name() {
    let (folder, upstream) = (Scratch::new(), Upstream::start().await);
    let gateway = Sidecar::gateway(&bridge::gateway_yaml(""));
    let tunnel = gateway.address("tunnel");
    let relay = Relay::start("127.0.0.1".parse().unwrap(), tunnel).await;
    let other = Relay::start("127.0.0.1".parse().unwrap(), tunnel).await;
    let elsewhere = Relay::start(own_address(), tunnel).await;
    folder.write("ca.pem", &relay.authority);
    folder.write("elsewhere.pem", &elsewhere.authority);
    let mut cases = vec![(relay.address, ""), (other.address, "ca_file: ca.pem")];
    if elsewhere.address.ip() != relay.address.ip() {
        cases.push((elsewhere.address, "ca_file: elsewhere.pem"));
    }
    for (address, ca) in cases {
        let yaml = bridge::agent_yaml(address, upstream.address(), Setup { agent: ca, ..Setup::default() });
        let agent = Sidecar::agent(&yaml.replace("ws://", "wss://"), folder.path());
        let error = until("the failed dial", async || {
            agent.status().await["gateways"][0]["last_error"].as_str().map(str::to_owned)
        });
        let error = error.await;
        assert!(error.contains("TLS handshake"), "{ca:?}: {error}");
    }
    assert_eq!(gateway.status().await["links"], serde_json::json!([]));
}
