//! Processes with few file descriptors: whoever needs one gets it from a connection that lies idle.

use std::process::Command;

use reachback_tests::{
    bridge::{Setup, Sidecar, agent_yaml, gateway_yaml},
    client::{Raw, call},
    peer::Peer,
    process::Process,
    scratch::Scratch,
    tls::Authority,
    upstream::Upstream,
    wait::{until, within},
};

/// Leaves a process 64 file descriptors.
fn few() -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", "ulimit -n 64 && exec \"$0\" \"$@\""]);
    shell
}

#[tokio::test]
async fn idle_clients_of_a_gateway_keep_out_neither_agents_nor_other_clients() {
    let (folder, upstream) = (Scratch::new(), Upstream::start().await);
    let gateway = Process::start_by(few(), "gateway", &gateway_yaml(""), &folder);
    let (facade, tunnel) = (gateway.address("facade").await, gateway.address("tunnel").await);
    let mut idle = Vec::new();
    for nth in 0..200 {
        let mut client = Raw::connect(facade).await;
        if nth % 2 == 0 {
            // Half a head is no request either.
            client.send("GET /").await;
        }
        idle.push(client);
    }
    let _agent = Sidecar::agent(&agent_yaml(tunnel, upstream.address(), Setup::default()), "".as_ref());
    gateway.line(&["link up"]).await;
    for _ in 0..3 {
        assert_eq!(call(facade, "GET", "/bytes/1", "").await.status(), 200);
    }
    assert_eq!(idle[1].closed().await, 0, "the oldest have given way");
    // One that is in use stays, however many knock.
    let mut waits = Raw::connect(facade).await;
    waits.send("GET /gate HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    upstream.until("a call", |counts| counts.requests == 4).await;
    for _ in 0..100 {
        idle.push(Raw::connect(facade).await);
    }
    assert_eq!(call(facade, "GET", "/bytes/1", "").await.status(), 200);
    upstream.open_gate(1);
    assert_eq!(waits.answer("GET").await.status(), 200);
}

#[tokio::test]
async fn strangers_at_the_tunnel_keep_out_neither_agents_nor_clients() {
    for with_tls in [false, true] {
        let (folder, upstream, authority) = (Scratch::new(), Upstream::start().await, Authority::new());
        folder.write("ca.pem", &authority.pem());
        folder.write("gateway.pem", &authority.issue(&["127.0.0.1"]));
        let tls = if with_tls { "tls: { cert_file: gateway.pem }" } else { "" };
        let gateway = Process::start_by(few(), "gateway", &gateway_yaml(tls), &folder);
        let (facade, tunnel) = (gateway.address("facade").await, gateway.address("tunnel").await);
        let mut strangers = Vec::new();
        for _ in 0..200 {
            strangers.push(Raw::connect(tunnel).await);
        }
        let setup = Setup { agent: if with_tls { "ca_file: ca.pem" } else { "" }, ..Setup::default() };
        let yaml = agent_yaml(tunnel, upstream.address(), setup);
        let yaml = if with_tls { yaml.replace("ws://", "wss://") } else { yaml };
        let _agent = Sidecar::agent(&yaml, folder.path());
        gateway.line(&["link up"]).await;
        assert_eq!(call(facade, "GET", "/bytes/1", "").await.status(), 200);
        assert!(!gateway.log().iter().any(|line| line.contains("out of resources")), "there was room for all others");
    }
}

#[tokio::test]
async fn agents_that_do_not_say_hello_keep_out_no_client() {
    let (folder, upstream) = (Scratch::new(), Upstream::start().await);
    let gateway = Process::start_by(few(), "gateway", &gateway_yaml(""), &folder);
    let (facade, tunnel) = (gateway.address("facade").await, gateway.address("tunnel").await);
    let _agent = Sidecar::agent(&agent_yaml(tunnel, upstream.address(), Setup::default()), folder.path());
    gateway.line(&["link up"]).await;
    let mut silent: Vec<_> = (0..60).map(|_| tokio::spawn(Peer::dial(tunnel, None))).collect();
    let first = silent.swap_remove(0).await.unwrap().unwrap();
    assert_eq!(call(facade, "GET", "/bytes/1", "").await.status(), 200);
    assert!(!gateway.log().iter().any(|line| line.contains("out of resources")), "there was room for all others");
    silent.iter().for_each(tokio::task::JoinHandle::abort);
    drop(first);
}

#[tokio::test]
async fn an_agent_refuses_what_it_has_no_descriptor_for_and_goes_on() {
    let (folder, upstream) = (Scratch::new(), Upstream::start().await);
    let gateway = Sidecar::gateway(&gateway_yaml(""));
    let facade = gateway.address("facade");
    let yaml = agent_yaml(gateway.address("tunnel"), upstream.address(), Setup::default());
    let agent = Process::start_by(few(), "agent", &yaml, &folder);
    gateway.until_links(1).await;
    let calls: Vec<_> = (0..100)
        .map(|_| tokio::spawn(async move { call(facade, "POST", "/gate", "Content-Length: 0\r\n").await }))
        .collect();
    let sent = until("some at the gate and the others answered", async || {
        let refused = calls.iter().filter(|call| call.is_finished()).count();
        let sent = upstream.counts().requests;
        (refused > 0 && sent + refused == calls.len()).then_some(sent)
    });
    let sent = sent.await;
    upstream.open_gate(100);
    let mut answered = 0;
    for answer in calls {
        let answer = within("an answer", answer).await.unwrap();
        match answer.failure() {
            None => answered += 1,
            failure => {
                assert_eq!((answer.status(), failure), (503, Some("overloaded")), "{answer:?}");
                assert!(answer.text().contains("\"retry_safe\":true"), "{answer:?}");
                assert!(answer.text().contains("ulimit -n"), "{answer:?}");
            }
        }
    }
    assert_eq!((answered, upstream.counts().requests), (sent, sent), "the others were not sent");
    for _ in 0..20 {
        assert_eq!(call(facade, "GET", "/bytes/1", "").await.status(), 200);
    }
    assert!(!agent.log().iter().any(|line| line.contains("link down")), "the link has stayed");
}
