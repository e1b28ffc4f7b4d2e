//! Drains that are asked for, successors of agents, and rolling restarts of a whole fleet.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use http::{HeaderMap, Method};
use proto::wire::{Frame, RequestHead, RequestId, ServiceName, StreamId};
use reachback_tests::{
    bridge::{self, Bridge, Setup, Sidecar},
    client::{self, Raw, call},
    pattern,
    peer::{Peer, Said},
    process::{Process, own_address, until_listening},
    scratch::Scratch,
    upstream::Upstream,
    wait::{until, until_so, within},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// Asks for a drain; the answer's status and text.
fn ask(sidecar: &Sidecar) -> JoinHandle<(u16, String)> {
    let url = format!("http://{}/drain", sidecar.address("admin"));
    tokio::spawn(async move {
        let answer = within("the end of the drain", client::http().post(url).send()).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    })
}

async fn until_says(sidecar: &Sidecar, key: &str) {
    sidecar.until_status(key, |status| (status[key] == true).then_some(())).await;
}

async fn readiness(sidecar: &Sidecar) -> (u16, String) {
    let answer = call(sidecar.address("admin"), "GET", "/readyz", "").await;
    (answer.status(), answer.text())
}

const NO_DELAY: Setup<'_> = Setup {
    gateway: "drain_delay: 0s\ndrain_grace: 1h",
    agent: "drain_grace: 1h",
    facades: "",
    service: "",
    allow: "",
};

#[tokio::test]
async fn a_drain_that_is_asked_for_finishes_what_is_in_flight_and_runs_on() {
    for role in ["gateway", "agent"] {
        let bridge = Bridge::with(NO_DELAY).await;
        let (asked, other) =
            if role == "agent" { (&bridge.agent, &bridge.gateway) } else { (&bridge.gateway, &bridge.agent) };
        let facade = bridge.facade();
        let pending = tokio::spawn(async move { call(facade, "GET", "/gate", "").await });
        bridge.upstream.until("the call", |counts| counts.requests == 1).await;
        let first = ask(asked);
        until_says(asked, "draining").await;
        let second = ask(asked);
        let (status, text) = readiness(asked).await;
        assert!(status == 503 && text.contains("draining"), "{role}: {status} {text}");
        assert_eq!(asked.status().await["drained"], false, "{role}: a call is in flight");
        bridge.upstream.open_gate(1);
        let answer = pending.await.unwrap();
        assert_eq!((answer.status(), answer.text()), (200, "the gate is open".to_owned()), "{role}");
        for waits in [first, second, ask(asked)] {
            assert_eq!(waits.await.unwrap(), (200, "drained\n".to_owned()), "{role}");
        }
        until_says(asked, "drained").await;
        assert!(readiness(asked).await.1.contains("drained"), "{role}");
        asked.until_links(0).await;
        other.until_links(0).await;
        // Until it is told to end.
        asked.drain();
        asked.ended().await;
    }
}

#[tokio::test]
async fn a_drain_is_no_business_of_browsers_and_of_probes() {
    let health = "health: { listen: 127.0.0.1:0 }";
    let bridge = Bridge::with(Setup { gateway: health, agent: health, ..Setup::default() }).await;
    for sidecar in [&bridge.gateway, &bridge.agent] {
        let admin = sidecar.address("admin");
        let asks = async |listener, line: &str, more: &str| {
            let mut client = Raw::connect(listener).await;
            client.send(format!("{line} HTTP/1.1\r\nContent-Length: 0\r\n{more}\r\n\r\n")).await;
            client.answer(line).await.status()
        };
        for line in ["POST /drain", "GET /status", "GET /readyz", "GET /none"] {
            for more in
                ["Host: localhost\r\nOrigin: http://a.example", "Host: a.example:7201", "Host: localhost.a.example"]
            {
                assert_eq!(asks(admin, line, more).await, 403, "{line} {more}");
            }
        }
        assert_eq!(asks(admin, "GET http://a.example/status", "Host: localhost").await, 403);
        assert_eq!(asks(admin, "GET http://localhost/status", "Host: localhost").await, 200);
        for host in ["Host: localhost", "Host: [::1]:7201"] {
            assert_eq!(asks(admin, "GET /status", host).await, 200, "{host}");
        }
        let probe =
            asks(sidecar.address("health"), "GET /livez", "Host: pod.example\r\nOrigin: http://a.example").await;
        assert_eq!(probe, 200, "probes come from wherever they like");
        assert_eq!(asks(sidecar.address("health"), "POST /drain", "Host: localhost").await / 100, 4);
        assert_eq!(call(admin, "GET", "/drain", "").await.status(), 405);
        assert_eq!(call(admin, "POST", "/status", "Content-Length: 0\r\n").await.status(), 405);
        assert_eq!(sidecar.status().await["draining"], false);
    }
}

