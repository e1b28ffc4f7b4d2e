//! Many agents that come back all at once, while calls over another link go on.

use std::time::Duration;

use reachback_tests::{
    bridge::{self, Setup, Sidecar},
    client::Raw,
    process::own_address,
    upstream::Upstream,
    wait::until,
};

/// As many as a large site has.
const AGENTS: usize = 500;

#[tokio::test]
async fn five_hundred_agents_come_back_while_calls_go_on() {
    let upstream = Upstream::start().await;
    let ip = own_address();
    let yaml = bridge::gateway_yaml("").replacen("listen: 127.0.0.1:0", &format!("listen: {ip}:7100"), 1);
    let mut gateway = Sidecar::gateway(&yaml);
    let tunnel = gateway.address("tunnel");
    let of_fleet = |number: usize| {
        format!(
            "name: edge-{number}\ngateways: [ ws://{tunnel} ]\n\
             services: {{ s{number}: {{ upstream: \"http://{}\", allow: [ \"GET /**\" ] }} }}\n",
            upstream.address()
        )
    };
    let _fleet = Sidecar::agents(&(0..AGENTS).map(of_fleet).collect::<Vec<_>>());
    let has =
        |count: usize| move |status: &serde_json::Value| (status["links"].as_array()?.len() == count).then_some(());
    gateway.until_status("the fleet", has(AGENTS)).await;
    gateway.kill();

    let gateway = Sidecar::gateway(&yaml);
    let _honest = Sidecar::agent(&bridge::agent_yaml(tunnel, upstream.address(), Setup::default()), "".as_ref());
    let mut client = Raw::connect(gateway.address("facade")).await;
    let started = std::time::Instant::now();
    let (mut calls, mut slowest) = (0, Duration::ZERO);
    let back = async || {
        let began = std::time::Instant::now();
        let answer = client.call("GET", "/bytes/9", "").await;
        assert_eq!((answer.status(), answer.body.len()), (200, 9), "a call while they come back");
        (calls, slowest) = (calls + 1, slowest.max(began.elapsed()));
        has(AGENTS + 1)(&gateway.status().await)
    };
    until("the fleet again", back).await;
    println!("back after {:?}; {calls} calls, the slowest took {slowest:?}", started.elapsed());
}
