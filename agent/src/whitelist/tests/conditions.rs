//! The conditions of the long form, one by one: what each allows, and the neighbour that it does not.

use std::time::Duration;

use proto::wire::{FailureCode, RequestHead, ServiceName};

use super::{head, headers, long, only, rule, whitelist_of};
use crate::whitelist::{Host, Limits, LongForm, Query, Rate, Reason, Service, Step, Times, Upgrade, Whitelist};

/// What one rule says to requests: nothing if it allows them, or the reason.
fn check(form: &LongForm, method: &str, targets: &[(&str, Option<Reason>)]) {
    let whitelist = whitelist_of(vec![rule(form)]);
    for (target, expected) in targets {
        let verdict = whitelist.admit(&head(method, target));
        assert_eq!(verdict.as_ref().err().map(|denied| denied.reason), *expected, "{form:?} {method} {target}");
        if let Ok(admitted) = verdict {
            assert_eq!(admitted.path_and_query(), target, "sent as judged");
        }
    }
}

#[test]
fn query() {
    let form = long("GET,POST", "/search");
    let denied = Some(Reason::Query);
    check(&form, "GET", &[("/search", None), ("/search?", None), ("/search?x;y=%zz&x", None)]);
    let none = LongForm { query: Query::None, ..form.clone() };
    check(
        &none,
        "GET",
        &[("/search", None), ("/search?", denied), ("/search?x", denied), ("/x?", Some(Reason::NoRule))],
    );
    let some = LongForm { query: only(&[("type", &["public", "shared"]), ("page", &["*"])], &["type"]), ..form };
    check(
        &some,
        "GET",
        &[
            ("/search?type=public", None),
            ("/search?page=7&type=shared", None),
            ("/search?type=public&page=", None),
            ("/search?ty%70e=sh%61red", None),
            ("/search", denied),
            ("/search?", denied),
            ("/search?page=7", denied),
            ("/search?type=private", denied),
            ("/search?type=Public", denied),
            ("/search?type=public&type=public", denied),
            ("/search?type=public&page=1&page=2", denied),
            ("/search?type=public&admin=1", denied),
            ("/search?type=public;page=1", denied),
            ("/search?type=public&page=%", denied),
            ("/search?type=public&page=%zz", denied),
            ("/search?type=public&page=%25zz", None),
            ("/search?type=public?", denied),
            ("/search?type=public#", Some(Reason::QueryByte)),
        ],
    );
    check(&some, "POST", &[("/search?type=public&_method=GET", Some(Reason::MethodOverride))]);
    check(&some, "PUT", &[("/search?type=public", Some(Reason::NoRule))]);
    let optional = LongForm { query: only(&[("page", &["*"])], &[]), ..long("GET", "/search") };
    check(&optional, "GET", &[("/search", None), ("/search?", None), ("/search?page=1", None), ("/search?x", denied)]);
}

#[test]
fn matrix() {
    let form = LongForm { matrix: true, ..long("GET", "/a/{id}/c") };
    let (elsewhere, nameless) = (Some(Reason::Parameters), Some(Reason::NamelessParameters));
    check(
        &form,
        "GET",
        &[
            ("/a/b/c", None),
            ("/a;x=1/b/c", None),
            ("/a/b;x=1;y=2/c;z", None),
            ("/a;/b/c", None),
            ("/a/b%20;x/c", None),
            ("/a/b;x=%20/c", None),
            ("/ab;x/b/c", elsewhere),
            ("/a/b/d;x", elsewhere),
            ("/a/b/c;x/d", elsewhere),
            ("/a/;x/c", nameless),
            ("/a/b/c/;x", nameless),
            ("/a/..;x/c", Some(Reason::DotSegment)),
            ("/a/.;/c", Some(Reason::DotSegment)),
            ("/a/%20..;x/c", Some(Reason::DotSegment)),
            ("/a/b%3Bx/c", Some(Reason::EncodedSemicolon)),
            ("/a/b;x=%2Fy/c", elsewhere),
            ("/a/b;x=%2F/c", Some(Reason::EncodedSlashes)),
            ("/a/b/c?x;y", None),
            ("/a/d", Some(Reason::NoRule)),
        ],
    );
    check(&long("GET", "/a/{id}/c"), "GET", &[("/a/b;x/c", elsewhere), ("/a/b/c", None)]);
    let rest = LongForm { matrix: true, ..long("GET", "/a/**") };
    check(&rest, "GET", &[("/a/b;x/c;y/", None), ("/a/b/;y", nameless), ("/a;x/", elsewhere), ("/a;x", elsewhere)]);
    let glob = LongForm { matrix: true, ..long("GET", "/r-*.pdf") };
    check(&glob, "GET", &[("/r-1.pdf;v=2", None), ("/r-1;v=.pdf", elsewhere)]);
    let star = LongForm { matrix: true, ..long("GET", "/x*") };
    check(&star, "GET", &[("/xy;", None), ("/x;y", elsewhere)]);
}