#[tokio::test]
async fn a_draining_gateway_serves_on_for_a_while_and_sends_clients_elsewhere() {
    let setup = Setup { gateway: "drain_delay: 1h\ndrain_grace: 1h", ..Setup::default() };
    let bridge = Bridge::with(setup).await;
    let mut kept = Raw::connect(bridge.facade()).await;
    let answer = kept.call("GET", "/bytes/1", "").await;
    assert_eq!((answer.status(), answer.head.one("connection")), (200, None));
    bridge.gateway.drain();
    until_says(&bridge.gateway, "draining").await;
    assert_eq!(readiness(&bridge.gateway).await.0, 503);
    // On a connection that was kept, and on a new one.
    let mut new = Raw::connect(bridge.facade()).await;
    for connection in [&mut kept, &mut new] {
        let answer = connection.call("GET", "/bytes/1", "").await;
        assert_eq!((answer.status(), answer.head.one("connection")), (200, Some("close")));
        assert_eq!(connection.closed().await, 0);
    }
}

fn upload(id: u32) -> [Frame; 2] {
    let head = RequestHead {
        service: ServiceName::new("orders").unwrap(),
        method: Method::POST,
        target: Bytes::from_static(b"/echo"),
        headers: HeaderMap::from_iter([("content-length".parse().unwrap(), "5".parse().unwrap())]),
        request_id: RequestId::new("r").unwrap(),
        deadline: None,
        upgrade: false,
    };
    let id = StreamId(id);
    [Frame::Request { id, head: head.into(), end: false }, Frame::Data { id, end: true, chunk: Bytes::from("hello") }]
}

/// The gateway may have begun to send a body of which nobody keeps the beginning.
#[tokio::test]
async fn what_crosses_with_an_agents_go_away_is_served() {
    for is_under_way in [false, true] {
        let upstream = Upstream::start().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let yaml = bridge::agent_yaml(listener.local_addr().unwrap(), upstream.address(), Setup::default());
        let agent = Sidecar::agent(&yaml, "".as_ref());
        let mut gateway = Peer::gateway(&listener).await;
        agent.until_links(1).await;
        let [head, body] = upload(1);
        if is_under_way {
            gateway.say(&head).await;
            upstream.until("the beginning", |counts| counts.requests == 1).await;
        }
        let drained = ask(&agent);
        let last = gateway.frame(|frame| if let Frame::GoAway { last_id, .. } = frame { Some(last_id) } else { None });
        assert_eq!(last.await, StreamId(u32::MAX));
        if !is_under_way {
            gateway.say(&head).await;
        }
        gateway.say(&body).await;
        let [head, body] = upload(2);
        gateway.say(&head).await;
        gateway.say(&Frame::GoAway { last_id: StreamId(2), reason: "heard".to_owned() }).await;
        gateway.say(&body).await;
        let mut ends = 0;
        let closed = loop {
            match gateway.next().await {
                Said::Frame(Frame::Response { head, .. }) => assert_eq!(head.status, 200),
                Said::Frame(Frame::Data { end, chunk, .. }) => {
                    assert_eq!(chunk, "hello");
                    ends += u32::from(end);
                }
                Said::Frame(other) => assert!(matches!(other, Frame::Window { .. }), "{other:?}"),
                end => break end,
            }
        };
        assert_eq!((ends, closed), (2, Said::Close(1001, String::new())), "it closes when all is answered");
        assert_eq!(within("the end of the drain", drained).await.unwrap().0, 200);
    }
}

/// Gateways and agents as processes; each agent has a link to every gateway.
struct Fleet {
    folder: Scratch,
    upstream: Upstream,
    ip: IpAddr,
}

impl Fleet {
    const GATEWAYS: u16 = 3;

    async fn new() -> Self {
        Self { folder: Scratch::new(), upstream: Upstream::start().await, ip: own_address() }
    }

    fn tunnel(&self, nth: u16) -> SocketAddr {
        SocketAddr::new(self.ip, 7100 + nth)
    }

    fn facade(&self, nth: u16) -> SocketAddr {
        SocketAddr::new(self.ip, 7080 + nth)
    }

    fn gateway(&self, nth: u16, more: &str) -> Process {
        let (tunnel, facade) = (self.tunnel(nth), self.facade(nth));
        let facade = format!("{{ listen: {facade}, service: orders, wait_for_agent: 60s }}");
        Process::start("gateway", &format!("listen: {tunnel}\nfacades: [ {facade} ]\n{more}\n"), &self.folder)
    }

    fn agent(&self, name: &str, gateways: u16) -> Process {
        let gateways: Vec<String> = (0..gateways).map(|nth| format!("ws://{}", self.tunnel(nth))).collect();
        let (gateways, upstream, allow) = (gateways.join(", "), self.upstream.address(), bridge::ALLOW);
        let services = format!("services: {{ orders: {{ upstream: \"http://{upstream}\", allow: {allow} }} }}");
        let yaml = format!("name: {name}\nadmin: {{ listen: 127.0.0.1:0 }}\ngateways: [ {gateways} ]\n{services}\n");
        Process::start("agent", &yaml, &self.folder)
    }

