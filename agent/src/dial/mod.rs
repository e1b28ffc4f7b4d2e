//! Keeps a link to every gateway: each configured URL, and each address that its name resolves to.
//!
//! Two loops, nested by task: one for each URL resolves its name and sees to its addresses; one for each lane to an
//! address dials, runs the link, waits, and dials again, for ever.

mod attempt;
mod backoff;
mod gateways;
mod standing;
mod tls;

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Instant,
};

use proto::{
    link::{LinkEnd, Notice},
    wire::Credential,
};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{Instrument, debug, info, info_span, warn};

use self::{
    attempt::{Dialer, GatewayLink},
    backoff::{Backoff, Outcome},
};
pub(crate) use self::{gateways::Gateways, standing::Standing};
use crate::{
    config::GatewayUrl,
    limits::{ADDRESSES, ANNOUNCE_REST, DIAL, LASTED, RERESOLVE_AFTER_TROUBLE},
    links::{Links, Up},
    serve::Server,
};

/// What every dialling task shares.
#[derive(Clone)]
pub(crate) struct Dialling {
    pub(crate) server: Arc<Server>,
    pub(crate) links: Arc<Links>,
    /// What each dial goes by at its moment.
    pub(crate) standing: Arc<watch::Sender<Arc<Standing>>>,
    /// Ends the dialling, but no link.
    pub(crate) stop: CancellationToken,
    /// Holds a task for each gateway and each address, and with it each link.
    pub(crate) tasks: TaskTracker,
}

impl Dialling {
    /// The loop of one URL: every address that its name resolves to has tasks that keep links to it.
    async fn keep_gateway(self, url: GatewayUrl) {
        let trouble = Arc::new(Notify::new());
        let mut keepers: HashMap<Lane, Keeper> = HashMap::new();
        let mut backoff = Backoff::default();
        while !self.stop.is_cancelled() {
            let wait = match resolve(&url).await {
                Ok(addresses) => {
                    backoff = Backoff::default();
                    self.adjust(&url, &trouble, &mut keepers, &addresses);
                    self.standing.borrow().reresolve
                }
                Err(error) => {
                    warn!(gateway = %url, error, "cannot resolve the gateway's name");
                    backoff.next(Outcome::Failed, random()).max(RERESOLVE_AFTER_TROUBLE)
                }
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // A link or a dial failed: perhaps the name has moved.
                () = async { trouble.notified().await; tokio::time::sleep(RERESOLVE_AFTER_TROUBLE).await } => {}
                () = self.stop.cancelled() => {}
            }
        }
    }

    /// Starts the tasks of each new address. Those of addresses that have vanished keep the link they have and dial no
    /// more, unless the address comes back: names that rotate make no more links than they have addresses.
    fn adjust(
        &self,
        url: &GatewayUrl,
        trouble: &Arc<Notify>,
        keepers: &mut HashMap<Lane, Keeper>,
        addresses: &[SocketAddr],
    ) {
        keepers.retain(|_, keeper| !keeper.task.is_finished());
        let lanes = self.standing.borrow().lanes;
        for ((address, lane), keeper) in &*keepers {
            let wanted = addresses.contains(address) && *lane < lanes;
            if keeper.wanted.send_replace(wanted) && !wanted && *lane == 0 {
                info!(gateway = %url, %address, "the gateway's name resolves to this address no more");
            }
        }
        for (address, lane) in addresses.iter().flat_map(|address| (0..lanes).map(move |lane| (*address, lane))) {
            keepers.entry((address, lane)).or_insert_with(|| {
                let (wanted, is_wanted) = watch::channel(true);
                let shown = (lanes > 1).then_some(lane);
                let span = info_span!("link", gateway = %url, %address, lane = shown);
                let task = self.clone().keep_lane(url.clone(), address, trouble.clone(), is_wanted);
                Keeper { wanted, task: self.tasks.spawn(task.instrument(span)) }
            });
        }
    }

    /// The loop of one lane to an address.
    async fn keep_lane(
        self,
        url: GatewayUrl,
        address: SocketAddr,
        trouble: Arc<Notify>,
        mut wanted: watch::Receiver<bool>,
    ) {
        let mut backoff = Backoff::default();
        let mut standing = self.standing.subscribe();
        loop {
            let dialer = Dialer { url: url.clone(), standing: standing.borrow_and_update().clone() };
            let dialled = tokio::select! {
                dialled = dialer.dial(address) => dialled,
                () = self.is_over(&mut wanted) => return,
            };
            let (outcome, why) = match dialled {
                Ok((link, gateway)) => {
                    info!(name = gateway.gateway, "link up");
                    let started = Instant::now();
                    let end = self.run_link(link, &dialer, address).await;
                    standing.mark_unchanged();
                    info!(%end, lasted_s = started.elapsed().as_secs(), "link down");
                    (if started.elapsed() >= LASTED { Outcome::Lasted } else { Outcome::Away }, end.to_string())
                }
                Err(error) => (error.outcome(), error.to_string()),
            };
            trouble.notify_one();
            let wait = backoff.next(outcome, random());
            self.links.failed(&url, address, &why);
            if outcome == Outcome::Lasted {
                debug!(wait_ms = wait.as_millis(), "dialling again");
            } else {
                warn!(why, wait_ms = wait.as_millis(), "no link: dialling again after a wait");
            }
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // Perhaps the reason why there is no link is gone. (The sender lives as long as `self`.)
                _ = standing.changed() => backoff = Backoff::default(),
                () = self.is_over(&mut wanted) => return,
            }
        }
    }

    /// Returns once this address is not to be dialled any more.
    async fn is_over(&self, wanted: &mut watch::Receiver<bool>) {
        tokio::select! {
            // An error says that nobody is left to want it.
            _ = wanted.wait_for(|wanted| !wanted) => {}
            () = self.stop.cancelled() => {}
        }
    }

    async fn run_link(&self, link: GatewayLink, dialer: &Dialer, address: SocketAddr) -> LinkEnd {
        let connection = link.connection();
        let gateway = dialer.url.to_string();
        let _registered =
            self.links.add(Up { gateway, address, since: Instant::now(), connection: connection.clone() });
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
                tokio::spawn(server.clone().serve(incoming));
            }
            Notice::GoAway => info!("the gateway is draining"),
            Notice::Services(_) | Notice::Renewed(_) => unreachable!("a gateway announces nothing"),
        })
        .await
    }
}

/// Tells every gateway which services there are, and shows a fresh credential, each time that changes. Gateways bear it
/// once a second; of changes that come faster the last is told.
pub(crate) async fn announce(links: Arc<Links>, mut standing: watch::Receiver<Arc<Standing>>) {
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

/// One of the links to an address, counted from 0.
type Lane = (SocketAddr, u32);

/// The task of one lane.
struct Keeper {
    wanted: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Every address of a gateway, at most [`ADDRESSES`].
async fn resolve(url: &GatewayUrl) -> Result<Vec<SocketAddr>, String> {
    if let Ok(ip) = url.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, url.port)]);
    }
    let found = timeout(DIAL, tokio::net::lookup_host((url.host.as_str(), url.port))).await;
    let addresses: Vec<SocketAddr> =
        found.map_err(|_| "timed out".to_owned())?.map_err(|error| error.to_string())?.take(ADDRESSES).collect();
    if addresses.is_empty() { Err("the name has no addresses".to_owned()) } else { Ok(addresses) }
}

fn random() -> u64 {
    // Without randomness every wait is the longest: late, but never too often.
    getrandom::u64().unwrap_or(u64::MAX)
}
