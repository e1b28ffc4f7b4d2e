//! "Meaning", line by line: what a short-form rule allows, and the neighbour that it does not.

use proto::wire::{FailureCode, RequestHead, ServiceName};

use super::{admit, head, headers, whitelist};
use crate::whitelist::{Reason, Step, Whitelist, unchanged};

/// One rule; each target with `true` is allowed by it, each with `false` by nothing.
fn check(rule: &str, method: &str, targets: &[(&str, bool)]) {
    for (target, expected) in targets {
        match admit(&[rule], method, target) {
            Ok(_) => assert!(expected, "{rule} allows {method} {target}"),
            Err(denied) => {
                assert!(!expected, "{rule} refuses {method} {target}: {denied}");
                assert_eq!((denied.step, denied.code), (Step::Rules, FailureCode::Denied), "{rule} {target}");
            }
        }
    }
}

#[test]
fn literals_equal_the_segment_decoded_once() {
    check(
        "GET /orders",
        "GET",
        &[
            ("/orders", true),
            ("/%6Frders", true),
            ("/orders?a=b", true),
            ("/orders?", true),
            ("/Orders", false),
            ("/orders/", false),
            ("/order", false),
            ("/orderss", false),
            ("/", false),
            ("/orders/1", false),
            ("/orders%20", false),
        ],
    );
    for rule in ["GET /caf\u{e9}", "GET /caf%C3%A9", "GET /%63af%c3%a9"] {
        // The second is the same to the eye, with a combining accent: no normalisation.
        check(rule, "GET", &[("/caf%C3%A9", true), ("/cafe%CC%81", false), ("/caf%C3%89", false), ("/cafe", false)]);
    }
    check("GET /a%20b", "GET", &[("/a%20b", true), ("/a+b", false)]);
    check("GET /100%25", "GET", &[("/100%25", true)]);
    check("GET /a%2Ab", "GET", &[("/a*b", true), ("/a%2ab", true), ("/axb", false)]);
    check("GET /%7Bid%7D", "GET", &[("/%7Bid%7D", true), ("/42", false)]);
    check("GET /", "GET", &[("/", true), ("/?a", true), ("/a", false)]);
}

#[test]
fn a_wildcard_is_exactly_one_segment() {
    for rule in ["GET /orders/*", "GET /orders/{id}", "GET /orders/{order-id}"] {
        check(
            rule,
            "GET",
            &[
                ("/orders/42", true),
                ("/orders/%20", true),
                ("/orders/caf%C3%A9", true),
                ("/orders/*", true),
                ("/orders", false),
                ("/orders/", false),
                ("/orders/42/", false),
                ("/orders/42/x", false),
                ("/other/42", false),
            ],
        );
    }
    check("GET /{a}/x/{b}", "GET", &[("/1/x/2", true), ("/1/y/2", false), ("/1/x", false)]);
}

#[test]
fn wildcards_within_a_segment() {
    for rule in ["GET /r/report-*.pdf", "GET /r/report-{id}.pdf"] {
        check(
            rule,
            "GET",
            &[
                ("/r/report-1.pdf", true),
                ("/r/report-1.pdf.pdf", true),
                ("/r/report-.pdf", false),
                ("/r/report-1.txt", false),
                ("/r/report-1.pdf/", false),
                ("/r/report-1/a.pdf", false),
                ("/r/Report-1.pdf", false),
                ("/r/report-%31%2Epdf", true),
            ],
        );
    }
    check(
        "GET /*-*-*",
        "GET",
        &[("/a-b-c", true), ("/----", false), ("/-----", true), ("/a-b", false), ("/a--c", false)],
    );
    check("GET /{name}:cancel", "GET", &[("/job:cancel", true), ("/:cancel", false)]);
}

#[test]
fn rest_is_one_or_more_further_segments() {
    for rule in ["GET /reports/**", "GET /reports/{*path}"] {
        check(
            rule,
            "GET",
            &[
                ("/reports/a", true),
                ("/reports/a/", true),
                ("/reports/a/b/c", true),
                ("/reports/a/b/c/", true),
                ("/reports", false),
                ("/reports/", false),
                ("/reportsa/b", false),
                ("/other/a", false),
            ],
        );
    }
    check("GET /**", "GET", &[("/a", true), ("/a/b/", true), ("/", false)]);
    check("GET /a/*/**", "GET", &[("/a/b/c", true), ("/a/b", false), ("/a/b/", false)]);
}

