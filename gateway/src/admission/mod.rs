//! Who may stay: an agent that has greeted is let in, sent away, or held until somebody decides.
//!
//! It is decided by the name that an agent is known by, which its credential proves. What it calls itself it could
//! change at will, and pods do so with every restart; it is shown to whoever decides, and that is all. Without
//! credentials a name is all there is: then an approval covers the services that were claimed when it was given, and
//! whoever claims more waits for another.

mod address;
mod attempts;
mod decisions;
mod pace;
mod registrations;
mod turns;
mod waiting;

use std::{
    collections::HashMap,
    fmt,
    path::Path,
    sync::{Mutex, MutexGuard},
};

use proto::wire::{Reject, ServiceName, can_name_agent};
use settings::report::did_you_mean;
use tokio::sync::watch;
use tracing::info;

use self::waiting::{Waiting, Waits};
pub(crate) use self::{
    address::address_of,
    attempts::{Attempts, Failed},
    decisions::{Decision, Record},
    pace::Pace,
    turns::Turns,
    waiting::{Applicant, Waiter},
};
pub use decisions::StateError;

use crate::{
    config::{self, TokenDigest},
    rejects,
};
use decisions::{Decisions, StateFile};

/// What was decided, and who waits for a decision.
#[derive(Debug)]
pub(crate) struct Admission {
    rule: config::Admission,
    /// The names that credentials prove, and so all that can come; `None`: nothing proves a name, and any can.
    names: Option<Vec<String>>,
    state: Mutex<State>,
    /// Held while it is written, so that none overwrites another.
    file: tokio::sync::Mutex<Option<StateFile>>,
    are_kept: bool,
    /// Each decision; those that wait watch it.
    decided: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    decisions: Decisions,
    /// How often it was decided about each agent, since the start.
    times: HashMap<String, u64>,
    waiting: Waiting,
}

/// What somebody may decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// Let it in, now and from now on.
    Approve,
    /// Send away one that waits.
    Reject,
    /// End its links, and send it away from now on.
    Revoke,
}

/// Why nothing was decided, or not for good.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Undecided {
    #[error(
        "no agent {0:?} waits for a decision, and nothing was decided about it: {1}`reachback agents list` shows all"
    )]
    Unknown(String, Guess),
    #[error(
        "no agent is named {0:?}, and nothing was decided: {1}`agents` in the gateway's file has the names, and `reachback agents list` who is linked"
    )]
    NoSuch(String, Guess),
    #[error("no agent can be named {0:?}, and nothing was decided")]
    NoName(String),
    #[error("{0:?} was decided about by somebody else meanwhile, and that counts: see `reachback agents list`")]
    Overtaken(String),
    #[error("{0:?} waits several times, and with different services: stop all but one, or reject it")]
    Ambiguous(String),
    #[error("{0:?} is approved: `reachback agents revoke` takes that back and closes its links")]
    Approved(String),
    #[error("there are as many decisions as there may be: stop the gateway and remove some from its state file")]
    TooMany,
    #[error(transparent)]
    NotWritten(StateError),
    #[error(
        "{agent:?} is sent away, links closed: {links_closed}; but only until the gateway restarts, unless it is decided again once this is mended:\n{error}"
    )]
    NotKept { agent: String, links_closed: usize, error: StateError },
}

/// The name that was probably meant, as a question.
#[derive(Debug)]
pub(crate) struct Guess(Option<String>);

impl fmt::Display for Guess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|name| write!(f, "did you mean {name:?}? "))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Accepted,
    Rejected,
    Pending,
}

impl Admission {
    /// With the decisions of a state file, if there is one.
    pub(crate) fn open(
        rule: config::Admission,
        names: Option<Vec<String>>,
        file: Option<&Path>,
    ) -> Result<Self, StateError> {
        let (file, decisions) = match file.map(StateFile::open).transpose()? {
            Some((file, decisions)) => (Some(file), decisions),
            None => (None, Decisions::default()),
        };
        let state = Mutex::new(State { decisions, ..State::default() });
        let are_kept = file.is_some();
        let file = tokio::sync::Mutex::new(file);
        Ok(Self { rule, names, state, file, are_kept, decided: watch::Sender::default() })
    }

    /// Lets an agent in, at once or after a while, or says why not.
    pub(crate) async fn admit(&self, applicant: Applicant) -> Result<(), Reject> {
        match self.verdict(&applicant.name, &applicant.services) {
            Verdict::Accepted => Ok(()),
            Verdict::Rejected => Err(rejects::rejected()),
            Verdict::Pending => self.hold(applicant).await,
        }
    }

    /// Whether an agent that was let in may still stay, with these services.
    pub(crate) fn permits(&self, agent: &str, services: &[ServiceName]) -> bool {
        self.verdict(agent, services) == Verdict::Accepted
    }

