//! Peers that say back what they were shown, wherever they can say anything: no secret of the agent is in its log or in
//! its `/status`.

use proto::wire::{Frame, Hello, Reject, ResetCode, StreamId};
use reachback_tests::{
    bridge::{self, Setup},
    client,
    peer::{Peer, gateway_hello},
    process::{Process, run_with},
    proxy::{Manners, Proxy},
    scratch::Scratch,
    upstream::{Then, Upstream},
    wait::until_so,
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use crate::upgrades::{AGREE, RULES};

const TOKEN: &str = "rb_1e5ee6cb2e5c1d0a7ce2c0ffee";
const CODE: &str = "739518";
const CREDENTIALS: &str = "ada:love lace:1";
const PASSWORD: &str = "love lace:1";
const BASIC: &str = "YWRhOmxvdmUgbGFjZTox";

/// As long as signed ones are: a place that takes a hundred characters takes a piece of it.
fn long_token() -> String {
    (0_u32..100).map(|n| format!("{:04x}", n.wrapping_mul(40_503) & 0xFFFF)).collect()
}

/// Nothing that the agent has written holds eight characters of a secret in a row, or all of a shorter one.
async fn has_kept(agent: &Process, secrets: &[&str], what: &str) {
    let status = client::json(&format!("http://{}/status", agent.address("admin").await)).await;
    let mut written = agent.log();
    written.push(status.to_string());
    keeps(&written, secrets, what);
}

fn keeps(written: &[String], secrets: &[&str], what: &str) {
    for secret in secrets {
        assert!(secret.is_ascii());
        let length = secret.len().min(8);
        for piece in (0..=secret.len() - length).map(|at| &secret[at..at + length]) {
            let shown = written.iter().find(|line| line.contains(piece));
            assert!(shown.is_none(), "{what}: {piece} of a secret is in {shown:?}");
        }
    }
}

/// An agent that shows this token to who listens there.
fn agent(token: &str, gateway: &TcpListener, upstream: &Upstream, folder: &Scratch) -> Process {
    folder.write("token", token);
    let setup = Setup { agent: "token_file: token", allow: RULES, ..Setup::default() };
    let yaml = bridge::agent_yaml(gateway.local_addr().unwrap(), upstream.address(), setup);
    Process::start("agent", &yaml, folder)
}

async fn listen() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").await.unwrap()
}

/// Answers the next request there.
async fn answer(listener: &TcpListener, answer: &str) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    stream.write_all(answer.as_bytes()).await.unwrap();
}

