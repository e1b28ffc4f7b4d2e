//! Faults of the link between agent and gateway.

use std::time::Duration;

use tokio::time::sleep;

use super::{LOST, Scale};
use crate::{
    client::Call,
    load::Load,
    relay::{Fault, Relay},
    report::Report,
    stage::{Plan, Stage},
};

/// Links have a round trip of 10 ms, and every connection is reset, every 2 s.
pub(crate) async fn resets(scale: Scale) -> Report {
    ended_again_and_again("resets", scale, |relay| {
        relay.set(|fault| fault.delay = Duration::from_millis(5));
        relay.reset();
    })
    .await
}

/// What passes comes in small pieces, and every connection is closed within one of them, every 2 s.
pub(crate) async fn cuts(scale: Scale) -> Report {
    ended_again_and_again("cuts", scale, |relay| {
        relay.set(|fault| fault.slice = 61);
        relay.cut();
    })
    .await
}

async fn ended_again_and_again(name: &'static str, scale: Scale, end: impl Fn(&Relay)) -> Report {
    let stage = Stage::set(Plan { agents: 2, ..Plan::default() }).await;
    let load = Load::start(&stage, 100);
    for _ in 0..scale.of(2, 30) {
        sleep(Duration::from_secs(2)).await;
        stage.relays.iter().for_each(&end);
    }
    stage.linked().await;
    sleep(Duration::from_secs(1)).await;
    load.stop().await;
    stage.relays.iter().for_each(|relay| relay.set(|fault| (fault.slice, fault.delay) = (0, Duration::ZERO)));
    let mut report = stage.finish(name).await;
    report.expect_only(&LOST);
    report
}

/// Nothing passes in either direction.
pub(crate) async fn black_hole(scale: Scale) -> Report {
    hole("black-hole", scale, |fault, is| (fault.hole_there, fault.hole_back) = (is, is)).await
}

/// The gateway hears nothing of the agents.
pub(crate) async fn one_way_there(scale: Scale) -> Report {
    hole("one-way-there", scale, |fault, is| fault.hole_there = is).await
}

/// The agents hear nothing of the gateway.
pub(crate) async fn one_way_back(scale: Scale) -> Report {
    hole("one-way-back", scale, |fault, is| fault.hole_back = is).await
}

async fn hole(name: &'static str, scale: Scale, set: impl Fn(&mut Fault, bool)) -> Report {
    let heartbeat = scale.seconds(1, 2);
    let stage = Stage::set(Plan { agents: 2, heartbeat, ..Plan::default() }).await;
    let load = Load::start(&stage, 100);
    sleep(Duration::from_secs(1)).await;
    stage.relays[0].set(|fault| set(fault, true));
    sleep(scale.seconds(4, 60)).await;
    stage.relays[0].set(|fault| set(fault, false));
    stage.linked().await;
    sleep(Duration::from_secs(1)).await;
    load.stop().await;
    let mut report = stage.finish(name).await;
    report.expect_only(&LOST);
    report
}

/// 50 streams share 64 kbit/s, beside a few small calls.
pub(crate) async fn narrow(scale: Scale) -> Report {
    const STREAMS: u64 = 50;
    const RATE: u64 = 8000;
    let seconds = scale.of(2, 10);
    let plan = Plan { heartbeat: Duration::from_secs(5), narrow: true, ..Plan::default() };
    let stage = Stage::set(plan).await;
    stage.relays[0].set(|fault| fault.rate = RATE);
    for _ in 0..scale.of(1, 6) {
        let downloads = stage.calls(STREAMS as usize, Call::get(RATE * seconds / STREAMS));
        let small = async {
            sleep(Duration::from_secs(1)).await;
            stage.calls(2, Call::post(10)).await
        };
        tokio::join!(downloads, small);
    }
    stage.relays[0].set(|fault| fault.rate = 0);
    let mut report = stage.finish("narrow").await;
    report.expect_no_failure();
    report
}
