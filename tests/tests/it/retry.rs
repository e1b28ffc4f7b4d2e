//! Delivery: what is sent again when a link or an agent fails a request, and what never is. The upstream's account says
//! how often each came.

use std::net::SocketAddr;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use proto::wire::{AgentHello, Failure, FailureCode, Frame, Hello, ResetCode, ResponseHead, StreamId};
use reachback_tests::{
    bridge::{Bridge, Setup, Sidecar, agent_yaml, gateway_yaml},
    client::{Answer, Raw, call},
    http1::Reader,
    peer::{Peer, Said, agent_hello},
    wait::within,
};
use tokio::{
    io::AsyncWriteExt as _,
    net::TcpListener,
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
};

/// What an agent does with a request that it has received to its end.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Refuse,
    GoAway,
    CannotConnect,
    CannotConnectInTime,
    IsFull,
    Cut,
    GiveUp,
    TimeOut,
    CutTheAnswer,
}

/// What the client gets.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    Answered,
    Failed(u16, String, bool),
    Cut,
}

fn failed(status: u16, code: &str) -> Outcome {
    Outcome::Failed(status, code.to_owned(), false)
}

impl Fault {
    const ALL: [Self; 9] = [
        Self::Refuse,
        Self::GoAway,
        Self::CannotConnect,
        Self::CannotConnectInTime,
        Self::IsFull,
        Self::Cut,
        Self::GiveUp,
        Self::TimeOut,
        Self::CutTheAnswer,
    ];

    /// The outcome for a client while another agent works.
    fn expected(self, is_idempotent: bool) -> Outcome {
        match self {
            Self::Refuse | Self::GoAway | Self::CannotConnect | Self::CannotConnectInTime | Self::IsFull => {
                Outcome::Answered
            }
            Self::Cut | Self::GiveUp if is_idempotent => Outcome::Answered,
            Self::Cut => failed(502, "link_lost"),
            Self::GiveUp => failed(500, "internal"),
            Self::TimeOut => failed(504, "upstream_timeout"),
            Self::CutTheAnswer => Outcome::Cut,
        }
    }

    /// Waits for a whole request and does it. Gives the agent back if it still has its link.
    async fn commit(self, mut peer: Peer) -> Option<Peer> {
        let id = request(&mut peer).await;
        let fail = |failure| Frame::Failure { id, failure };
        let unsent = |code| fail(Failure::retry_safe(code, "as the test wants it"));
        match self {
            Self::Refuse => peer.say(&reset(id, ResetCode::Refused)).await,
            Self::GoAway => {
                peer.say(&Frame::GoAway { last_id: StreamId(id.0 - 1), reason: "leaving".to_owned() }).await;
            }
            Self::CannotConnect => peer.say(&unsent(FailureCode::UpstreamRefused)).await,
            Self::CannotConnectInTime => peer.say(&unsent(FailureCode::UpstreamConnectTimeout)).await,
            Self::IsFull => peer.say(&unsent(FailureCode::Overloaded)).await,
            Self::Cut => return None,
            Self::GiveUp => peer.say(&reset(id, ResetCode::Internal)).await,
            Self::TimeOut => peer.say(&fail(Failure::new(FailureCode::UpstreamTimeout, "too late"))).await,
            Self::CutTheAnswer => {
                let head = ResponseHead { status: StatusCode::OK, headers: HeaderMap::new() };
                peer.say(&Frame::Response { id, head, end: false }).await;
                peer.say(&Frame::Data { id, end: false, chunk: Bytes::from_static(b"half") }).await;
                return None;
            }
        }
        Some(peer)
    }
}

fn reset(id: StreamId, code: ResetCode) -> Frame {
    Frame::Reset { id, code, message: String::new() }
}

/// The next request, once it is complete.
async fn request(peer: &mut Peer) -> StreamId {
    peer.frame(|frame| match frame {
        Frame::Request { id, end: true, .. } | Frame::Data { id, end: true, .. } => Some(id),
        _ => None,
    })
    .await
}

fn outcome(answer: Option<Answer>, body: &[u8]) -> Outcome {
    match answer {
        Some(answer) if answer.whole && answer.failure().is_none() => {
            assert_eq!((answer.status(), &answer.body[..]), (200, body), "the body came through as it was");
            Outcome::Answered
        }
        Some(answer) if answer.whole => {
            let code = answer.failure().unwrap_or_default().to_owned();
            Outcome::Failed(answer.status(), code, answer.text().contains("\"retry_safe\":true"))
        }
        _ => Outcome::Cut,
    }
}

