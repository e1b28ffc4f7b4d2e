//! The rules of a service, in either form: from the keys as written to the whitelist's own rules, and from what the
//! whitelist objects to back to the place of it.

use std::{ops::RangeInclusive, time::Duration};

use settings::{
    At, Entries, Fault, Findings, Keys, Place, Source, Text, TextOr,
    report::one_of,
    units::{bytes, count_within, duration_within, switch},
};

use super::{
    Protocol, method,
    raw::{RawQuery, RawRule},
    service::{WAITS, WAITS_OR_NONE},
};
use crate::whitelist::{Limits, LongForm, Part, Query, Rate, Rule, RuleError, Times, Upgrade, Values, duplicate};

/// Requests that a rate may name: beyond a million at once there is nothing to limit.
const REQUESTS: RangeInclusive<u32> = 1..=1_000_000;

/// What of its service decides whether a rule could ever hold.
#[derive(Clone, Copy)]
pub(super) struct Around {
    pub(super) trust_forwarded: bool,
    pub(super) protocol: Protocol,
}

/// Checks all rules of a service. None is there twice, and none is of no use in it.
pub(super) fn check_all(raw: &[TextOr<Keys<RawRule>>], around: Around, found: &mut Findings<'_>) -> Option<Vec<Rule>> {
    let checked: Vec<_> = raw.iter().map(|raw| check(raw, around, found)).collect();
    let rules: Vec<Rule> = checked.into_iter().collect::<Option<_>>()?;
    if let Some((again, first)) = duplicate(&rules) {
        let place = raw[again].place();
        let line =
            if found.source().is_numbered() { format!(" on line {}", raw[first].place().line) } else { String::new() };
        let what = format!("this rule allows the same as \"{}\"{line}", rules[first]);
        found.fault(place, Fault::new(what, "keep one of the two"));
        return None;
    }
    Some(rules)
}

fn check(raw: &TextOr<Keys<RawRule>>, around: Around, found: &mut Findings<'_>) -> Option<Rule> {
    let rule = match raw {
        TextOr::Other(long) => check_long(&long.value.0, long.place, found),
        _ => found.parsed(&raw.text(found.source())?, short),
    }?;
    for doubt in rule.methods().iter().filter_map(method::doubt) {
        found.warn(raw.place(), doubt);
    }
    if rule.moves_nowhere() {
        let text = "MOVE and COPY name a second path in `Destination`, and this rule lists none of its values under \
                    `headers`: whatever names one is denied";
        found.warn(raw.place(), text);
    }
    match useless(&rule, raw, around) {
        None => Some(rule),
        Some((place, fault)) => {
            found.fault(place.unwrap_or(raw.place()), fault);
            None
        }
    }
}

/// What a rule says that could never hold in this service, and where.
fn useless(rule: &Rule, raw: &TextOr<Keys<RawRule>>, around: Around) -> Option<(Option<Place>, Fault)> {
    let long = if let TextOr::Other(long) = raw { Some(&long.value.0) } else { None }?;
    if let Some(upgrade) = long.upgrade.as_ref().filter(|_| around.protocol == Protocol::H2c) {
        let what = "an upstream with `protocol: h2c` is spoken to in HTTP/2, which has no upgrades";
        let remedy = "remove `upgrade`; if the server speaks HTTP/1.1 too, make its WebSockets a service of their own";
        return Some((Some(upgrade.place), Fault::new(what, remedy)));
    }
    let header = rule.identity_header().filter(|_| !around.trust_forwarded)?;
    let what = format!("`{header}` says who the client is and never reaches the upstream, so this could never hold");
    let fault = Fault::new(what, "remove the condition, or set `trust_forwarded: true` if no gateway could lie");
    Some((header_place(long, header), fault))
}