    fn verdict(&self, agent: &str, services: &[ServiceName]) -> Verdict {
        match self.lock().decisions.of(agent) {
            Some(Record { decision: Decision::Rejected, .. }) => Verdict::Rejected,
            Some(record) if record.covers(self.names.is_some(), services) => Verdict::Accepted,
            _ if self.rule == config::Admission::Auto => Verdict::Accepted,
            _ => Verdict::Pending,
        }
    }

    async fn hold(&self, applicant: Applicant) -> Result<(), Reject> {
        let config::Admission::Approve { hold } = self.rule else { return Ok(()) };
        let mut decided = self.decided.subscribe();
        let (name, services) = (applicant.name.clone(), applicant.services.clone());
        let Some(held) = self.lock().waiting.hold(applicant) else { return Err(rejects::too_many_pending()) };
        let _held = Held { admission: self, waits: held };
        info!(
            services = services.iter().map(ServiceName::as_str).collect::<Vec<_>>().join(" "),
            "held: waiting for approval"
        );
        let verdict = async {
            loop {
                match self.verdict(&name, &services) {
                    Verdict::Accepted => return Ok(()),
                    Verdict::Rejected => return Err(rejects::rejected()),
                    Verdict::Pending => decided.changed().await.expect("the sender lives as long as self"),
                }
            }
        };
        tokio::time::timeout(hold, verdict).await.unwrap_or_else(|_| Err(rejects::not_yet(&name)))
    }

    /// Decides about an agent, and writes it down. `claims` are the services of the agent's links, if it has any, and
    /// `close` closes these; how many there were. Nobody is let in by what cannot be written, and whoever is to be sent
    /// away does not stay for as long as the disk takes. Not to be dropped half-way: file and memory would differ.
    pub(crate) async fn decide(
        &self,
        verb: Verb,
        agent: &str,
        claims: &[ServiceName],
        close: impl FnOnce() -> usize,
    ) -> Result<(Record, usize), Undecided> {
        if verb == Verb::Approve {
            return Ok((self.approve(agent, claims).await?, 0));
        }
        let record = {
            let mut state = self.lock();
            let (record, decisions) = state.prepare(verb, agent, claims, self.names.as_deref())?;
            state.put(agent, decisions);
            record
        };
        self.tell(agent, &record);
        let links_closed = close();
        let file = self.file.lock().await;
        let decisions = self.lock().decisions.clone();
        let not_kept = |error| Undecided::NotKept { agent: agent.to_owned(), links_closed, error };
        write(&file, &decisions).await.map_err(not_kept)?;
        Ok((record, links_closed))
    }

    async fn approve(&self, agent: &str, claims: &[ServiceName]) -> Result<Record, Undecided> {
        let times = self.lock().times(agent);
        let is_overtaken = |state: &State| state.times(agent) != times;
        let overtaken = || Undecided::Overtaken(agent.to_owned());
        let file = self.file.lock().await;
        let (record, decisions) = {
            let state = self.lock();
            if is_overtaken(&state) {
                return Err(overtaken());
            }
            state.prepare(Verb::Approve, agent, claims, self.names.as_deref())?
        };
        write(&file, &decisions).await.map_err(Undecided::NotWritten)?;
        {
            let mut state = self.lock();
            // Whoever was sent away while that was written stays away, and is about to be written down.
            if is_overtaken(&state) {
                return Err(overtaken());
            }
            let decisions = state.decisions.with(agent, record.clone()).ok_or(Undecided::TooMany)?;
            state.put(agent, decisions);
        }
        self.tell(agent, &record);
        Ok(record)
    }

    fn tell(&self, agent: &str, record: &Record) {
        self.decided.send_replace(());
        info!(agent, decision = %record.decision, "decided");
    }

    /// Whether decisions outlive the process.
    pub(crate) fn are_kept(&self) -> bool {
        self.are_kept
    }

    /// Whether an agent may register by the code of this step: it is not rejected, has no token, and the code is not
    /// spent.
    pub(crate) fn is_open(&self, agent: &str, step: u64) -> bool {
        self.lock().is_open(agent, step)
    }

    /// Which agent has registered this token.
    pub(crate) fn registered(&self, token: &TokenDigest) -> Option<String> {
        self.lock().decisions.registrations.of_token(token).cloned()
    }

    /// Keeps the token of an agent that has shown the code of this step, and with it that the code is spent; written
    /// down first. `false` if another was quicker. Not to be dropped half-way, as [`Admission::decide`].
    pub(crate) async fn register(&self, agent: &str, step: u64, token: TokenDigest) -> Result<bool, Undecided> {
        let file = self.file.lock().await;
        if !self.is_open(agent, step) {
            return Ok(false);
        }
        let mut decisions = self.lock().decisions.clone();
        decisions.registrations = decisions.registrations.with(agent, step, token).ok_or(Undecided::TooMany)?;
        write(&file, &decisions).await.map_err(Undecided::NotWritten)?;
        let mut state = self.lock();
        // It may have been sent away while that was written.
        let is_open = state.is_open(agent, step);
        if is_open {
            let registrations = state.decisions.registrations.with(agent, step, token).ok_or(Undecided::TooMany)?;
            state.decisions.registrations = registrations;
        }
        Ok(is_open)
    }

