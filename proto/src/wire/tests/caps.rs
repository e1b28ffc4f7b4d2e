//! Each cap of `limits.rs` at its bound and one past it.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::decode;
use crate::wire::{
    Frame, Oversize, Packet, RequestHead, RequestId, ResponseHead, ServiceName, StreamId, decode_data, decode_text,
    encode,
    limits::{
        CHUNK_BYTES, DATA_PREFIX, HEADER_BYTES, HEADER_LINES, MESSAGE_BYTES, MESSAGE_TEXT_BYTES, METHOD_BYTES,
        NAME_BYTES, REQUEST_ID_BYTES, SERVICES, TARGET_BYTES, TEXT_BYTES,
    },
};

/// The message with `count` is taken, and the one with one more is not, for this reason.
fn check(count: usize, message: impl Fn(usize) -> String, why: &str) {
    let at = message(count);
    assert!(decode_text(&at).is_ok(), "{:?}: {:.100}", decode_text(&at), at);
    let past = message(count + 1);
    let error = decode_text(&past).unwrap_err().to_string();
    assert!(error.contains(why), "{error}: {past:.100}");
}

fn request(service: &str, method: &str, target: &str, headers: &str, request_id: &str) -> String {
    format!(
        r#"{{"type":"request","id":1,"service":"{service}","method":"{method}","target":"{target}","headers":{headers},"request_id":"{request_id}"}}"#
    )
}

#[test]
fn text_messages() {
    let window = r#"{"type":"window","id":1,"bytes":1}"#;
    let padded = |len: usize| format!("{window}{}", " ".repeat(len - window.len()));
    check(TEXT_BYTES, padded, "a text message is too long");
    const { assert!(MESSAGE_BYTES >= TEXT_BYTES && MESSAGE_BYTES >= DATA_PREFIX + CHUNK_BYTES) };
}

#[test]
fn data_messages() {
    for (len, ok) in [(0, false), (4, false), (5, true), (DATA_PREFIX + CHUNK_BYTES, true), (6 + CHUNK_BYTES, false)] {
        let mut message = vec![1; len];
        if let Some(flags) = message.get_mut(4) {
            *flags = 1;
        }
        assert_eq!(decode_data(Bytes::from(message)).is_ok(), ok, "{len}");
    }
}

#[test]
fn heads() {
    check(NAME_BYTES, |n| request(&"a".repeat(n), "GET", "/", "[]", "r"), "is not a name");
    check(METHOD_BYTES, |n| request("a", &"M".repeat(n), "/", "[]", "r"), "a method is too long");
    check(TARGET_BYTES, |n| request("a", "GET", &"/".repeat(n), "[]", "r"), "a target is too long");
    check(TARGET_BYTES, |n| request("a", "GET", &"é".repeat(n), "[]", "r"), "a target is too long");
    check(TARGET_BYTES, |n| request("a", "GET", &r"\u0000".repeat(n), "[]", "r"), "a target is too long");
    check(REQUEST_ID_BYTES, |n| request("a", "GET", "/", "[]", &"r".repeat(n)), "a request id is not");
}

