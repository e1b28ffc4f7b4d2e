//! Audit mode: what the rules would deny is sent and told, so that rules can be tried before they are enforced.
//!
//! It lifts what is a matter of rules, and nothing else. What is malformed, what two servers could read in two ways
//! within one segment, sizes, framing and methods that never pass are refused in this mode too.

use proto::wire::RequestHead;

use super::{
    denied::{Denied, Reason, Step},
    framing::{self, Framing},
    limits::TARGET_BYTES,
};

/// What becomes of a request to a service that no rule allows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It is denied.
    #[default]
    Enforce,
    /// It is sent, and counted and logged as one that would be denied.
    Audit,
}

impl Mode {
    /// The mode as it is spelt in the configuration and in logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Audit => "audit",
        }
    }
}

/// Says whether a denied request is sent in this mode. It must still pass whatever the refusal came before.
pub(super) fn judge(mode: Mode, head: &RequestHead, denied: Denied) -> Result<Framing, Denied> {
    if mode != Mode::Audit || !is_a_matter_of_rules(denied) || never_passes(head) {
        return Err(denied);
    }
    if head.target.len() > TARGET_BYTES {
        return Err(Denied::new(Reason::TargetTooLong));
    }
    framing::judge(&head.headers)
}

/// Steps 7 and 8 and the rules themselves. That the target is sent as it was judged is no matter of rules, nor is that
/// the service is offered at all; and a body that is too long is refused by the limit of a rule that allows the request.
fn is_a_matter_of_rules(denied: Denied) -> bool {
    matches!(denied.step, Step::Ambiguous | Step::Override | Step::Rules)
        && !matches!(denied.reason, Reason::TargetChanged | Reason::BodyTooLong)
}

