//! The HTTP upgrade that precedes a link (RFC 6455 §4), as far as both sides must agree on it.

use http::{HeaderMap, HeaderValue, header};
use tokio_tungstenite::tungstenite::handshake;

/// Where a gateway offers the tunnel unless configured otherwise.
pub const DEFAULT_PATH: &str = "/reachback/v1";

/// The `Sec-WebSocket-Protocol` of this version.
pub const SUBPROTOCOL: &str = "reachback.v1";

/// The header with the one-time code (TOTP, RFC 6238) by which an agent registers: with it a `POST` to the tunnel's path
/// is no upgrade.
pub const REGISTRATION_CODE: header::HeaderName = header::HeaderName::from_static("reachback-registration-code");

/// A fresh `Sec-WebSocket-Key`.
#[must_use]
pub fn request_key() -> String {
    handshake::client::generate_key()
}

/// The `Sec-WebSocket-Accept` that proves that a key was read.
#[must_use]
pub fn accept_key(key: &[u8]) -> String {
    handshake::derive_accept_key(key)
}

/// Whether headers ask for, or agree to, an upgrade to WebSocket.
#[must_use]
pub fn is_websocket(headers: &HeaderMap) -> bool {
    has_token(headers, &header::CONNECTION, "upgrade") && has_token(headers, &header::UPGRADE, "websocket")
}

/// Whether a comma-separated header holds a token, in any case.
#[must_use]
pub fn has_token(headers: &HeaderMap, name: &header::HeaderName, token: &str) -> bool {
    let values = headers.get_all(name).iter().filter_map(|value| HeaderValue::to_str(value).ok());
    values.flat_map(|value| value.split(',')).any(|item| item.trim().eq_ignore_ascii_case(token))
}
