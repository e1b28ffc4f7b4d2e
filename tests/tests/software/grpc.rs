//! gRPC with Python's grpcio on both sides: every kind of call, deadlines, cancelling, and failures of the bridge.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::PathBuf,
    process::Stdio,
};

use reachback_tests::{
    bridge::{self, Setup, Sidecar},
    scratch::Scratch,
};

use crate::program::{self, Killed};

/// The server, and a bridge to it that allows one of its services.
struct World {
    python: PathBuf,
    home: Scratch,
    server: SocketAddr,
    facade: SocketAddr,
    gateway: Sidecar,
    agent: Sidecar,
    _process: Killed,
}

impl World {
    /// `None` if Python has no grpcio.
    async fn start() -> Option<Self> {
        let (python, home) = (program::python("grpc", "python3-grpcio")?, Scratch::new());
        let mut command = program::command(&python, home.path());
        command.arg(program::script("with_grpc.py")).arg("serve").stdout(Stdio::piped());
        let mut process = Killed(command.spawn().unwrap());
        let mut port = String::new();
        BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
        let server = SocketAddr::from(([127, 0, 0, 1], port.trim().parse().unwrap()));
        let setup = Setup {
            gateway: "wait_for_agent: 0s",
            service: "protocol: h2c",
            allow: r#"[ "POST /shop.Orders/*" ]"#,
            ..Setup::default()
        };
        let (gateway, agent) = bridge::pair(server, "".as_ref(), setup).await;
        let facade = gateway.address("facade");
        Some(Self { python, home, server, facade, gateway, agent, _process: process })
    }

    /// What the client prints.
    async fn run(&self, arguments: &[&str]) -> Vec<String> {
        let mut command = program::command(&self.python, self.home.path());
        command.arg(program::script("with_grpc.py")).args(arguments);
        let ended = program::run(command).await;
        assert_eq!(ended.code, Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8_lossy(&ended.stdout).lines().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn every_kind_of_call() {
    let Some(world) = World::start().await else { return };
    let direct = world.run(&["call", &world.server.to_string()]).await;
    assert_eq!(direct.last().map(String::as_str), Some("that is all"));
    assert_eq!(world.run(&["call", &world.facade.to_string()]).await, direct);
}

#[tokio::test]
async fn failures_of_the_bridge_have_a_status_of_grpc() {
    let Some(mut world) = World::start().await else { return };
    let check = async |world: &World, method: &str, status: &str, code: &str| {
        let said = world.run(&["fail", &world.facade.to_string(), method]).await.join("\n");
        assert!(said.starts_with(&format!("{status}: ")), "{method}: {said}");
        assert!(said.contains(&format!("({code})")), "{method}: {said}");
    };
    check(&world, "/shop.Admin/Drop", "PERMISSION_DENIED", "denied").await;
    check(&world, "/shop.Orders/a/b", "PERMISSION_DENIED", "denied").await;
    world.agent.kill();
    world.gateway.until_links(0).await;
    check(&world, "/shop.Orders/Unary", "UNAVAILABLE", "no_agent").await;
}
