//! The applications of both sides. Each half of a call acts when it is begun, after a pause of its own, and upon an
//! event of the session: if the session forgets to tell, the half never finishes.

use std::{collections::BTreeMap, time::Duration};

use http::{HeaderMap, StatusCode};

use super::plan::{Plan, Reply, Scene, content};
use crate::{
    session::{
        Answer, Event, Read, Session, Stopped, StreamError,
        tests::{
            pair::{request, response},
            rng::Rng,
        },
    },
    wire::{Failure, FailureCode, ResetCode, ResponseHead, StreamId},
};

/// How one half of a call ended, as its application saw it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fate {
    /// Everything was read, or written and finished.
    Whole,
    /// The application went of its own accord.
    Gone,
    /// The agent failed the call.
    Failed,
    Error(StreamError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    Reader,
    Writer,
}

#[derive(Debug)]
pub(super) struct Call {
    pub(super) plan: Plan,
    /// The gateway has its answer; the agent has given it.
    answered: bool,
    invited: bool,
    read: usize,
    written: usize,
    pub(super) reader: Option<Fate>,
    pub(super) writer: Option<Fate>,
}

/// The application of one side.
#[derive(Debug)]
pub(super) struct App {
    gateway: bool,
    pub(super) calls: BTreeMap<StreamId, Call>,
    /// Halves that the session has told to go on, or that have just begun.
    pub(super) awake: Vec<(StreamId, Half)>,
    /// Halves that pause.
    pub(super) asleep: Vec<(StreamId, Half)>,
}

impl App {
    pub(super) fn new(gateway: bool) -> Self {
        Self { gateway, calls: BTreeMap::new(), awake: Vec::new(), asleep: Vec::new() }
    }

    pub(super) fn open(&mut self, session: &mut Session, scene: &Scene) {
        let plan = Plan::of(scene, StreamId(session.last_id.0 + 1));
        let id = session.open(request(), plan.upload.bodiless).expect("asked before");
        self.begin(id, plan);
        if plan.cancelled_at_once {
            session.reset(id, ResetCode::Cancelled, "at once");
        }
    }

    fn begin(&mut self, id: StreamId, plan: Plan) {
        let call = Call { plan, answered: false, invited: false, read: 0, written: 0, reader: None, writer: None };
        assert!(self.calls.insert(id, call).is_none(), "an id is never reused");
        self.awake.extend([(id, Half::Reader), (id, Half::Writer)]);
    }

    pub(super) fn hear(&mut self, event: &Event, scene: &Scene) {
        match event {
            Event::Opened(id, _) => self.begin(*id, Plan::of(scene, *id)),
            Event::Readable(id) => self.awake.push((*id, Half::Reader)),
            Event::Writable(id) => self.awake.push((*id, Half::Writer)),
            Event::Services(_) | Event::Renewed(_) | Event::GoAway => {}
        }
    }

    /// Lets one half go on until it has to wait or is done.
    pub(super) fn run(&mut self, session: &mut Session, id: StreamId, half: Half, rng: &mut Rng) {
        let call = self.calls.get_mut(&id).expect("only calls that began are told to go on");
        let fate = match half {
            Half::Reader if call.reader.is_some() => return,
            Half::Writer if call.writer.is_some() => return,
            Half::Reader => call.read_on(session, id, self.gateway, rng),
            Half::Writer => call.write_on(session, id, self.gateway, rng),
        };
        match (half, fate) {
            (half, Step::Pause) => self.asleep.push((id, half)),
            (_, Step::Wait) => {}
            (Half::Reader, Step::Done(fate)) => {
                call.reader = Some(fate);
                session.release_reader(id);
                // An agent that answers after the request goes on now.
                self.awake.push((id, Half::Writer));
            }
            (Half::Writer, Step::Done(fate)) => {
                call.writer = Some(fate);
                session.release_writer(id);
            }
        }
    }

    pub(super) fn unfinished(&self) -> Vec<(&StreamId, &Call)> {
        self.calls.iter().filter(|(_, call)| call.reader.is_none() || call.writer.is_none()).collect()
    }
}

/// Where a half has got to.
enum Step {
    /// The session tells when it goes on.
    Wait,
    /// It goes on of its own accord, later.
    Pause,
    Done(Fate),
}

impl Call {
    fn read_on(&mut self, session: &mut Session, id: StreamId, gateway: bool, rng: &mut Rng) -> Step {
        if gateway && !self.answered {
            match session.answer(id) {
                Ok(None) => return Step::Wait,
                Ok(Some(Answer::Failure(_))) => return Step::Done(Fate::Failed),
                Ok(Some(Answer::Response(_))) => self.answered = true,
                Err(error) => return Step::Done(Fate::Error(error)),
            }
        }
        let (upload, plan) = (!gateway, *self.plan.half(!gateway));
        loop {
            if plan.reader_goes.is_some_and(|at| self.read >= at) {
                return Step::Done(Fate::Gone);
            }
            match session.read(id) {
                Ok(Read::Blocked) => return Step::Wait,
                Ok(Read::Data { chunk, last }) => {
                    assert_eq!(chunk, content(id, upload, self.read, chunk.len()), "stream {id} from {}", self.read);
                    self.read += chunk.len();
                    if last {
                        return self.read_whole(None, upload);
                    }
                }
                Ok(Read::End(trailers)) => return self.read_whole(trailers.as_ref(), upload),
                Err(error) => return Step::Done(Fate::Error(error)),
            }
            if rng.one_in(plan.reader_pauses) {
                return Step::Pause;
            }
        }
    }