fn refusal(body: &str) -> String {
    format!("HTTP/1.1 400 {TOKEN}\r\nX-Token: {TOKEN}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn a_gateway_that_refuses() {
    let (folder, upstream, long) = (Scratch::new(), Upstream::start().await, long_token());
    for (token, body) in [
        (TOKEN, format!("you have shown {TOKEN}, which nobody knows")),
        // All that is shown of the body ends within it, or begins there.
        (TOKEN, format!("{}{TOKEN}", "x".repeat(180))),
        (TOKEN, format!("{}\n{}", &TOKEN[4..], &TOKEN[..12])),
        (&*long, format!("you have shown {long}, which nobody knows")),
    ] {
        let listener = listen().await;
        let agent = agent(token, &listener, &upstream, &folder);
        answer(&listener, &refusal(&body)).await;
        let line = agent.line(&["no link", "answered 400 Bad Request"]).await;
        assert!(line.contains("[hidden]"), "{line}");
        has_kept(&agent, &[token], &body).await;
    }
}

#[tokio::test]
async fn a_gateway_that_rejects() {
    let (folder, upstream, long) = (Scratch::new(), Upstream::start().await, long_token());
    for token in [TOKEN, &long] {
        let listener = listen().await;
        let agent = agent(token, &listener, &upstream, &folder);
        let mut peer = Peer::accept(&listener).await;
        let (code, message) = (token[..token.len().min(253)].to_owned(), format!("no {token}"));
        peer.say(&Frame::Reject(Reject { code, message, retry_after: std::time::Duration::from_secs(60) })).await;
        agent.line(&["no link", "rejected by the gateway ([hidden]): no [hidden]"]).await;
        has_kept(&agent, &[token], "a reject").await;
    }
}

/// A close frame has room for 123 bytes.
async fn close(peer: &mut Peer, reason: &str) {
    let reason = reason[..reason.len().min(123)].to_owned().into();
    peer.message(Message::Close(Some(CloseFrame { code: CloseCode::Policy, reason }))).await;
}

#[tokio::test]
async fn a_gateway_that_closes() {
    let (folder, upstream, long) = (Scratch::new(), Upstream::start().await, long_token());
    for token in [TOKEN, &long] {
        let listener = listen().await;
        let agent = agent(token, &listener, &upstream, &folder);
        let mut peer = Peer::accept(&listener).await;
        close(&mut peer, &format!("no: {token}")).await;
        agent.line(&["no link", "closed (1008: no: [hidden])"]).await;
        has_kept(&agent, &[token], "a close in place of a greeting").await;
    }
}

#[tokio::test]
async fn a_gateway_that_takes_the_agent() {
    let (folder, upstream, listener) = (Scratch::new(), Upstream::start().await, listen().await);
    upstream.says("/ws", AGREE, Then::Hold);
    let agent = agent(TOKEN, &listener, &upstream, &folder);
    let mut peer = Peer::accept(&listener).await;
    peer.next().await;
    peer.say(&Frame::Hello(Hello::Gateway(proto::wire::GatewayHello { gateway: TOKEN.to_owned(), ..gateway_hello() })))
        .await;
    agent.line(&["link up", r#"name="[hidden]""#]).await;
    let request = |id: u32, service: &str, target: &str, request_id: &str| {
        json!({ "type": "request", "id": id, "service": service, "method": "GET", "target": target, "headers": [],
                "request_id": request_id, "upgrade": true })
        .to_string()
    };
    // A stream's end, with words.
    peer.text(request(1, "orders", "/ws", TOKEN)).await;
    peer.frame(|frame| matches!(frame, Frame::Response { .. }).then_some(())).await;
    peer.say(&Frame::Reset { id: StreamId(1), code: ResetCode::Aborted, message: TOKEN.to_owned() }).await;
    agent.line(&["an upgraded stream was cut", "aborted"]).await;
    agent.line(&["replayed", "request_id=[hidden]"]).await;
    // Requests that are denied.
    peer.text(request(2, "orders", &format!("/denied/{TOKEN}"), "r")).await;
    agent.line(&["denied", "path=/denied/[hidden]"]).await;
    peer.text(request(3, "other", &format!("/{}{TOKEN}", "x".repeat(185)), "r")).await;
    agent.line(&["denied", "xx[hidden]"]).await;
    // A token that was shown later on.
    let next = "rb_9e5ee6cb2e5c1d0a7ce2decade";
    folder.write("token", next);
    agent.signal("HUP");
    peer.frame(|frame| matches!(frame, Frame::Renew(_)).then_some(())).await;
    // A stream that is still there keeps the agent from closing the link itself.
    peer.text(request(4, "orders", "/ws", "r")).await;
    peer.frame(|frame| matches!(frame, Frame::Response { .. }).then_some(())).await;
    peer.say(&Frame::GoAway { last_id: StreamId(4), reason: TOKEN.to_owned() }).await;
    agent.line(&["the gateway is draining"]).await;
    close(&mut peer, &format!("{TOKEN} {next}")).await;
    agent.line(&["link down", "1008: [hidden] [hidden]"]).await;
    agent.line(&["no link", "1008: [hidden] [hidden]"]).await;
    has_kept(&agent, &[TOKEN, next], "a link").await;
}

#[tokio::test]
async fn a_gateway_that_breaks_the_protocol() {
    let (folder, upstream, listener) = (Scratch::new(), Upstream::start().await, listen().await);
    // No name of a service, and so told as what is wrong.
    let token = TOKEN.to_uppercase();
    let agent = agent(&token, &listener, &upstream, &folder);
    let mut peer = Peer::accept(&listener).await;
    peer.next().await;
    peer.say(&Frame::Hello(Hello::Gateway(gateway_hello()))).await;
    let request = json!({ "type": "request", "id": 1, "service": token, "method": "GET", "target": "/", "headers": [],
                          "request_id": "r" });
    peer.text(request.to_string()).await;
    agent.line(&["link down", "protocol violation", "[hidden]"]).await;
    agent.line(&["no link", "protocol violation", "[hidden]"]).await;
    has_kept(&agent, &[&token], "a violation").await;
}

#[tokio::test]
async fn a_gateway_that_is_shown_a_code() {
    let folder = Scratch::new();
    for (is_refusal, body) in [
        (true, "you have shown CODE and TOKEN".to_owned()),
        (false, r#"{"agent":"TOKEN"}"#.to_owned()),
        (false, r#"{"agent":"edge-CODE"}"#.to_owned()),
    ] {
        let listener = listen().await;
        let setup = Setup { agent: "token_file: own.token", ..Setup::default() };
        let yaml = bridge::agent_yaml(listener.local_addr().unwrap(), "127.0.0.1:9".parse().unwrap(), setup);
        folder.write("agent.yaml", &yaml);
        // As if an earlier try had come to nothing.
        folder.write("own.token.new", TOKEN);
        let body = body.replace("CODE", CODE).replace("TOKEN", TOKEN);
        let file = folder.path().join("agent.yaml").display().to_string();
        let arguments = ["register", "--config", &file];
        let ok = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let said = if is_refusal { refusal(&body) } else { ok };
        let ((_, printed), ()) = tokio::join!(run_with(&arguments, CODE), answer(&listener, &said));
        assert!(printed.contains("[hidden]"), "{printed}");
        keeps(&[printed], &[CODE, TOKEN], &body);
        let _ = std::fs::remove_file(folder.path().join("own.token"));
    }
}

#[tokio::test]
async fn a_proxy() {
    let folder = Scratch::new();
    folder.write("credentials", CREDENTIALS);
    folder.write("token", TOKEN);
    let secrets = [PASSWORD, BASIC];
    for answer in [
        "HTTP/1.1 403 love lace:1\r\nProxy-Status: p; details=\"love lace:1\"\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 403 No\r\nX-Squid-Error: ERR YWRhOmxvdmUgbGFjZTox\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 502 No\r\nX-Squid-Error: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
         xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
         YWRhOmxvdmUgbGFjZTox\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 407 No\r\nProxy-Authenticate: YWRhOmxvdmUgbGFjZTox x=y\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 love lace:1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nYWRhOmxvdmUgbGFjZTox\r\n\r\n",
    ] {
        for tls in [false, true] {
            let proxy = Proxy::start(Manners::Http(answer), "127.0.0.1:9".parse().unwrap()).await;
            let scheme = if tls { "wss" } else { "ws" };
            let yaml = format!(
                "gateways: [ {scheme}://gateway.test ]\ntoken_file: token\nadmin: {{ listen: 127.0.0.1:0 }}\n\
                 proxy: http://{}\nproxy_credentials_file: credentials\n\
                 services: {{ orders: {{ upstream: 'http://127.0.0.1:9' }} }}\n",
                proxy.address
            );
            let agent = Process::start("agent", &yaml, &folder);
            agent.line(&["no link"]).await;
            has_kept(&agent, &secrets, answer).await;
        }
    }
}

/// What one peer was shown another may know as well.
#[tokio::test]
async fn a_gateway_behind_a_proxy() {
    let (folder, listener) = (Scratch::new(), listen().await);
    folder.write("credentials", CREDENTIALS);
    folder.write("token", TOKEN);
    let connected = Manners::Http("HTTP/1.1 200 OK\r\n\r\n");
    let proxy = Proxy::start(connected, listener.local_addr().unwrap()).await;
    let yaml = format!(
        "gateways: [ ws://gateway.test ]\ntoken_file: token\nadmin: {{ listen: 127.0.0.1:0 }}\n\
         proxy: http://{}\nproxy_credentials_file: credentials\n\
         services: {{ orders: {{ upstream: 'http://127.0.0.1:9' }} }}\n",
        proxy.address
    );
    let agent = Process::start("agent", &yaml, &folder);
    answer(&listener, &refusal(&format!("{TOKEN} {PASSWORD} {BASIC}"))).await;
    until_so("the refusal", || agent.log().iter().any(|line| line.contains("[hidden] [hidden] [hidden]"))).await;
    has_kept(&agent, &[TOKEN, PASSWORD, BASIC], "a gateway behind a proxy").await;
}
