//! Keeps a link to every gateway: each configured URL, and each address that its name resolves to, unless a proxy
//! resolves it.
//!
//! Two loops, nested by task: one for each URL resolves its name and sees to its routes; one for each lane of a route
//! dials, runs the link, waits, and dials again, for ever.

mod attempt;
mod backoff;
mod complaints;
mod gateways;
mod proxy;
mod register;
mod route;
mod socks5;
mod standing;
#[cfg(test)]
mod tests;
mod tls;
mod turns;
mod untrusted;

use std::{collections::HashMap, sync::Arc};

use proto::{
    link::{LinkEnd, Notice},
    wire::Credential,
};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, debug, info, info_span};

use self::{
    attempt::{Dialer, GatewayLink},
    backoff::{Backoff, Outcome},
    complaints::Complaints,
    route::Route,
    turns::Turns,
};
pub(crate) use self::{gateways::Gateways, register::register_everywhere, route::Way, standing::Standing};
use crate::{
    config::GatewayUrl,
    limits::{ANNOUNCE_REST, LASTED, RERESOLVE_AFTER_TROUBLE},
    links::{Links, Up},
    secrets::Secrets,
    serve::Server,
};

/// What is known while a gateway does not answer the hello.
const NOT_LET_IN: &str = "the gateway has not let this agent in yet: it may wait for approval \
                          (`reachback agents list` beside the gateway)";

/// What every dialling task shares.
#[derive(Clone)]
pub(crate) struct Dialling {
    pub(crate) server: Arc<Server>,
    pub(crate) links: Arc<Links>,
    /// What each dial goes by at its moment.
    pub(crate) standing: Arc<watch::Sender<Arc<Standing>>>,
    /// What no gateway and no proxy can put into the log.
    pub(crate) secrets: Arc<Secrets>,
    /// Ends the dialling, but no link.
    pub(crate) stop: CancellationToken,
    /// Holds a task for each gateway and each lane, and with it each link.
    pub(crate) tasks: TaskTracker,
}

