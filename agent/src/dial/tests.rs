//! How often an agent dials that is refused, over real sockets and in real time; and whose turn it is, on a paused clock.

use std::{
    collections::HashMap,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use settings::Source;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    Dialling, Gateway, Standing,
    backoff::Outcome,
    route::Route,
    turns::{Turn, Turns},
};
use crate::{Config, links::Links, offer::Offer, secrets::Secrets, serve::Server};

/// A gateway that answers 401 and counts how often.
async fn refuses(dials: &Arc<AtomicUsize>) -> Route {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let dials = dials.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            dials.fetch_add(1, Relaxed);
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(b"HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n").await;
            });
        }
    });
    Route::Address(address)
}

fn config(links: u32) -> Config {
    let text = format!(
        "gateways: [ ws://127.0.0.1:9 ]\nlinks: {links}\nservices: {{ a: {{ upstream: 'http://127.0.0.1:9' }} }}"
    );
    Config::from_source(&Source::file("agent.yaml", &text, Path::new(""))).unwrap()
}

fn dialling(config: &Config) -> Dialling {
    let secrets = Arc::new(Secrets::default());
    let standing = Arc::new(Standing::new(config, "agent", "0").unwrap());
    Dialling {
        server: Arc::new(Server::new(Offer::new(&config.services, None), None, secrets.clone())),
        links: Arc::new(Links::default()),
        standing: Arc::new(watch::Sender::new(standing)),
        secrets,
        stop: CancellationToken::new(),
        tasks: TaskTracker::new(),
    }
}

/// How often a gateway is dialled within ten seconds that is to have so many links to each address, and whose name gives
/// these of its two addresses by turns.
async fn dials(links: u32, turns: &[&[usize]]) -> usize {
    let config = config(links);
    let dials = Arc::new(AtomicUsize::new(0));
    let addresses = [refuses(&dials).await, refuses(&dials).await];
    let dialling = dialling(&config);
    let (url, mut keepers) = (config.gateways[0].clone(), HashMap::new());
    let gateway = Arc::new(Gateway { url, trouble: Notify::new(), turns: Arc::default() });
    for turn in turns.iter().cycle().take(40) {
        let routes: Vec<Route> = turn.iter().map(|at| addresses[*at]).collect();
        dialling.adjust(&gateway, &mut keepers, &routes);
        sleep(Duration::from_millis(250)).await;
    }
    dialling.stop.cancel();
    dials.load(Relaxed)
}

#[tokio::test]
async fn one_that_is_refused_dials_once_in_a_hold_off() {
    let dials = tokio::join!(
        dials(1, &[&[0]]),
        dials(1, &[&[0, 1]]),
        dials(1, &[&[0], &[1]]),
        dials(8, &[&[0]]),
        dials(8, &[&[0, 1], &[1]]),
    );
    assert_eq!(dials, (1, 1, 1, 1, 1));
}

const REJECTED: Outcome = Outcome::Rejected(None);
const MINUTE: Duration = Duration::from_secs(60);

/// The turns of one gateway, three of its addresses, and what its lanes go by.
struct Scene {
    turns: Arc<Turns>,
    routes: [Route; 3],
    standing: Arc<Standing>,
}

impl Scene {
    fn new() -> Self {
        let routes = [1, 2, 3].map(|port| Route::Address(([127, 0, 0, 1], port).into()));
        Self { turns: Arc::default(), routes, standing: Self::standing() }
    }

    fn standing() -> Arc<Standing> {
        Arc::new(Standing::new(&config(1), "agent", "0").unwrap())
    }

    /// The turn of a lane, if it comes within so long.
    async fn within(&self, seconds: u64, route: usize) -> Option<Turn> {
        timeout(Duration::from_secs(seconds), self.turns.take(self.routes[route], &self.standing)).await.ok()
    }

    /// The turn of a lane that need not wait.
    async fn now(&self, route: usize) -> Turn {
        self.within(0, route).await.expect("it may dial at once")
    }
}

