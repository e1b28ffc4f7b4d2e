//! The oracle's headers: what the specification names as dropped, and ordinary fields that must pass.

/// Of one hop, of framing, or the agent's own.
const HOP: [&str; 12] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "host",
    "content-length",
    "expect",
];

/// Another method, another path, another host.
const STEERING: [&str; 6] = [
    "x-http-method-override",
    "x-method-override",
    "x-http-method",
    "x-original-url",
    "x-rewrite-url",
    "x-original-host",
];

/// Another client.
const IDENTITY: [&str; 4] = ["forwarded", "x-real-ip", "client-ip", "x-client-ip"];

/// Fields that every application may send.
pub const ORDINARY: [&str; 10] = [
    "accept",
    "accept-language",
    "authorization",
    "content-type",
    "cookie",
    "if-none-match",
    "range",
    "traceparent",
    "user-agent",
    "x-api-key",
];

/// Whether the specification says that a field of this name, in lower case, goes nowhere.
#[must_use]
pub fn must_be_dropped(name: &str, trust_forwarded: bool) -> bool {
    let is_identity = IDENTITY.contains(&name) || name.starts_with("x-forwarded-");
    HOP.contains(&name) || name.contains('_') || STEERING.contains(&name) || is_identity && !trust_forwarded
}

/// Whether `Connection`, which has these values, names a field.
#[must_use]
pub fn is_nominated(name: &str, connection: &[&[u8]]) -> bool {
    let list = connection.join(&b','); // RFC 9110 §5.3: lines are one list
    String::from_utf8_lossy(&list).split(',').any(|member| member.trim().eq_ignore_ascii_case(name))
}