    fn read_whole(&self, trailers: Option<&HeaderMap>, upload: bool) -> Step {
        let plan = self.plan.half(upload);
        assert_eq!(self.read, plan.len, "a body that was cut short never looks complete");
        assert_eq!(trailers, plan.end().as_ref());
        Step::Done(Fate::Whole)
    }

    fn write_on(&mut self, session: &mut Session, id: StreamId, gateway: bool, rng: &mut Rng) -> Step {
        let ready = if gateway { self.await_invitation(session, id) } else { self.reply(session, id) };
        if let Some(step) = ready {
            return step;
        }
        let (upload, plan) = (gateway, *self.plan.half(gateway));
        loop {
            if plan.watches
                && let Some(stopped) = session.stopped(id)
            {
                return Step::Done(unwanted(stopped));
            }
            if plan.writer_goes.is_some_and(|at| self.written >= at) {
                return Step::Done(Fate::Gone);
            }
            if plan.writer_hangs.is_some_and(|at| self.written >= at) {
                return session.stopped(id).map_or(Step::Wait, |stopped| Step::Done(unwanted(stopped)));
            }
            if self.written == plan.len {
                session.finish(id, plan.end());
                return Step::Done(Fate::Whole);
            }
            let stop = plan.writer_hangs.or(plan.writer_goes).unwrap_or(plan.len);
            let mut data = content(id, upload, self.written, plan.piece.min(stop - self.written));
            let before = data.len();
            match session.write(id, &mut data) {
                Ok(true) => {
                    self.written += before - data.len();
                    if plan.watches && plan.writer_hangs == Some(self.written) {
                        // It asked before it wrote, and need not ask again.
                        return Step::Wait;
                    }
                }
                Ok(false) => return Step::Wait,
                Err(error) => return Step::Done(Fate::Error(error)),
            }
            if rng.one_in(plan.writer_pauses) {
                return Step::Pause;
            }
        }
    }

    /// The gateway's writer before its body: `None` to go on.
    fn await_invitation(&mut self, session: &mut Session, id: StreamId) -> Option<Step> {
        if self.plan.upload.bodiless {
            return Some(Step::Done(Fate::Whole));
        }
        if self.plan.expects && !self.invited {
            match session.is_invited(id) {
                Ok(true) => self.invited = true,
                Ok(false) => return Some(Step::Wait),
                Err(error) => return Some(Step::Done(Fate::Error(error))),
            }
        }
        None
    }

    /// The agent's writer before its answer: whether it is still wanted, and not too late.
    fn watch(&self, session: &mut Session, id: StreamId) -> Option<Step> {
        if self.plan.reply == Reply::Late && !self.invited {
            session.set_deadline(id, Some(Duration::from_millis(u64::from(id.0) * 100)));
        }
        match session.stopped(id)? {
            Stopped::Unwanted(error) => Some(Step::Done(Fate::Error(error))),
            Stopped::Overdue => {
                assert_eq!(self.plan.reply, Reply::Late);
                session.fail(id, Failure::new(FailureCode::UpstreamTimeout, "late"));
                Some(Step::Done(Fate::Failed))
            }
        }
    }

    /// The agent's writer before its body: `None` to go on.
    fn reply(&mut self, session: &mut Session, id: StreamId) -> Option<Step> {
        if self.answered {
            return None;
        }
        if let Some(step) = self.watch(session, id) {
            return Some(step);
        }
        if !self.invited {
            self.invited = true;
            for _ in 0..self.plan.interims {
                session.inform(id, StatusCode::EARLY_HINTS);
            }
            if self.plan.expects {
                session.inform(id, StatusCode::CONTINUE);
            }
        }
        match self.plan.reply {
            Reply::After if self.reader.is_none() => return Some(Step::Wait),
            Reply::Late => return Some(Step::Wait),
            Reply::After | Reply::AtOnce => {}
            Reply::Failure => {
                session.fail(id, Failure::new(FailureCode::Denied, "no"));
                return Some(Step::Done(Fate::Failed));
            }
            Reply::Reset => {
                session.reset(id, ResetCode::Internal, "a whim");
                return Some(Step::Done(Fate::Gone));
            }
            Reply::Never => return Some(Step::Done(Fate::Gone)),
        }
        self.answered = true;
        let status = if self.plan.upgraded { StatusCode::SWITCHING_PROTOCOLS } else { StatusCode::OK };
        session.respond(id, ResponseHead { status, ..response() }, self.plan.download.bodiless);
        self.plan.download.bodiless.then_some(Step::Done(Fate::Whole))
    }
}

/// How a half ends whose writer watched for it, and which has no deadline.
fn unwanted(stopped: Stopped) -> Fate {
    match stopped {
        Stopped::Unwanted(error) => Fate::Error(error),
        Stopped::Overdue => panic!("a deadline ends with the answer"),
    }
}
