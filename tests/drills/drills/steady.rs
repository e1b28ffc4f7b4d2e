//! Long runs: rules that change all the time, and a soak.

use std::{fs, time::Duration};

use tokio::time::{Instant, sleep};

use super::{LOST, Scale};
use crate::{
    client::Call,
    load::Load,
    report::Report,
    sidecar::Holds,
    stage::{Plan, Stage},
};

/// The rules are written anew every 100 ms. Either version permits what is asked: not one request fails.
pub(crate) async fn reload(scale: Scale) -> Report {
    let stage = Stage::set(Plan::default()).await;
    let load = Load::start(&stage, 200);
    let file = stage.agents[0].config().to_owned();
    for write in 0..scale.of(25, 600) {
        let rule = if write % 2 == 0 { "/d/{id}/**" } else { "/d/**" };
        let beside = file.with_extension("new");
        let written = fs::write(&beside, stage.agent_yaml(0, rule)).and_then(|()| fs::rename(&beside, &file));
        written.expect("the folder can be written");
        sleep(Duration::from_millis(100)).await;
    }
    load.stop().await;
    let status = stage.agents[0].status().await.unwrap_or_default();
    let mut report = stage.finish("reload").await;
    let (generation, failures) = (status["reload"]["generation"].as_u64(), status["reload"]["failures"].as_u64());
    report.expect(generation > Some(1) && failures == Some(0), || format!("reloads: {}", status["reload"]));
    report.expect_no_failure();
    report
}

/// Everything at once and for long, with a link that is lost now and then. What the processes hold is flat.
pub(crate) async fn soak(scale: Scale) -> Report {
    let stage = Stage::set(Plan { gateways: 2, agents: 2, ..Plan::default() }).await;
    let load = Load::start(&stage, 200);
    let until = Instant::now() + scale.of(Duration::from_secs(4), Duration::from_secs(60 * scale.minutes));
    for round in 0_usize.. {
        if Instant::now() > until {
            break;
        }
        let half = stage.calls(5, Call::of("half", 50_000));
        let large = stage.calls(1, Call::get(4 << 20));
        let never = stage.calls(2, Call { gives_up: Some(Duration::from_secs(1)), ..Call::of("never", 0) });
        tokio::join!(half, large, never, sleep(Duration::from_secs(1)));
        if round % 15 == 3 {
            stage.relays[round % 2].reset();
        }
    }
    load.stop().await;
    let mut report = stage.finish("soak").await;
    if !scale.short {
        flat(&stage, &mut report).await;
    }
    report.expect_only(&LOST);
    report
}

/// Idle connections to the upstream are kept for most of a minute; beyond that nothing may be more than it was.
async fn flat(stage: &Stage, report: &mut Report) {
    const ROOM: usize = 8;
    let grown = |(before, after): &(Holds, Holds)| {
        after.descriptors > before.descriptors + ROOM
            || after.threads > before.threads
            || after.tasks > before.tasks + ROOM as u64
    };
    let started = Instant::now();
    let before = report.holds().map(|(before, _)| before);
    loop {
        let (gateway, agent) = stage.holds().await;
        let pairs = [(before[0], gateway), (before[1], agent)];
        if !pairs.iter().any(grown) {
            return;
        }
        if started.elapsed() > Duration::from_secs(90) {
            return report.expect(false, || format!("what a process holds has grown: {pairs:?}"));
        }
        sleep(Duration::from_secs(1)).await;
    }
}
