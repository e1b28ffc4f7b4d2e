//! The books: every request that an application sent, what it got, and how often the server saw it.

use std::{collections::BTreeMap, fmt, time::Duration};

use http::Method;

/// The longest that a request may take, whatever happens to the network: a gateway takes 25 s to notice that a link is
/// dead, may try an idempotent request on another that is dead as well, and waits 5 s for an agent to come.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The server's answer, as the server gave it.
    Answered,
    /// An answer of Reachback's own.
    Failed { code: String, retry_safe: bool },
    /// The gateway could not be reached.
    NotConnected,
    /// The connection to the gateway broke.
    Cut,
    /// There was no answer by the deadline.
    TooLate,
    /// An answer that nobody should have given.
    Wrong(String),
}

#[derive(Debug)]
struct Call {
    method: Method,
    begun: Duration,
    ended: Option<(Duration, Outcome)>,
    arrived: u32,
}

/// All of them, by number.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Vec<Call>);

impl Ledger {
    /// A request begins. Its number is in its path.
    pub(crate) fn begin(&mut self, method: Method) -> usize {
        self.0.push(Call { method, begun: now(), ended: None, arrived: 0 });
        self.0.len() - 1
    }

    /// It has come to its end.
    pub(crate) fn end(&mut self, number: usize, outcome: Outcome) {
        self.0[number].ended = Some((now(), outcome));
    }

    /// The server has seen it.
    pub(crate) fn arrive(&mut self, number: usize) {
        self.0[number].arrived += 1;
    }

    /// Requests that were answered so far.
    pub(crate) fn answered(&self) -> usize {
        self.0.iter().filter(|call| matches!(call.ended, Some((_, Outcome::Answered)))).count()
    }

    /// Requests that have begun and ended since then, without being answered.
    pub(crate) fn failed_since(&self, then: Duration) -> Vec<String> {
        let failed = |call: &&Call| call.begun >= then && !matches!(call.ended, None | Some((_, Outcome::Answered)));
        self.0.iter().filter(failed).map(|call| format!("{call:?}")).collect()
    }

    /// Everything that must not be. To be asked once nothing is in flight any more.
    pub(crate) fn broken(&self) -> Vec<String> {
        let wrong = |(number, call): (usize, &Call)| Some(format!("request {number}: {}: {call:?}", call.broken()?));
        self.0.iter().enumerate().filter_map(wrong).collect()
    }
}

impl Call {
    fn broken(&self) -> Option<&'static str> {
        let Some((ended, outcome)) = &self.ended else { return Some("it never ended") };
        match outcome {
            _ if self.method == Method::POST && self.arrived > 1 => Some("a POST reached the server twice"),
            _ if *ended > self.begun + DEADLINE => Some("it outlived its deadline"),
            Outcome::TooLate => Some("it was left hanging"),
            Outcome::Wrong(_) => Some("it got what it must not get"),
            Outcome::Answered if self.arrived == 0 => Some("it was answered without the server"),
            Outcome::Failed { retry_safe: true, .. } if self.arrived > 0 => Some("it was said not to have been sent"),
            Outcome::NotConnected if self.arrived > 0 => Some("it was never sent, and arrived"),
            _ => None,
        }
    }
}

/// How many of each outcome, and the same for two lives that went the same way.
impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut outcomes = BTreeMap::<String, u32>::new();
        let mut longest = Duration::ZERO;
        for (ended, outcome, begun) in
            self.0.iter().filter_map(|call| call.ended.as_ref().map(|(ended, outcome)| (ended, outcome, call.begun)))
        {
            let name = match outcome {
                Outcome::Failed { code, .. } => code.clone(),
                other => format!("{other:?}").to_lowercase(),
            };
            *outcomes.entry(name).or_default() += 1;
            longest = longest.max(*ended - begun);
        }
        let arrived: u32 = self.0.iter().map(|call| call.arrived).sum();
        write!(f, "{} requests, {arrived} arrived, longest {} ms", self.0.len(), longest.as_millis())?;
        outcomes.iter().try_for_each(|(name, count)| write!(f, ", {count} {name}"))
    }
}

fn now() -> Duration {
    turmoil::sim_elapsed().expect("only what is simulated keeps books")
}