    /// Everyone who waits, and everything that was decided.
    pub(crate) fn overview(&self) -> (Vec<Waiter>, Vec<(String, Record)>) {
        let state = self.lock();
        let decisions = state.decisions.iter().map(|(name, record)| (name.clone(), record.clone()));
        (state.waiting.waiters(), decisions.collect())
    }

    pub(crate) fn rule(&self) -> config::Admission {
        self.rule
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics while it holds the decisions")
    }
}

impl State {
    fn is_open(&self, agent: &str, step: u64) -> bool {
        let rejected = self.decisions.of(agent).is_some_and(|record| record.decision == Decision::Rejected);
        !rejected && self.decisions.registrations.is_open(agent, step)
    }

    fn times(&self, agent: &str) -> u64 {
        self.times.get(agent).copied().unwrap_or_default()
    }

    /// It holds from now on.
    fn put(&mut self, agent: &str, decisions: Decisions) {
        self.decisions = decisions;
        *self.times.entry(agent.to_owned()).or_default() += 1;
        self.waiting.forget(agent);
    }

    /// What a decision would make of the decisions there are.
    fn prepare(
        &self,
        verb: Verb,
        agent: &str,
        claims: &[ServiceName],
        names: Option<&[String]>,
    ) -> Result<(Record, Decisions), Undecided> {
        let proven = names.is_some();
        let before = self.decisions.of(agent);
        let waiting = self.waiting.claims(agent);
        let is_approved = before.is_some_and(|record| record.decision == Decision::Approved);
        let is_known = before.is_some() || !waiting.is_empty();
        match verb {
            Verb::Revoke if !proven && !is_known && !can_name_agent(agent) => {
                return Err(Undecided::NoName(agent.to_owned()));
            }
            Verb::Revoke | Verb::Approve if proven && !is_known && !self.may_come(agent, names) => {
                return Err(Undecided::NoSuch(agent.to_owned(), self.guess(agent, names)));
            }
            // A name that is proved can be approved before it comes. One that is not would be approved for nothing.
            Verb::Approve if proven => {}
            Verb::Approve | Verb::Reject if !is_known => {
                return Err(Undecided::Unknown(agent.to_owned(), self.guess(agent, names)));
            }
            Verb::Reject if is_approved => return Err(Undecided::Approved(agent.to_owned())),
            Verb::Approve if waiting.len() > 1 => return Err(Undecided::Ambiguous(agent.to_owned())),
            _ => {}
        }
        let names = |services: &[ServiceName]| services.iter().map(ToString::to_string).collect();
        let services = match (waiting.first(), before) {
            (Some(waiting), _) => names(waiting),
            (None, _) if !claims.is_empty() => names(claims),
            (None, Some(before)) => before.services.clone(),
            (None, None) => Vec::new(),
        };
        let decision = if verb == Verb::Approve { Decision::Approved } else { Decision::Rejected };
        let record = Record { decision, proven, services };
        let decisions = self.decisions.with(agent, record.clone()).ok_or(Undecided::TooMany)?;
        Ok((record, decisions))
    }

    /// Whether a name that nobody waits under may yet be shown, or its token be registered anew. Where a slip of the
    /// pen can be told from a name, whoever revokes a stolen credential must not believe that it is done.
    fn may_come(&self, agent: &str, names: Option<&[String]>) -> bool {
        names.is_none_or(|names| names.iter().any(|name| name == agent)) || self.decisions.registrations.has(agent)
    }

    fn guess(&self, agent: &str, names: Option<&[String]>) -> Guess {
        let decided = self.decisions.iter().map(|(name, _)| name.as_str());
        let waiting = self.waiting.names();
        let known = names.into_iter().flatten().map(String::as_str).chain(decided).chain(waiting);
        let known: Vec<&str> = known.filter(|name| *name != agent).collect();
        Guess(did_you_mean(agent, &known).map(str::to_owned))
    }
}

/// One agent that waits on its link. Dropping it, because it was decided or the link has ended, ends that.
struct Held<'a> {
    admission: &'a Admission,
    waits: Waits,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.admission.lock().waiting.release(self.waits);
    }
}

async fn write(file: &Option<StateFile>, decisions: &Decisions) -> Result<(), StateError> {
    let Some(file) = file.clone() else { return Ok(()) };
    let decisions = decisions.clone();
    let written = tokio::task::spawn_blocking(move || file.write(&decisions)).await;
    written.expect("writing does not panic")
}

#[cfg(test)]
mod tests;