fn short(text: &str) -> Result<Rule, Fault> {
    // In a [ list ] an unquoted comma ends the item, so that only `GET` is left of `GET,HEAD /orders`.
    let remedy = if text.contains(' ') {
        "write METHODS PATH, such as GET,HEAD /orders/{id} or GET /reports/**"
    } else {
        "write METHODS PATH; in a [ list ] a rule that holds a comma goes into quotes, as in \"GET,HEAD /orders\""
    };
    text.parse().map_err(|error: RuleError| Fault::new(error.message, remedy).at_byte(error.offset))
}

fn check_long(raw: &RawRule, place: Place, found: &mut Findings<'_>) -> Option<Rule> {
    let missing = |key: &str, example: &str| (Some(place), Fault::new(format!("the rule has no `{key}`"), example));
    let path = found.required(raw.path.as_ref(), missing("path", "add `path`, such as path: /orders/{id}"), anything);
    if raw.methods.is_none() {
        let (place, fault) = missing("methods", "add `methods`, such as methods: [GET, HEAD]");
        found.fault(place, fault);
    }
    let query = query(raw.query.as_ref(), found);
    let matrix = found.or(raw.matrix.as_ref(), false, switch);
    let encoded_slash = found.or(raw.encoded_slash.as_ref(), false, |word| one_of(word, &[("data", true)]));
    let headers = headers(raw.headers.as_ref(), found);
    let upgrade = found.optional(raw.upgrade.as_ref(), |word| one_of(word, &[("websocket", Upgrade::WebSocket)]));
    let max_body = found.optional(raw.max_body.as_ref(), bytes);
    let times = times(raw, found);
    let rate = found.optional(raw.rate.as_ref(), rate);
    let long = LongForm {
        path: path?,
        methods: raw.methods.as_ref()?.value.iter().map(|method| method.value.clone()).collect(),
        query: query?,
        matrix: matrix?,
        encoded_slash: encoded_slash?,
        headers: headers?,
        upgrade: upgrade?,
        limits: Limits { max_body: max_body?, times: times?, rate: rate? },
    };
    match long.rule() {
        Ok(rule) => Some(rule),
        Err(error) => {
            let at = place_of(&error, raw, found.source()).unwrap_or(place);
            found.fault(at, Fault::new(error.message, "docs/configuration.md explains the keys of a rule"));
            None
        }
    }
}

fn times(raw: &RawRule, found: &mut Findings<'_>) -> Option<Times> {
    let response = found.optional(raw.response_timeout.as_ref(), duration_within(WAITS));
    let idle = found.optional(raw.idle_timeout.as_ref(), duration_within(WAITS_OR_NONE));
    let total = found.optional(raw.total_timeout.as_ref(), duration_within(WAITS_OR_NONE));
    let whole = found.optional(raw.timeout.as_ref(), duration_within(WAITS));
    Some(Times { response: response?, idle: idle?, total: total?, whole: whole? })
}

fn anything(text: &str) -> Result<String, Fault> {
    Ok(text.to_owned())
}

fn strings(texts: &[Text]) -> Vec<String> {
    texts.iter().map(|text| text.value.clone()).collect()
}

fn query(raw: Option<&TextOr<Keys<RawQuery>>>, found: &mut Findings<'_>) -> Option<Query> {
    let Some(raw) = raw else { return Some(Query::Opaque) };
    let TextOr::Other(only) = raw else {
        let words = [("none", false), ("opaque", true)];
        let is_opaque = found.parsed(&raw.text(found.source())?, |word| one_of(word, &words))?;
        return Some(if is_opaque { Query::Opaque } else { Query::None });
    };
    let RawQuery { allow, required } = &only.value.0;
    let source = found.source();
    let allow = allow.0.iter().map(|(name, values)| (name.value.clone(), values_of(values, source)));
    Some(Query::Only { allow: allow.collect(), required: strings(required) })
}

fn values_of(raw: &TextOr<Vec<Text>>, source: &Source) -> Values {
    match (raw, raw.text(source)) {
        (TextOr::Other(values), _) => Values::OneOf(strings(&values.value)),
        (_, Some(any)) if any.value == "*" => Values::Any,
        (_, one) => Values::OneOf(one.into_iter().map(|text| text.value).collect()),
    }
}

