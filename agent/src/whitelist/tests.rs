//! The whitelist as a whole, against its specification: what each line refuses, and the neighbour that passes.

mod conditions;
mod long;
mod meaning;
mod refuse;

use http::{HeaderMap, HeaderName, HeaderValue, Method};
use proto::wire::{RequestHead, RequestId, ServiceName};

use super::{Admitted, Denied, Host, LongForm, Query, Rule, Service, Values, Whitelist};

/// A head for the service `orders`, without headers.
pub(super) fn head(method: &str, target: impl AsRef<[u8]>) -> RequestHead {
    RequestHead {
        service: ServiceName::new("orders").unwrap(),
        method: Method::from_bytes(method.as_bytes()).unwrap(),
        target: target.as_ref().to_vec().into(),
        headers: HeaderMap::new(),
        request_id: RequestId::new("r-1").unwrap(),
        deadline: None,
        upgrade: false,
    }
}

pub(super) fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap());
    }
    headers
}

/// A whitelist with these rules for the service `orders`.
pub(super) fn whitelist<S: AsRef<str>>(rules: &[S]) -> Whitelist {
    let parse = |rule: &S| rule.as_ref().parse().unwrap_or_else(|error| panic!("{}: {error}", rule.as_ref()));
    whitelist_of(rules.iter().map(parse).collect())
}

/// The same with rules at hand.
pub(super) fn whitelist_of(rules: Vec<Rule>) -> Whitelist {
    let host = Host::Fixed(HeaderValue::from_static("localhost:8080"));
    Whitelist::new([(ServiceName::new("orders").unwrap(), Service::new(rules, host))])
}

/// A long form of some methods, separated by commas, and a path.
pub(super) fn long(methods: &str, path: &str) -> LongForm {
    LongForm { methods: methods.split(',').map(str::to_owned).collect(), path: path.to_owned(), ..LongForm::default() }
}

/// The rule that a long form makes.
fn rule(form: &LongForm) -> Rule {
    form.rule().unwrap_or_else(|error| panic!("{form:?}: {error}"))
}

/// A condition on the query; `*` as the one value stands for any.
fn only(allow: &[(&str, &[&str])], required: &[&str]) -> Query {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let values = |values: &[&str]| if values == ["*"] { Values::Any } else { Values::OneOf(owned(values)) };
    Query::Only {
        allow: allow.iter().map(|(name, listed)| ((*name).to_owned(), values(listed))).collect(),
        required: owned(required),
    }
}

/// Everything that a short-form rule can allow.
const EVERYTHING: [&str; 3] = ["GET,HEAD,POST,PUT,OPTIONS /**", "GET,HEAD,POST,PUT,OPTIONS /", "OPTIONS *"];

fn admit(rules: &[&str], method: &str, target: impl AsRef<[u8]>) -> Result<Admitted, Denied> {
    whitelist(rules).admit(&head(method, target))
}
