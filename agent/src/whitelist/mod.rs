//! The whitelist: what may pass. Pure; it decides on each request at its moment, and everything not named is denied.
//!
//! The gateway may be fully compromised and speak perfect protocol: still only what a rule names reaches an upstream,
//! as the very bytes that were judged. Nothing is repaired: what two servers could read in two ways is refused.
//!
//! [`Service`] decides, in this order: `target` and `framing` refuse what is malformed or ambiguous, whatever
//! the rules say, except for what a rule can permit; then one single [`Rule`] must allow it; then `headers` rebuilds
//! what is sent. [`Admitted`] is the proof. Rules are read by `short` and `long`, which refuse what could never match.

mod admitted;
mod audit;
mod denied;
mod explain;
mod fate;
mod framing;
mod glob;
mod headers;
pub mod limits;
mod long;
mod parameters;
mod parse;
mod pattern;
mod query;
mod required_header;
mod room;
mod rule;
mod segment;
mod short;
mod target;
#[cfg(test)]
mod tests;
mod text;
mod trailers;

use std::collections::{HashMap, hash_map::Entry};

use http::{HeaderValue, header::HOST, uri::PathAndQuery};
use proto::wire::{RequestHead, ServiceName};

pub use admitted::{Admitted, Grounds, Parts};
pub use audit::Mode;
pub use denied::{Denied, Reason, Step};
pub use explain::{Explanation, NearMiss, Verdict};
pub use long::{LongForm, Query, Values};
pub use room::{Limits, Rate, Times};
pub use rule::{Part, Rule, RuleError, Upgrade};
pub use trailers::admit as admit_trailers;

use framing::Framing;
use headers::Passing;
use room::{Room, rooms};
use rule::{Asked, Miss};
use target::Target;

/// What may pass to one service.
#[derive(Clone, Debug)]
pub struct Service {
    rules: Vec<Rule>,
    /// Of each rule.
    rooms: Vec<Room>,
    times: Times,
    trust_forwarded: bool,
    host: Host,
    mode: Mode,
}

/// What the `Host` field of a request to the upstream says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// Always this: the upstream's own authority, or a fixed name.
    Fixed(HeaderValue),
    /// What the application sent to the facade. A compromised gateway could forge it.
    Preserve,
}

impl Service {
    /// A service that allows what any one of `rules` allows, and nothing if there are none.
    #[must_use]
    pub fn new(rules: Vec<Rule>, host: Host) -> Self {
        let rooms = rooms(&rules, Times::default());
        Self { rules, rooms, times: Times::default(), trust_forwarded: false, host, mode: Mode::Enforce }
    }

    /// Says how long an exchange may take where its rule says nothing else. By default it may go on for ever.
    #[must_use]
    pub fn with_times(self, times: Times) -> Self {
        Self { rooms: rooms(&self.rules, times), times, ..self }
    }

    /// Says whether headers that tell who the client is pass, such as `Forwarded`, although a compromised gateway
    /// could forge them. They do not by default.
    #[must_use]
    pub fn with_trust_forwarded(self, trust_forwarded: bool) -> Self {
        Self { trust_forwarded, ..self }
    }

    /// Says what becomes of a request that no rule allows. By default it is denied.
    #[must_use]
    pub fn with_mode(self, mode: Mode) -> Self {
        Self { mode, ..self }
    }
}

impl Service {
    /// The one place that decides.
    fn judge<'a>(&self, head: &'a RequestHead, scratch: &'a mut String) -> Result<(Asked<'a>, usize, Framing), Denied> {
        let asked = self.ask(head, scratch)?; // steps 1 to 6
        let allowed = self.allowing(&asked);
        if allowed == Err(Miss::Elsewhere) {
            asked.target.refuse_ambiguous()?; // step 7
        }
        asked.target.refuse_override(&head.method)?; // step 8
        target::refuse_long(&head.target)?; // step 9
        let framing = framing::judge(&head.headers)?;
        let rule = allowed.map_err(|miss| Denied::new(miss.reason()))?;
        let longest = self.rooms[rule].limits.max_body;
        if framing.content_length > longest && longest.is_some() {
            return Err(Denied::new(Reason::BodyTooLong));
        }
        Ok((asked, rule, framing))
    }

    /// Takes a request apart, if it passes the steps that ask no rule.
    fn ask<'a>(&self, head: &'a RequestHead, scratch: &'a mut String) -> Result<Asked<'a>, Denied> {
        let target = Target::judge(&head.target, &head.method, scratch)?;
        Ok(Asked::new(head, target, Passing::new(&head.headers, self.trust_forwarded)))
    }

    /// Which rule allows it, the roomiest if there are several; or how close it comes to one. Where a rule stands in
    /// the list is its name in logs, and says nothing about precedence.
    fn allowing(&self, asked: &Asked<'_>) -> Result<usize, Miss> {
        let mut found = Err(Miss::Elsewhere);
        let rank = |index: usize| self.rooms[index].rank;
        for (index, rule) in self.rules.iter().enumerate() {
            match rule.judge(asked) {
                // There is no roomier one.
                Ok(()) if rank(index) == 0 => return Ok(index),
                Ok(()) if found.is_ok_and(|best: usize| rank(best) <= rank(index)) => {}
                Ok(()) => found = Ok(index),
                Err(miss) => found = found.map_err(|closest| closest.max(miss)),
            }
        }
        found
    }
}

