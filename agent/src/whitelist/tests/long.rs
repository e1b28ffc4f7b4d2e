//! Long forms that are no rules, rules that say the same, and what a rule says of itself.

use std::time::Duration;

use super::{long, only, rule};
use crate::whitelist::{Limits, LongForm, Part, Query, Rate, Rule, Times, Upgrade, Values, duplicate};

#[test]
fn rules_that_are_none() {
    let some = || long("GET", "/a/*");
    let limits = |limits| LongForm { limits, ..some() };
    let times = |times| limits(Limits { times, ..Limits::default() });
    let (zero, second) = (Some(Duration::ZERO), Some(Duration::from_secs(1)));
    let header = |name: &str, values: &[&str]| LongForm {
        headers: vec![(name.to_owned(), values.iter().map(|value| (*value).to_owned()).collect())],
        ..some()
    };
    let query = |allow: &[(&str, &[&str])], required: &[&str]| LongForm { query: only(allow, required), ..some() };
    let too_many: Vec<_> = (0..65).map(|n| (n.to_string(), Values::Any)).collect();
    let bad = [
        (LongForm { methods: Vec::new(), ..some() }, Part::Methods, 0, "nothing is allowed"),
        (long("GET,TRACE", "/a"), Part::Method(1), 0, "never passes"),
        (long("GET,get", "/a"), Part::Method(1), 0, "did you mean GET?"),
        (long("GET,GET", "/a"), Part::Method(1), 0, "twice"),
        (long("ANY", "/a"), Part::Method(0), 0, "write out"),
        (long("GET", "a"), Part::Path, 0, "begins with '/'"),
        (long("GET", "/a/**/b"), Part::Path, 3, "last segment"),
        (long("GET", "/a?b"), Part::Path, 2, "query"),
        (long("GET", &"/a".repeat(4097)), Part::Path, 0, "at most"),
        (long("GET,OPTIONS", "*"), Part::Path, 0, "OPTIONS alone"),
        (LongForm { query: Query::None, ..long("OPTIONS", "*") }, Part::Query, 0, "never has a query"),
        (query(&[], &[]), Part::Query, 0, "query: none"),
        (query(&[("a", &["*"])], &["a", "b"]), Part::Required(1), 0, "not allowed"),
        (query(&[("a", &["*"])], &["a", "a"]), Part::Required(1), 0, "twice"),
        (query(&[("a", &["*"]), ("a", &["1"])], &[]), Part::Parameter(1), 0, "twice"),
        (query(&[("a", &["1", "2", "1"])], &[]), Part::ParameterValue(0, 2), 0, "twice"),
        (query(&[("a", &[])], &[]), Part::ParameterValue(0, 0), 0, "without values"),
        (query(&[("", &["*"])], &[]), Part::Parameter(0), 0, "has a name"),
        (query(&[("a%5B%5D", &["*"])], &[]), Part::Parameter(0), 0, "decoded"),
        (query(&[("a", &["x", "%20"])], &[]), Part::ParameterValue(0, 1), 0, "decoded"),
        (LongForm { query: Query::Only { allow: too_many, required: vec![] }, ..some() }, Part::Parameter(64), 0, "64"),
        (
            LongForm { query: only(&[("_method", &["*"])], &[]), ..long("POST", "/a") },
            Part::Parameter(0),
            0,
            "another method",
        ),
        (LongForm { matrix: true, ..long("GET", "/") }, Part::Matrix, 0, "no segment"),
        (LongForm { matrix: true, ..long("OPTIONS", "*") }, Part::Matrix, 0, "no segment"),
        (LongForm { encoded_slash: true, ..long("GET", "/a/x*/**") }, Part::EncodedSlash, 0, "only inside"),
        (LongForm { upgrade: Some(Upgrade::WebSocket), ..long("POST", "/a") }, Part::Upgrade, 0, "only a GET"),
        (header("x y", &["1"]), Part::Header(0), 0, "not the name"),
        (header("X-Forwarded_For", &["1"]), Part::Header(0), 0, "never reaches"),
        (header("Host", &["a"]), Part::Header(0), 0, "never reaches"),
        (header("Content-Length", &["1"]), Part::Header(0), 0, "never reaches"),
        (header("X-HTTP-Method-Override", &["PUT"]), Part::Header(0), 0, "never reaches"),
        (header("X-Request-Id", &["1"]), Part::Header(0), 0, "by the agent"),
        (header("x-a", &[]), Part::HeaderValue(0, 0), 0, "without values"),
        (header("x-a", &["1", "1"]), Part::HeaderValue(0, 1), 0, "twice"),
        (header("x-a", &["1\r\nx-b: 2"]), Part::HeaderValue(0, 0), 0, "cannot be"),
        (header("x-a", &["1", " 2"]), Part::HeaderValue(0, 1), 0, "cannot be"),
        (
            LongForm {
                headers: vec![("x-a".to_owned(), vec!["1".to_owned()]), ("X-A".to_owned(), vec!["2".to_owned()])],
                ..some()
            },
            Part::Header(1),
            0,
            "twice",
        ),
        (limits(Limits { max_body: Some(0), ..Limits::default() }), Part::MaxBody, 0, "1B"),
        (times(Times { whole: zero, ..Times::default() }), Part::Timeout, 0, "1ms"),
        (times(Times { response: zero, ..Times::default() }), Part::ResponseTimeout, 0, "1ms"),
        (times(Times { whole: second, total: second, ..Times::default() }), Part::TotalTimeout, 0, "keep one"),
        (
            limits(Limits { rate: Some(Rate { requests: 0, per: Duration::from_secs(1) }), ..Limits::default() }),
            Part::Rate,
            0,
            "1/h",
        ),
    ];
    for (form, part, offset, word) in bad {
        let error = form.rule().expect_err(&format!("{form:?}"));
        assert_eq!((error.part, error.offset), (part, offset), "{form:?}: {error}");
        assert!(error.message.contains(word), "{form:?}: {error}");
    }
    let on_get = LongForm { query: only(&[("_method", &["*"])], &[]), ..long("GET,POST", "/a") };
    assert!(on_get.rule().is_ok(), "it may come with GET");
}

