//! A hostile gateway: the agent closes its link, and goes on serving others.

use std::net::SocketAddr;

use proto::wire::{Frame, Hello, Packet, encode};
use reachback_tests::{
    bridge::{self, Setup, Sidecar},
    client::call,
    peer::{Peer, Said, gateway_hello},
    upstream::Upstream,
};
use tokio::net::TcpListener;

use crate::hostile::{Act, Case, instead_of_a_greeting, of_either_side, perform, text};

/// An honest gateway and an upstream; each case has an agent of its own, because one that was shown the door waits.
struct Scene {
    honest: Sidecar,
    upstream: Upstream,
}

impl Scene {
    async fn new() -> Self {
        let honest = Sidecar::gateway(&bridge::gateway_yaml(""));
        Self { honest, upstream: Upstream::start().await }
    }

    /// An agent that dials the hostile gateway, which listens there, and the honest one.
    async fn agent(&self) -> (Sidecar, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let hostile: SocketAddr = listener.local_addr().unwrap();
        let yaml = bridge::agent_yaml(self.honest.address("tunnel"), self.upstream.address(), Setup::default());
        let yaml = yaml.replace("gateways: [", &format!("gateways: [ ws://{hostile},"));
        (Sidecar::agent(&yaml, "".as_ref()), listener)
    }

    async fn nothing_has_happened(&self, after: &str) {
        let answer = call(self.honest.address("facade"), "GET", "/bytes/9", "").await;
        assert_eq!((answer.status(), answer.body.len()), (200, 9), "after {after}");
    }
}

/// A request that the whitelist denies, so that it costs no upstream; `WITH` is replaced in it.
const REQUEST: &str = r#"{"type":"request","id":ID,"service":"orders","method":"PATCH","target":"/x","headers":[["x","y"]],"end":true,"request_id":"r"}"#;