/// Where a list says the same twice: the first rule whose method, path and conditions an earlier one has already, and
/// that one. Limits do not make a difference: which of the two would count?
#[must_use]
pub fn duplicate(rules: &[Rule]) -> Option<(usize, usize)> {
    let mut seen = HashMap::with_capacity(rules.len());
    rules.iter().enumerate().find_map(|(index, rule)| match seen.entry(rule.meaning()) {
        Entry::Occupied(earlier) => Some((index, *earlier.get())),
        Entry::Vacant(place) => {
            place.insert(index);
            None
        }
    })
}

/// What may pass, for every service of the agent. The empty one allows nothing.
#[derive(Clone, Debug, Default)]
pub struct Whitelist {
    services: HashMap<ServiceName, Service>,
}

impl Whitelist {
    /// A whitelist of these services. Of two with the same name the later counts; the configuration refuses that.
    pub fn new(services: impl IntoIterator<Item = (ServiceName, Service)>) -> Self {
        Self { services: services.into_iter().collect() }
    }

    /// Decides on a request, and builds what is sent for it.
    ///
    /// # Errors
    /// [`Denied`] if a step of "Refuse, never repair" refuses it or no rule allows it.
    pub fn admit(&self, head: &RequestHead) -> Result<Admitted, Denied> {
        let service = self.service(head)?;
        let mut scratch = String::new();
        let (passing, grounds, framing) = match service.judge(head, &mut scratch) {
            Ok((asked, rule, framing)) => (asked.passing, Grounds::Rule(rule), framing),
            Err(denied) => {
                let framing = audit::judge(service.mode, head, denied)?;
                (Passing::new(&head.headers, service.trust_forwarded), Grounds::Audit(denied), framing)
            }
        };
        let (limits, upgrade) = match grounds {
            Grounds::Rule(rule) => (service.rooms[rule].limits, service.rules[rule].conditions.upgrade),
            Grounds::Audit(_) => (Limits { times: service.times, ..Limits::default() }, None),
        };
        let parts = Parts {
            service: head.service.clone(),
            method: head.method.clone(),
            path_and_query: unchanged(head)?,
            headers: passing.rebuild(host(service, head)?),
            content_length: framing.content_length,
            announced: trailers::announced(&head.headers),
            expects_continue: framing.expects_continue,
            grounds,
            limits,
            upgrade: upgrade.filter(|_| head.upgrade),
        };
        Ok(Admitted { parts })
    }

    /// Says what [`Whitelist::admit`] would decide, and why.
    #[must_use]
    pub fn explain(&self, head: &RequestHead) -> Explanation {
        let rules = self.services.get(&head.service).map_or(&[][..], |service| &service.rules);
        let admitted = self.admit(head).map(|admitted| admitted.grounds());
        let would_deny = matches!(admitted, Ok(Grounds::Audit(_)));
        let verdict = match admitted {
            Ok(Grounds::Rule(rule)) => Verdict::Allowed { rule, text: rules[rule].to_string() },
            Ok(Grounds::Audit(denied)) | Err(denied) => {
                Verdict::Refused { nearest: self.nearest(head, &denied), denied }
            }
        };
        Explanation { service: head.service.clone(), verdict, would_deny }
    }

    /// The rule that comes nearest, if it is for the rules to permit what was denied.
    fn nearest(&self, head: &RequestHead, denied: &Denied) -> Option<NearMiss> {
        let service = self.service(head).ok().filter(|_| matches!(denied.step, Step::Rules | Step::Ambiguous))?;
        let mut scratch = String::new();
        let asked = service.ask(head, &mut scratch).ok()?;
        explain::nearest(&service.rules, &asked)
    }

    fn service(&self, head: &RequestHead) -> Result<&Service, Denied> {
        self.services.get(&head.service).ok_or(Denied::new(Reason::UnknownService))
    }
}

/// The `Host` to send. A preserved one must be the only one, and be a host (RFC 9110 §7.2).
fn host<'a>(service: &'a Service, head: &'a RequestHead) -> Result<&'a HeaderValue, Denied> {
    if let Host::Fixed(host) = &service.host {
        return Ok(host);
    }
    let mut hosts = head.headers.get_all(HOST).iter();
    let is_host = |b: &u8| b.is_ascii_alphanumeric() || b"-._:[]".contains(b);
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if !host.is_empty() && host.as_bytes().iter().all(is_host) => Ok(host),
        _ => Err(Denied::new(Reason::Host)),
    }
}

/// Hands the judged bytes to http's type, which would cut a `#…` and take more than we do, and holds it to them.
fn unchanged(head: &RequestHead) -> Result<PathAndQuery, Denied> {
    let built = PathAndQuery::from_maybe_shared(head.target.clone()).ok();
    built.filter(|built| built.as_str().as_bytes() == head.target).ok_or(Denied::new(Reason::TargetChanged))
}
