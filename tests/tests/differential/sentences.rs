//! The sentences of docs/http.md that say what differs. Whoever changes one changes the page.

pub(crate) const VIA: &str = "Every request gains a member of `Via`: `1.1 reachback`, or 1.0 or 2 if it came so.";
pub(crate) const REQUEST_ID: &str = "Every request and every answer carries one `X-Request-Id`: the client's own if it \
                                     sent one usable value, a new one otherwise; an upstream's own is replaced.";
pub(crate) const HOST: &str = "`Host` is the upstream's own address, or what `host` of the service says.";
pub(crate) const HOP: &str = "What concerns one hop stays on it: `Connection` and the fields that it names, \
                              `Keep-Alive`, `Proxy-Connection`, `Proxy-Authenticate`, `Proxy-Authorization`, \
                              `Upgrade`, `TE` other than `trailers`.";
pub(crate) const PROXY_FIELDS: &str = "Every other `Proxy-…` of a request is dropped as well.";
pub(crate) const CONNECTIONS: &str = "The client's connection and the upstream's live by themselves: whether one is \
                                      kept or closed, and which of HTTP/1.0 and 1.1 it speaks, is nothing to the other.";
pub(crate) const FRAMING: &str = "A body keeps its kind of framing, a length or chunks, but not its spelling: `005` \
                                  becomes `5`, and chunks may be cut anew.";
pub(crate) const UNTIL_CLOSE: &str = "A body that the upstream ends by closing its connection comes in chunks.";
pub(crate) const LENGTH_TWICE: &str = "The same `Content-Length` twice counts as one.";
pub(crate) const BOTH_LENGTHS: &str = "A request with both `Content-Length` and `Transfer-Encoding` is a \
                                       `bad_request`, and the connection ends.";
pub(crate) const BOTH_LENGTHS_BACK: &str = "An answer with both `Content-Length` and `Transfer-Encoding: chunked` goes \
                                            by its chunks alone.";
pub(crate) const FRAGMENT: &str = "A fragment (`#…`), which no proper client sends, is cut off the target.";
pub(crate) const UNDERSCORE: &str = "A request's header with `_` in its name is dropped.";
pub(crate) const IDENTITY: &str = "Request headers that say who the client is (`Forwarded`, `X-Forwarded-…`, \
                                   `X-Real-IP`, `Remote-User` and their kin) are dropped unless the service has \
                                   `trust_forwarded: true`.";
pub(crate) const STEERING: &str = "Request headers that some servers obey instead of the judged method and path \
                                   (`X-HTTP-Method-Override`, `X-Original-URL`, `Proxy` and their kin) are dropped.";
pub(crate) const OWN: &str = "`Reachback-…` headers are the bridge's own, in requests and `Reachback-Error` in answers: \
                              anybody else's are dropped.";
pub(crate) const EXPECT: &str = "`Expect: 100-continue` is answered by the bridge, once the request is admitted, and \
                                 does not reach the upstream.";
pub(crate) const REQUEST_TRAILERS: &str = "Trailers of a request pass as its headers would, if `Trailer` announces \
                                           them; none of those that belong ahead of a body does.";
pub(crate) const ANSWER_TRAILERS: &str = "Trailers of an answer reach a client that has sent `TE: trailers`, and no \
                                          other.";
pub(crate) const REASON: &str = "The reason phrase is the usual one of the status, or none.";
pub(crate) const BODILESS: &str = "An answer that has no body by its nature loses what must not stand there or tells \
                                   nothing: `Content-Length: 0` with 204, `Transfer-Encoding` with HEAD and 304.";
pub(crate) const DATE: &str = "An answer without `Date` gains one.";
pub(crate) const INTERIM: &str = "Informational answers (103, 102, an unasked 100) are dropped.";
pub(crate) const LINE_ENDS: &str =
    "Lines of a head that end with LF alone are understood, and end with CRLF from there on.";
pub(crate) const NO_HTTP: &str = "What is not HTTP/1.x as RFC 9112 writes it (folded lines, blanks around a name, control \
                                  bytes, lengths that are no number, transfer codings that do not end with `chunked`) \
                                  is a `bad_request`, `uri_too_long` or `head_too_large`, and the connection ends.";
pub(crate) const BAD_REQUEST: &str = "A request that is HTTP but malformed (`Host` missing or double, a target in absolute \
                                      form, a body that breaks off or whose chunks are malformed, a transfer coding \
                                      other than `chunked`) is a `bad_request`, and the connection ends.";
pub(crate) const UNENCODED: &str = "A target with a byte that must be percent-encoded is a `bad_request`, and the connection \
                                    ends: `\"`, `<` and `>` anywhere, ``[ ] \\ ^ ` { | }`` in the path.";
pub(crate) const CONNECT: &str = "`CONNECT` is `not_supported`.";
pub(crate) const WHITELIST: &str = "What the whitelist refuses never reaches the upstream: 403 `denied`, 400 for a \
                                    target that no reader can take for a path, 414 for one of more than 8,192 bytes, 431 \
                                    for headers that are too long.";
pub(crate) const UPSTREAM_PROTOCOL: &str = "An answer that is not HTTP, or whose length is in doubt (a 204 that declares \
                                            one, too), becomes a 502 `upstream_protocol`.";

/// Asserts that the page says so.
pub(crate) fn documented(sentence: &str) {
    let page = include_str!("../../../docs/http.md").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains(sentence), "docs/http.md does not say: {sentence}");
}
