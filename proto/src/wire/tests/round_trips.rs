//! What goes in comes out, byte for byte.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::{SAMPLES, decode};
use crate::wire::{
    Credential, Failure, FailureCode, Frame, Packet, RequestHead, RequestId, ResetCode, ResponseHead, ServiceName,
    StreamId, decode_text, encode,
};

fn check(frame: &Frame) {
    assert_eq!(decode(&encode(frame)).as_ref(), Ok(frame));
}

fn every_byte() -> Bytes {
    (0..=u8::MAX).collect()
}

fn request(target: Bytes, headers: HeaderMap) -> Frame {
    let head = RequestHead {
        service: ServiceName::new("orders").unwrap(),
        method: Method::from_bytes(b"m-SEARCH").unwrap(),
        target,
        headers,
        request_id: RequestId::new("~!\"\\").unwrap(),
        deadline: None,
        upgrade: false,
    };
    Frame::Request { id: StreamId(u32::MAX), head: head.into(), end: false }
}

#[test]
fn every_frame_is_read_and_written_alike() {
    for sample in SAMPLES {
        let frame = decode_text(sample).unwrap_or_else(|error| panic!("{sample}: {error}"));
        assert_eq!(encode(&frame), Packet::Text((*sample).to_owned()));
    }
}

#[test]
fn a_body_holds_every_byte() {
    for len in [0, 1, 256, 65_536] {
        for end in [false, true] {
            if len > 0 || end {
                let chunk = every_byte().iter().copied().cycle().take(len).collect();
                check(&Frame::Data { id: StreamId(0x0102_0304), end, chunk });
            }
        }
    }
    let packet = encode(&Frame::Data { id: StreamId(0x0102_0304), end: true, chunk: Bytes::from_static(b"ab") });
    assert_eq!(packet, Packet::Data(Bytes::from_static(&[1, 2, 3, 4, 1, b'a', b'b'])));
}

#[test]
fn a_target_holds_every_byte() {
    check(&request(every_byte(), HeaderMap::new()));
    for byte in 0..=u8::MAX {
        check(&request(Bytes::from(vec![b'/', byte]), HeaderMap::new()));
    }
    check(&request(Bytes::new(), HeaderMap::new()));
}

#[test]
fn a_header_value_holds_every_byte_that_http_allows() {
    let mut headers = HeaderMap::new();
    let mut allowed = 0;
    for byte in 0..=u8::MAX {
        let Ok(value) = HeaderValue::from_bytes(&[b'<', byte, b'>']) else { continue };
        allowed += 1;
        headers.append("x-byte", value);
    }
    assert_eq!(allowed, 256 - 32, "all but the control bytes, which leaves the tab");
    check(&request(Bytes::from_static(b"/"), headers.clone()));
    check(&Frame::Trailers { id: StreamId(1), headers: headers.clone() });
    check(&Frame::Interim { id: StreamId(1), status: StatusCode::EARLY_HINTS, headers: headers.clone() });
    let head = ResponseHead { status: StatusCode::IM_A_TEAPOT, headers };
    check(&Frame::Response { id: StreamId(1), head, end: true });
}

#[test]
fn header_names_methods_and_ids_hold_every_byte_that_their_types_allow() {
    for byte in 0..=u8::MAX {
        let mut headers = HeaderMap::new();
        if let Ok(name) = HeaderName::from_bytes(&[b'x', byte, b'x']) {
            headers.append(name, HeaderValue::from_static(""));
        }
        let method = Method::from_bytes(&[b'X', byte, b'X']).unwrap_or(Method::GET);
        let id = std::str::from_utf8(&[byte]).ok().and_then(RequestId::new);
        let Frame::Request { head, .. } = request(Bytes::new(), headers) else { unreachable!() };
        let mut head = Arc::unwrap_or_clone(head);
        (head.method, head.request_id) = (method, id.unwrap_or(RequestId::new("r").unwrap()));
        check(&Frame::Request { id: StreamId(1), head: head.into(), end: false });
    }
}

#[test]
fn texts_hold_every_character() {
    // Every code point below 0x300, in pieces that no cap cuts, and some beyond.
    for piece in (0..0x300).filter_map(char::from_u32).chain(['\u{2028}', '\u{FFFF}', '\u{1F600}']) {
        let text = format!("<{piece}>");
        let packet = encode(&Frame::Renew(Credential(text.clone())));
        assert_eq!(decode(&packet), Ok(Frame::Renew(Credential(text.clone()))));
        let read = if piece.is_control() { "< >" } else { &*text };
        let frame = Frame::GoAway { last_id: StreamId(1), reason: text.clone() };
        assert!(matches!(decode(&encode(&frame)), Ok(Frame::GoAway { reason, .. }) if reason == read), "{text:?}");
    }
}

