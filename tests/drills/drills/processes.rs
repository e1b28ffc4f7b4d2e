//! Processes that freeze, die, and are replaced on purpose.

use std::time::Duration;

use tokio::time::sleep;

use super::{LOST, Scale};
use crate::{
    load::Load,
    report::Report,
    sidecar::Sidecar,
    stage::{Plan, Stage},
};

/// One of two agents stands still, for as long as a link lives in silence and far longer.
pub(crate) async fn frozen_agent(scale: Scale) -> Report {
    let stage = Stage::set(Plan { agents: 2, heartbeat: scale.seconds(1, 2), ..Plan::default() }).await;
    let mut report = frozen("frozen-agent", &stage, &stage.agents[0], scale.of(&[4], &[5, 40])).await;
    report.expect_only(&["link_lost", "cut"]);
    report
}

/// The only gateway stands still: its agents give it up and come back.
pub(crate) async fn frozen_gateway(scale: Scale) -> Report {
    let stage = Stage::set(Plan { agents: 2, heartbeat: scale.seconds(1, 2), ..Plan::default() }).await;
    let mut report = frozen("frozen-gateway", &stage, &stage.gateways[0], scale.of(&[4], &[5, 12])).await;
    report.expect_only(&LOST);
    report
}

async fn frozen(name: &'static str, stage: &Stage, who: &Sidecar, seconds: &[u64]) -> Report {
    let load = Load::start(stage, 100);
    for seconds in seconds {
        sleep(Duration::from_secs(1)).await;
        who.signal("STOP");
        sleep(Duration::from_secs(*seconds)).await;
        who.signal("CONT");
        stage.linked().await;
    }
    sleep(Duration::from_secs(1)).await;
    load.stop().await;
    stage.finish(name).await
}

/// Agents and gateways are killed in turn, and started again.
pub(crate) async fn killed(scale: Scale) -> Report {
    let mut stage = Stage::set(Plan { gateways: 2, agents: 2, ..Plan::default() }).await;
    let load = Load::start(&stage, 100);
    for round in 0..scale.of(1, 10) {
        for of in [Stage::agents_mut, Stage::gateways_mut] {
            sleep(Duration::from_secs(1)).await;
            let sidecar = &mut of(&mut stage)[round % 2];
            sidecar.kill();
            sidecar.restart();
            stage.linked().await;
        }
    }
    sleep(Duration::from_secs(1)).await;
    load.stop().await;
    let mut report = stage.finish("killed").await;
    // A gateway that dies closes its clients' connections without a word.
    report.expect_only(&[&LOST[..], &["closed"]].concat());
    report
}

/// Restarts under 200 requests a second.
pub(crate) async fn rolling_200(scale: Scale) -> Report {
    rolling("rolling-200", 200, scale).await
}

/// The same under 2,000.
pub(crate) async fn rolling_2000(scale: Scale) -> Report {
    rolling("rolling-2000", 2000, scale).await
}

/// Agents and gateways are stopped and started again, one at a time, as an orchestrator does it. Not one request fails.
async fn rolling(name: &'static str, a_second: u32, scale: Scale) -> Report {
    let mut reports = Vec::new();
    for gateways in scale.of(vec![2], vec![1, 2, 3]) {
        let mut stage = Stage::set(Plan { gateways, agents: 2, ..Plan::default() }).await;
        let load = Load::start(&stage, a_second);
        for restart in 0..scale.of(4, 20) {
            sleep(Duration::from_millis(500)).await;
            let of = [Stage::agents_mut, Stage::gateways_mut][restart % 2];
            let sidecars = of(&mut stage);
            let at = restart / 2 % sidecars.len();
            let status = sidecars[at].stop().await;
            assert!(status.success(), "a drained sidecar ends with {status}");
            sidecars[at].restart();
            stage.linked().await;
        }
        sleep(Duration::from_millis(500)).await;
        load.stop().await;
        let mut report = stage.finish(name).await;
        report.expect_no_failure();
        reports.push(report);
    }
    Report::sum(name, reports)
}