    /// Posts a body to one gateway over and over, on connections that are kept, until told to stop.
    fn load(&self, nth: u16, body: &Bytes, stop: &Arc<AtomicBool>, answered: &Arc<AtomicU64>) -> JoinHandle<()> {
        let url = format!("http://{}/echo", self.facade(nth));
        let (body, stop, answered, client) = (body.clone(), stop.clone(), answered.clone(), client::http());
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                match within("an answer", client.post(&url).body(body.clone()).send()).await {
                    Ok(answer) => {
                        assert_eq!(answer.status().as_u16(), 200, "gateway {nth}: {:?}", answer.headers());
                        assert!(answer.bytes().await.expect("a whole answer") == body, "gateway {nth}: what was sent");
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                    // Nobody listens: nothing was sent, and whoever has several gateways asks another.
                    Err(error) => {
                        assert!(error.is_connect(), "gateway {nth}: {error:?}");
                        tokio::task::yield_now().await;
                    }
                }
            }
        })
    }
}

async fn links_up(agent: &Process, count: usize) {
    let ups = || agent.log().iter().filter(|line| line.contains("link up")).count();
    until_so("links to every gateway", || ups() >= count).await;
}

#[tokio::test]
async fn a_rolling_restart_of_a_fleet_loses_no_request() {
    let fleet = Fleet::new().await;
    let mut gateways: Vec<Process> = (0..Fleet::GATEWAYS).map(|nth| fleet.gateway(nth, "")).collect();
    let mut agents: Vec<Process> = ["a", "b"].map(|name| fleet.agent(name, Fleet::GATEWAYS)).into();
    for agent in &agents {
        links_up(agent, Fleet::GATEWAYS.into()).await;
    }
    let stop = Arc::new(AtomicBool::new(false));
    // Of the long one no gateway keeps the beginning.
    let bodies = [Bytes::from("little"), pattern::bytes(200_000).into()];
    let counts: Vec<Arc<AtomicU64>> = (0..Fleet::GATEWAYS * 2).map(|_| Arc::default()).collect();
    let load = |(which, count): (u16, &Arc<AtomicU64>)| {
        fleet.load(which % Fleet::GATEWAYS, &bodies[usize::from(which / Fleet::GATEWAYS)], &stop, count)
    };
    let load: Vec<_> = (0..).zip(&counts).map(load).collect();
    // Each gateway has answered some more: it works.
    let all_answer = async || {
        for count in &counts {
            let before = count.load(Ordering::Relaxed);
            until_so("answers of each gateway", || count.load(Ordering::Relaxed) > before + 10).await;
        }
    };
    all_answer().await;
    for (agent, name) in agents.iter_mut().zip(["a", "b"]) {
        agent.signal("TERM");
        assert_eq!(agent.code().await, Some(0));
        all_answer().await;
        *agent = fleet.agent(name, Fleet::GATEWAYS);
        links_up(agent, Fleet::GATEWAYS.into()).await;
        all_answer().await;
    }
    for (nth, gateway) in (0..).zip(&mut gateways) {
        gateway.signal("TERM");
        assert_eq!(gateway.code().await, Some(0));
        *gateway = fleet.gateway(nth, "");
        until_listening(fleet.facade(nth)).await;
        all_answer().await;
    }
    stop.store(true, Ordering::Relaxed);
    for task in load {
        within("the end of the load", task).await.unwrap();
    }
    let answered: u64 = counts.iter().map(|count| count.load(Ordering::Relaxed)).sum();
    assert_eq!(fleet.upstream.counts().requests as u64, answered, "no POST came twice");
}

#[tokio::test]
async fn the_successor_of_a_frozen_agent_is_asked_and_two_of_one_name_both_work() {
    let fleet = Fleet::new().await;
    let gateway = fleet.gateway(0, "heartbeat: 4s\nadmin: { listen: 127.0.0.1:0 }");
    let ups = |count| {
        let ups = || gateway.log().iter().filter(|line| line.contains("link up")).count();
        until_so("links of the gateway", move || ups() == count)
    };
    let frozen = fleet.agent("one", 1);
    ups(1).await;
    let status = format!("http://{}/status", gateway.address("admin").await);
    let facade = fleet.facade(0);
    until_listening(facade).await;
    frozen.signal("STOP");
    let lost = tokio::spawn(async move { call(facade, "POST", "/bytes/6", "Content-Length: 0\r\n").await });
    let is_sent = async || (client::json(&status).await["streams"] == 1).then_some(());
    until("the call on its way", is_sent).await;
    let mut successor = fleet.agent("one", 1);
    ups(2).await;
    for _ in 0..10 {
        // Whichever has its turn: only the successor answers.
        assert_eq!(call(facade, "GET", "/bytes/6", "").await.status(), 200);
    }
    let lost = within("the failure", lost).await.unwrap();
    assert_eq!((lost.status(), lost.failure()), (502, Some("link_lost")));
    // It was only asleep: it comes back, and both live.
    frozen.signal("CONT");
    ups(3).await;
    successor.kill();
    assert_eq!(call(facade, "GET", "/bytes/6", "").await.status(), 200);
}