#[test]
fn headers() {
    let why = "too many or too long headers";
    let lines = |n: usize| format!("[{}]", vec![r#"["a","b"]"#; n].join(","));
    let bytes = |n: usize| format!(r#"[["a","{}"],["bc","é"]]"#, "é".repeat(n - 4));
    let name = |n: usize| format!(r#"[["a","{}"],["{}",""]]"#, "x".repeat(n - 31), "n".repeat(30));
    for (most, headers) in
        [(HEADER_LINES, &lines as &dyn Fn(usize) -> String), (HEADER_BYTES, &bytes), (HEADER_BYTES, &name)]
    {
        check(most, |n| request("a", "GET", "/", &headers(n), "r"), why);
        check(most, |n| format!(r#"{{"type":"response","id":1,"status":200,"headers":{}}}"#, headers(n)), why);
        check(most, |n| format!(r#"{{"type":"interim","id":1,"status":100,"headers":{}}}"#, headers(n)), why);
        check(most, |n| format!(r#"{{"type":"trailers","id":1,"headers":{}}}"#, headers(n)), why);
    }
}

#[test]
fn texts() {
    let why = "a text is too long or holds a control character";
    let text = |template: &'static str| move |n: usize| template.replace('@', &"x".repeat(n));
    for template in [
        r#"{"type":"reset","id":1,"code":"aborted","message":"@"}"#,
        r#"{"type":"response","id":1,"error":{"code":"denied","message":"@","retry_safe":false}}"#,
        r#"{"type":"go-away","last_id":1,"reason":"@"}"#,
        r#"{"type":"reject","code":"c","message":"@","retry_after_ms":1}"#,
    ] {
        check(MESSAGE_TEXT_BYTES, text(template), why);
    }
    for template in [
        r#"{"type":"reject","code":"@","message":"","retry_after_ms":1}"#,
        r#"{"type":"hello","agent":"@","instance":"","services":[],"version":"","window":1,"streams":1}"#,
        r#"{"type":"hello","agent":"","instance":"@","services":[],"version":"","window":1,"streams":1}"#,
        r#"{"type":"hello","agent":"","instance":"","services":[],"version":"@","window":1,"streams":1}"#,
        r#"{"type":"hello","gateway":"@","window":1,"streams":1,"heartbeat_ms":1}"#,
    ] {
        check(NAME_BYTES, text(template), why);
    }
    check(NAME_BYTES, text(r#"{"type":"services","services":["@"]}"#), "is not a name");
}

#[test]
fn services() {
    let names = |n: usize| format!("[{}]", vec![r#""a""#; n].join(","));
    check(SERVICES, |n| format!(r#"{{"type":"services","services":{}}}"#, names(n)), "too many services");
    let hello = |n: usize| {
        format!(
            r#"{{"type":"hello","agent":"a","instance":"i","services":{},"version":"1","window":1,"streams":1}}"#,
            names(n)
        )
    };
    check(SERVICES, hello, "too many services");
}

/// A head of the given sizes; its header values are of the bytes that grow most when they are encoded.
fn head(method: usize, target: usize, lines: usize, bytes: usize) -> RequestHead {
    let mut headers = HeaderMap::new();
    for line in 0..lines {
        let rest = bytes - (lines - 1);
        let value = vec![0xFF; if line == 0 { rest - 1 } else { 0 }];
        headers.append(HeaderName::from_static("a"), HeaderValue::from_bytes(&value).unwrap());
    }
    RequestHead {
        service: ServiceName::new(&"s".repeat(NAME_BYTES)).unwrap(),
        method: Method::from_bytes(&vec![b'M'; method]).unwrap(),
        target: Bytes::from(vec![0; target]),
        headers,
        request_id: RequestId::new(&"\"".repeat(REQUEST_ID_BYTES)).unwrap(),
        deadline: Some(std::time::Duration::MAX),
        upgrade: true,
    }
}

#[test]
fn what_is_not_oversize_travels_and_what_is_does_not() {
    for (sizes, oversize) in [
        ((METHOD_BYTES, TARGET_BYTES, HEADER_LINES, HEADER_BYTES), None),
        ((METHOD_BYTES + 1, 1, 1, 1), Some(Oversize::Method)),
        ((1, TARGET_BYTES + 1, 1, 1), Some(Oversize::Target)),
        ((1, 1, HEADER_LINES + 1, HEADER_LINES + 1), Some(Oversize::Headers)),
        ((1, 1, 1, HEADER_BYTES + 1), Some(Oversize::Headers)),
    ] {
        let head = head(sizes.0, sizes.1, sizes.2, sizes.3);
        assert_eq!(head.oversize(), oversize, "{sizes:?}");
        let response = ResponseHead { status: http::StatusCode::OK, headers: head.headers.clone() };
        assert_eq!(response.oversize(), oversize.filter(|what| *what == Oversize::Headers));
        let frame = Frame::Request { id: StreamId(u32::MAX), head: head.into(), end: true };
        assert_eq!(decode(&encode(&frame)).is_ok(), oversize.is_none(), "{sizes:?}");
        let frame = Frame::Response { id: StreamId(u32::MAX), head: response.clone(), end: true };
        assert_eq!(decode(&encode(&frame)).is_ok(), response.oversize().is_none());
    }
}

#[test]
fn the_longest_list_of_services_fits_a_message() {
    let name = ServiceName::new(&"s".repeat(NAME_BYTES)).unwrap();
    let frame = Frame::Services(vec![name; SERVICES]);
    assert_eq!(decode(&encode(&frame)), Ok(frame));
}

#[test]
fn a_full_chunk_fits_a_message() {
    let chunk = Bytes::from(vec![0; CHUNK_BYTES]);
    let Packet::Data(message) = encode(&Frame::Data { id: StreamId(1), end: false, chunk }) else { panic!("data") };
    assert!(message.len() <= MESSAGE_BYTES);
}
