//! Several links that serve one name: who gets which request, and what becomes of one that a link does not take.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::future::join_all;
use proto::wire::{Frame, Reject, ResetCode, StreamId};
use reachback_tests::{
    bridge::{Bridge, Setup, Sidecar, agent_yaml, gateway_yaml},
    client::{Raw, call},
    peer::{Peer, Said, agent_hello},
    upstream::Upstream,
    wait::within,
};
use tokio::task::JoinHandle;

/// A bridge, and a second agent with an upstream of its own.
async fn two_agents() -> (Bridge, Upstream, Sidecar) {
    let bridge = Bridge::start().await;
    let upstream = Upstream::start().await;
    let yaml = agent_yaml(bridge.gateway.address("tunnel"), upstream.address(), Setup::default());
    // Under the same name it would be taken for the successor of the first, which then has to show that it lives.
    let agent = Sidecar::agent(&yaml.replace("name: agent", "name: second"), "".as_ref());
    bridge.gateway.until_links(2).await;
    (bridge, upstream, agent)
}

#[tokio::test]
async fn equals_take_turns() {
    let (bridge, second, _agent) = two_agents().await;
    let mut client = Raw::connect(bridge.facade()).await;
    for _ in 0..20 {
        assert_eq!(client.call("GET", "/bytes/1", "").await.status(), 200);
    }
    assert_eq!((bridge.upstream.counts().requests, second.counts().requests), (10, 10));
}

#[tokio::test]
async fn the_least_busy_is_asked() {
    let (bridge, second, _agent) = two_agents().await;
    let facade = bridge.facade();
    let waiting = tokio::spawn(async move { call(facade, "GET", "/gate", "").await });
    let busy = || bridge.upstream.counts().active + second.counts().active;
    reachback_tests::wait::until_so("a request at the gate", || busy() == 1).await;
    for _ in 0..10 {
        assert_eq!(call(facade, "GET", "/bytes/1", "").await.status(), 200);
    }
    let mut counts = [bridge.upstream.counts().requests, second.counts().requests];
    counts.sort_unstable();
    assert_eq!(counts, [1, 10], "whoever is busy gets nothing more");
    bridge.upstream.open_gate(1);
    second.open_gate(1);
    assert_eq!(within("the gate", waiting).await.unwrap().status(), 200);
}

/// What a stubborn agent says to a request.
type Answer = fn(StreamId) -> Frame;

fn refuse(id: StreamId) -> Frame {
    Frame::Reset { id, code: ResetCode::Refused, message: String::new() }
}

fn leave(id: StreamId) -> Frame {
    Frame::GoAway { last_id: StreamId(id.0 - 1), reason: "leaving".to_owned() }
}

