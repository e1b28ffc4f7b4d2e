//! What is to happen in one run, and to one request: both drawn from the seed, and known to both applications.

use std::{sync::OnceLock, time::Duration};

use bytes::Bytes;
use http::HeaderMap;

use crate::{
    session::{
        Limits,
        limits::MIN_WINDOW,
        tests::{pair, rng::Rng},
    },
    wire::StreamId,
};

/// Longest body, in bytes.
const LONGEST: usize = 400_000;

/// The setting of one run.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) seed: u64,
    pub(super) gateway: Limits,
    pub(super) agent: Limits,
    pub(super) heartbeat: Duration,
    pub(super) requests: usize,
    /// Packets that fit into each direction of the link.
    pub(super) room: [usize; 2],
    /// Steps after which a side drains, or the link is lost.
    pub(super) gateway_drains: Option<usize>,
    pub(super) agent_drains: Option<usize>,
    pub(super) lost: Option<usize>,
    /// No request is disturbed, so that each must succeed.
    pub(super) calm: bool,
}

impl Scene {
    pub(super) fn of(seed: u64, rng: &mut Rng) -> Self {
        let mut sometimes = |odds| rng.one_in(odds).then(|| rng.below(300));
        let (gateway_drains, agent_drains, lost) = (sometimes(10), sometimes(10), sometimes(6));
        let (gateway, agent) = (limits(rng), limits(rng));
        let room = [rng.pick(&[1, 2, 8, 64]), rng.pick(&[1, 2, 8, 64])];
        let calm = rng.one_in(4);
        let heartbeat = Duration::from_millis(rng.pick(&[50, 1000, 10_000]));
        let requests = 1 + rng.below(20);
        Self { seed, gateway, agent, heartbeat, requests, room, gateway_drains, agent_drains, lost, calm }
    }
}

fn limits(rng: &mut Rng) -> Limits {
    let window = rng.pick(&[MIN_WINDOW, MIN_WINDOW + 1, 10_000, 16 * 1024, 64 * 1024, 256 * 1024]);
    Limits {
        streams: rng.pick(&[1, 2, 3, 6]),
        window,
        max_window: rng.pick(&[0, window, 2 * window, 40_000, 1 << 20]),
        growth: rng.pick(&[0, 5000, 100_000, 10_000_000]),
    }
}

/// One half of one request.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyPlan {
    pub(super) len: usize,
    /// The writer's pieces.
    pub(super) piece: usize,
    pub(super) trailers: bool,
    /// The head says that there is no body.
    pub(super) bodiless: bool,
    /// The writer stops here and goes without a word …
    pub(super) writer_goes: Option<usize>,
    /// … or waits here until it is told that nobody reads.
    pub(super) writer_hangs: Option<usize>,
    /// The reader goes after this much.
    pub(super) reader_goes: Option<usize>,
    /// The reader, and the writer, pause once in so many pieces.
    pub(super) reader_pauses: usize,
    pub(super) writer_pauses: usize,
    /// The writer always asks whether it was stopped before it writes.
    pub(super) watches: bool,
}

impl BodyPlan {
    fn of(rng: &mut Rng, calm: bool) -> Self {
        let piece = rng.pick(&[1, 500, 1024, 5000, 70_000]);
        let (short, long) = (rng.below((piece * 8).min(LONGEST)), rng.below((piece * 60).min(LONGEST)));
        let mut len = rng.pick(&[0, 0, 1, piece / 2, short, long]);
        let bodiless = rng.one_in(4);
        if bodiless {
            len = 0;
        }
        let mut somewhere = |odds| (!calm && rng.one_in(odds)).then(|| rng.below(len + 1));
        let (writer_goes, reader_goes) = (somewhere(10), somewhere(10));
        Self {
            len,
            piece,
            trailers: !bodiless && rng.one_in(3),
            bodiless,
            writer_goes: writer_goes.filter(|_| !bodiless),
            writer_hangs: None,
            reader_goes,
            reader_pauses: rng.pick(&[1, 2, 5, 1000]),
            writer_pauses: rng.pick(&[1, 2, 5, 1000]),
            watches: rng.one_in(2),
        }
    }

    pub(super) fn end(&self) -> Option<HeaderMap> {
        self.trailers.then(pair::trailers)
    }
}

/// When and how the agent answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// Once the request was read.
    After,
    /// Without waiting for the request.
    AtOnce,
    /// With a failure, without waiting for the request.
    Failure,
    /// It resets the stream.
    Reset,
    /// It drops the request, unanswered.
    Never,
    /// With a failure, once its deadline has passed.
    Late,
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Plan {
    pub(super) upload: BodyPlan,
    pub(super) download: BodyPlan,
    pub(super) reply: Reply,
    pub(super) interims: usize,
    /// The body is held back until it is invited.
    pub(super) expects: bool,
    /// The answer is a 101: each half goes on to an end of its own.
    pub(super) upgraded: bool,
    /// The gateway resets the stream as soon as it has opened it.
    pub(super) cancelled_at_once: bool,
}

impl Plan {
    pub(super) fn of(scene: &Scene, id: StreamId) -> Self {
        let mut rng = Rng::new(scene.seed.wrapping_mul(1_000_003) + u64::from(id.0));
        let calm = scene.calm;
        let (mut upload, mut download) = (BodyPlan::of(&mut rng, calm), BodyPlan::of(&mut rng, calm));
        let replies = [Reply::AtOnce, Reply::Failure, Reply::Reset, Reply::Never, Reply::Late];
        let reply = if rng.one_in(3) { Reply::After } else { rng.pick(&replies) };
        let reply = if calm && matches!(reply, Reply::Reset | Reply::Never) { Reply::After } else { reply };
        if !calm && rng.one_in(8) {
            // An event stream: whoever serves it only learns from the session that its reader has gone.
            download.bodiless = false;
            download.writer_goes = None;
            download.writer_hangs = Some(rng.below(download.len + 1));
            download.reader_goes = download.writer_hangs;
        }
        if matches!(reply, Reply::AtOnce | Reply::Failure | Reply::Late) && rng.one_in(4) {
            // A client that does not send on, and an agent that does not care.
            upload.bodiless = false;
            upload.writer_goes = None;
            upload.writer_hangs = Some(rng.below(upload.len + 1));
        }
        let expects = !upload.bodiless && rng.one_in(5);
        let (interims, cancelled_at_once) = (rng.below(4), !calm && rng.one_in(12));
        // Nothing tells a writer that hangs to go.
        let upgradable = matches!(reply, Reply::After | Reply::AtOnce) && upload.writer_hangs.is_none();
        let upgraded = upgradable && rng.one_in(4);
        Self { upload, download, reply, interims, expects, upgraded, cancelled_at_once }
    }

    pub(super) fn half(&self, upload: bool) -> &BodyPlan {
        if upload { &self.upload } else { &self.download }
    }
}

/// The bytes of one half from an offset on: each a function of the stream, the direction and the offset.
pub(super) fn content(id: StreamId, upload: bool, offset: usize, len: usize) -> Bytes {
    static PATTERN: OnceLock<Bytes> = OnceLock::new();
    let pattern = PATTERN.get_or_init(|| {
        let mut rng = Rng::new(1);
        (0..LONGEST / 4).flat_map(|_| rng.next().to_le_bytes()).collect()
    });
    let start = (id.0 as usize * 2 + usize::from(upload)) * 997 + offset;
    pattern.slice(start..start + len)
}
