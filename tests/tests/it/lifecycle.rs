//! Life and death of real processes: any start order, kill -9 on either side, drain, restart.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
};

use futures_util::StreamExt as _;
use reachback_tests::{
    bridge::{self, Setup},
    client::{self, Answer, Raw, call},
    http1::{Left, Piece},
    process::{Process, own_address, until_listening},
    scratch::Scratch,
    upstream::Upstream,
    wait::{until, until_so, within},
};

/// Where a gateway of its own address can be restarted.
struct Place {
    folder: Scratch,
    upstream: Upstream,
    ip: IpAddr,
}

const TUNNEL: u16 = 7100;
const FACADE: u16 = 7080;

impl Place {
    async fn new() -> Self {
        Self { folder: Scratch::new(), upstream: Upstream::start().await, ip: own_address() }
    }

    fn at(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, port)
    }

    fn gateway(&self) -> Process {
        let yaml = format!(
            "listen: {}\nfacades: [ {{ listen: {}, service: orders, wait_for_agent: 60s }} ]\n",
            self.at(TUNNEL),
            self.at(FACADE)
        );
        Process::start("gateway", &yaml, &self.folder)
    }

    fn agent(&self) -> Process {
        let yaml = bridge::agent_yaml(self.at(TUNNEL), self.upstream.address(), Setup::default());
        Process::start("agent", &yaml, &self.folder)
    }

    /// A call that waits for the gateway to listen and for an agent to come.
    async fn works(&self) {
        until_listening(self.at(FACADE)).await;
        let answer = call(self.at(FACADE), "GET", "/bytes/6", "").await;
        assert_eq!((answer.status(), answer.body.len()), (200, 6), "{answer:?}");
    }
}

#[tokio::test]
async fn the_gateway_first() {
    let place = Place::new().await;
    let gateway = place.gateway();
    gateway.line(&["listening", "facade"]).await;
    let _agent = place.agent();
    place.works().await;
}

#[tokio::test]
async fn the_agent_first() {
    let place = Place::new().await;
    let agent = place.agent();
    agent.line(&["no link: dialling again"]).await;
    let _gateway = place.gateway();
    place.works().await;
}

/// Somebody who looks at the log an hour later still finds in it what was before.
#[tokio::test]
async fn a_gateway_that_is_away_does_not_fill_the_log() {
    let place = Place::new().await;
    let agent = place.agent();
    let dials = |level: &str| {
        let said = |line: &&String| line.contains("no link: dialling again") && line.contains(level);
        agent.log().iter().filter(said).count()
    };
    until_so("many dials", || dials("") >= 6).await;
    assert_eq!(dials(" WARN "), 1);
    let mut gateway = place.gateway();
    place.works().await;
    gateway.kill();
    until_so("more dials", || dials("") >= 12).await;
    assert!((2..=3).contains(&dials(" WARN ")), "its being away is news, and perhaps that of a short link before");
}

#[tokio::test]
async fn a_killed_gateway_is_found_again() {
    let place = Place::new().await;
    let (mut gateway, agent) = (place.gateway(), place.agent());
    for _ in 0..3 {
        place.works().await;
        gateway.kill();
        gateway = place.gateway();
    }
    place.works().await;
    drop(agent);
}

#[tokio::test]
async fn a_killed_agent_comes_back() {
    let place = Place::new().await;
    let (gateway, mut agent) = (place.gateway(), place.agent());
    for round in 1..=3 {
        place.works().await;
        agent.kill();
        let downs = async || gateway.log().iter().filter(|line| line.contains("link down")).count();
        until("the link's end", async || (downs().await == round).then_some(())).await;
        agent = place.agent();
    }
    place.works().await;
}

#[tokio::test]
async fn a_new_agent_takes_over_from_a_dead_one_at_once() {
    let place = Place::new().await;
    let (_gateway, mut agent) = (place.gateway(), place.agent());
    for _ in 0..3 {
        place.works().await;
        agent.kill();
        // Without waiting until the gateway has noticed.
        agent = place.agent();
    }
    place.works().await;
}

#[tokio::test]
async fn an_answer_cut_by_the_agents_death_never_looks_whole() {
    for path in ["/half/1000000", "/half-chunked/1000000"] {
        let place = Place::new().await;
        let (gateway, mut agent) = (place.gateway(), place.agent());
        place.works().await;
        let url = format!("http://{}{path}", place.at(FACADE));
        let answer = within("the head", client::http().get(url).send()).await.unwrap();
        let request_id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        let mut pieces = answer.bytes_stream();
        let mut got = 0;
        while got < 500_000 {
            got += within("half of it", pieces.next()).await.unwrap().unwrap().len();
        }
        agent.kill();
        let end = within("the cut", pieces.next()).await;
        assert!(matches!(end, Some(Err(_))), "{path}: {end:?}");
        let request = format!("service=orders method=GET path=\"{path}\"");
        gateway.line(&["an answer was cut short", &request_id, "facade=127.", &request]).await;
    }
}