/// An agent for `orders` that takes no request, and counts how many it was offered.
struct Stubborn {
    offered: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Stubborn {
    async fn start(gateway: &Sidecar, answer: Answer) -> Self {
        let mut peer = Peer::agent(gateway.address("tunnel"), &["orders"]).await;
        let offered = Arc::new(AtomicUsize::new(0));
        let count = offered.clone();
        let task = tokio::spawn(async move {
            loop {
                match peer.next().await {
                    Said::Frame(Frame::Request { id, .. }) => {
                        count.fetch_add(1, Ordering::Relaxed);
                        peer.say(&answer(id)).await;
                    }
                    Said::Frame(_) => {}
                    Said::Close(..) | Said::Gone => return,
                }
            }
        });
        Self { offered, task }
    }

    fn offered(&self) -> usize {
        self.offered.load(Ordering::Relaxed)
    }
}

impl Drop for Stubborn {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[tokio::test]
async fn what_one_refuses_another_gets_whatever_the_method() {
    let bridge = Bridge::start().await;
    let stubborn = Stubborn::start(&bridge.gateway, refuse).await;
    bridge.gateway.until_links(2).await;
    let mut client = Raw::connect(bridge.facade()).await;
    for method in ["GET", "POST", "DELETE", "PUT"].repeat(3) {
        assert_eq!(client.call(method, "/bytes/3", "Content-Length: 0\r\n").await.body.len(), 3);
    }
    // A body that nobody has invited yet is there for whoever takes it.
    for _ in 0..6 {
        client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n").await;
        assert_eq!(client.head().await.unwrap().word(1), "100");
        client.send("hello").await;
        assert_eq!(client.answer("POST").await.text(), "hello");
    }
    assert_eq!(bridge.upstream.counts().requests, 18, "each came once");
    // Both are equals, so that every second request was offered to it first.
    assert_eq!(stubborn.offered(), 9);
}

#[tokio::test]
async fn what_one_leaves_behind_another_gets() {
    let bridge = Bridge::start().await;
    let leaving = Stubborn::start(&bridge.gateway, leave).await;
    bridge.gateway.until_links(2).await;
    for _ in 0..10 {
        assert_eq!(call(bridge.facade(), "POST", "/bytes/3", "Content-Length: 0\r\n").await.status(), 200);
    }
    assert_eq!((leaving.offered(), bridge.upstream.counts().requests), (1, 10));
}

#[tokio::test]
async fn a_full_one_is_passed_over() {
    let setup = Setup { agent: "limits: { streams_per_link: 1 }", ..Setup::default() };
    let bridge = Bridge::with(setup).await;
    let yaml = agent_yaml(bridge.gateway.address("tunnel"), bridge.upstream.address(), setup);
    let _second = Sidecar::agent(&yaml, "".as_ref());
    bridge.gateway.until_links(2).await;
    let facade = bridge.facade();
    let waiting = (0..2).map(|_| tokio::spawn(async move { call(facade, "GET", "/gate", "").await.status() }));
    let waiting: Vec<_> = waiting.collect();
    bridge.upstream.until("one at each", |counts| counts.active == 2).await;
    let answer = call(facade, "GET", "/bytes/1", "").await;
    assert_eq!((answer.status(), answer.failure()), (503, Some("overloaded")), "{answer:?}");
    bridge.upstream.open_gate(2);
    for status in join_all(waiting).await {
        assert_eq!(status.unwrap(), 200);
    }
}

#[tokio::test]
async fn when_all_refuse_the_client_is_told_at_once() {
    let gateway = Sidecar::gateway(&gateway_yaml(""));
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(Stubborn::start(&gateway, refuse).await);
    }
    gateway.until_links(3).await;
    let answer = call(gateway.address("facade"), "POST", "/", "Content-Length: 0\r\n").await;
    assert_eq!((answer.status(), answer.failure()), (503, Some("overloaded")));
    assert!(answer.text().contains("\"retry_safe\":true"), "{}", answer.text());
    assert_eq!(all.iter().map(Stubborn::offered).collect::<Vec<_>>(), [1, 1, 1], "each was asked once");
    // More of them do not make it longer.
    for _ in 0..3 {
        all.push(Stubborn::start(&gateway, refuse).await);
    }
    gateway.until_links(6).await;
    assert_eq!(call(gateway.address("facade"), "GET", "/", "").await.failure(), Some("overloaded"));
    assert_eq!(all.iter().map(Stubborn::offered).sum::<usize>(), 3 + 4);
}

/// The only agent leaves, and its successor is not there yet: nothing is lost.
#[tokio::test]
async fn a_request_waits_for_the_successor() {
    let gateway = Sidecar::gateway(&gateway_yaml(""));
    let upstream = Upstream::start().await;
    let leaving = Stubborn::start(&gateway, leave).await;
    gateway.until_links(1).await;
    let facade = gateway.address("facade");
    let waiting = tokio::spawn(async move { call(facade, "POST", "/bytes/3", "Content-Length: 0\r\n").await });
    reachback_tests::wait::until_so("a request", || leaving.offered() == 1).await;
    let yaml = agent_yaml(gateway.address("tunnel"), upstream.address(), Setup::default());
    let _successor = Sidecar::agent(&yaml, "".as_ref());
    assert_eq!(within("the successor", waiting).await.unwrap().status(), 200);
}

/// What has been read of a body is kept.
#[tokio::test]
async fn a_body_that_was_begun_is_offered_again() {
    let gateway = Sidecar::gateway(&gateway_yaml(""));
    let all = [Stubborn::start(&gateway, refuse).await, Stubborn::start(&gateway, refuse).await];
    gateway.until_links(2).await;
    let mut client = Raw::connect(gateway.address("facade")).await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhello").await;
    let answer = client.answer("POST").await;
    assert_eq!((answer.status(), answer.failure()), (503, Some("overloaded")));
    assert!(answer.text().contains("\"retry_safe\":true"), "{}", answer.text());
    assert_eq!(all.iter().map(Stubborn::offered).collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test]
async fn lanes() {
    let (gateway, upstream) = (Sidecar::gateway(&gateway_yaml("")), Upstream::start().await);
    let setup = Setup { agent: "links: 3\ndrain_grace: 60s", ..Setup::default() };
    let agent = Sidecar::agent(&agent_yaml(gateway.address("tunnel"), upstream.address(), setup), "".as_ref());
    gateway.until_links(3).await;
    let facade = gateway.address("facade");
    let waiting = (0..6).map(|_| tokio::spawn(async move { call(facade, "GET", "/gate", "").await.status() }));
    let waiting: Vec<_> = waiting.collect();
    upstream.until("six at the gate", |counts| counts.active == 6).await;
    let status = gateway.status().await;
    let links = status["links"].as_array().unwrap();
    assert!(links.iter().all(|link| link["streams"] == 2), "{links:?}");
    assert!(links.iter().all(|link| link["instance"] == links[0]["instance"]), "{links:?}");
    assert_eq!(agent.status().await["links"].as_array().unwrap().len(), 3);
    agent.drain();
    upstream.open_gate(6);
    for status in join_all(waiting).await {
        assert_eq!(status.unwrap(), 200, "a drain loses nothing on any lane");
    }
    agent.ended().await;
    gateway.until_links(0).await;
}

#[tokio::test]
async fn an_agent_has_only_so_many_links() {
    let gateway = Sidecar::gateway(&gateway_yaml(""));
    let tunnel = gateway.address("tunnel");
    // All at once, so that each finds the others not yet there.
    let greet = async || {
        let mut peer = Peer::dial(tunnel, None).await.unwrap();
        peer.say(&Frame::Hello(proto::wire::Hello::Agent(agent_hello(&["orders"])))).await;
        let said = peer.next().await;
        (peer, said)
    };
    let all = join_all((0..70).map(|_| greet())).await;
    let rejected =
        |said: &Said| matches!(said, Said::Frame(Frame::Reject(Reject { code, .. })) if code == "too_many_links");
    assert_eq!(all.iter().filter(|(_, said)| rejected(said)).count(), 6);
    gateway.until_links(64).await;
    // A place is free again once its link has ended.
    let (peer, _) = all.into_iter().find(|(_, said)| !rejected(said)).unwrap();
    drop(peer);
    gateway.until_links(0).await;
    assert!(!rejected(&greet().await.1));
}
