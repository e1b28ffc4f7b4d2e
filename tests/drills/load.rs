//! Requests at a steady rate, whatever becomes of those before.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::JoinHandle,
    time::{MissedTickBehavior, interval},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    client::{Call, Client},
    stage::Stage,
};

/// Requests in flight at once; the load pauses at this bound, so that a dead bridge does not fill the drill's memory.
const IN_FLIGHT: usize = 4000;

/// The load of a drill.
#[derive(Debug)]
pub(crate) struct Load {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Load {
    /// So many requests a second.
    pub(crate) fn start(stage: &Stage, a_second: u32) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(stage.client.clone(), a_second, stop.clone()));
        Self { stop, task }
    }

    /// Asks nothing more, and waits for the ends of all that was asked.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.task.await.expect("the load does not panic");
    }
}

async fn run(client: Arc<Client>, a_second: u32, stop: CancellationToken) {
    let calls = TaskTracker::new();
    let mut ticks = interval(Duration::from_secs(1) / a_second);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for number in 0_u64.. {
        if stop.run_until_cancelled(ticks.tick()).await.is_none() {
            break;
        }
        if calls.len() < IN_FLIGHT {
            let client = client.clone();
            calls.spawn(async move { client.call(mixed(number)).await });
        }
    }
    calls.close();
    calls.wait().await;
}

/// What applications do: mostly small reads, writes, now and then something larger, and some leave.
fn mixed(number: u64) -> Call {
    let call = match number % 20 {
        0..8 => Call::get(200),
        8..11 => Call::get(8 * 1024),
        11 => Call::get(64 * 1024),
        12..17 => Call::post(300),
        17..19 => Call::post(8 * 1024),
        // The longer ones no gateway keeps to send them again.
        _ => Call::post(if number % 40 < 20 { 64 * 1024 } else { 256 * 1024 }),
    };
    // So that there is always something under way.
    let pause = Duration::from_millis(number * 7 % 20);
    let gives_up = (number % 50 == 13).then_some(Duration::from_millis(5));
    Call { pause, gives_up, ..call }
}