#[test]
fn encoded_slash() {
    let form = LongForm { encoded_slash: true, ..long("PUT", "/files/*/x*/**") };
    let (elsewhere, broken) = (Some(Reason::EncodedSlash), Some(Reason::EncodedSlashes));
    check(
        &form,
        "PUT",
        &[
            ("/files/a/xb/c", None),
            ("/files/a%2Fb/xb/c", None),
            ("/files/a%2fb%2Fc/xb/c", None),
            ("/files/a%2F.../xb/c", None),
            ("/files/a%2F/xb/c", broken),
            ("/files/%2Fa/xb/c", broken),
            ("/files/a%2F%2Fb/xb/c", broken),
            ("/files/a%2F../xb/c", broken),
            ("/files/%2e%2F%2E/xb/c", broken),
            ("/files/a%2F%20../xb/c", broken),
            ("/files/a%252Fb/xb/c", Some(Reason::DoubleEncoded)),
            ("/files/a%5Cb/xb/c", Some(Reason::Backslash)),
            ("/fil%2Fes/a/xb/c", elsewhere),
            ("/files/a/xb%2Fc/c", elsewhere),
            ("/files/a/xb/c%2Fd", elsewhere),
            ("/files/a/xb/c/d%2Fe", elsewhere),
            ("/files/a%2Fb;x/xb/c", Some(Reason::Parameters)),
            ("/files%2Fa/xb/c", elsewhere),
        ],
    );
    check(&long("PUT", "/files/*"), "PUT", &[("/files/a%2Fb", elsewhere), ("/files/ab", None)]);
    let both = LongForm { encoded_slash: true, matrix: true, ..long("PUT", "/files/*/end") };
    check(
        &both,
        "PUT",
        &[
            ("/files/a%2Fb;x/end;y", None),
            ("/files/a;x=%2Fb/end", None),
            ("/files/a%2F;x/end", broken),
            ("/files/a;x%2F..;y/end", broken),
            ("/files/a/end;x%2Fy", Some(Reason::Parameters)),
        ],
    );
}

#[test]
fn required_headers() {
    let named = |name: &str, values: &[&str]| (name.to_owned(), values.iter().map(|v| (*v).to_owned()).collect());
    let form = LongForm {
        headers: vec![named("X-Tenant", &["acme", "b c"]), named("accept", &["application/json"])],
        ..long("GET", "/a")
    };
    let whitelist = whitelist_of(vec![rule(&form)]);
    let accept = ("accept", "application/json");
    let check = |lines: &[(&str, &str)], expected: Option<Reason>| {
        let verdict = whitelist.admit(&RequestHead { headers: headers(lines), ..head("GET", "/a") });
        assert_eq!(verdict.err().map(|denied| denied.reason), expected, "{lines:?}");
    };
    check(&[accept, ("x-tenant", "acme")], None);
    check(&[("x-tenant", "b c"), accept, ("x-other", "1")], None);
    let denied = Some(Reason::Headers);
    check(&[], denied);
    check(&[accept], denied);
    check(&[accept, ("x-tenant", "")], denied);
    check(&[accept, ("x-tenant", "Acme")], denied);
    check(&[accept, ("x-tenant", "acme, acme")], denied);
    check(&[accept, ("x-tenant", "acme"), ("x-tenant", "acme")], denied);
    check(&[accept, ("x-tenant", "acme"), ("x-tenant", "other")], denied);
    check(&[accept, ("x_tenant", "acme")], denied);
    // It would be dropped on the way, so the upstream would never see what was demanded.
    check(&[accept, ("x-tenant", "acme"), ("connection", "close, X-Tenant")], denied);
    check(&[accept, ("x-tenant", "acme"), ("connection", "close")], None);
}

