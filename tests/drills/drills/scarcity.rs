//! Strangers that take what they can, and processes that have too little.

use std::time::Duration;

use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::sleep};

use super::Scale;
use crate::{
    client::Call,
    load::Load,
    report::Report,
    stage::{Plan, Stage},
};

/// How long the gateway may take to send a slow stranger away: the deadline of a handshake, twice, and a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// Thousands connect to the tunnel and say a byte a second. They are sent away, and nobody else notices.
pub(crate) async fn handshakes(scale: Scale) -> Report {
    let stage = Stage::set(Plan::default()).await;
    let load = Load::start(&stage, 100);
    let mut strangers = Vec::new();
    for _ in 0..scale.of(500, 5000) {
        if let Ok(mut stranger) = TcpStream::connect(stage.tunnels[0]).await {
            let _ = stranger.write_all(b"GET /reachback/v1 HTTP/1.1\r\nX-").await;
            strangers.push(stranger);
        }
    }
    // The short form does not wait until they have been sent away: it leaves by itself.
    for _ in 0..scale.of(2, PATIENCE.as_secs()) {
        sleep(Duration::from_secs(1)).await;
        strangers.retain(|stranger| stranger.try_write(b"x").is_ok());
        if strangers.is_empty() {
            break;
        }
    }
    let left = scale.of(0, strangers.len());
    drop(strangers);
    load.stop().await;
    let mut report = stage.finish("handshakes").await;
    report.expect(left == 0, || format!("{left} strangers were not sent away within {} s", PATIENCE.as_secs()));
    report.expect_no_failure();
    report
}

/// A gateway with 256 descriptors, and more connections than that. Idle ones give way to those that wait in the
/// listener's queue, none is forgotten there, and the gateway does not spin.
pub(crate) async fn descriptors_gateway(_: Scale) -> Report {
    let stage = Stage::set(Plan { descriptors: (Some(256), None), ..Plan::default() }).await;
    let load = Load::start(&stage, 50);
    sleep(Duration::from_secs(1)).await;
    let mut idle = Vec::new();
    // More than it can take at once.
    for _ in 0..600 {
        idle.extend(TcpStream::connect(stage.facades[0]).await);
    }
    let spent = stage.gateways[0].cpu();
    // No longer: each request that waits makes a connection that the client then keeps, and its own must not be too many.
    let held = Duration::from_secs(3);
    sleep(held).await;
    let spent = stage.gateways[0].cpu() - spent;
    drop(idle);
    sleep(Duration::from_secs(1)).await;
    load.stop().await;
    let mut report = stage.finish("descriptors-gateway").await;
    report.expect(spent < held / 2, || format!("the gateway was busy for {spent:?} of {held:?}: it spins"));
    report.expect_no_failure();
    report
}

/// An agent with 256 descriptors, and more requests at once than that. What it cannot connect for is refused, safely.
pub(crate) async fn descriptors_agent(scale: Scale) -> Report {
    let stage = Stage::set(Plan { descriptors: (None, Some(256)), ..Plan::default() }).await;
    let slow = Call { pause: Duration::from_secs(1), ..Call::get(100) };
    let before = stage.agents[0].cpu();
    let rounds = scale.of(2, 10);
    for _ in 0..rounds {
        stage.calls(400, slow).await;
    }
    let spent = stage.agents[0].cpu() - before;
    let mut report = stage.finish("descriptors-agent").await;
    let bound = Duration::from_millis(500) * rounds;
    report.expect(spent < bound, || format!("the agent was busy for {spent:?}: it spins"));
    report.expect(report.whole() > 0, || "nothing passed".to_owned());
    report.expect_only(&["upstream_refused", "overloaded"]);
    report
}
