//! The whitelist: what may pass. Pure; it decides on each request at its moment, and everything not named is denied.
//!
//! The gateway may be fully compromised and speak perfect protocol: still only what a rule names reaches an upstream,
//! as the very bytes that were judged. Nothing is repaired: what two servers could read in two ways is refused.
//!
//! A request is judged in this order: `target` and `framing` refuse what is malformed or ambiguous, whatever the
//! rules say; then one single [`Rule`] must match; then `headers` rebuilds what is sent. [`Admitted`] is the proof.

mod admitted;
mod audit;
mod denied;
mod explain;
mod framing;
mod glob;
mod headers;
pub mod limits;
mod parse;
mod pattern;
mod query;
mod rule;
mod segment;
mod target;
#[cfg(test)]
mod tests;
mod text;
mod trailers;

use std::collections::HashMap;

use http::{HeaderValue, header::HOST, uri::PathAndQuery};
use proto::wire::{RequestHead, ServiceName};

pub use admitted::{Admitted, Grounds, Parts};
pub use audit::Mode;
pub use denied::{Denied, Reason, Step};
pub use explain::{Explanation, NearMiss, Verdict};
pub use rule::{Rule, RuleError};
pub use trailers::admit as admit_trailers;

use framing::Framing;
use target::Target;

/// What may pass to one service.
#[derive(Clone, Debug)]
pub struct Service {
    rules: Vec<Rule>,
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
        Self { rules, trust_forwarded: false, host, mode: Mode::Enforce }
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
        let (service, grounds, framing) = self.judge(head)?;
        let parts = Parts {
            service: head.service.clone(),
            method: head.method.clone(),
            path_and_query: unchanged(head)?,
            headers: headers::rebuild(&head.headers, host(service, head)?, service.trust_forwarded),
            content_length: framing.content_length,
            expects_continue: framing.expects_continue,
            grounds,
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
            Ok(Grounds::Audit(denied)) | Err(denied) if denied.step == Step::Rules => {
                let mut scratch = String::new();
                let target = Target::judge(&head.target, &head.method, &mut scratch).ok();
                let nearest = target.and_then(|target| explain::nearest(rules, &head.method, &target, head.upgrade));
                Verdict::Refused { denied, nearest }
            }
            Ok(Grounds::Audit(denied)) | Err(denied) => Verdict::Refused { denied, nearest: None },
        };
        Explanation { service: head.service.clone(), verdict, would_deny }
    }

    /// The one place that decides: as the rules say, and as the mode of the service says where they say no.
    fn judge(&self, head: &RequestHead) -> Result<(&Service, Grounds, Framing), Denied> {
        let service = self.services.get(&head.service).ok_or(Denied::new(Reason::UnknownService))?;
        match service.judge(head) {
            Ok((rule, framing)) => Ok((service, Grounds::Rule(rule), framing)),
            Err(denied) => {
                let framing = audit::judge(service.mode, head, denied)?;
                Ok((service, Grounds::Audit(denied), framing))
            }
        }
    }
}

impl Service {
    /// What the rules say. A rule's position is its name in logs; it says nothing about precedence.
    fn judge(&self, head: &RequestHead) -> Result<(usize, Framing), Denied> {
        let mut scratch = String::new();
        let target = Target::judge(&head.target, &head.method, &mut scratch)?;
        let framing = framing::judge(&head.headers)?;
        let matching = self.rules.iter().position(|rule| rule.matches(&head.method, &target));
        let rule = matching.ok_or(Denied::new(Reason::NoRule))?;
        if head.upgrade {
            return Err(Denied::new(Reason::Upgrade));
        }
        Ok((rule, framing))
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