fn headers(
    raw: Option<&At<Entries<TextOr<Vec<Text>>>>>,
    found: &mut Findings<'_>,
) -> Option<Vec<(String, Vec<String>)>> {
    let Some(raw) = raw else { return Some(Vec::new()) };
    if raw.value.0.is_empty() {
        found.fault(raw.place, Fault::new("no header is named here", "name one and its values, or remove `headers`"));
        return None;
    }
    let source = found.source();
    let values = |values: &TextOr<Vec<Text>>| match values {
        TextOr::Other(values) => strings(&values.value),
        one => one.text(source).into_iter().map(|text| text.value).collect(),
    };
    Some(raw.value.0.iter().map(|(name, raw)| (name.value.clone(), values(raw))).collect())
}

/// `10/s`, `100/m` or `1000/h`.
fn rate(text: &str) -> Result<Rate, Fault> {
    let remedy = "write how many requests in which time: 10/s, 100/m or 1000/h";
    let wrong = || Fault::new(format!("`{text}` is not a rate"), remedy);
    let (requests, unit) = text.split_once('/').ok_or_else(wrong)?;
    let per = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    Ok(Rate { requests: count_within(REQUESTS)(requests)?, per: Duration::from_secs(per) })
}

/// Where the part stands that an error is about.
fn place_of(error: &RuleError, raw: &RawRule, source: &Source) -> Option<Place> {
    let allow = |at: usize| match &raw.query {
        Some(TextOr::Other(only)) => only.value.0.allow.0.get(at),
        _ => None,
    };
    let header = |at: usize| raw.headers.as_ref()?.value.0.get(at);
    match error.part {
        Part::Path => raw.path.as_ref().map(|path| source.within(path, error.offset)),
        Part::Method(at) => raw.methods.as_ref()?.value.get(at).map(|method| method.place),
        Part::Methods => raw.methods.as_ref().map(|methods| methods.place),
        Part::Query => raw.query.as_ref().map(TextOr::place),
        Part::Parameter(at) => allow(at).map(|(name, _)| name.place),
        Part::ParameterValue(at, value) => allow(at).map(|(_, values)| value_place(values, value)),
        Part::Required(at) => match &raw.query {
            Some(TextOr::Other(only)) => only.value.0.required.get(at).map(|name| name.place),
            _ => None,
        },
        Part::Header(at) => header(at).map(|(name, _)| name.place),
        Part::HeaderValue(at, value) => header(at).map(|(_, values)| value_place(values, value)),
        Part::Matrix => raw.matrix.as_ref().map(|text| text.place),
        Part::EncodedSlash => raw.encoded_slash.as_ref().map(|text| text.place),
        Part::MaxBody => raw.max_body.as_ref().map(|text| text.place),
        Part::Timeout => raw.timeout.as_ref().map(|text| text.place),
        Part::ResponseTimeout => raw.response_timeout.as_ref().map(|text| text.place),
        Part::TotalTimeout => raw.total_timeout.as_ref().map(|text| text.place),
        Part::Upgrade => raw.upgrade.as_ref().map(|text| text.place),
        Part::Rate => raw.rate.as_ref().map(|text| text.place),
        _ => None,
    }
}

fn value_place(values: &TextOr<Vec<Text>>, at: usize) -> Place {
    match values {
        TextOr::Other(list) => list.value.get(at).map_or(list.place, |value| value.place),
        one => one.place(),
    }
}

