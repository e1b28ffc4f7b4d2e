//! Headers: what is sent is what the specification lets pass, in its order, and what it must let pass is sent.

use agent::whitelist::{Host, Service, Whitelist};
use http::{HeaderName, HeaderValue};
use proptest::{
    collection::vec,
    prelude::{Strategy, TestCaseError, any, prop_assert, prop_assert_eq, prop_oneof},
    sample::select,
};
use proto::wire::{RequestHead, ServiceName};
use reachback_tests::oracle::headers::{ORDINARY, is_nominated, must_be_dropped};

use super::{check, properties::head};

const TRICKY: [&str; 30] = [
    "connection",
    "connection",
    "keep-alive",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "host",
    "proxy-authorization",
    "proxy-connection",
    "x_forwarded_for",
    "cookie_",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
    "x-original-host",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-anything",
    "x-real-ip",
    "client-ip",
    "x-client-ip",
    "x.forwarded.for",
    "x-odd",
    "a",
    "http2-settings",
    "x-request-id",
    "via",
    "origin",
];

const VALUES: [&str; 14] = [
    "",
    "a",
    "close",
    "trailers",
    "Trailers, gzip",
    "100-continue",
    "x-odd",
    "cookie , A",
    ",accept,,host",
    "te, x-request-id",
    "Authorization,authorization",
    "x odd",
    "\u{e9}",
    "a\tb",
];

fn lines() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![select(&TRICKY[..]), select(&ORDINARY[..])].prop_map(str::to_owned);
    let odd = "[a-z_.!~-]{1,12}";
    vec((prop_oneof![9 => name, 1 => odd], select(&VALUES[..]).prop_map(str::to_owned)), 0..12)
}

fn admit(lines: &[(String, String)], trust_forwarded: bool) -> Option<(RequestHead, http::HeaderMap)> {
    let host = Host::Fixed(HeaderValue::from_static("up:80"));
    let service = Service::new(vec!["GET /".parse().unwrap()], host).with_trust_forwarded(trust_forwarded);
    let list = Whitelist::new([(ServiceName::new("orders").unwrap(), service)]);
    let mut head = head("GET", b"/");
    for (name, value) in lines {
        head.headers.append(name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let sent = list.admit(&head).ok()?.into_parts().headers;
    Some((head, sent))
}

#[test]
fn are_rebuilt_as_the_specification_says() {
    check(20_000, &(lines(), any::<bool>()), |(lines, trust)| {
        // An `Expect` of something else is refused, which is not what is looked at here.
        let expects_more =
            lines.iter().any(|(name, value)| name == "expect" && !["", "100-continue"].contains(&&**value));
        let Some((received, sent)) = admit(&lines, trust) else {
            prop_assert!(expects_more, "refused");
            return Ok(());
        };
        let connection: Vec<_> = received.headers.get_all("connection").iter().map(HeaderValue::as_bytes).collect();
        prop_assert_eq!(sent.get_all("host").iter().collect::<Vec<_>>(), ["up:80"]);
        prop_assert!(sent.get_all("te").iter().all(|te| te == "trailers"));
        for name in sent.keys().filter(|name| *name != "host" && *name != "te") {
            prop_assert!(!must_be_dropped(name.as_str(), trust), "{} is sent", name);
            prop_assert!(!is_nominated(name.as_str(), &connection), "{} is sent although it was nominated", name);
            let values = |headers: &http::HeaderMap| headers.get_all(name).iter().cloned().collect::<Vec<_>>();
            prop_assert_eq!(values(&sent), values(&received.headers));
        }
        for name in ORDINARY.iter().filter(|name| received.headers.contains_key(**name)) {
            let passes = sent.contains_key(*name);
            prop_assert_eq!(passes, !is_nominated(name, &connection), "{}", name);
        }
        Ok::<_, TestCaseError>(())
    });
}