#[test]
fn rules_that_are_there_twice() {
    let same = |one: &LongForm, other: &LongForm| duplicate(&[rule(one), rule(other)]) == Some((1, 0));
    let with = |query| LongForm { query, ..long("GET", "/a/*") };
    let form = || long("GET,HEAD", "/a/{id}");
    assert!(same(&form(), &long("HEAD,GET", "/%61/*")));
    assert!(same(&form(), &LongForm { limits: Limits { max_body: Some(1), ..Limits::default() }, ..form() }));
    assert!(same(
        &with(only(&[("a", &["1", "2"]), ("b", &["*"])], &["a", "b"])),
        &with(only(&[("b", &["*"]), ("a", &["2", "1"])], &["b", "a"])),
    ));
    for other in [
        long("GET", "/a/*"),
        long("GET,HEAD", "/a/*/"),
        long("GET,HEAD", "/a/**"),
        long("GET,HEAD", "/A/*"),
        LongForm { matrix: true, ..form() },
        LongForm { encoded_slash: true, ..form() },
        LongForm { upgrade: Some(Upgrade::WebSocket), ..form() },
        LongForm { query: Query::None, ..form() },
        LongForm { headers: vec![("x-a".to_owned(), vec!["1".to_owned()])], ..form() },
    ] {
        assert!(!same(&form(), &other), "{other:?}");
    }
    assert!(!same(&with(only(&[("a", &["1"])], &[])), &with(only(&[("a", &["1"])], &["a"]))));
}

#[test]
fn what_a_rule_says_of_itself() {
    let form = LongForm {
        query: only(&[("type", &["public", "shared"]), ("page", &["*"])], &["type"]),
        matrix: true,
        encoded_slash: true,
        headers: vec![("X-A".to_owned(), vec!["1".to_owned()])],
        upgrade: Some(Upgrade::WebSocket),
        limits: Limits {
            max_body: Some(10 << 20),
            times: Times { whole: Some(Duration::from_secs(5)), ..Times::default() },
            rate: Some(Rate { requests: 3, per: Duration::from_secs(60) }),
        },
        ..long("GET,PUT", "/files/{name}")
    };
    let expected = "GET,PUT /files/{name} (query page=* type=public|shared (required); matrix; encoded_slash; \
                    header x-a=1; upgrade websocket; max_body 10MiB; timeout 5s; rate 3/m)";
    assert_eq!((rule(&form).to_string().as_str(), rule(&form).path()), (expected, "/files/{name}"));
    let short: Rule = " GET,PUT \t/files/{name} ".parse().unwrap();
    assert_eq!((short.path(), short.conditions(), short.methods().len()), ("/files/{name}", vec![], 2));
    assert_eq!(rule(&long("GET", "/a")).to_string(), "GET /a");
}
