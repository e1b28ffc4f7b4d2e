//! The whitelist against the oracle: what holds for every request and every list of rules, tried on many.
//!
//! Every run tries the same cases, and some that failed once (`regressions.txt`). `PROPTEST_RNG_SEED` tries others.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod generate;
mod headers;
mod misreadings;

use std::cell::Cell;

use agent::whitelist::{Denied, Host, Limits, LongForm, Query, Service, Upgrade, Values, Whitelist};
use http::{HeaderMap, HeaderValue, Method, Uri};
use proptest::{
    prelude::{Strategy, TestCaseError, prop_assert_eq},
    test_runner::{Config, FileFailurePersistence, RngSeed, TestRunner},
};
use proto::wire::{FailureCode, RequestHead, RequestId, ServiceName};
use reachback_tests::{
    oracle::{
        self, Request, Rule, Verdict,
        headers::{is_nominated, must_be_dropped},
    },
    targets::{RULES, classes},
};

use generate::Case;

/// Tries a property on so many cases.
fn check<S: Strategy>(cases: u32, strategy: &S, property: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let mut config = Config { cases, ..Config::default() };
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(3);
    }
    println!("seed {:?}", config.rng_seed);
    config.failure_persistence = Some(Box::new(FileFailurePersistence::Direct("tests/oracle/regressions.txt")));
    let outcome = TestRunner::new(config).run(strategy, property);
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// The agent's rule that says what the oracle's says; none if it is refused because it contradicts itself.
fn built(rule: &Rule) -> Option<agent::whitelist::Rule> {
    let Rule { methods, path, query, matrix, encoded_slash, headers, upgrade, max_body } = rule.clone();
    if rule == &(Rule { methods: methods.clone(), path: path.clone(), ..Rule::default() }) {
        return Some(format!("{} {path}", methods.join(",")).parse().unwrap_or_else(|error| panic!("{path}: {error}")));
    }
    let values = |values: Option<Vec<String>>| values.map_or(Values::Any, Values::OneOf);
    let query = match query {
        oracle::Query::Opaque => Query::Opaque,
        oracle::Query::None => Query::None,
        oracle::Query::Only(allow, required) => {
            Query::Only { allow: allow.into_iter().map(|(name, listed)| (name, values(listed))).collect(), required }
        }
    };
    let limits = Limits { max_body, ..Limits::default() };
    let upgrade = upgrade.then_some(Upgrade::WebSocket);
    LongForm { path, methods, query, matrix, encoded_slash, headers, upgrade, limits }.rule().ok()
}

fn whitelist(rules: &[Rule]) -> Whitelist {
    let host = Host::Fixed(HeaderValue::from_static("localhost:8080"));
    let service = Service::new(rules.iter().filter_map(built).collect(), host);
    Whitelist::new([(ServiceName::new("orders").unwrap(), service)])
}

fn head(method: &str, target: &[u8]) -> RequestHead {
    RequestHead {
        service: ServiceName::new("orders").unwrap(),
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        target: target.to_vec().into(),
        headers: HeaderMap::new(),
        request_id: RequestId::new("r").unwrap(),
        deadline: None,
        upgrade: false,
    }
}

/// The oracle's verdict. It is asked about headers as they would be sent: a condition on one that is dropped on the way
/// never holds.
fn expected(rules: &[Rule], head: &RequestHead) -> Verdict {
    let connection: Vec<_> = head.headers.get_all("connection").iter().map(HeaderValue::as_bytes).collect();
    let is_framing = |name: &str| name == "content-length";
    let passes = |name: &str| !must_be_dropped(name, false) && !is_nominated(name, &connection) || is_framing(name);
    let lines = head.headers.iter().filter(|(name, _)| passes(name.as_str()));
    let headers: Vec<_> = lines.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    let request =
        Request { method: head.method.as_str(), target: &head.target, headers: &headers, upgrade: head.upgrade };
    oracle::judge(rules, &request)
}

