//! How often an agent dials that is refused, over real sockets and in real time; and whose turn it is, on a paused clock.

use std::{
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
    Dialling, Gateway, Keepers, Standing,
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

/// How often each of two addresses is dialled of a gateway that is to have so many links to each, and whose name gives
/// these of them by turns, twenty times each hundred milliseconds.
async fn dials(links: u32, turns: &[&[usize]]) -> [usize; 2] {
    let config = config(links);
    let counts: [Arc<AtomicUsize>; 2] = Default::default();
    let addresses = [refuses(&counts[0]).await, refuses(&counts[1]).await];
    let dialling = dialling(&config);
    let gateway = Arc::new(Gateway { url: config.gateways[0].clone(), trouble: Notify::new() });
    let mut keepers = Keepers::default();
    for turn in turns.iter().cycle().take(20) {
        let routes: Vec<Route> = turn.iter().map(|at| addresses[*at]).collect();
        dialling.adjust(&gateway, &mut keepers, &routes);
        // A dial that the next turn ends would not be known to have been refused.
        while !routes.iter().all(|route| keepers.turns[route].are_held()) {
            sleep(Duration::from_millis(1)).await;
        }
        sleep(Duration::from_millis(100)).await;
    }
    dialling.stop.cancel();
    counts.map(|dials| dials.load(Relaxed))
}

#[tokio::test]
async fn one_that_is_refused_dials_each_address_once_in_a_hold_off() {
    assert_eq!(dials(1, &[&[0]]).await, [1, 0]);
    assert_eq!(dials(1, &[&[0, 1]]).await, [1, 1]);
    assert_eq!(dials(1, &[&[0], &[1]]).await, [1, 1]);
    assert_eq!(dials(8, &[&[0, 1], &[1]]).await, [1, 1]);
}

const MINUTE: Duration = Duration::from_secs(60);

/// The turns of one address, and what its lanes go by.
struct Scene {
    turns: Arc<Turns>,
    standing: Arc<Standing>,
}

impl Scene {
    fn new() -> Self {
        Self { turns: Arc::default(), standing: Self::standing() }
    }

    fn standing() -> Arc<Standing> {
        Arc::new(Standing::new(&config(1), "agent", "0").unwrap())
    }

    /// The turn of a lane, if it comes within so long.
    async fn within(&self, seconds: u64) -> Option<Turn> {
        timeout(Duration::from_secs(seconds), self.turns.take(&self.standing)).await.ok()
    }

    /// The turn of a lane that need not wait.
    async fn now(&self) -> Turn {
        self.within(0).await.expect("it may dial at once")
    }
}

#[tokio::test(start_paused = true)]
async fn one_asks_and_the_others_wait_for_the_answer() {
    let scene = Scene::new();
    let first = scene.now().await;
    assert!(scene.within(3600).await.is_none());
    // It could not be reached.
    drop(first);
    let second = scene.now().await;
    let waits = || {
        let (turns, standing) = (scene.turns.clone(), scene.standing.clone());
        tokio::spawn(async move { turns.take(&standing).await })
    };
    let others = [waits(), waits(), waits()];
    sleep(Duration::from_millis(1)).await;
    let link = second.let_in();
    for other in others {
        other.await.unwrap();
    }
    let (_all, _may) = (scene.now().await, scene.now().await);
    drop(link);
    let _one = scene.now().await;
    assert!(scene.within(3600).await.is_none(), "there is no link any more");
}

#[tokio::test(start_paused = true)]
async fn one_dials_when_the_hold_off_is_over() {
    let scene = Scene::new();
    let begun = Instant::now();
    for minute in 1..4 {
        let turn = scene.within(61).await.expect("the hold-off is over");
        assert_eq!(begun.elapsed().as_secs(), 60 * (minute - 1));
        assert!(scene.within(0).await.is_none());
        turn.rejected(&scene.standing, MINUTE);
        assert!(scene.turns.are_held());
    }
    sleep(MINUTE).await;
    assert!(!scene.turns.are_held());
}

#[tokio::test(start_paused = true)]
async fn what_is_too_much_holds_off_nobody_else() {
    let scene = Scene::new();
    let link = scene.now().await.let_in();
    let (too_much, late) = (scene.now().await, scene.now().await);
    too_much.rejected(&scene.standing, MINUTE);
    drop(scene.now().await);
    drop(link);
    drop(scene.now().await);
    // It dialled while there was a link. The hold-off becomes no shorter by another that did.
    scene.now().await.rejected(&scene.standing, MINUTE);
    late.rejected(&scene.standing, MINUTE / 2);
    assert!(scene.within(59).await.is_none());
    assert!(scene.within(2).await.is_some());
}

#[tokio::test(start_paused = true)]
async fn who_is_let_in_is_held_off_no_more() {
    let scene = Scene::new();
    let link = scene.now().await.let_in();
    let (rejected, let_in) = (scene.now().await, scene.now().await);
    drop(link);
    rejected.rejected(&scene.standing, MINUTE);
    drop(let_in.let_in());
    drop(scene.now().await);
}

#[tokio::test(start_paused = true)]
async fn another_configuration_may_be_let_in() {
    let mut scene = Scene::new();
    scene.now().await.rejected(&scene.standing, MINUTE);
    assert!(scene.within(59).await.is_none());
    scene.standing = Scene::standing();
    scene.now().await.rejected(&scene.standing, MINUTE);
    assert!(scene.within(59).await.is_none());
}