#[test]
fn a_header_that_tells_who_the_client_is_counts_only_if_trusted() {
    let form =
        LongForm { headers: vec![("x-forwarded-proto".to_owned(), vec!["https".to_owned()])], ..long("GET", "/a") };
    assert_eq!(rule(&form).identity_header(), Some("x-forwarded-proto"));
    assert_eq!(rule(&long("GET", "/a")).identity_header(), None);
    for (trust, expected) in [(true, None), (false, Some(Reason::Headers))] {
        let mut whitelist = whitelist_of(vec![rule(&form)]);
        let service = |service: Service| service.with_trust_forwarded(trust);
        whitelist.services = whitelist.services.into_iter().map(|(name, of)| (name, service(of))).collect();
        let asking = RequestHead { headers: headers(&[("x-forwarded-proto", "https")]), ..head("GET", "/a") };
        assert_eq!(whitelist.admit(&asking).err().map(|denied| denied.reason), expected, "trust: {trust}");
    }
}

#[test]
fn a_second_path_is_judged_too() {
    let listed = vec![("destination".to_owned(), vec!["/dav/archive".to_owned()])];
    let (any, one) = (long("MOVE,PUT", "/dav/*"), LongForm { headers: listed, ..long("MOVE", "/dav/*") });
    assert!(rule(&any).moves_nowhere() && !rule(&one).moves_nowhere() && !rule(&long("PUT", "/dav/*")).moves_nowhere());
    let check = |form: &LongForm, method: &str, destination: Option<&str>, expected: Option<Reason>| {
        let lines: Vec<_> = destination.map(|value| ("destination", value)).into_iter().collect();
        let verdict =
            whitelist_of(vec![rule(form)]).admit(&RequestHead { headers: headers(&lines), ..head(method, "/dav/a") });
        assert_eq!(verdict.err().map(|denied| denied.reason), expected, "{form:?} {method} {destination:?}");
    };
    check(&any, "MOVE", Some("/etc/a"), Some(Reason::Destination));
    check(&any, "MOVE", None, None);
    check(&any, "PUT", Some("/etc/a"), None);
    check(&one, "MOVE", Some("/dav/archive"), None);
    check(&one, "MOVE", Some("/etc/a"), Some(Reason::Headers));
}

#[test]
fn an_upgrade_passes_only_by_permission() {
    let permitting = LongForm { upgrade: Some(Upgrade::WebSocket), ..long("GET,POST", "/ws") };
    let check = |form: &LongForm, method: &str, upgrade: bool, expected: Result<Option<Upgrade>, Reason>| {
        let verdict = whitelist_of(vec![rule(form)]).admit(&RequestHead { upgrade, ..head(method, "/ws") });
        assert_eq!(verdict.map(|a| a.upgrade()).map_err(|denied| denied.reason), expected, "{method} {upgrade}");
    };
    check(&permitting, "GET", true, Ok(Some(Upgrade::WebSocket)));
    check(&permitting, "GET", false, Ok(None));
    check(&permitting, "POST", true, Err(Reason::Upgrade));
    check(&long("GET", "/ws"), "GET", true, Err(Reason::Upgrade));
    check(&long("GET", "/ws"), "GET", false, Ok(None));
}

#[test]
fn limits_are_handed_on() {
    let limits = Limits {
        max_body: Some(10),
        times: Times { whole: Some(Duration::from_secs(2)), ..Times::default() },
        rate: Some(Rate { requests: 5, per: Duration::from_secs(60) }),
    };
    let whitelist = whitelist_of(vec![rule(&LongForm { limits, ..long("PUT", "/a") })]);
    let with_length = |length: &str| {
        let admitted =
            whitelist.admit(&RequestHead { headers: headers(&[("content-length", length)]), ..head("PUT", "/a") });
        admitted.map(|admitted| admitted.limits()).map_err(|denied| (denied.reason, denied.code, denied.step))
    };
    assert_eq!(with_length("10"), Ok(limits));
    assert_eq!(with_length("11"), Err((Reason::BodyTooLong, FailureCode::BodyTooLarge, Step::Rules)));
    assert_eq!(whitelist.admit(&head("PUT", "/a")).unwrap().limits(), limits, "a body of unknown length");
}