fn of_a_gateway() -> Vec<Case> {
    let with = |from: &str, to: &str| {
        assert!(REQUEST.contains(from), "{from}");
        text(&REQUEST.replace(from, to))
    };
    let request = |id: &str| Act::Text(REQUEST.replace("ID", id));
    let lines = vec![r#"["x","y"]"#; 257].join(",");
    // One that is still there when the next message comes, however slow the machine.
    let open = REQUEST.replace("PATCH", "POST").replace("/x", "/stall").replace(r#""end":true"#, r#""end":false"#);
    vec![
        ("an answer", text(r#"{"type":"response","id":1,"status":200,"headers":[]}"#), 1002),
        ("an interim", text(r#"{"type":"interim","id":1,"status":100,"headers":[]}"#), 1002),
        ("services", text(r#"{"type":"services","services":[]}"#), 1002),
        ("a credential", text(r#"{"type":"renew","credential":"x"}"#), 1002),
        ("stream 0", vec![request("0")], 1002),
        ("a stream twice", vec![request("1"), request("1")], 1002),
        ("a stream back", vec![request("2"), request("1")], 1002),
        ("no service", with(r#""service":"orders","#, ""), 1002),
        ("a bad service", with(r#""orders""#, r#""../orders""#), 1002),
        ("a service with a port", with(r#""orders""#, r#""127.0.0.1:80""#), 1002),
        ("no method", with(r#""method":"PATCH","#, ""), 1002),
        ("an empty method", with(r#""PATCH""#, r#""""#), 1002),
        ("a method of two", with(r#""PATCH""#, r#""GET /""#), 1002),
        ("a method with a line break", with(r#""PATCH""#, r#""GET\r\n""#), 1002),
        ("a long method", with(r#""PATCH""#, &format!("{:?}", "M".repeat(65))), 1002),
        ("no target", with(r#""target":"/x","#, ""), 1002),
        ("a target beyond bytes", with(r#""/x""#, r#""/\u0100""#), 1002),
        ("a target beyond length", with(r#""/x""#, &format!("\"/{}\"", "x".repeat(16 * 1024))), 1002),
        ("no headers", with(r#""headers":[["x","y"]],"#, ""), 1002),
        ("headers as an object", with(r#"[["x","y"]]"#, r#"{"x":"y"}"#), 1002),
        ("a header of three", with(r#"["x","y"]"#, r#"["x","y","z"]"#), 1002),
        ("a header of one", with(r#"["x","y"]"#, r#"["x"]"#), 1002),
        ("a header without a name", with(r#"["x","y"]"#, r#"["","y"]"#), 1002),
        ("a header with a space", with(r#"["x","y"]"#, r#"["x ","y"]"#), 1002),
        ("a header with a line break", with(r#"["x","y"]"#, r#"["x","y\r\nz: 1"]"#), 1002),
        ("a header with a NUL", with(r#"["x","y"]"#, r#"["x","\u0000"]"#), 1002),
        ("a header beyond bytes", with(r#"["x","y"]"#, r#"["x","\u0100"]"#), 1002),
        ("257 headers", with(r#"["x","y"]"#, &lines), 1002),
        ("long headers", with(r#""y""#, &format!("{:?}", "y".repeat(96 * 1024))), 1002),
        ("a request id with a space", with(r#""r""#, r#""r r""#), 1002),
        ("no request id", with(r#","request_id":"r""#, ""), 1002),
        ("data behind the end", vec![request("1"), Act::Data(Some(1), 1, b"x".to_vec())], 1002),
        (
            "a window of nothing",
            vec![Act::Text(open), Act::Text(r#"{"type":"window","id":ID,"bytes":0}"#.to_owned())],
            1002,
        ),
    ]
}

#[tokio::test]
async fn is_left_with_a_code_and_a_reason() {
    let scene = Scene::new().await;
    let mut wrong = Vec::new();
    for (name, acts, expected) in of_either_side().into_iter().chain(of_a_gateway()) {
        let (_agent, listener) = scene.agent().await;
        let mut peer = Peer::gateway(&listener).await;
        perform(&mut peer, &acts, 1, false).await;
        let closing = peer.closing().await;
        if !closing.as_ref().is_some_and(|(code, reason)| *code == expected && !reason.is_empty()) {
            wrong.push((name, expected, closing));
        }
        scene.nothing_has_happened(name).await;
    }
    assert!(wrong.is_empty(), "not left as they should be: {wrong:#?}");
}

#[tokio::test]
async fn is_left_if_it_does_not_greet() {
    let Packet::Text(good) = encode(&Frame::Hello(Hello::Gateway(gateway_hello()))) else {
        unreachable!("a greeting is text")
    };
    let scene = Scene::new().await;
    let with = |from: &str, to: &str| text(&good.replace(from, to));
    let mut cases = instead_of_a_greeting(&good);
    cases.push(("a heartbeat of nothing", with(r#""heartbeat_ms":300000"#, r#""heartbeat_ms":0"#)));
    cases.push(("a heartbeat for ever", with(r#""heartbeat_ms":300000"#, r#""heartbeat_ms":18446744073709551615"#)));
    for (name, acts) in cases {
        let (_agent, listener) = scene.agent().await;
        let mut peer = Peer::accept(&listener).await;
        assert!(matches!(peer.next().await, Said::Frame(Frame::Hello(Hello::Agent(_)))));
        perform(&mut peer, &acts, 1, false).await;
        let closing = peer.closing().await;
        assert!(closing.is_none_or(|(code, _)| matches!(code, 1002 | 1005)), "{name}");
        scene.nothing_has_happened(name).await;
    }
}

#[tokio::test]
async fn cannot_fill_the_agents_memory() {
    let scene = Scene::new().await;
    let (_agent, listener) = scene.agent().await;
    let mut peer = Peer::gateway(&listener).await;
    // The upstream reads nothing, and the gateway sends far beyond its credit.
    let stalled = REQUEST.replace("PATCH", "POST").replace("/x", "/stall").replace("true", "false");
    let chunk = Act::Data(Some(1), 0, vec![b'x'; 65_536]);
    perform(&mut peer, &[vec![Act::Text(stalled)], vec![chunk; 1024]].concat(), 1, false).await;
    let (code, reason) = peer.closing().await.expect("a close frame");
    assert_eq!(code, 1002, "{reason}");
    scene.nothing_has_happened("a flood").await;
}

/// The budget regains thousands of streams a second, and a slow machine does not open more: there the link lives. The
/// session's own tests hold the budget to its numbers, on a clock of their own.
#[tokio::test]
async fn opens_and_abandons_streams_within_a_budget_or_not_at_all() {
    const MANY: u32 = 60_000;
    let scene = Scene::new().await;
    let (_agent, listener) = scene.agent().await;
    let mut peer = Peer::gateway(&listener).await;
    let abandoned = format!("{REQUEST}\n{}", r#"{"type":"reset","id":ID,"code":"cancelled"}"#);
    perform(&mut peer, &[Act::Streams(MANY, abandoned), Act::Text(REQUEST.to_owned())], MANY + 1, false).await;
    loop {
        match peer.next().await {
            Said::Frame(Frame::Failure { id, .. }) if id.0 > MANY => break,
            Said::Frame(_) => {}
            Said::Close(code, reason) => {
                break assert_eq!((code, &*reason), (1008, "over budget: too many cancelled streams"));
            }
            Said::Gone => panic!("the link ended without a word"),
        }
    }
    scene.nothing_has_happened("many streams").await;
}

#[tokio::test]
async fn gets_no_more_streams_than_the_agent_takes() {
    let scene = Scene::new().await;
    let (_agent, listener) = scene.agent().await;
    let mut peer = Peer::gateway(&listener).await;
    for id in 1..=1025 {
        let request = REQUEST.replace("PATCH", "GET").replace("/x", "/gate").replace("ID", &id.to_string());
        peer.text(request).await;
    }
    let refused = peer.frame(|frame| match frame {
        Frame::Reset { id, code, .. } => Some((id.0, code)),
        _ => None,
    });
    assert_eq!(refused.await, (1025, proto::wire::ResetCode::Refused));
    scene.upstream.until("the others", |counts| counts.active == 1024).await;
    scene.nothing_has_happened("1,024 streams").await;
    drop(peer);
    scene.upstream.until("the end of the others", |counts| counts.active == 0).await;
}