#[tokio::test(start_paused = true)]
async fn one_asks_and_the_others_wait_for_the_answer() {
    let scene = Scene::new();
    let first = scene.now(0).await;
    assert!(scene.within(3600, 0).await.is_none() && scene.within(3600, 1).await.is_none());
    // An address that cannot be reached says nothing of others.
    first.failed(Outcome::Failed, MINUTE);
    let second = scene.now(1).await;
    assert!(scene.within(3600, 0).await.is_none());
    second.let_in();
    let all = [scene.now(1).await, scene.now(1).await, scene.now(0).await, scene.now(2).await, scene.now(2).await];
    drop(all);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_turn_goes_when_all_may() {
    let scene = Scene::new();
    let first = scene.now(0).await;
    let waits = |route| {
        let (turns, route, standing) = (scene.turns.clone(), scene.routes[route], scene.standing.clone());
        tokio::spawn(async move { turns.take(route, &standing).await })
    };
    let others = [0, 1, 1, 2].map(waits);
    sleep(Duration::from_millis(1)).await;
    first.let_in();
    for other in others {
        other.await.unwrap().let_in();
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejection_holds_off_all_but_those_that_were_let_in() {
    let scene = Scene::new();
    scene.now(0).await.let_in();
    let (late, rejected) = (scene.now(1).await, scene.now(1).await);
    rejected.failed(REJECTED, MINUTE);
    // They dialled at the same time: the hold-off becomes no shorter.
    late.failed(REJECTED, MINUTE / 2);
    drop(scene.now(0).await);
    assert!(scene.within(59, 1).await.is_none() && scene.within(0, 2).await.is_none());
    // One that has come and gone and come again is no better known.
    scene.turns.keep(&scene.routes[..1]);
    let again = scene.within(2, 1).await.expect("the hold-off is over");
    assert!(scene.within(3600, 1).await.is_none(), "one of it is enough");
    again.failed(REJECTED, MINUTE);
    scene.now(0).await.failed(REJECTED, MINUTE);
    assert!(scene.within(59, 0).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn addresses_take_turns_however_many_lanes_they_have() {
    let scene = Scene::new();
    let first = scene.now(0).await;
    let asks = |route| {
        let (turns, route, standing) = (scene.turns.clone(), scene.routes[route], scene.standing.clone());
        tokio::spawn(async move {
            let turn = turns.take(route, &standing).await;
            turn.failed(REJECTED, MINUTE);
            (Instant::now(), route)
        })
    };
    let begun = Instant::now();
    let lanes = [0, 0, 0, 1, 2].map(asks);
    sleep(Duration::from_millis(1)).await;
    first.failed(REJECTED, MINUTE);
    let mut dials = Vec::new();
    for lane in lanes {
        let (at, route) = lane.await.unwrap();
        dials.push(((at - begun).as_secs().div_ceil(60), route));
    }
    dials.sort_by_key(|(minute, _)| *minute);
    assert!(dials.windows(2).all(|pair| pair[0].0 < pair[1].0), "{dials:?}");
    let [a, b, c] = scene.routes;
    let order: Vec<Route> = dials.into_iter().map(|(_, route)| route).collect();
    assert!(order[..3].contains(&b) && order[..3].contains(&c) && order[3..] == [a, a], "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn whoever_says_nothing_does_not_hold_up_other_addresses() {
    let scene = Scene::new();
    let mut silent = scene.now(0).await;
    let dial = tokio::spawn(async move { silent.dial(sleep(MINUTE)).await });
    assert!(scene.within(3, 0).await.is_none(), "its own lanes wait");
    let other = scene.now(1).await;
    dial.abort();
    let _ = dial.await;
    other.failed(Outcome::Failed, MINUTE);
    drop(scene.now(0).await);
}

#[tokio::test(start_paused = true)]
async fn another_configuration_may_be_let_in() {
    let mut scene = Scene::new();
    scene.now(0).await.failed(REJECTED, MINUTE);
    assert!(scene.within(59, 0).await.is_none());
    scene.standing = Scene::standing();
    scene.now(0).await.failed(REJECTED, MINUTE);
    assert!(scene.within(59, 0).await.is_none());
}
