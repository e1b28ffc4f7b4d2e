//! The whitelist against the oracle: what holds for every request and every list of rules, tried on many.
//!
//! Every run tries the same cases, and some that failed once (`regressions.txt`). `PROPTEST_RNG_SEED` tries others.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod generate;
mod headers;
mod misreadings;

use std::cell::Cell;

use agent::whitelist::{Denied, Host, Service, Whitelist};
use http::{HeaderMap, HeaderValue, Method, Uri};
use proptest::{
    prelude::{Strategy, TestCaseError, prop_assert, prop_assert_eq},
    test_runner::{Config, FileFailurePersistence, RngSeed, TestRunner},
};
use proto::wire::{FailureCode, RequestHead, RequestId, ServiceName};
use reachback_tests::{
    oracle::{self, Request, Rule, Verdict},
    targets::{RULES, classes},
};

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

fn whitelist(rules: &[String]) -> Whitelist {
    let parse = |rule: &String| rule.parse().unwrap_or_else(|error| panic!("{rule}: {error}"));
    let host = Host::Fixed(HeaderValue::from_static("localhost:8080"));
    let service = Service::new(rules.iter().map(parse).collect(), host);
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

/// The oracle's verdict.
fn expected(rules: &[String], head: &RequestHead) -> Verdict {
    let rules: Vec<Rule> = rules.iter().map(|rule| Rule::short(rule)).collect();
    let bytes = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    let headers = (head.headers.len(), bytes);
    oracle::judge(&rules, &Request { method: head.method.as_str(), target: &head.target, headers })
}

/// A refusal in the oracle's words.
fn refused(denied: &Denied) -> Verdict {
    let status = match denied.code {
        FailureCode::BadRequest => 400,
        FailureCode::Denied => 403,
        FailureCode::UriTooLong => 414,
        FailureCode::HeadTooLarge => 431,
        other => panic!("no refusal is {other:?}"),
    };
    Verdict::Refused(status, denied.step.number().filter(|&step| step != 7))
}

/// Everything that must hold for one request.
fn judge(rules: &[String], permuted: &[String], head: &RequestHead) -> Result<Verdict, TestCaseError> {
    let list = whitelist(rules);
    let verdict = list.admit(head);
    let other = whitelist(permuted).admit(head);
    prop_assert_eq!(list.explain(head).is_allowed(), verdict.is_ok());
    let expected = expected(rules, head);
    match verdict {
        Ok(admitted) => {
            prop_assert_eq!(expected, Verdict::Allowed);
            prop_assert!(other.is_ok(), "the order of rules decides");
            let sent = admitted.path_and_query().clone();
            prop_assert_eq!(sent.as_str().as_bytes(), &head.target[..]);
            let uri = Uri::from(sent.clone()).to_string();
            prop_assert_eq!(uri.as_bytes(), &head.target[..]);
            // One single rule allows it: the one that is named.
            let alone = [rules[admitted.rule()].clone()];
            prop_assert_eq!(self::expected(&alone, head), Verdict::Allowed);
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
    check(20_000, &generate::case(), |case| {
        let verdict = judge(&case.rules, &case.permuted, &head(&case.method, &case.target))?;
        let count = match verdict {
            Verdict::Allowed => &allowed,
            Verdict::Refused(_, None) => &by_rules,
            Verdict::Refused(..) => &by_steps,
        };
        count.set(count.get() + 1);
        Ok(())
    });
    for count in [allowed, by_rules, by_steps].map(Cell::into_inner) {
        assert!(count > 3_000, "every verdict is tried often: {count}");
    }
}

/// The oracle would not be one if it were wrong about these.
#[test]
fn the_oracle_knows_the_table_of_attacks() {
    let rules = RULES.map(Rule::short);
    let verdict = |method: &str, target: &[u8]| oracle::judge(&rules, &Request { method, target, headers: (0, 0) });
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
