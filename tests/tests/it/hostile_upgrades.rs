//! Upgrades with a hostile side: bytes too early, bodies where there are none, forged heads, ends in the middle.

use proto::wire::{Frame, Packet, ResetCode, StreamId, encode};
use reachback_tests::{
    bridge::{self, Setup, Sidecar},
    client::{Raw, status},
    peer::Peer,
    wait::within,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::upgrades::{AGREE, ASK, RULES};

/// A hostile gateway, the agent that dialled it, and the agent's upstream.
struct Scene {
    gateway: Peer,
    upstream: TcpListener,
    _agent: Sidecar,
}

impl Scene {
    async fn new() -> Self {
        let tunnel = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addresses = (tunnel.local_addr().unwrap(), upstream.local_addr().unwrap());
        let setup = Setup { allow: RULES, ..Setup::default() };
        let agent = Sidecar::agent(&bridge::agent_yaml(addresses.0, addresses.1, setup), "".as_ref());
        Self { gateway: Peer::gateway(&tunnel).await, upstream, _agent: agent }
    }

    /// Asks for an upgrade, with these fields besides.
    async fn ask(&mut self, id: u32, more: &Value) {
        let mut request = json!({
            "type": "request", "id": id, "service": "orders", "method": "GET", "target": "/ws", "headers": [],
            "request_id": "r", "upgrade": true,
        });
        for (key, value) in more.as_object().unwrap() {
            request[key] = value.clone();
        }
        self.gateway.text(request.to_string()).await;
    }

    async fn says(&mut self, id: u32, bytes: &[u8], end: bool) {
        let frame = Frame::Data { id: StreamId(id), end, chunk: bytes.to_vec().into() };
        let Packet::Data(data) = encode(&frame) else { unreachable!("data is binary") };
        self.gateway.binary(data).await;
    }

    /// The agent's answer: a status, or the code of a failure.
    async fn answer(&mut self) -> Result<u16, &'static str> {
        let answer = |frame| match frame {
            Frame::Response { head, .. } => Some(Ok(head.status.as_u16())),
            Frame::Failure { failure, .. } => Some(Err(failure.code.as_str())),
            _ => None,
        };
        self.gateway.frame(answer).await
    }

    async fn accept(&self) -> Raw {
        Raw::new(within("a connection", self.upstream.accept()).await.unwrap().0)
    }
}

#[tokio::test]
async fn what_a_gateway_says_too_early_reaches_only_who_has_switched() {
    let mut scene = Scene::new().await;
    // The upstream does not agree: to it these bytes would be another request.
    scene.ask(1, &json!({})).await;
    scene.says(1, b"GET /secret HTTP/1.1\r\nHost: a\r\n\r\n", false).await;
    let mut upstream = scene.accept().await;
    assert_eq!(upstream.head().await.unwrap().word(1), "/ws");
    upstream.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!(scene.answer().await, Ok(200));
    scene.says(1, b"GET /secret HTTP/1.1\r\nHost: a\r\n\r\n", true).await;
    // The next on that connection is the next that was judged.
    scene.ask(2, &json!({})).await;
    scene.says(2, b"early", true).await;
    assert_eq!(upstream.head().await.unwrap().word(1), "/ws");
    upstream.send(AGREE).await;
    assert_eq!(scene.answer().await, Ok(101));
    assert_eq!((upstream.bytes(5).await, upstream.is_reset().await), (b"early".to_vec(), false));
    assert!(scene.gateway.lives().await);
}