/// No mode lets these pass: they make the upstream speak another protocol than the one that was judged, or, as TRACE
/// does, show what a proxy behind the agent has added. Without regard to case, because some server may have none.
fn never_passes(head: &RequestHead) -> bool {
    let method = head.method.as_str();
    head.upgrade || ["TRACE", "CONNECT"].iter().any(|never| method.eq_ignore_ascii_case(never))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderValue;
    use proto::wire::{FailureCode, ServiceName};

    use super::{
        super::{
            Grounds, Host, Limits, LongForm, Service, Times, Verdict, Whitelist,
            tests::{head, headers},
        },
        *,
    };

    fn whitelist(mode: Mode, host: Host) -> Whitelist {
        let rules = vec!["GET /allowed".parse().unwrap()];
        Whitelist::new([(ServiceName::new("orders").unwrap(), Service::new(rules, host).with_mode(mode))])
    }

    fn audited() -> Whitelist {
        whitelist(Mode::Audit, Host::Fixed(HeaderValue::from_static("up:80")))
    }

    #[test]
    fn what_only_the_rules_refuse_is_sent_and_told() {
        let check = |method: &str, target: &str, reason| {
            let head = head(method, target);
            let grounds = audited().admit(&head).map(|admitted| {
                assert_eq!(admitted.path_and_query().as_str(), target);
                admitted.grounds()
            });
            let Ok(Grounds::Audit(denied)) = grounds else { panic!("{method} {target}: {grounds:?}") };
            assert_eq!(denied.reason, reason, "{method} {target}");
            let enforced = whitelist(Mode::Enforce, Host::Fixed(HeaderValue::from_static("up:80"))).admit(&head);
            assert_eq!(enforced.unwrap_err(), denied, "{method} {target}");
        };
        check("GET", "/", Reason::NoRule);
        check("DELETE", "/allowed", Reason::NoRule);
        check("OPTIONS", "*", Reason::NoRule);
        check("GET", "/a;b", Reason::Parameters);
        check("GET", "/a%2Fb", Reason::EncodedSlash);
        check("POST", "/a?_method=PUT", Reason::MethodOverride);
        assert_eq!(audited().admit(&head("GET", "/allowed")).unwrap().grounds(), Grounds::Rule(0));
    }

    #[test]
    fn everything_else_is_refused_in_audit_mode_too() {
        let check = |head: RequestHead, reason| {
            let refused = audited().admit(&head).map_err(|denied| denied.reason);
            assert_eq!(refused, Err(reason), "{} {:?}", head.method, head.target);
        };
        let long = format!("/{}", "a".repeat(TARGET_BYTES));
        for (method, target, reason) in [
            ("GET", "x", Reason::NotOriginForm),
            ("GET", "/ ", Reason::PathByte),
            ("GET", "/?\u{7f}", Reason::QueryByte),
            ("GET", "/%zz", Reason::BadTriplet),
            ("GET", "/%00", Reason::Control),
            ("GET", "/%5c", Reason::Backslash),
            ("GET", "/%c0%af", Reason::InvalidUtf8),
            ("GET", "/%252e", Reason::DoubleEncoded),
            ("GET", "/%3b", Reason::EncodedSemicolon),
            ("GET", "/%e2%80%a4", Reason::LookAlike),
            ("GET", "/a/../b", Reason::DotSegment),
            ("GET", "/a/..;x/b", Reason::DotSegment),
            ("GET", "//a", Reason::EmptySegment),
            ("GET", &long, Reason::TargetTooLong),
            ("GET", &format!("{long};"), Reason::TargetTooLong),
            ("GET", &format!("{long}%2f"), Reason::TargetTooLong),
            ("POST", &format!("{long}?_method=PUT"), Reason::TargetTooLong),
            ("TRACE", "/", Reason::NoRule),
            ("trace", "/", Reason::NoRule),
            ("CONNECT", "/", Reason::NoRule),
            ("TRACE", "/allowed", Reason::NoRule),
        ] {
            check(head(method, target), reason);
        }
        check(RequestHead { upgrade: true, ..head("GET", "/") }, Reason::NoRule);
        check(RequestHead { upgrade: true, ..head("GET", "/allowed") }, Reason::Upgrade);
        check(RequestHead { service: ServiceName::new("other").unwrap(), ..head("GET", "/") }, Reason::UnknownService);
        let lines: Vec<(&str, &str)> = std::iter::repeat_n(("a", "b"), 101).collect();
        let heads: [(&[(&str, &str)], Reason); 4] = [
            (&lines, Reason::TooManyHeaders),
            (&[("content-length", "1"), ("content-length", "1")], Reason::RepeatedContentLength),
            (&[("content-length", "1"), ("transfer-encoding", "chunked")], Reason::LengthBesideEncoding),
            (&[("expect", "200-ok")], Reason::Expectation),
        ];
        for (lines, reason) in heads {
            for target in ["/", "/a;b", "/a%2fb", "/?_method=x"] {
                check(RequestHead { headers: headers(lines), ..head("POST", target) }, reason);
            }
        }
    }

    #[test]
    fn the_limit_of_a_rule_holds_in_audit_mode_too() {
        let limits = Limits { max_body: Some(10), ..Limits::default() };
        let rule = LongForm { path: "/a".to_owned(), methods: vec!["PUT".to_owned()], limits, ..LongForm::default() };
        let host = Host::Fixed(HeaderValue::from_static("up:80"));
        let service = Service::new(vec![rule.rule().unwrap()], host).with_mode(Mode::Audit);
        let whitelist = Whitelist::new([(ServiceName::new("orders").unwrap(), service)]);
        let with_length = |length| {
            let lines = headers(&[("content-length", length)]);
            whitelist.admit(&RequestHead { headers: lines, ..head("PUT", "/a") }).map(|admitted| admitted.grounds())
        };
        assert_eq!(with_length("10"), Ok(Grounds::Rule(0)));
        assert_eq!(with_length("11").map_err(|denied| denied.reason), Err(Reason::BodyTooLong));
    }

    #[test]
    fn the_times_of_the_service_hold_in_audit_mode_too() {
        let times = Times { idle: Some(Duration::from_secs(9)), ..Times::default() };
        let service = Service::new(vec![], Host::Fixed(HeaderValue::from_static("up:80")));
        let service = service.with_times(times).with_mode(Mode::Audit);
        let whitelist = Whitelist::new([(ServiceName::new("orders").unwrap(), service)]);
        assert_eq!(whitelist.admit(&head("GET", "/")).unwrap().limits(), Limits { times, ..Limits::default() });
    }

    #[test]
    fn headers_are_rebuilt_all_the_same() {
        let lines = headers(&[("host", "evil"), ("x-forwarded-for", "1.2.3.4"), ("a_b", "c"), ("accept", "*/*")]);
        let admitted = audited().admit(&RequestHead { headers: lines, ..head("GET", "/") }).unwrap();
        let sent: Vec<_> = admitted.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(sent, [("host", &b"up:80"[..]), ("accept", b"*/*")]);
        let preserving = whitelist(Mode::Audit, Host::Preserve);
        let refused = preserving.admit(&RequestHead { headers: headers(&[("host", "a/b")]), ..head("GET", "/") });
        assert_eq!(refused.unwrap_err().code, FailureCode::BadRequest);
    }

    #[test]
    fn an_explanation_says_both() {
        let explanation = audited().explain(&head("GET", "/Allowed"));
        assert!(matches!(explanation.verdict, Verdict::Refused { nearest: Some(_), .. }), "{explanation}");
        assert!(!explanation.is_allowed() && explanation.would_deny);
        assert!(explanation.to_string().ends_with("\nSENT ALL THE SAME: orders is in audit mode"), "{explanation}");
        assert!(!audited().explain(&head("GET", "/%00")).would_deny);
        assert!(!audited().explain(&head("GET", "/allowed")).would_deny);
    }
}
