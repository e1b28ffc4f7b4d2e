//! The codec's tests: what goes in comes out, each cap at its bound and one past it, and nothing else is taken.
#![allow(clippy::unwrap_used)]

mod caps;
mod malformed;
mod plain;
mod round_trips;
mod specification;

use super::{Frame, Malformed, Packet, decode_data, decode_text};

fn decode(packet: &Packet) -> Result<Frame, Malformed> {
    match packet {
        Packet::Text(text) => decode_text(text),
        Packet::Data(data) => decode_data(data.clone()),
        Packet::Ping => panic!("a ping is no frame"),
    }
}

/// One frame of each kind, as it is written.
const SAMPLES: &[&str] = &[
    r#"{"type":"hello","agent":"edge-1","instance":"9f3c","services":["orders","jira.acme"],"version":"0.1.0","window":262144,"streams":1024}"#,
    r#"{"type":"hello","gateway":"gw","window":262144,"streams":1024,"heartbeat_ms":10000}"#,
    r#"{"type":"reject","code":"no_services","message":"try later","retry_after_ms":60000}"#,
    r#"{"type":"request","id":7,"service":"orders","method":"POST","target":"/v1?x=%2F","headers":[["a","1"],["a","2"]],"request_id":"r-1"}"#,
    r#"{"type":"request","id":8,"service":"orders","method":"get","target":"*","headers":[],"end":true,"request_id":"r-2","deadline_ms":1500,"upgrade":true}"#,
    r#"{"type":"response","id":7,"status":200,"headers":[["set-cookie","a=1"],["set-cookie","b=2"]]}"#,
    r#"{"type":"response","id":8,"status":999,"headers":[],"end":true}"#,
    r#"{"type":"response","id":8,"error":{"code":"denied","message":"no rule allows it","retry_safe":true}}"#,
    r#"{"type":"response","id":8,"error":{"code":"rate_limited","message":"too many","retry_safe":true},"retry_after_ms":1500}"#,
    r#"{"type":"interim","id":7,"status":100,"headers":[]}"#,
    r#"{"type":"trailers","id":7,"headers":[["x-checksum","7"]]}"#,
    r#"{"type":"window","id":7,"bytes":32768}"#,
    r#"{"type":"reset","id":7,"code":"cancelled"}"#,
    r#"{"type":"reset","id":7,"code":"aborted","message":"the upstream cut its answer short"}"#,
    r#"{"type":"go-away","last_id":7,"reason":"shutdown"}"#,
    r#"{"type":"services","services":["orders"]}"#,
    r#"{"type":"renew","credential":"secret"}"#,
];