#[test]
fn a_byte_is_the_code_point_of_the_same_number() {
    let text = r#"{"type":"trailers","id":1,"headers":[["a","é\u00ff\t\"\\"]]}"#;
    let Ok(Frame::Trailers { headers, .. }) = decode_text(text) else { panic!("trailers") };
    assert_eq!(headers["a"].as_bytes(), b"\xE9\xFF\t\"\\");
}

#[test]
fn the_order_of_lines_of_one_name_and_the_space_around_values_stay() {
    let mut headers = HeaderMap::new();
    for (name, value) in [("b", "2"), ("a", " 1 "), ("b", "1"), ("c", ""), ("b", "2")] {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    check(&Frame::Trailers { id: StreamId(1), headers });
}

#[test]
fn a_header_name_is_read_in_any_case() {
    let Ok(Frame::Trailers { headers, .. }) =
        decode_text(r#"{"type":"trailers","id":1,"headers":[["X-Checksum","7"]]}"#)
    else {
        panic!("trailers")
    };
    assert_eq!(headers["x-checksum"], "7");
}

#[test]
fn every_status_stands_in_its_frame() {
    for status in (100..=999).map(|status| StatusCode::from_u16(status).unwrap()) {
        let interim = Frame::Interim { id: StreamId(1), status, headers: HeaderMap::new() };
        let head = ResponseHead { status, headers: HeaderMap::new() };
        let response = Frame::Response { id: StreamId(1), head, end: false };
        let is_interim = status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS;
        assert_eq!(decode(&encode(&interim)).is_ok(), is_interim, "{status}");
        assert_eq!(decode(&encode(&response)).is_ok(), !is_interim, "{status}");
    }
}

#[test]
fn every_code_is_read_and_those_of_the_future_are_internal() {
    let reset = |code| Frame::Reset { id: StreamId(1), code, message: String::new() };
    for code in [
        ResetCode::Cancelled,
        ResetCode::Refused,
        ResetCode::Complete,
        ResetCode::Aborted,
        ResetCode::Violation,
        ResetCode::Internal,
    ] {
        check(&reset(code));
    }
    assert_eq!(decode_text(r#"{"type":"reset","id":1,"code":"tired"}"#), Ok(reset(ResetCode::Internal)));
    for code in FailureCode::all() {
        for (retry_safe, retry_after) in [(false, None), (true, None), (true, Some(Duration::from_millis(1500)))] {
            let failure = Failure { code, message: "\u{2028}\"quoted\" – wörtlich".into(), retry_safe, retry_after };
            check(&Frame::Failure { id: StreamId(1), failure });
        }
    }
}

#[test]
fn texts_for_people_are_cut_to_what_a_peer_reads() {
    for (said, read) in [
        ("two\r\nlines\u{0}", "two  lines ".to_owned()),
        ("\u{85}", " ".to_owned()),
        (&*"x".repeat(1024), "x".repeat(1024)),
        (&*"x".repeat(1025), "x".repeat(1024)),
        (&*"é".repeat(1024), "é".repeat(512)),
        (&*format!("x{}", "é".repeat(512)), format!("x{}", "é".repeat(511))),
    ] {
        let said = said.to_owned();
        let failure = Failure::new(FailureCode::Internal, said.clone());
        let Ok(Frame::Failure { failure, .. }) = decode(&encode(&Frame::Failure { id: StreamId(1), failure })) else {
            panic!("{said:?}")
        };
        assert_eq!(failure.message, read);
        let frame = Frame::Reset { id: StreamId(1), code: ResetCode::Internal, message: said.clone() };
        assert!(matches!(decode(&encode(&frame)), Ok(Frame::Reset { message, .. }) if message == read));
        let frame = Frame::GoAway { last_id: StreamId(1), reason: said };
        assert!(matches!(decode(&encode(&frame)), Ok(Frame::GoAway { reason, .. }) if reason == read));
    }
}

#[test]
fn a_credential_is_not_shown() {
    assert_eq!(format!("{:?}", Frame::Renew(Credential("secret".to_owned()))), "Renew(Credential(…))");
}