async fn echo(facade: SocketAddr, method: &str, body: &[u8]) -> Outcome {
    let mut client = Raw::connect(facade).await;
    client.send(format!("{method} /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len())).await;
    client.send(body).await;
    outcome(client.try_answer(method).await, body)
}

/// Two calls, of which exactly one meets the fault: equals take turns. Each reaches the upstream once or not at all.
async fn check(bridge: &Bridge, fault: Fault, method: &str, body: &[u8], expected: Outcome) {
    let shown = format!("{fault:?} {method} with {} bytes", body.len());
    let peer = Peer::agent(bridge.gateway.address("tunnel"), &["orders"]).await;
    bridge.gateway.until_links(2).await;
    let before = bridge.upstream.counts().requests;
    let faulty = tokio::spawn(fault.commit(peer));
    let mut outcomes = vec![echo(bridge.facade(), method, body).await, echo(bridge.facade(), method, body).await];
    drop(within("the fault", faulty).await.unwrap());
    let untouched = outcomes.iter().position(|outcome| *outcome == Outcome::Answered);
    outcomes.remove(untouched.unwrap_or_else(|| panic!("{shown}: none was answered: {outcomes:?}")));
    assert_eq!(outcomes, [expected], "{shown}");
    let answered = 1 + usize::from(outcomes == [Outcome::Answered]);
    assert_eq!(bridge.upstream.counts().requests - before, answered, "{shown}: how many reached the upstream");
    bridge.gateway.until_links(1).await;
}

#[tokio::test]
async fn every_fault_with_every_method() {
    let bridge = Bridge::start().await;
    for fault in Fault::ALL {
        for (method, is_idempotent) in
            [("GET", true), ("HEAD", true), ("OPTIONS", true), ("PUT", true), ("DELETE", true), ("POST", false)]
        {
            if (fault, method) == (Fault::CutTheAnswer, "HEAD") {
                // It has nothing that could be cut.
                continue;
            }
            check(&bridge, fault, method, b"", fault.expected(is_idempotent)).await;
        }
        check(&bridge, fault, "PUT", b"hello", fault.expected(true)).await;
        check(&bridge, fault, "POST", b"hello", fault.expected(false)).await;
    }
}

#[tokio::test]
async fn a_body_is_kept_up_to_its_bound() {
    let bridge = Bridge::start().await;
    let body = vec![b'x'; 64 * 1024 + 1];
    for fault in [Fault::Cut, Fault::Refuse] {
        let gone = if fault == Fault::Cut {
            failed(502, "link_lost")
        } else {
            Outcome::Failed(503, "overloaded".to_owned(), true)
        };
        check(&bridge, fault, "PUT", &body[1..], Outcome::Answered).await;
        check(&bridge, fault, "PUT", &body, gone).await;
    }
}

#[tokio::test]
async fn a_body_that_still_comes_is_sent_from_its_beginning() {
    let bridge = Bridge::start().await;
    let mut peer = Peer::agent(bridge.gateway.address("tunnel"), &["orders"]).await;
    bridge.gateway.until_links(2).await;
    // Whoever goes to the honest agent waits there and is finished afterwards.
    let mut clients = [Raw::connect(bridge.facade()).await, Raw::connect(bridge.facade()).await];
    for client in &mut clients {
        client.send("PUT /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello").await;
    }
    peer.frame(|frame| matches!(frame, Frame::Data { .. }).then_some(())).await;
    drop(peer);
    bridge.gateway.until_links(1).await;
    for client in &mut clients {
        client.send("world").await;
        assert_eq!(outcome(client.try_answer("PUT").await, b"helloworld"), Outcome::Answered);
    }
    assert_eq!(bridge.upstream.counts().requests, 2);
}

#[tokio::test]
async fn retry_off_sends_nothing_twice() {
    let bridge = Bridge::with(Setup { gateway: "services: { orders: { retry: off } }", ..Setup::default() }).await;
    check(&bridge, Fault::Cut, "GET", b"", failed(502, "link_lost")).await;
    check(&bridge, Fault::Refuse, "GET", b"", Outcome::Answered).await;
    check(&bridge, Fault::Refuse, "POST", b"hello", Outcome::Answered).await;
}

/// An agent that is another than the one before.
async fn agent(gateway: &Sidecar, instance: &str) -> Peer {
    let mut peer = Peer::dial(gateway.address("tunnel"), None).await.unwrap();
    let hello = AgentHello { instance: instance.to_owned(), ..agent_hello(&["orders"]) };
    peer.say(&Frame::Hello(Hello::Agent(hello))).await;
    assert!(matches!(peer.next().await, Said::Frame(Frame::Hello(_))));
    peer
}

/// What was sent once is never called safe to repeat, whoever refuses it afterwards.
#[tokio::test]
async fn a_request_that_was_sent_stays_sent() {
    let gateway = Sidecar::gateway(&gateway_yaml("wait_for_agent: 0s"));
    for (first, second) in [(Fault::Cut, Fault::CannotConnect), (Fault::Cut, Fault::Refuse)] {
        let mut all = Vec::new();
        for (fault, instance) in [(first, "1"), (second, "2")] {
            all.push(tokio::spawn(fault.commit(agent(&gateway, instance).await)));
        }
        gateway.until_links(2).await;
        assert_eq!(echo(gateway.address("facade"), "GET", b"").await, failed(502, "link_lost"));
        for faulty in all {
            drop(within("the fault", faulty).await.unwrap());
        }
        gateway.until_links(0).await;
    }
}

#[tokio::test]
async fn a_request_that_was_lost_waits_for_the_successor() {
    let bridge = Bridge::start().await;
    let gateway = Sidecar::gateway(&gateway_yaml(""));
    let peer = Peer::agent(gateway.address("tunnel"), &["orders"]).await;
    gateway.until_links(1).await;
    let waiting = tokio::spawn(echo(gateway.address("facade"), "GET", b""));
    Fault::Cut.commit(peer).await;
    let yaml = agent_yaml(gateway.address("tunnel"), bridge.upstream.address(), Setup::default());
    let _successor = Sidecar::agent(&yaml, "".as_ref());
    assert_eq!(within("the successor", waiting).await.unwrap(), Outcome::Answered);
    assert_eq!(bridge.upstream.counts().requests, 1);
}

/// However much is lost at once, only the budget is sent again.
#[tokio::test]
async fn a_crowd_is_not_sent_again() {
    let gateway = Sidecar::gateway(&gateway_yaml("wait_for_agent: 0s"));
    let mut peer = Peer::agent(gateway.address("tunnel"), &["orders"]).await;
    let facade = gateway.address("facade");
    let calls: Vec<_> = (0..300).map(|_| tokio::spawn(echo(facade, "GET", b""))).collect();
    for _ in &calls {
        request(&mut peer).await;
    }
    let mut second = Peer::agent(gateway.address("tunnel"), &["orders"]).await;
    gateway.until_links(2).await;
    drop(peer);
    // All others have failed.
    let settled = |status: &serde_json::Value| {
        let orders = &status["services"]["orders"];
        orders["retries"].as_u64().filter(|retries| *retries > 0 && orders["requests"] == *retries)
    };
    let repeated = gateway.until_status("the retries", settled).await;
    assert!((160..300).contains(&repeated), "a hundred, and a fifth of three hundred: {repeated}");
    for _ in 0..repeated {
        request(&mut second).await;
    }
    drop(second);
    for call in calls {
        assert_eq!(within("the end", call).await.unwrap(), failed(502, "link_lost"));
    }
}

/// An upstream that answers the first request of a connection and closes it when the next one comes; what came, in
/// order.
async fn closes_what_was_idle() -> (SocketAddr, UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (came, account) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let came = came.clone();
            tokio::spawn(async move {
                let (read, mut write) = stream.into_split();
                let mut reader = Reader::new(read);
                for count in 0..2 {
                    let Some(head) = reader.head().await else { return };
                    let _ = came.send(head.word(0).to_owned());
                    if count == 0 {
                        let _ = write.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
                    }
                }
            });
        }
    });
    (address, account)
}

