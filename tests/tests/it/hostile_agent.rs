//! A hostile agent: it can spoil its own answers, and nothing else.

use proto::wire::Frame;
use reachback_tests::{
    bridge::{Bridge, Setup},
    client::{Raw, call},
    pattern,
    peer::{Peer, agent_hello},
    wait::until,
};

use crate::{
    hostile::{Act, Case, instead_of_a_greeting, of_either_side, perform, text},
    lies::{Lie, Link, head, judge, lies, lies_about_framing},
};

/// What the path facade calls the hostile agent's service.
const EVIL: &str = "/evil/x";

/// A gateway with an honest agent, and the call that shows that nothing has happened to it.
struct Scene {
    bridge: Bridge,
    honest: Raw,
}

impl Scene {
    async fn new(setup: Setup<'_>) -> Self {
        let bridge = Bridge::with(setup).await;
        let honest = Raw::connect(bridge.facade()).await;
        Self { bridge, honest }
    }

    fn facade(&self) -> std::net::SocketAddr {
        self.bridge.gateway.addresses("facade")[2]
    }

    async fn evil(&self) -> Peer {
        Peer::agent(self.bridge.gateway.address("tunnel"), &["evil"]).await
    }

    async fn nothing_has_happened(&mut self, after: &str) {
        let answer = self.honest.call("GET", "/bytes/9", "").await;
        assert_eq!((answer.status(), answer.body), (200, pattern::bytes(9)), "after {after}");
        let links = async || self.bridge.gateway.status().await["links"].as_array().unwrap().len();
        until("the hostile link's end", async || (links().await == 1).then_some(())).await;
    }
}

