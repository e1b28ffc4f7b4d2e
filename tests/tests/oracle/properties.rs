//! What holds for every request and every list of rules: the whitelist and the oracle agree, and more.
//!
//! The fuzz target takes this file as it is: what it uses stands above it, in either place.

use http::{HeaderMap, HeaderValue, Method, Uri, header::HOST};
use proto::wire::{FailureCode, RequestHead, RequestId, ServiceName};

use super::{
    oracle::{self, Request, Rule, Verdict},
    whitelist::{self, Denied, Host, Limits, LongForm, Query, Service, Upgrade, Values, Whitelist},
};

/// The agent's rule that says what the oracle's says; none if it is malformed or contradicts itself.
pub(crate) fn built(rule: &Rule) -> Option<whitelist::Rule> {
    let Rule { methods, path, query, matrix, encoded_slash, headers, upgrade, max_body } = rule.clone();
    if rule == &(Rule { methods: methods.clone(), path: path.clone(), ..Rule::default() }) {
        return format!("{} {path}", methods.join(",")).parse().ok();
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

/// A whitelist of these rules, for the service `orders`. Those that it refuses are left out.
pub(crate) fn whitelist(rules: &[Rule]) -> Whitelist {
    let host = Host::Fixed(HeaderValue::from_static("localhost:8080"));
    let service = Service::new(rules.iter().filter_map(built).collect(), host);
    Whitelist::new([(ServiceName::new("orders").unwrap(), service)])
}

/// A request without headers.
pub(crate) fn head(method: &str, target: &[u8]) -> RequestHead {
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
pub(crate) fn expected(rules: &[Rule], head: &RequestHead) -> Verdict {
    let lines = head.headers.iter();
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

/// Everything that must hold for one request, under rules that the agent takes, in one order and in another.
///
/// # Panics
/// If it does not.
pub(crate) fn hold(rules: &[Rule], permuted: &[Rule], head: &RequestHead) -> Verdict {
    let list = whitelist(rules);
    let verdict = list.admit(head);
    let other = whitelist(permuted).admit(head);
    assert_eq!(list.explain(head).is_allowed(), verdict.is_ok(), "it explains what it does");
    let expected = expected(rules, head);
    match verdict {
        Ok(admitted) => {
            assert_eq!(expected, Verdict::Allowed, "the oracle agrees");
            let other = other.expect("the order of rules decides nothing");
            assert_eq!(other.into_parts().limits, admitted.clone().into_parts().limits, "nor how much it may take");
            let rule = admitted.rule().expect("a rule allows it, not a mode");
            let alone = &rules[rule..][..1];
            assert_eq!(self::expected(alone, head), Verdict::Allowed, "the rule that is named allows it by itself");
            let sent = admitted.path_and_query().clone();
            assert_eq!(sent.as_str().as_bytes(), &head.target[..], "it is sent byte for byte");
            assert_eq!(Uri::from(sent).to_string().as_bytes(), &head.target[..], "and by hyper");
            let mut again = RequestHead { headers: admitted.headers().clone(), ..head.clone() };
            again.headers.remove(HOST); // the agent's own, and one more line than may have come
            let again = list.admit(&again).expect("what was sent is allowed again");
            assert_eq!(again.path_and_query(), admitted.path_and_query(), "as it is");
            assert_eq!(again.headers(), admitted.headers(), "with the same headers");
        }
        Err(denied) => {
            assert_eq!(refused(&denied), expected, "the oracle agrees: {denied}");
            assert_eq!(other.unwrap_err(), denied, "the order of rules decides nothing");
        }
    }
    expected
}