impl Dialling {
    /// The loop of one URL: every route to it has tasks that keep links.
    async fn keep_gateway(self, url: GatewayUrl) {
        let gateway = Arc::new(Gateway { url, trouble: Notify::new() });
        let mut standing = self.standing.subscribe();
        let mut keepers = Keepers::default();
        let mut backoff = Backoff::default();
        let complaints = Complaints::default();
        while !self.stop.is_cancelled() {
            let now = standing.borrow_and_update().clone();
            let wait = match now.routes(&gateway.url).await {
                Ok(routes) => {
                    backoff = Backoff::default();
                    complaints.settle();
                    self.adjust(&gateway, &mut keepers, &routes);
                    now.reresolve
                }
                Err(error) => {
                    complaints.no_address(&gateway.url, &error);
                    backoff.next(Outcome::Failed, random()).max(RERESOLVE_AFTER_TROUBLE)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // A link or a dial failed: perhaps the name has moved.
                () = async { gateway.trouble.notified().await; tokio::time::sleep(RERESOLVE_AFTER_TROUBLE).await } => {}
                // Perhaps there is a proxy now, or none any more. (The sender lives as long as `self`.)
                _ = standing.changed() => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// Starts the tasks of each new route. Those of routes that have vanished keep the link they have and dial no more,
    /// unless the route comes back: names that rotate make no more links than they have addresses.
    fn adjust(&self, gateway: &Arc<Gateway>, Keepers { lanes: keepers, turns }: &mut Keepers, routes: &[Route]) {
        let url = &gateway.url;
        keepers.retain(|_, keeper| !keeper.task.is_finished());
        // An address that has rejected the agent may leave the name and come back.
        turns.retain(|_, turns| Arc::strong_count(turns) > 1 || turns.are_held());
        let lanes = self.standing.borrow().lanes;
        for ((route, lane), keeper) in &*keepers {
            let wanted = routes.contains(route) && *lane < lanes;
            if keeper.wanted.send_replace(wanted) && !wanted && *lane == 0 {
                info!(gateway = %url, address = route.address(), "the gateway is not dialled by this route any more");
            }
        }
        for (route, lane) in routes.iter().flat_map(|route| (0..lanes).map(move |lane| (*route, lane))) {
            keepers.entry((route, lane)).or_insert_with(|| {
                let (wanted, is_wanted) = watch::channel(true);
                let shown = (lanes > 1).then_some(lane);
                let span = info_span!("link", gateway = %url, address = route.address(), lane = shown);
                let turns = turns.entry(route).or_default().clone();
                let task = self.clone().keep_lane(gateway.clone(), (route, turns), is_wanted);
                Keeper { wanted, task: self.tasks.spawn(task.instrument(span)) }
            });
        }
    }

    /// The loop of one lane of a route.
    async fn keep_lane(
        self,
        gateway: Arc<Gateway>,
        (route, turns): (Route, Arc<Turns>),
        mut wanted: watch::Receiver<bool>,
    ) {
        let Gateway { url, trouble } = &*gateway;
        let mut backoff = Backoff::default();
        let mut standing = self.standing.subscribe();
        loop {
            let now = standing.borrow_and_update().clone();
            // Without one, the loop of the URL is about to see that as well.
            let Some(way) = now.way(url, route) else { return };
            let turn = tokio::select! {
                turn = turns.take(&now) => turn,
                _ = standing.changed() => {
                    backoff = Backoff::default();
                    continue;
                }
                () = self.is_over(&mut wanted) => return,
            };
            let dialer = Dialer { url: url.clone(), way, standing: now, secrets: self.secrets.clone() };
            let dialled = tokio::select! {
                dialled = dialer.dial(|| self.held(&dialer)) => dialled,
                () = self.is_over(&mut wanted) => return,
            };
            let (why, outcome, wait) = match dialled {
                Ok((link, gateway)) => {
                    let _let_in = turn.let_in();
                    info!(name = self.secrets.shown(&gateway.gateway), proxy = dialer.way.proxy(), "link up");
                    let started = Instant::now();
                    let end = self.secrets.shown(&self.run_link(link, &dialer).await);
                    standing.mark_unchanged();
                    info!(end, lasted_s = started.elapsed().as_secs(), "link down");
                    let outcome = if started.elapsed() >= LASTED { Outcome::Lasted } else { Outcome::Away };
                    if outcome == Outcome::Lasted {
                        turns.complaints.settle();
                    }
                    (end, outcome, backoff.next(outcome, random()))
                }
                Err(error) => {
                    let outcome = error.outcome();
                    let wait = backoff.next(outcome, random());
                    // What was rejected may not be what counts now.
                    if matches!(outcome, Outcome::Rejected(_)) && !standing.has_changed().unwrap_or(true) {
                        turn.rejected(&dialer.standing, wait);
                    }
                    (self.secrets.shown(&error), outcome, wait)
                }
            };
            trouble.notify_one();
            self.links.failed(url, &dialer.way, &why);
            if self.stop.is_cancelled() {
                return; // an end that was meant: nothing is dialled again
            }
            if outcome == Outcome::Lasted {
                debug!(wait_ms = wait.as_millis(), "dialling again");
            } else {
                turns.complaints.no_link(&why, wait);
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // Perhaps the reason why there is no link is gone. (The sender lives as long as `self`.)
                _ = standing.changed() => backoff = Backoff::default(),
                () = self.is_over(&mut wanted) => return,
            }
        }
    }

    /// Returns once this lane is not to dial any more.
    async fn is_over(&self, wanted: &mut watch::Receiver<bool>) {
        tokio::select! {
            // An error says that nobody is left to want it.
            _ = wanted.wait_for(|wanted| !wanted) => {}
            () = self.stop.cancelled() => {}
        }
    }

    /// A dial has come as far as the gateway, which has not let the agent in yet.
    fn held(&self, dialer: &Dialer) {
        self.links.waits(&dialer.url, &dialer.way, NOT_LET_IN);
        info!("{NOT_LET_IN}");
    }

    async fn run_link(&self, link: GatewayLink, dialer: &Dialer) -> LinkEnd {
        let connection = link.connection();
        let (gateway, way) = (dialer.url.to_string(), dialer.way.clone());
        let _registered = self.links.add(Up { gateway, way, since: Instant::now(), connection: connection.clone() });
        let services = self.standing.borrow().hello.services.clone();
        if services != dialer.standing.hello.services {
            // It came up while the others were told.
            connection.announce(services);
        }
        if self.stop.is_cancelled() {
            // It came up while the others were told.
            connection.drain("the agent leaves");
        }
        let server = &self.server;
        link.run(|notice| match notice {
            Notice::Request(incoming) => {
                // Boxed at once, because making and ending a task moves what it runs several times.
                tokio::spawn(Box::pin(server.clone().serve(incoming)));
            }
            Notice::GoAway => info!("the gateway is draining"),
            Notice::Services(_) | Notice::Renewed(_) => unreachable!("a gateway announces nothing"),
        })
        .await
    }
}

/// Tells every gateway which services there are, and shows a fresh credential, each time that changes. Gateways bear it
/// once a second; of changes that come faster the last is told.
pub(crate) async fn announce(links: Arc<Links>, mut standing: watch::Receiver<Arc<Standing>>, secrets: Arc<Secrets>) {
    let mut told = standing.borrow_and_update().clone();
    while standing.changed().await.is_ok() {
        let new = standing.borrow_and_update().clone();
        let services = (new.hello.services != told.hello.services).then_some(&new.hello.services);
        let token = new.token.as_ref().filter(|token| !told.token.as_ref().is_some_and(|told| told == *token));
        for up in links.up() {
            if let Some(services) = services {
                up.connection.announce(services.clone());
            }
            if let Some(token) = token {
                secrets.learn(token.expose());
                up.connection.renew(Credential(token.expose().to_owned()));
            }
        }
        let is_news = services.is_some() || token.is_some();
        told = new;
        if is_news {
            tokio::time::sleep(ANNOUNCE_REST).await;
        }
    }
}

/// What all lanes of one gateway share.
struct Gateway {
    url: GatewayUrl,
    /// A link or a dial has failed.
    trouble: Notify,
}

/// What keeps the links of one gateway.
#[derive(Default)]
struct Keepers {
    lanes: HashMap<Lane, Keeper>,
    turns: HashMap<Route, Arc<Turns>>,
}

/// One of the links of a route, counted from 0.
type Lane = (Route, u32);

/// The task of one lane.
struct Keeper {
    wanted: watch::Sender<bool>,
    task: JoinHandle<()>,
}

fn random() -> u64 {
    // Without randomness every wait is the longest: late, but never too often.
    getrandom::u64().unwrap_or(u64::MAX)
}