fn of_an_agent() -> Vec<Case> {
    let head = r#""service":"orders","method":"GET","target":"/","headers":[],"end":true,"request_id":"r""#;
    let many: Vec<String> = (0..1025).map(|n| format!("\"s{n}\"")).collect();
    let flood = |text: &str| vec![Act::Flood(1000, text.to_owned())];
    vec![
        ("a request", text(&format!(r#"{{"type":"request","id":1,{head}}}"#)), 1002),
        ("an answer to nobody", text(r#"{"type":"response","id":1,"status":200,"headers":[]}"#), 1002),
        (
            "a failure to nobody",
            text(r#"{"type":"response","id":1,"error":{"code":"denied","message":"","retry_safe":true}}"#),
            1002,
        ),
        ("an interim to nobody", text(r#"{"type":"interim","id":1,"status":100,"headers":[]}"#), 1002),
        ("a bad service", text(r#"{"type":"services","services":["Orders"]}"#), 1002),
        ("too many services", text(&format!(r#"{{"type":"services","services":[{}]}}"#, many.join(","))), 1002),
        ("a thousand announcements", flood(r#"{"type":"services","services":["evil"]}"#), 1008),
        ("a thousand credentials", flood(r#"{"type":"renew","credential":"x"}"#), 1008),
    ]
}

#[tokio::test]
async fn is_shown_the_door_with_a_code_and_a_reason() {
    let mut scene = Scene::new(Setup::default()).await;
    let mut wrong = Vec::new();
    for (name, acts, expected) in of_either_side().into_iter().chain(of_an_agent()) {
        let mut peer = scene.evil().await;
        perform(&mut peer, &acts, 1, true).await;
        let closing = peer.closing().await;
        if !closing.as_ref().is_some_and(|(code, reason)| *code == expected && !reason.is_empty()) {
            wrong.push((name, expected, closing));
        }
        drop(peer);
        scene.nothing_has_happened(name).await;
    }
    assert!(wrong.is_empty(), "not shown the door as they should be: {wrong:#?}");
}

#[tokio::test]
async fn is_not_greeted_if_it_does_not_greet() {
    let mut scene = Scene::new(Setup::default()).await;
    let hello = Frame::Hello(proto::wire::Hello::Agent(agent_hello(&["evil"])));
    let proto::wire::Packet::Text(good) = proto::wire::encode(&hello) else { unreachable!("a greeting is text") };
    for (name, acts) in instead_of_a_greeting(&good) {
        let mut peer = Peer::dial(scene.bridge.gateway.address("tunnel"), None).await.unwrap();
        perform(&mut peer, &acts, 1, true).await;
        let closing = peer.closing().await;
        assert!(closing.is_none_or(|(code, _)| matches!(code, 1002 | 1005)), "{name}");
        scene.nothing_has_happened(name).await;
    }
}

#[tokio::test]
async fn is_dropped_if_it_is_silent() {
    let mut scene = Scene::new(Setup { gateway: "heartbeat: 1s", ..Setup::default() }).await;
    // It neither reads nor answers, while an upload waits for it.
    let peer = scene.evil().await;
    let mut client = Raw::connect(scene.facade()).await;
    client.send(format!("POST {EVIL} HTTP/1.1\r\nHost: a\r\nContent-Length: 67108864\r\n\r\n")).await;
    let answer = async { while client.send([b'x'; 65_536]).await {} };
    tokio::join!(answer, scene.nothing_has_happened("silence"));
    assert!(client.try_answer("POST").await.is_none_or(|answer| answer.failure() == Some("link_lost")));
    drop(peer);
}

/// Tells one lie to one client, who then goes on with the honest service on the same connection.
async fn tell(scene: &mut Scene, (name, method, acts, sees, link): Lie) {
    let mut peer = scene.evil().await;
    let mut client = Raw::connect(scene.facade()).await;
    let length = if method == "POST" { "Content-Length: 0\r\n" } else { "" };
    client.send(format!("{method} {EVIL} HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n{length}\r\n")).await;
    let id = peer.frame(|frame| match frame {
        Frame::Request { id, .. } => Some(id.0),
        _ => None,
    });
    let id = id.await;
    perform(&mut peer, &acts, id, true).await;
    let answer = client.try_answer(method).await;
    judge(name, answer.as_ref(), &sees);
    match link {
        Link::Lives => assert!(peer.lives().await, "{name} ends the link"),
        Link::MayEnd => {}
        Link::Ends => {
            let (_, reason) = peer.closing().await.unwrap_or_else(|| panic!("{name}: closed without a word"));
            assert!(!reason.is_empty() || name.starts_with("a go-away"), "{name}");
        }
    }
    // Either the connection has ended, or the next answer on it is the next request's.
    if client.send("GET /orders/bytes/7 HTTP/1.1\r\nHost: a\r\n\r\n").await
        && let Some(next) = client.try_answer("GET").await
    {
        assert_eq!((next.status(), next.body), (200, pattern::bytes(7)), "{name} leaks into the next answer");
    }
    drop(peer);
    scene.nothing_has_happened(name).await;
}

#[tokio::test]
async fn lies_about_where_its_body_ends() {
    let mut scene = Scene::new(Setup::default()).await;
    for lie in lies_about_framing() {
        tell(&mut scene, lie).await;
    }
}

#[tokio::test]
async fn lies_about_everything_else() {
    // Who leaves a request behind makes it wait for a successor, and here none comes.
    let mut scene = Scene::new(Setup { gateway: "wait_for_agent: 1s", ..Setup::default() }).await;
    for lie in lies() {
        tell(&mut scene, lie).await;
    }
}

#[tokio::test]
async fn takes_no_more_than_its_share_of_memory() {
    let mut scene = Scene::new(Setup::default()).await;
    let mut peer = scene.evil().await;
    let mut client = Raw::connect_narrow(scene.facade()).await;
    client.send(format!("GET {EVIL} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    let id = peer.frame(|frame| if let Frame::Request { id, .. } = frame { Some(id.0) } else { None }).await;
    perform(&mut peer, &[head(200, "", "")], id, true).await;
    // The client reads nothing, and the agent sends far beyond its credit.
    let chunk = Act::Data(None, 0, vec![b'x'; 65_536]);
    perform(&mut peer, &vec![chunk; 1024], id, true).await;
    let (code, reason) = peer.closing().await.expect("a close frame");
    assert_eq!(code, 1002, "{reason}");
    assert!(client.try_answer("GET").await.is_none_or(|answer| !answer.whole));
    scene.nothing_has_happened("a flood").await;
    assert_eq!(call(scene.facade(), "GET", "/orders/bytes/1", "").await.status(), 200);
}