#[tokio::test]
async fn an_idle_connection_that_is_closed_under_a_request() {
    let check = async |service: &str, method: &str, expected: Outcome, came: &[&str]| {
        let (upstream, mut account) = closes_what_was_idle().await;
        let gateway = Sidecar::gateway(&gateway_yaml(""));
        let yaml = agent_yaml(gateway.address("tunnel"), upstream, Setup { service, ..Setup::default() });
        let _agent = Sidecar::agent(&yaml, "".as_ref());
        assert_eq!(call(gateway.address("facade"), "GET", "/", "").await.status(), 200);
        let answer = call(gateway.address("facade"), method, "/again", "Content-Length: 0\r\n").await;
        assert_eq!(outcome(Some(answer), b""), expected, "{method} {service}");
        for method in came {
            assert_eq!(within("a request", account.recv()).await.as_deref(), Some(*method), "{service}");
        }
        assert!(account.try_recv().is_err(), "{method} {service}: no more came");
    };
    check("", "GET", Outcome::Answered, &["GET", "GET", "GET"]).await;
    check("", "DELETE", Outcome::Answered, &["GET", "DELETE", "DELETE"]).await;
    check("", "POST", failed(502, "upstream_protocol"), &["GET", "POST"]).await;
    check("retry: off", "GET", failed(502, "upstream_protocol"), &["GET", "GET"]).await;
}
