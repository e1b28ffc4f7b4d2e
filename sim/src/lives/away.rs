//! A gateway that is away for a day, or killed for hours: the agent dials all the time, and not too often; once the
//! gateway is there again the agent has a link within its longest wait.

use std::{ops::RangeInclusive, time::Duration};

use super::{agent_yaml, agents_yaml};
use crate::{chance, stage::Stage};

const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn live(seed: u64) {
    let mut stage = Stage::new(seed, Duration::from_millis(100));
    stage.gateway("gateway", &agents_yaml(1));
    stage.agent("agent", &agent_yaml(1, &["gateway"]));
    stage.until("a link", Duration::from_secs(5), |stage| stage.links("gateway") == 1);
    stage.run_for(chance::up_to(Duration::from_secs(60)));

    // Nobody answers: a dial takes 10 s, and the wait behind it is 15 s on average and 30 s at most.
    stage.break_down("gateway");
    let silent = dials_within(&mut stage, HOUR * 24, 3100..=3900);
    stage.start("gateway");
    let back = stage.until("back", Duration::from_secs(42), |stage| stage.links("gateway") == 1);
    stage.run_for(Duration::from_secs(60));

    // The machine is there and refuses: the wait is 0.75 s on average and 1.5 s at most. (Turmoil has no ports for more
    // than some hours of it.)
    stage.kill("gateway");
    let refused = dials_within(&mut stage, HOUR * 3, 11_000..=16_000);
    stage.start("gateway");
    let soon = stage.until("back", Duration::from_secs(3), |stage| stage.links("gateway") == 1);
    println!("{silent} dials in a day, back in {} s; {refused} in three hours, {} s", back.as_secs(), soon.as_secs());
}

fn dials_within(stage: &mut Stage, time: Duration, expected: RangeInclusive<usize>) -> usize {
    let before = stage.dials("gateway").len();
    stage.run_for(time);
    let dials = stage.dials("gateway").len() - before;
    assert!(expected.contains(&dials), "{dials} dials in {time:?}, not {expected:?}");
    dials
}
