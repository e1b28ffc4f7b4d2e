//! The real thing: a server and an agent on a host that nobody can connect to, and a gateway on another one.

use std::{fs, path::Path, process::Stdio};

use reachback_tests::{
    client::{Answer, Raw},
    process::Process,
    scratch::Scratch,
    wait::until,
};
use tokio::net::UnixStream;

use crate::{
    hosts::{ADDRESSES, Hosts},
    program::{self, Killed},
};

const TOKEN: &str = "seven-0123456789abcdef";

const GATEWAY: &str = "listen: 10.99.0.1:7100
insecure_listen: true
wait_for_agent: 60s
heartbeat: 1s
facades: [ { listen: unix:orders.sock, service: orders } ]
health: { listen: 0.0.0.0:7102 }
agents: [ { name: warehouse-7, token_file: token, services: [ orders ] } ]
";

const AGENT: &str = "gateways: [ ws://10.99.0.1:7100 ]
token_file: token
health: { listen: 0.0.0.0:7202 }
services: { orders: { upstream: http://127.0.0.1:3000, allow: [ GET /* ] } }
";

/// A Unix socket is a file, which both networks see: so the test itself stands in neither.
async fn call(folder: &Scratch, method: &str, target: &str) -> Option<Answer> {
    let mut client = Raw::over(UnixStream::connect(folder.path().join("orders.sock")).await.ok()?);
    Some(client.call(method, target, "").await)
}

/// Waits until the server answers.
async fn until_answered(folder: &Scratch) {
    until("an answer", async || call(folder, "GET", "/small").await.filter(|answer| answer.status() == 200)).await;
}

#[tokio::test]
async fn a_firewall_lets_only_the_agent_dial() {
    let Some(hosts) = Hosts::start() else { return };
    let Some(python) = program::python("http.server", "python3") else { return };
    let (folder, files) = (Scratch::new(), Scratch::new());
    folder.write("token", TOKEN);
    files.write("small", "forty-two");
    fs::write(files.path().join("large"), vec![7; 5_000_000]).unwrap();
    let mut server = hosts.agent.command(&python);
    server.args(["-m", "http.server", "3000", "--bind", "127.0.0.1", "--directory"]).arg(files.path());
    let _server = Killed(server.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    let _agent = Process::start_by(hosts.agent.runs(), "agent", AGENT, &folder);
    let mut gateway = Process::start_by(hosts.gateway.runs(), "gateway", GATEWAY, &folder);
    until_answered(&folder).await;

    let reaches = async |python: &Path| {
        let in_ = hosts.gateway.reaches(python, ADDRESSES[1], 7202).await;
        (in_, hosts.agent.reaches(python, ADDRESSES[0], 7102).await)
    };
    assert_eq!(reaches(&python).await, (true, true), "as long as there is no firewall");
    hosts.raise_firewall();
    assert_eq!(reaches(&python).await, (false, false));
    assert!(hosts.agent.reaches(&python, ADDRESSES[0], 7100).await, "the way out that is left");

    let checks = async |what: &str| {
        let answer = call(&folder, "GET", "/small").await.expect(what);
        assert_eq!((answer.status(), answer.text().as_str()), (200, "forty-two"), "{what}");
        let answer = call(&folder, "GET", "/large").await.expect(what);
        assert!(answer.whole && answer.body.len() == 5_000_000 && answer.body.iter().all(|byte| *byte == 7), "{what}");
        let answer = call(&folder, "DELETE", "/small").await.expect(what);
        assert_eq!((answer.status(), answer.failure()), (403, Some("denied")), "{what}");
    };
    checks("over the link that was there before").await;

    gateway.kill();
    let mut gateway = Process::start_by(hosts.gateway.runs(), "gateway", GATEWAY, &folder);
    until_answered(&folder).await;
    checks("over a link that the agent has dialled through the firewall").await;

    hosts.set_cable("down");
    gateway.line(&["link down"]).await;
    let waiting = call(&folder, "GET", "/small");
    hosts.set_cable("up");
    assert_eq!(waiting.await.map(|answer| answer.status()), Some(200));
    checks("after the cable was out").await;
    gateway.signal("TERM");
    assert_eq!(gateway.code().await, Some(0));
}
