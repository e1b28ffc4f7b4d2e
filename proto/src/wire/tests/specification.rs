//! `PROTOCOL.md` and the code say the same.

use crate::wire::{FailureCode, Packet, decode_text, encode};

const SPECIFICATION: &str = include_str!("../../../PROTOCOL.md");

#[test]
fn its_examples_are_frames() {
    let examples: Vec<&str> =
        SPECIFICATION.lines().filter_map(|line| Some(&line[line.find(r#"{"type""#)?..])).collect();
    assert!(examples.len() > 10, "{}", examples.len());
    for example in examples {
        let frame = decode_text(example).unwrap_or_else(|error| panic!("{example}: {error}"));
        assert_eq!(encode(&frame), Packet::Text(example.to_owned()));
    }
}

/// A number with its thousands separated.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| std::str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

#[test]
fn its_bounds_are_those_of_the_code() {
    macro_rules! bounds {
        ($from:path: $($name:ident)*) => {{
            use $from as from;
            [$((stringify!($name), u64::try_from(from::$name).unwrap())),*]
        }};
    }
    let wire = bounds!(crate::wire::limits: MESSAGE_BYTES TEXT_BYTES CHUNK_BYTES DATA_PREFIX HEADER_LINES HEADER_BYTES
        TARGET_BYTES METHOD_BYTES REQUEST_ID_BYTES NAME_BYTES SERVICES MESSAGE_TEXT_BYTES);
    let session = bounds!(crate::session::limits: MIN_CHARGE MIN_WINDOW MAX_PEER_WINDOW CREDIT_STEP INTERIMS STRAYS
        STRAYS_PER_STREAM CANCEL_BURST CANCELS_PER_SECOND PING_BURST PINGS_PER_SECOND NOTICE_BURST CONTROL_FRAMES
        COPIED_CHUNK STALL_HEARTBEATS);
    for (name, value) in wire.into_iter().chain(session) {
        let row = format!("| `{name}` | {} |", grouped(value));
        assert!(SPECIFICATION.contains(&row), "{row}");
    }
    let sources = [include_str!("../limits.rs"), include_str!("../../session/limits.rs")];
    for source in sources {
        for line in source.lines() {
            let Some((name, _)) = line.strip_prefix("pub const ").and_then(|rest| rest.split_once(':')) else {
                continue;
            };
            assert!(SPECIFICATION.contains(&format!("| `{name}` |")), "{name} has no row");
        }
    }
}

#[test]
fn it_knows_the_codes() {
    for code in FailureCode::all() {
        assert!(SPECIFICATION.contains(&format!("`{}`", code.as_str())), "{}", code.as_str());
    }
}