/// A refusal in the oracle's words.
fn refused(denied: &Denied) -> Verdict {
    let status = match denied.code {
        FailureCode::BadRequest => 400,
        FailureCode::Denied => 403,
        FailureCode::UriTooLong => 414,
        FailureCode::HeadTooLarge => 431,
        FailureCode::BodyTooLarge => 413,
        other => panic!("no refusal is {other:?}"),
    };
    Verdict::Refused(status, denied.step.number())
}

/// Everything that must hold for one request.
fn judge(rules: &[Rule], permuted: &[Rule], head: &RequestHead) -> Result<Verdict, TestCaseError> {
    let list = whitelist(rules);
    let verdict = list.admit(head);
    let other = whitelist(permuted).admit(head);
    prop_assert_eq!(list.explain(head).is_allowed(), verdict.is_ok());
    let expected = expected(rules, head);
    match verdict {
        Ok(admitted) => {
            prop_assert_eq!(expected, Verdict::Allowed);
            let other = other.map_err(|denied| TestCaseError::fail(format!("the order of rules decides: {denied}")))?;
            prop_assert_eq!(other.into_parts().limits, admitted.clone().into_parts().limits, "the order decides");
            let sent = admitted.path_and_query().clone();
            prop_assert_eq!(sent.as_str().as_bytes(), &head.target[..]);
            let uri = Uri::from(sent.clone()).to_string();
            prop_assert_eq!(uri.as_bytes(), &head.target[..]);
            // One single rule allows it: the one that is named.
            let alone = &rules[admitted.rule()..][..1];
            prop_assert_eq!(self::expected(alone, head), Verdict::Allowed);
            let again = RequestHead { headers: admitted.headers().clone(), ..head.clone() };
            let again = list.admit(&again).map_err(|denied| TestCaseError::fail(format!("sent, but {denied}")))?;
            prop_assert_eq!((again.path_and_query(), again.headers()), (&sent, admitted.headers()));
        }
        Err(denied) => {
            prop_assert_eq!(refused(&denied), expected);
            prop_assert_eq!(other.unwrap_err(), denied, "the order of rules decides");
        }
    }
    Ok(expected)
}

#[test]
fn the_whitelist_and_the_oracle_agree() {
    let (allowed, by_rules, by_steps) = (Cell::new(0), Cell::new(0), Cell::new(0));
    check(12_000, &generate::case(), |Case { mut rules, mut permuted, request }| {
        rules.retain(|rule| built(rule).is_some());
        permuted.retain(|rule| built(rule).is_some());
        let mut head = RequestHead { upgrade: request.upgrade, ..head(&request.method, &request.target) };
        for (name, value) in request.headers {
            head.headers.append(name, HeaderValue::from_static(value));
        }
        if head.headers.get_all("content-length").iter().count() > 1 {
            head.headers.remove("content-length");
        }
        let verdict = judge(&rules, &permuted, &head)?;
        let count = match verdict {
            Verdict::Allowed => &allowed,
            Verdict::Refused(_, None | Some(7)) => &by_rules,
            Verdict::Refused(..) => &by_steps,
        };
        count.set(count.get() + 1);
        Ok(())
    });
    for count in [allowed, by_rules, by_steps].map(Cell::into_inner) {
        assert!(count > 1_500, "every verdict is tried often: {count}");
    }
}

/// The oracle would not be one if it were wrong about these.
#[test]
fn the_oracle_knows_the_table_of_attacks() {
    let rules = RULES.map(Rule::short);
    let verdict = |method: &str, target: &[u8]| expected(&rules, &head(method, target));
    for class in classes() {
        for line in class.refused {
            let found = verdict(&line.method, &line.target);
            let status = if class.code == "denied" { 403 } else { 400 };
            let is_refused = matches!(found, Verdict::Refused(code, _) if code == status);
            assert!(is_refused, "{}: {} {}: {found:?}", class.name, line.method, line.target.escape_ascii());
        }
        for line in class.allowed {
            let found = verdict(&line.method, &line.target);
            assert_eq!(found, Verdict::Allowed, "{}: {} {}", class.name, line.method, line.target.escape_ascii());
        }
    }
}