#[test]
fn a_trailing_slash_is_significant() {
    check("GET /a/", "GET", &[("/a/", true), ("/a", false), ("/a/b", false)]);
    check("GET /a", "GET", &[("/a", true), ("/a/", false)]);
    check("GET /a/*/", "GET", &[("/a/b/", true), ("/a/b", false), ("/a/", false)]);
}

#[test]
fn methods_are_exact() {
    check("GET /a", "GET", &[("/a", true)]);
    for method in ["HEAD", "get", "Get", "GETT", "POST", "TRACE", "CONNECT", "OPTIONS"] {
        check("GET /a", method, &[("/a", false)]);
    }
    for (method, expected) in [("GET", true), ("HEAD", true), ("MKCOL", true), ("PUT", false), ("MKCOL2", false)] {
        check("GET,HEAD,MKCOL /a", method, &[("/a", expected)]);
    }
    check("OPTIONS *", "OPTIONS", &[("*", true), ("/*", false), ("/", false)]);
    check("OPTIONS /**", "OPTIONS", &[("*", false), ("/*", true)]);
}

#[test]
fn without_a_query_condition_the_query_is_opaque() {
    check(
        "GET /a",
        "GET",
        &[
            ("/a?", true),
            ("/a?x=1&x=2", true),
            ("/a?%zz", true),
            ("/a?/b/../c", true),
            ("/a?b?c", true),
            ("/a?;", true),
        ],
    );
}

#[test]
fn one_single_rule_must_match() {
    let rules = ["GET /a", "POST /b"];
    for (method, target, rule) in
        [("GET", "/a", Some(0)), ("POST", "/b", Some(1)), ("POST", "/a", None), ("GET", "/b", None)]
    {
        assert_eq!(admit(&rules, method, target).ok().and_then(|admitted| admitted.rule()), rule, "{method} {target}");
    }
}

#[test]
fn an_upgrade_never_passes_a_short_form_rule() {
    let whitelist = whitelist(&["GET /ws"]);
    let upgrading = RequestHead { upgrade: true, ..head("GET", "/ws") };
    let denied = whitelist.admit(&upgrading).unwrap_err();
    assert_eq!((denied.reason, denied.code), (Reason::Upgrade, FailureCode::Denied));
    let lines = [("connection", "upgrade"), ("upgrade", "websocket")];
    let asking = RequestHead { headers: headers(&lines), ..head("GET", "/ws") };
    let admitted = whitelist.admit(&asking).unwrap();
    assert_eq!(admitted.headers().keys().map(http::HeaderName::as_str).collect::<Vec<_>>(), ["host"]);
}

#[test]
fn nothing_is_allowed_by_default() {
    let unknown = RequestHead { service: ServiceName::new("other").unwrap(), ..head("GET", "/a") };
    for whitelist in [Whitelist::default(), whitelist::<&str>(&[]), whitelist(&["GET /b"])] {
        assert_eq!(whitelist.admit(&head("GET", "/a")).unwrap_err().code, FailureCode::Denied);
        assert_eq!(whitelist.admit(&unknown).unwrap_err().reason, Reason::UnknownService);
    }
}

#[test]
fn gives_what_was_judged() {
    let lines = [("content-length", "12"), ("expect", "100-continue"), ("accept", "*/*")];
    let head = RequestHead { headers: headers(&lines), ..head("POST", "/a%20b?c=%2F") };
    let admitted = whitelist(&["GET /", "POST /*"]).admit(&head).unwrap();
    assert_eq!((admitted.service().as_str(), admitted.method().as_str()), ("orders", "POST"));
    assert_eq!((admitted.content_length(), admitted.expects_continue(), admitted.rule()), (Some(12), true, Some(1)));
    assert_eq!(admitted.path_and_query(), "/a%20b?c=%2F");
    assert_eq!(admitted.headers(), &headers(&[("host", "localhost:8080"), ("accept", "*/*")]));
    assert!(!format!("{admitted:?}").contains("localhost"), "Debug shows no header value");
}

/// Judging lets no `#` through; should it ever, http's type would cut the target there, and this is what holds.
#[test]
fn nothing_but_the_judged_bytes_is_sent() {
    for target in ["/a", "/a?b", "/a?", "*", "/%2e"] {
        assert_eq!(unchanged(&head("GET", target)).unwrap(), target);
    }
    for target in ["/a#b", "/a?b#c", "/a#", "#", "?a#", "", "a", "/a b"] {
        assert_eq!(unchanged(&head("GET", target)).unwrap_err().reason, Reason::TargetChanged, "{target}");
    }
}
