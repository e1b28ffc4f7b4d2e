//! What a hostile peer may say, on either side: the tables that both sides are tried with.

use reachback_tests::peer::Peer;

/// One thing to say.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// A text message; `ID` stands for the stream's id.
    Text(String),
    /// A data frame's stream (`None`: the one that is meant), flags and payload.
    Data(Option<u32>, u8, Vec<u8>),
    /// A binary message.
    Binary(Vec<u8>),
    /// A WebSocket frame: its first byte and its payload.
    Frame(u8, Vec<u8>),
    /// The same, with or without a mask as it must not be.
    Unmasked(u8, Vec<u8>),
    /// The head of a WebSocket frame that announces so many bytes.
    Announce(u64),
    /// So many pings, in one write.
    Pings(usize),
    /// The same text many times.
    Flood(usize, String),
    /// Lines of text for so many streams, one after the other, until the other side takes no more.
    Streams(u32, String),
}

pub(crate) fn text(text: &str) -> Vec<Act> {
    vec![Act::Text(text.to_owned())]
}

/// Does it all, or stops when the other side has ended the link. `masks`: the peer poses as an agent, whose frames are
/// masked.
pub(crate) async fn perform(peer: &mut Peer, acts: &[Act], id: u32, masks: bool) {
    for act in acts {
        if peer.has_ended() {
            return;
        }
        match act {
            Act::Text(text) => peer.text(text.replace("ID", &id.to_string())).await,
            Act::Data(stream, flags, payload) => {
                let prefix = [&stream.unwrap_or(id).to_be_bytes()[..], &[*flags]].concat();
                peer.binary([&prefix[..], payload].concat()).await;
            }
            Act::Binary(data) => peer.binary(data.clone()).await,
            Act::Frame(first, payload) => peer.bytes(&frame(*first, payload, masks)).await,
            Act::Unmasked(first, payload) => peer.bytes(&frame(*first, payload, !masks)).await,
            Act::Announce(bytes) => {
                let length = if masks { 0xFF } else { 0x7F };
                peer.bytes(&[&[0x82, length][..], &bytes.to_be_bytes(), &[0; 4]].concat()).await;
            }
            Act::Pings(count) => {
                peer.bytes(&frame(0x89, &[], masks).repeat(*count)).await;
            }
            Act::Streams(count, lines) => {
                for id in 1..=*count {
                    if peer.has_ended() {
                        return;
                    }
                    for line in lines.lines() {
                        peer.text(line.replace("ID", &id.to_string())).await;
                    }
                }
            }
            Act::Flood(count, text) => {
                for _ in 0..*count {
                    peer.text(text.replace("ID", &id.to_string())).await;
                }
            }
        }
    }
}

/// A short frame (RFC 6455 §5.2); a mask of zeros changes nothing.
fn frame(first: u8, payload: &[u8], masked: bool) -> Vec<u8> {
    let length = u8::try_from(payload.len()).unwrap();
    assert!(length < 126, "a short frame");
    let head = if masked { vec![first, length | 0x80, 0, 0, 0, 0] } else { vec![first, length] };
    [&head[..], payload].concat()
}