fn header_place(raw: &RawRule, name: &str) -> Option<Place> {
    let mut headers = raw.headers.as_ref()?.value.0.iter();
    headers.find(|(key, _)| key.value.eq_ignore_ascii_case(name)).map(|(key, _)| key.place)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use settings::scratch::says;

    use super::super::{Config, Service};
    use super::*;

    /// A file whose rules begin on line 6, four columns in.
    fn config(rules: &str) -> Result<Config, settings::Invalid> {
        let head = "gateways: [ ws://localhost ]\nservices:\n  orders:\n    upstream: http://a\n    allow:\n";
        Config::from_source(&Source::file("agent.yaml", &format!("{head}{rules}"), Path::new("")))
    }

    fn service(rules: &str) -> Service {
        config(rules).unwrap_or_else(|report| panic!("{report}")).services.remove(0)
    }

    #[test]
    fn the_rules_of_the_specification() {
        let text = r#"
    - GET /orders
    - GET,HEAD /orders/{id}
    - path: /search
      methods: [GET]
      query: { allow: { type: [public, shared], page: "*", all: true, v: 1.10 }, required: [type] }
    - path: /files/*
      methods: [PUT]
      max_body: 10MiB
      response_timeout: 2m
      idle_timeout: 0s
      total_timeout: 1h
      rate: 100/m
      encoded_slash: data
      matrix: true
      query: none
      headers: { X-Tenant: acme, x-version: [ 1, "2.0" ] }
    - { path: /ws, methods: [GET], upgrade: websocket, query: opaque, matrix: false, timeout: 90s }
"#;
        let rules: Vec<_> = service(text).allow.iter().map(ToString::to_string).collect();
        assert_eq!(
            rules,
            [
                "GET /orders",
                "GET,HEAD /orders/{id}",
                "GET /search (query all=true page=* type=public|shared (required) v=1.10)",
                "PUT /files/* (no query; matrix; encoded_slash; header x-tenant=acme; header x-version=1|2.0; \
                 max_body 10MiB; response_timeout 2m; idle_timeout 0s; total_timeout 1h; rate 100/m)",
                "GET /ws (upgrade websocket; timeout 90s)",
            ]
        );
        assert_eq!(service("    - GET /a\n").allow[0].limits(), Limits::default());
    }

    #[test]
    fn what_is_wrong_is_pointed_at() {
        let check = |rules: &str, fragments: &[&str]| {
            let report = config(rules).expect_err(rules).to_string();
            says(&report, rules, fragments);
        };
        let rule = |keys: &str, fragments: &[&str]| check(&format!("    - {{ {keys} }}\n"), fragments);
        let with = |keys: &str, fragments: &[&str]| rule(&format!("path: /a/*, methods: [GET], {keys}"), fragments);
        check(
            "    - path: /a/**/b\n      methods: [GET]\n",
            &["agent.yaml:6:16", "last segment", "  |                ^\n"],
        );
        check("    - GET /a\n    - 5\n", &["agent.yaml:7:8", "the path is missing"]);
        check("    - [ GET, /a ]\n", &["agent.yaml:6:7", "keys and values are needed"]);
        check("    - pth: /a\n", &["agent.yaml:6:7", "unknown key `pth`", "did you mean `path`?"]);
        check("    - methods: [GET]\n", &["agent.yaml:6:7", "the rule has no `path`"]);
        check("    - path: /a\n", &["agent.yaml:6:7", "the rule has no `methods`"]);
        rule("path: /a, methods: GET", &["agent.yaml:6:28", "a list is needed"]);
        rule("path: /a, methods: []", &["agent.yaml:6:28", "nothing is allowed"]);
        rule("path: /a, methods: [GET, TRACE]", &["agent.yaml:6:34", "TRACE never passes", "^^^^^\n"]);
        rule("path: '/a?b', methods: [GET]", &["agent.yaml:6:18", "`query`"]);
        with("query: nothing", &["agent.yaml:6:44", "`nothing` is none of the words", "`none` or `opaque`"]);
        with("query: {}", &["agent.yaml:6:44", "query: none"]);
        with("query: { allowed: {} }", &["agent.yaml:6:46", "did you mean `allow`?"]);
        with("query: { allow: { a: [1, 2, 1] } }", &["agent.yaml:6:65", "twice"]);
        with("query: { allow: { a: '%20' } }", &["agent.yaml:6:58", "decoded"]);
        with(
            "query: { allow: { a: '*' }, required: [a, b] }",
            &["agent.yaml:6:79", "\"b\" is required and not allowed"],
        );
        with("query: { allow: { a: 1, a: 2 } }", &["agent.yaml:6:61", "a second time"]);
        with("matrix: yes", &["agent.yaml:6:45", "write true or false"]);
        with("encoded_slash: true", &["agent.yaml:6:52", "write `data`"]);
        rule("path: /a, methods: [GET], encoded_slash: data", &["agent.yaml:6:50", "only inside"]);
        with("headers: {}", &["agent.yaml:6:46", "no header is named"]);
        with("headers: { x-a: 1, Host: b }", &["agent.yaml:6:56", "never reaches", "^^^^\n"]);
        with("headers: { x-a: [1, ' 2'] }", &["agent.yaml:6:57", "cannot be"]);
        with("headers: { X-Forwarded-For: a }", &["agent.yaml:6:48", "who the client is", "trust_forwarded"]);
        with("max_body: 0", &["agent.yaml:6:47", "0 bytes"]);
        with("max_body: 1MB", &["agent.yaml:6:47", "is not a size"]);
        with("timeout: 0s", &["agent.yaml:6:46", "write 1ms to 24h"]);
        with("response_timeout: 0s", &["agent.yaml:6:55", "write 1ms to 24h"]);
        with("idle_timeout: 25h", &["agent.yaml:6:51", "write 0s to 24h"]);
        with("total_timeout: 1d", &["agent.yaml:6:52", "is not a duration"]);
        with("timeout: 1m, total_timeout: 1h", &["agent.yaml:6:65", "keep one of the two"]);
        with("upgrade: h2c", &["agent.yaml:6:46", "write `websocket`"]);
        rule("path: /a, methods: [PUT], upgrade: websocket", &["agent.yaml:6:44", "only a GET"]);
        for bad in ["10", "10/d", "/s", "0/s", "1000001/s", "1.5/s", "-1/s"] {
            with(&format!("rate: {bad}"), &["agent.yaml:6:43", "write"]);
        }
    }

    #[test]
    fn the_same_twice() {
        let report = config("    - GET /a/{id}\n    - { path: /a/*, methods: [GET], max_body: 1MiB }\n").unwrap_err();
        let report = report.to_string();
        assert!(report.contains("agent.yaml:7:7") && report.contains("\"GET /a/{id}\" on line 6"), "{report}");
        assert!(config("    - GET /a/{id}\n    - { path: /a/*, methods: [GET], query: none }\n").is_ok());
    }

    #[test]
    fn doubtful_rules_are_warned_about() {
        let warnings = |rules: &str| config(rules).unwrap().warnings;
        assert!(warnings("    - MOVE /a\n").iter().any(|text| text.starts_with("agent.yaml:6:7: MOVE and COPY")));
        let slips = warnings("    - GTE /a\n    - { path: /b, methods: [PUT, \"DELTE\"] }\n    - PURGE,PRINT /c\n");
        let slips: Vec<_> = slips.iter().filter(|text| text.contains("did you mean")).collect();
        assert!(slips.len() == 2 && slips[0].starts_with("agent.yaml:6:7: GTE is allowed"), "{slips:?}");
        assert!(
            slips[1].starts_with("agent.yaml:7:7: DELTE") && slips[1].ends_with("did you mean DELETE?"),
            "{slips:?}"
        );
        let listed = "    - { path: /a, methods: [MOVE], headers: { destination: /b } }\n";
        assert!(warnings(listed).iter().all(|text| !text.contains("MOVE")), "{:?}", warnings(listed));
        assert!(warnings("      []\n").iter().any(|text| text.contains("nothing of `orders` is allowed")));
    }
}