/// Of several rules that allow a request the roomiest counts, wherever it stands.
#[test]
fn the_order_of_rules_never_counts() {
    let with = |path: &str, max_body, whole: Option<u64>, rate: Option<u32>| {
        let rate = rate.map(|requests| Rate { requests, per: Duration::from_secs(1) });
        let times = Times { whole: whole.map(Duration::from_secs), ..Times::default() };
        LongForm { limits: Limits { max_body, times, rate }, ..long("PUT", path) }
    };
    let per_minute = |requests| LongForm {
        limits: Limits { rate: Some(Rate { requests, per: Duration::from_secs(60) }), ..Limits::default() },
        ..long("PUT", "/*")
    };
    for (roomy, narrow) in [
        (with("/*", None, None, None), with("/a", Some(9), None, None)),
        (with("/*", Some(9), None, None), with("/a", Some(8), None, None)),
        (with("/*", Some(9), Some(1), None), with("/a", Some(8), None, None)),
        (with("/*", Some(9), Some(2), Some(1)), with("/a", Some(9), Some(1), None)),
        (with("/*", Some(9), Some(2), Some(2)), with("/a", Some(9), Some(2), Some(1))),
        (with("/*", None, None, None), with("/a", None, None, Some(60))),
        (per_minute(60), with("/a", None, None, Some(1))),
    ] {
        for (rules, expected) in [([&roomy, &narrow], 0), ([&narrow, &roomy], 1)] {
            let admitted = whitelist_of(rules.map(rule).into()).admit(&head("PUT", "/a")).unwrap();
            assert_eq!((admitted.rule(), admitted.limits()), (Some(expected), roomy.limits), "{roomy:?} {narrow:?}");
        }
    }
}

/// A rule that says nothing of a time leaves as much of it as the service, which may be less than another rule.
#[test]
fn what_a_rule_does_not_say_is_as_its_service_says() {
    let seconds = |seconds| Some(Duration::from_secs(seconds));
    let service = Times { response: seconds(60), idle: seconds(9), total: seconds(90), whole: None };
    let check = |times: Times, expected: (usize, Times)| {
        let special = LongForm { limits: Limits { times, ..Limits::default() }, ..long("GET", "/a/b") };
        let plain = long("GET", "/a/*");
        for (rules, special_at) in [([&plain, &special], 1), ([&special, &plain], 0)] {
            let service = Service::new(rules.map(rule).into(), Host::Fixed("a".parse().unwrap())).with_times(service);
            let whitelist = Whitelist::new([(ServiceName::new("orders").unwrap(), service)]);
            let admitted = whitelist.admit(&head("GET", "/a/b")).unwrap();
            let at = if expected.0 == 1 { special_at } else { 1 - special_at };
            assert_eq!((admitted.rule(), admitted.limits().times), (Some(at), expected.1), "{times:?}");
        }
    };
    let some = Times::default();
    check(Times { response: seconds(300), ..some }, (1, Times { response: seconds(300), ..service }));
    check(Times { response: seconds(5), ..some }, (0, service));
    check(Times { idle: seconds(0), ..some }, (1, Times { idle: None, ..service }));
    check(Times { idle: seconds(5), ..some }, (0, service));
    check(Times { total: seconds(0), ..some }, (1, Times { total: None, ..service }));
    check(Times { total: seconds(91), response: seconds(1), ..some }, {
        (1, Times { total: seconds(91), response: seconds(1), ..service })
    });
    check(Times { whole: seconds(91), ..some }, {
        (1, Times { response: None, total: None, whole: seconds(91), ..service })
    });
    check(Times { whole: seconds(89), ..some }, (0, service));
}

/// The refusal says how far the closest rule let the request come.
#[test]
fn one_rule_must_permit_all_of_it() {
    let matrix = LongForm { matrix: true, ..long("GET", "/a/*") };
    let slash = LongForm { encoded_slash: true, ..long("GET", "/a/*") };
    let whitelist = whitelist_of(vec![rule(&matrix), rule(&slash), rule(&long("GET", "/a/b"))]);
    let reason = |target: &str| whitelist.admit(&head("GET", target)).err().map(|denied| denied.reason);
    for (target, expected) in [
        ("/a/b", None),
        ("/a/b;x", None),
        ("/a/b%2Fc", None),
        ("/a/b%2Fc;x", Some(Reason::Parameters)),
        ("/b", Some(Reason::NoRule)),
    ] {
        assert_eq!(reason(target), expected, "{target}");
    }
}