/// One case: its name, what is said, and the close code.
pub(crate) type Case = (&'static str, Vec<Act>, u16);

/// After the greeting and whichever side says it.
pub(crate) fn of_either_side() -> Vec<Case> {
    let deep = format!(r#"{{"type":"window","x":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let long = format!(r#"{{"type":"window","id":1,"bytes":1,"x":"{}"}}"#, "x".repeat(320 * 1024));
    let hello_agent =
        r#"{"type":"hello","agent":"a","instance":"i","services":[],"version":"1","window":65536,"streams":1}"#;
    let hello_gateway = r#"{"type":"hello","gateway":"g","window":65536,"streams":1,"heartbeat_ms":1000}"#;
    vec![
        ("no JSON", text("hello"), 1002),
        ("nothing", text(""), 1002),
        ("half of it", text(r#"{"type":"window""#), 1002),
        ("more than it", text(r#"{"type":"go-away","last_id":0,"reason":""}{}"#), 1002),
        ("an array", text(r#"["window",1,1]"#), 1002),
        ("no type", text(r#"{"id":1,"bytes":1}"#), 1002),
        ("an unknown type", text(r#"{"type":"command","run":"sh"}"#), 1002),
        ("a key twice", text(r#"{"type":"window","id":1,"id":1,"bytes":1}"#), 1002),
        ("a type twice", text(r#"{"type":"command","type":"window","id":1,"bytes":1}"#), 1002),
        ("a number as text", text(r#"{"type":"window","id":"1","bytes":1}"#), 1002),
        ("a negative id", text(r#"{"type":"window","id":-1,"bytes":1}"#), 1002),
        ("an id beyond 32 bits", text(r#"{"type":"window","id":4294967296,"bytes":1}"#), 1002),
        ("a fraction", text(r#"{"type":"window","id":1.5,"bytes":1}"#), 1002),
        ("a lone surrogate", text(r#"{"type":"\ud800"}"#), 1002),
        ("a NUL", text("\0"), 1002),
        ("depth", text(&deep), 1002),
        ("length", text(&long), 1002),
        ("an agent's second hello", text(hello_agent), 1002),
        ("a gateway's second hello", text(hello_gateway), 1002),
        ("a late reject", text(r#"{"type":"reject","code":"c","message":"m","retry_after_ms":1}"#), 1002),
        ("a window of nobody", text(r#"{"type":"window","id":77,"bytes":1}"#), 1002),
        ("a reset of nobody", text(r#"{"type":"reset","id":77,"code":"cancelled"}"#), 1002),
        ("trailers of nobody", text(r#"{"type":"trailers","id":77,"headers":[]}"#), 1002),
        ("data of nobody", vec![Act::Data(Some(77), 0, b"x".to_vec())], 1002),
        ("data of stream 0", vec![Act::Data(Some(0), 1, b"x".to_vec())], 1002),
        ("no data at all", vec![Act::Binary(vec![])], 1002),
        ("data without flags", vec![Act::Binary(vec![0, 0, 0, 1])], 1002),
        ("an unknown flag", vec![Act::Data(None, 2, b"x".to_vec())], 1002),
        ("all flags", vec![Act::Data(None, 0xFF, b"x".to_vec())], 1002),
        ("empty data that is not last", vec![Act::Data(None, 0, vec![])], 1002),
        ("one byte too many", vec![Act::Data(None, 0, vec![0; 65_537])], 1002),
        ("a message too long", vec![Act::Binary(vec![0; 400 * 1024])], 1002),
        ("2^63 bytes announced", vec![Act::Announce(1 << 63)], 1002),
        ("1 GiB announced", vec![Act::Announce(1 << 30)], 1002),
        ("no UTF-8", vec![Act::Frame(0x81, vec![0xFF, 0xFE])], 1002),
        ("a reserved opcode", vec![Act::Frame(0x83, vec![])], 1002),
        ("a reserved bit", vec![Act::Frame(0xC1, b"x".to_vec())], 1002),
        ("a torn ping", vec![Act::Frame(0x09, b"x".to_vec())], 1002),
        ("a continuation of nothing", vec![Act::Frame(0x80, b"x".to_vec())], 1002),
        ("two beginnings", vec![Act::Frame(0x01, b"{".to_vec()), Act::Frame(0x01, b"{".to_vec())], 1002),
        ("the wrong mask", vec![Act::Unmasked(0x81, b"{}".to_vec())], 1002),
        // Far more than the budget regains before any deadline here, however slow the machine.
        ("ten thousand pings", vec![Act::Pings(10_000)], 1008),
    ]
}

/// In place of the greeting.
pub(crate) fn instead_of_a_greeting(good: &str) -> Vec<(&'static str, Vec<Act>)> {
    let with = |from: &str, to: &str| {
        assert!(good.contains(from), "{from} is not in {good}");
        text(&good.replace(from, to))
    };
    vec![
        ("no JSON", text("hello")),
        ("data", vec![Act::Data(Some(1), 1, b"x".to_vec())]),
        ("something else", text(r#"{"type":"window","id":1,"bytes":1}"#)),
        ("a tiny window", with(r#""window":262144"#, r#""window":8191"#)),
        ("a window of nothing", with(r#""window":262144"#, r#""window":0"#)),
        ("a huge window", with(r#""window":262144"#, r#""window":1073741825"#)),
        ("no window", with(r#""window":262144,"#, "")),
        ("no streams", with(r#""streams":1024"#, r#""streams":0"#)),
        ("a newline in a name", with(r#""peer""#, r#""pe\ner""#)),
        ("a long name", with(r#""peer""#, &format!("{:?}", "x".repeat(254)))),
        ("a message too long", vec![Act::Binary(vec![0; 400 * 1024])]),
        ("no UTF-8", vec![Act::Frame(0x81, vec![0xFF, 0xFE])]),
        ("the end", vec![Act::Frame(0x88, vec![])]),
    ]
}
