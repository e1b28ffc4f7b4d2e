//! Random schedules: both sides, their applications and the link take turns at random, from a printed seed.
//!
//! `REACHBACK_SEED=n` reruns one seed.

mod apps;
mod plan;
mod world;

use self::{
    apps::{Call, Fate},
    plan::{Reply, Scene},
    world::World,
};
use super::rng::{Rng, seeds};
use crate::{session::StreamError, wire::ResetCode};

/// Prints the seed if the test that holds it fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the seed was {0}: rerun with REACHBACK_SEED={0}", self.0);
        }
    }
}

#[test]
fn random_schedules() {
    for seed in seeds(2000) {
        let _printed = Seed(seed);
        let mut rng = Rng::new(seed);
        let scene = Scene::of(seed, &mut rng);
        let mut world = World::new(scene, rng);
        world.run();
        world.assert_at_rest();
        assert_fates(&world);
    }
}

/// What the two applications saw of each call fits together.
fn assert_fates(world: &World) {
    let [gateway, agent] = &world.stations;
    let refused = Some(Fate::Error(StreamError::NotProcessed));
    for (id, asked) in &gateway.app.calls {
        let Some(served) = agent.app.calls.get(id) else {
            let answered = asked.reader == Some(Fate::Whole) || asked.reader == Some(Fate::Failed);
            assert!(!answered, "nobody answered {id}");
            assert!(asked.reader == refused || !world.scene.calm || world.is_lost(), "{asked:#?}");
            continue;
        };
        assert!(asked.reader != refused && asked.writer != refused, "{id} was processed");
        if asked.reader == Some(Fate::Whole) {
            assert_eq!(served.writer, Some(Fate::Whole), "the answer to {id} was complete");
        }
        if served.reader == Some(Fate::Whole) {
            assert_eq!(asked.writer, Some(Fate::Whole), "the request {id} was complete");
        }
        if world.scene.calm && !world.is_lost() {
            assert_success(asked, served);
        }
    }
}

/// A call that nobody disturbed.
fn assert_success(asked: &Call, served: &Call) {
    let stopped = Some(Fate::Error(StreamError::Reset { code: ResetCode::Complete, message: String::new() }));
    let whole = Some(Fate::Whole);
    let answer = match asked.plan.reply {
        Reply::Failure | Reply::Late => Some(Fate::Failed),
        _ => whole.clone(),
    };
    assert_eq!(asked.reader, answer, "{asked:#?}");
    assert_eq!(served.writer, answer, "{served:#?}");
    if asked.plan.reply == Reply::After || asked.plan.upgraded {
        assert_eq!((&asked.writer, &served.reader), (&whole, &whole), "{asked:#?}");
    } else {
        assert!(asked.writer == whole || asked.writer == stopped, "{asked:#?}");
        assert!(served.reader == whole || served.reader == stopped, "{served:#?}");
    }
}
