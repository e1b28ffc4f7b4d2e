//! What becomes of a header, by its name alone.

use std::borrow::Cow;

/// What becomes of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It goes to the upstream.
    Passes,
    /// It says who the client is. A compromised gateway could forge that, so it passes only if the service trusts it.
    Identity,
    /// It goes nowhere.
    Dropped,
}

/// Decides by the name alone.
pub(super) fn fate(name: &str) -> Fate {
    if is_ordinary(name) {
        return Fate::Passes;
    }
    by_tables(name)
}

fn by_tables(name: &str) -> Fate {
    if name.contains('_') {
        // CGI and its heirs turn '-' into '_': such a name could pose as any other.
        return Fate::Dropped;
    }
    let name = &*folded(name);
    let is_dropped = match name.strip_prefix("x-") {
        Some(rest) => X_STEERING.contains(&rest) || begins(rest, &X_STEERING_PREFIXES),
        None => HOP.contains(&name) || begins(name, &HOP_PREFIXES),
    };
    if is_dropped || name.ends_with("method-override") {
        return Fate::Dropped;
    }
    let is_identity = match name.strip_prefix("x-") {
        Some(rest) => X_IDENTITY.contains(&rest) || begins(rest, &X_IDENTITY_PREFIXES),
        None => IDENTITY.contains(&name) || begins(name, &IDENTITY_PREFIXES),
    };
    if is_identity || IDENTITY_SUFFIXES.iter().any(|suffix| name.ends_with(suffix)) {
        return Fate::Identity;
    }
    Fate::Passes
}

/// What clients send most, told at a glance: asking the tables below would take longer than all the rest of judging. A
/// test holds it to them.
fn is_ordinary(name: &str) -> bool {
    matches!(
        name,
        "accept"
            | "accept-encoding"
            | "accept-language"
            | "authorization"
            | "cache-control"
            | "content-type"
            | "cookie"
            | "if-none-match"
            | "origin"
            | "referer"
            | "sec-fetch-dest"
            | "sec-fetch-mode"
            | "sec-fetch-site"
            | "traceparent"
            | "tracestate"
            | "user-agent"
            | "via"
            | "x-api-key"
            | "x-requested-with"
    )
}

fn begins(name: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|prefix| name.starts_with(prefix))
}

/// Some servers (lighttpd, for one) turn every byte that is neither letter nor digit into `_`, so that
/// `x.forwarded.for` becomes HTTP_X_FORWARDED_FOR. A name is judged as its most dangerous reading.
fn folded(name: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if name.bytes().all(is_plain) {
        return Cow::Borrowed(name);
    }
    name.bytes().map(|byte| if is_plain(byte) { char::from(byte) } else { '-' }).collect()
}

/// Fields of one hop, of framing, or of ours.
const HOP: [&str; 12] = [
    "connection",
    "content-length", // the actual body decides
    "expect",         // answered here
    "host",           // ours
    "http2-settings", // asks for an upgrade to h2c
    "keep-alive",
    "proxy", // becomes HTTP_PROXY in CGI: "httpoxy"
    "reachback",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The same by prefix: credentials and wishes for a proxy, and the names that only we may set.
const HOP_PREFIXES: [&str; 2] = ["proxy-", "reachback-"];

/// Behind `x-`: other methods, hosts and paths than those that were judged, as frameworks and proxies take them.
const X_STEERING: [&str; 4] = [
    "host",
    "http-host-override",
    "override-url",
    "sendfile-type", // Rack::Sendfile, with X-Accel-Mapping: makes a proxy serve another file
];
const X_STEERING_PREFIXES: [&str; 5] = ["accel-", "envoy-original-", "http-method", "original-", "rewrite-"];

/// Who the client is, by address, by user, or by TLS certificate: what a proxy asserts towards a server that trusts
/// it, and so what a forger could assert. (`Authorization` and `Cookie` pass: they carry their own proof.)
const IDENTITY: [&str; 2] = ["cf-connecting-ipv6", "cf-pseudo-ipv4"];
const IDENTITY_PREFIXES: [&str; 6] = [
    "cf-access-authenticated-",
    "client-cert", // RFC 9440
    "forwarded",   // RFC 7239, and names made like it
    "remote-",     // Remote-User and its kin: Authelia
    "ssl-client-",
    "tailscale-user-",
];
const IDENTITY_SUFFIXES: [&str; 3] = ["client-ip", "connecting-ip", "real-ip"];
const X_IDENTITY: [&str; 10] = [
    "arr-clientcert", // IIS
    "azure-clientip",
    "azure-socketip",
    "client-dn",
    "client-verify",
    "envoy-external-address",
    "envoy-internal",
    "originating-ip",
    "proxyuser-ip",
    "real-port",
];
const X_IDENTITY_PREFIXES: [&str; 13] = [
    "amzn-mtls-",
    "amzn-oidc-",
    "auth-request-", // oauth2-proxy
    "authentik-",
    "client-cert",
    "forward", // X-Forwarded-*, and misspellings that some servers take
    "goog-authenticated-user-",
    "goog-iap-",
    "ms-client-principal",
    "remote-", // X-Remote-User, X-Remote-Group: Kubernetes' front proxy; X-Remote-IP, X-Remote-Addr
    "ssl-",
    "tls-client-",
    "webauth-", // Grafana, Gitea
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ordinary_passes_by_the_tables_too() {
        for name in [
            "accept",
            "accept-encoding",
            "accept-language",
            "authorization",
            "cache-control",
            "content-type",
            "cookie",
            "if-none-match",
            "origin",
            "referer",
            "sec-fetch-dest",
            "sec-fetch-mode",
            "sec-fetch-site",
            "traceparent",
            "tracestate",
            "user-agent",
            "via",
            "x-api-key",
            "x-requested-with",
        ] {
            assert!(is_ordinary(name) && by_tables(name) == Fate::Passes, "{name}");
        }
        for name in
            HOP.iter().chain(&IDENTITY).map(|name| (*name).to_owned()).chain(X_STEERING.map(|n| format!("x-{n}")))
        {
            assert!(!is_ordinary(&name), "{name}");
        }
    }
}