#[tokio::test]
async fn a_request_for_an_upgrade_has_no_body_and_no_other_method() {
    let mut scene = Scene::new().await;
    for (id, more, code) in [
        (1, json!({"headers": [["content-length", "5"]]}), "bad_request"),
        (2, json!({"method": "POST"}), "denied"),
        (3, json!({"target": "/plain"}), "denied"),
        (4, json!({"target": "/other"}), "denied"),
    ] {
        scene.ask(id, &more).await;
        assert_eq!(scene.answer().await, Err(code), "{more}");
    }
    // Fields of framing make no body either, and no other upgrade travels.
    let headers =
        json!([["transfer-encoding", "chunked"], ["upgrade", "h2c"], ["connection", "h2c, x"], ["te", "trailers"]]);
    scene.ask(5, &json!({"headers": headers})).await;
    scene.says(5, b"0\r\n\r\n", false).await;
    let mut upstream = scene.accept().await;
    let head = upstream.head().await.unwrap();
    assert!(head.all("transfer-encoding").is_empty() && head.all("te").is_empty(), "{head:?}");
    assert_eq!((head.all("connection"), head.all("upgrade")), (vec!["Upgrade"], vec!["websocket"]));
}

#[tokio::test]
async fn a_gateway_that_resets_or_overruns_ends_the_upstreams_connection() {
    let mut scene = Scene::new().await;
    for id in 1..=2 {
        scene.ask(id, &json!({})).await;
        let mut upstream = scene.accept().await;
        upstream.head().await.unwrap();
        upstream.send(AGREE).await;
        assert_eq!(scene.answer().await, Ok(101));
        if id == 1 {
            let reset = Frame::Reset { id: StreamId(id), code: ResetCode::Cancelled, message: String::new() };
            scene.gateway.say(&reset).await;
        } else {
            // Nobody reads, and the credit is used up.
            for _ in 0..256 {
                scene.says(id, &[b'x'; 65_536], false).await;
            }
            let (code, reason) = scene.gateway.closing().await.expect("a close frame");
            assert_eq!(code, 1002, "{reason}");
        }
        assert!(upstream.is_reset().await, "stream {id}");
    }
}

/// A hostile agent answers these to a client that asked; what the client sees behind its 101, and how it ends.
#[tokio::test]
async fn what_an_agent_may_do_to_the_client_that_asked() {
    let gateway = Sidecar::gateway(&bridge::gateway_yaml(""));
    let response = |id: u32, more: &str| {
        format!(
            r#"{{"type":"response","id":{id},"status":101,"headers":[["content-length","3"],["transfer-encoding","chunked"],["connection","close"],["upgrade","h2c"],["reachback-error","denied"],["sec-websocket-accept","B"]]{more}}}"#
        )
    };
    let data = |end: bool| move |id: u32| vec![0, 0, 0, u8::try_from(id).unwrap(), u8::from(end), b'h', b'i'];
    let ends: [(&str, &[u8], bool); 4] =
        [("an end", b"hi", false), ("at once", b"", false), ("a reset", b"hi", true), ("its link", b"hi", true)];
    for (how, bytes, is_reset) in ends {
        let mut peer = Peer::agent(gateway.address("tunnel"), &["orders"]).await;
        let mut client = Raw::connect(gateway.address("facade")).await;
        client.send(ASK).await;
        let asked = peer.frame(|frame| match frame {
            Frame::Request { id, head, end } => Some((id.0, head, end)),
            _ => None,
        });
        let (id, head, end) = asked.await;
        assert!(head.upgrade && !end && head.headers.get("upgrade").is_none(), "{head:?}");
        peer.text(response(id, if how == "at once" { r#","end":true"# } else { "" })).await;
        if how != "at once" {
            peer.binary(data(how == "an end")(id)).await;
        }
        let agreed = client.head().await.unwrap();
        assert_eq!(status(&agreed), 101, "{how}");
        assert_eq!((agreed.all("connection"), agreed.all("upgrade")), (vec!["Upgrade"], vec!["websocket"]));
        for gone in ["content-length", "transfer-encoding", "reachback-error"] {
            assert!(agreed.all(gone).is_empty(), "{gone} in {agreed:?}");
        }
        assert_eq!(client.bytes(bytes.len()).await, bytes, "{how}");
        match how {
            "a reset" => peer.text(format!(r#"{{"type":"reset","id":{id},"code":"aborted"}}"#)).await,
            "its link" => peer.message(tokio_tungstenite::tungstenite::Message::Close(None)).await,
            _ => {}
        }
        assert_eq!(client.is_reset().await, is_reset, "{how}");
        drop(peer);
        gateway.until_links(0).await;
    }
}