#[tokio::test]
async fn a_call_without_an_answer_fails_when_the_agent_dies() {
    let place = Place::new().await;
    let (_gateway, mut agent) = (place.gateway(), place.agent());
    place.works().await;
    let pending = call(place.at(FACADE), "POST", "/silent", "Content-Length: 0\r\n");
    let kill = async {
        place.upstream.until("the call", |counts| counts.requests == 2).await;
        agent.kill();
    };
    let (answer, ()) = tokio::join!(pending, kill);
    assert_eq!((answer.status(), answer.failure()), (502, Some("link_lost")));
    assert!(answer.text().contains(r#""retry_safe":false"#), "{}", answer.text());
    place.upstream.until("the upstream's connections to end", |counts| counts.open == 0).await;
}

/// A call is under way, `signalled` is told to end, and only then the upstream answers.
async fn drains(place: &Place, signalled: &mut Process, other: &mut Process) -> Answer {
    place.works().await;
    let pending = call(place.at(FACADE), "GET", "/gate", "");
    let drain = async {
        place.upstream.until("the call", |counts| counts.requests == 2).await;
        signalled.signal("TERM");
        signalled.line(&["draining"]).await;
        other.line(&["is draining"]).await;
        place.upstream.open_gate(1);
    };
    let (answer, ()) = tokio::join!(pending, drain);
    assert_eq!(signalled.code().await, Some(0));
    assert!(other.lives());
    answer
}

#[tokio::test]
async fn a_draining_agent_finishes_what_it_has() {
    let place = Place::new().await;
    let (mut gateway, mut agent) = (place.gateway(), place.agent());
    let answer = drains(&place, &mut agent, &mut gateway).await;
    assert_eq!((answer.status(), answer.text()), (200, "the gate is open".to_owned()));
    let _agent = place.agent();
    place.works().await;
}

#[tokio::test]
async fn a_draining_gateway_finishes_what_it_has() {
    let place = Place::new().await;
    let (mut gateway, mut agent) = (place.gateway(), place.agent());
    place.works().await;
    // Three at different stages: no head yet, in the middle of a body, and an idle connection.
    let mut idle = Raw::connect(place.at(FACADE)).await;
    idle.call("GET", "/bytes/1", "").await;
    let mut events = Raw::connect(place.at(FACADE)).await;
    events.send("GET /drip/2 HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let streaming = events.head().await.unwrap();
    let pending = call(place.at(FACADE), "GET", "/gate", "");
    let drain = async {
        place.upstream.until("the calls", |counts| counts.requests == 4).await;
        gateway.signal("TERM");
        gateway.line(&["draining"]).await;
        assert_eq!(idle.closed().await, 0, "an idle connection ends");
        place.upstream.open_gate(3);
    };
    let (answer, ()) = tokio::join!(pending, drain);
    assert_eq!(
        (answer.status(), answer.text(), answer.head.one("connection")),
        (200, "the gate is open".to_owned(), Some("close"))
    );
    let mut body = Vec::new();
    let mut left = streaming.framing(Left::UntilClose);
    loop {
        match events.piece(&mut left).await {
            Piece::Data(data) => body.extend_from_slice(&data),
            end => break assert_eq!(end, Piece::End),
        }
    }
    assert_eq!(body, b"data: 0\n\ndata: 1\n\n");
    assert_eq!(gateway.code().await, Some(0));
    assert!(agent.lives());
    let _gateway = place.gateway();
    place.works().await;
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    for role in ["gateway", "agent"] {
        let place = Place::new().await;
        let (mut gateway, mut agent) = (place.gateway(), place.agent());
        place.works().await;
        let mut client = Raw::connect(place.at(FACADE)).await;
        client.send("GET /silent HTTP/1.1\r\nHost: a\r\n\r\n").await;
        place.upstream.until("the call", |counts| counts.requests == 2).await;
        let process = if role == "gateway" { &mut gateway } else { &mut agent };
        process.signal("TERM");
        process.line(&["draining"]).await;
        process.signal("INT");
        assert_eq!(process.code().await, Some(1), "{role}");
    }
}

#[tokio::test]
async fn a_drain_does_not_last_for_ever() {
    let place = Place::new().await;
    let yaml = format!(
        "listen: {}\nfacades: [ {{ listen: {}, service: orders }} ]\ndrain_grace: 200ms\n",
        place.at(TUNNEL),
        place.at(FACADE)
    );
    let mut gateway = Process::start("gateway", &yaml, &place.folder);
    let _agent = place.agent();
    gateway.line(&["link up"]).await;
    let mut client = Raw::connect(place.at(FACADE)).await;
    client.send("GET /silent HTTP/1.1\r\nHost: a\r\n\r\n").await;
    place.upstream.until("the call", |counts| counts.requests == 1).await;
    gateway.signal("TERM");
    assert_eq!(gateway.code().await, Some(0));
    assert!(client.try_answer("GET").await.is_none_or(|answer| answer.status() == 502));
    place.upstream.until("the upstream's connections to end", |counts| counts.open == 0).await;
}

/// A file that gives nothing, as on a file system that stands still, is a pipe here: `--config <(...)` may be one.
#[tokio::test]
async fn a_file_that_cannot_be_read_to_its_end_does_not_hold_up_the_end() {
    let (folder, upstream) = (Scratch::new(), Upstream::start().await);
    folder.pipe("agent.yaml");
    let pipe = folder.file("agent.yaml");
    let mut agent = Process::start_with(&["agent", "--config", "agent.yaml"], &folder);
    let yaml = bridge::agent_yaml("127.0.0.1:9".parse().unwrap(), upstream.address(), Setup::default());
    let written = pipe.clone();
    within("the first reading", tokio::task::spawn_blocking(move || fs::write(written, yaml))).await.unwrap().unwrap();
    agent.line(&["no link"]).await;
    agent.signal("HUP");
    let opened = tokio::task::spawn_blocking(move || fs::OpenOptions::new().write(true).open(pipe));
    let _holds_it = within("the second reading", opened).await.unwrap().unwrap();
    agent.signal("TERM");
    assert_eq!(agent.code().await, Some(0));
}
