//! What is counted for each service: for each rule what it allowed, for each step what the whitelist denied, and what
//! became of what was allowed.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use metrics::Tally;
use proto::wire::FailureCode;
use serde::Serialize;

use crate::whitelist::Denied;

/// The counters of one service. A rule's are shared with those of earlier configurations that had it.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    rules: Vec<RuleCounter>,
    denied: Arc<ByStep>,
    would_deny: Arc<ByStep>,
    tally: Arc<Tally>,
}

#[derive(Debug)]
struct RuleCounter {
    text: Box<str>,
    allowed: Arc<AtomicU64>,
}

/// Refusals; there are as many entries as there are pairs of a step and a code.
#[derive(Debug, Default)]
pub(crate) struct ByStep(Mutex<BTreeMap<(&'static str, &'static str), u64>>);

/// Counters at one moment, as `/status` tells them.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Counted {
    pub(crate) rules: Vec<RuleCounted>,
    pub(crate) denied: Vec<StepCounted>,
    pub(crate) would_deny: Vec<StepCounted>,
}

/// What one rule has allowed. One that stays at 0 is perhaps not needed.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct RuleCounted {
    text: String,
    pub(crate) allowed: u64,
}

/// What was refused at one step with one code.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct StepCounted {
    pub(crate) step: &'static str,
    pub(crate) code: &'static str,
    pub(crate) count: u64,
}

impl Counters {
    /// Counters for these rules. Those that `earlier` had with the same text go on counting.
    pub(crate) fn new(rules: impl IntoIterator<Item = String>, earlier: Option<&Self>) -> Self {
        let known =
            |text: &str| earlier?.rules.iter().find(|rule| &*rule.text == text).map(|rule| rule.allowed.clone());
        let counter = |text: String| RuleCounter { allowed: known(&text).unwrap_or_default(), text: text.into() };
        Self {
            rules: rules.into_iter().map(counter).collect(),
            denied: earlier.map(|earlier| earlier.denied.clone()).unwrap_or_default(),
            would_deny: earlier.map(|earlier| earlier.would_deny.clone()).unwrap_or_default(),
            tally: earlier.map(|earlier| earlier.tally.clone()).unwrap_or_default(),
        }
    }

    /// Counts a request that a rule allows, and gives the rule's text.
    pub(crate) fn allowed(&self, rule: usize) -> &str {
        self.rules.get(rule).map_or("", |rule| {
            rule.allowed.fetch_add(1, Relaxed);
            &rule.text
        })
    }

    pub(crate) fn denied(&self, denied: &Denied) {
        self.denied.count(denied);
    }

    pub(crate) fn would_deny(&self, denied: &Denied) {
        self.would_deny.count(denied);
    }

    /// What became of what was allowed.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    pub(crate) fn read(&self) -> Counted {
        let rule =
            |rule: &RuleCounter| RuleCounted { text: rule.text.to_string(), allowed: rule.allowed.load(Relaxed) };
        Counted {
            rules: self.rules.iter().map(rule).collect(),
            denied: self.denied.read(),
            would_deny: self.would_deny.read(),
        }
    }
}

impl StepCounted {
    /// Nothing yet, of what is refused most at a step.
    pub(crate) fn usual(step: &'static str) -> Self {
        Self { step, code: FailureCode::Denied.as_str(), count: 0 }
    }

    /// Whether another counts the same.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        (self.step, self.code) == (other.step, other.code)
    }
}

impl ByStep {
    pub(crate) fn count(&self, denied: &Denied) {
        *self.lock().entry((denied.step.as_str(), denied.code.as_str())).or_default() += 1;
    }

    pub(crate) fn read(&self) -> Vec<StepCounted> {
        self.lock().iter().map(|(&(step, code), &count)| StepCounted { step, code, count }).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(&'static str, &'static str), u64>> {
        self.0.lock().expect("nothing panics while it holds the counts")
    }
}

#[cfg(test)]
mod tests {
    use std::slice;

    use proto::wire::{FailureCode, ServiceName};

    use super::*;
    use crate::whitelist::{Host, Service, Whitelist};

    fn of(rules: &[&str], earlier: Option<&Counters>) -> Counters {
        Counters::new(rules.iter().map(|&rule| rule.to_owned()), earlier)
    }

    fn rules(counters: &Counters) -> Vec<(String, u64)> {
        counters.read().rules.into_iter().map(|rule| (rule.text, rule.allowed)).collect()
    }

    fn denied(target: &'static str) -> Denied {
        let service = Service::new(Vec::new(), Host::Preserve);
        let orders = ServiceName::new("orders").unwrap();
        let head = proto::wire::RequestHead {
            service: orders.clone(),
            method: http::Method::GET,
            target: target.into(),
            headers: http::HeaderMap::new(),
            request_id: proto::wire::RequestId::new("r").unwrap(),
            deadline: None,
            upgrade: false,
        };
        Whitelist::new([(orders, service)]).admit(&head).unwrap_err()
    }

    #[test]
    fn rules_go_on_counting_for_as_long_as_they_stand_somewhere() {
        let first = of(&["GET /a", "GET /b"], None);
        assert_eq!((first.allowed(1), first.allowed(1), first.allowed(0)), ("GET /b", "GET /b", "GET /a"));
        let second = of(&["GET /b", "GET /c"], Some(&first));
        second.allowed(0);
        // One that was admitted under the first is still counted.
        first.allowed(1);
        assert_eq!(rules(&second), [("GET /b".to_owned(), 4), ("GET /c".to_owned(), 0)]);
        let third = of(&["GET /a"], Some(&second));
        assert_eq!(rules(&third), [("GET /a".to_owned(), 0)], "what was removed begins anew");
        assert_eq!(third.allowed(7), "", "no such rule");
    }

    #[test]
    fn refusals_are_counted_by_step_and_code() {
        let first = of(&[], None);
        first.denied(&denied("/x"));
        let second = of(&[], Some(&first));
        second.denied(&denied("/x"));
        second.denied(&denied("x"));
        second.would_deny(&denied("/a;b"));
        let counted = |step, code: FailureCode, count| StepCounted { step, code: code.as_str(), count };
        let expected = [counted("1", FailureCode::BadRequest, 1), counted("rules", FailureCode::Denied, 2)];
        assert_eq!(second.read().denied, expected);
        assert_eq!(second.read().would_deny, slice::from_ref(&counted("7", FailureCode::Denied, 1)));
    }
}
