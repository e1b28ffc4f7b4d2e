//! The whitelist against the oracle: what holds for every request and every list of rules, tried on many.
//!
//! Every run tries the same cases, and some that failed once (`regressions.txt`). `PROPTEST_RNG_SEED` tries others.

#![allow(clippy::unwrap_used, reason = "these are tests")]

mod generate;
mod headers;
mod misreadings;
mod properties;

use std::cell::Cell;

use agent::whitelist;
use http::HeaderValue;
use proptest::{
    prelude::{Strategy, TestCaseError},
    test_runner::{Config, FileFailurePersistence, RngSeed, TestRunner},
};
use proto::wire::RequestHead;
use reachback_tests::{
    oracle::{self, Rule, Verdict},
    targets::{RULES, classes},
};

use generate::Case;
use properties::{built, expected, head, hold};

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
        let verdict = hold(&rules, &permuted, &head);
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

/// Conditions on the query alone: among all the rest they would come up too seldom.
#[test]
fn they_agree_about_queries() {
    check(12_000, &(generate::query(), generate::pairs()), |(query, pairs)| {
        let rule = Rule { query, ..Rule::short("GET /") };
        if built(&rule).is_some() {
            let rules = [rule];
            hold(&rules, &rules, &head("GET", format!("/?{pairs}").as_bytes()));
        }
        Ok(())
    });
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
