//! From what was written to what it means: every key checked, everything wrong reported at once.

use std::{net::SocketAddr, time::Duration};

use settings::{
    At, Fault, Findings, Invalid, Source, net,
    net::RawListener,
    units::{count_within, duration_within, switch},
};

use super::{
    Agents, Config, DRAIN_DELAY, DRAIN_DELAY_EXPOSED, DRAIN_GRACE, FAILED_ATTEMPTS, Facade, HEARTBEAT, Hosts, Listen,
    PATH, REQUESTS, Routing, WAIT_FOR_AGENT, WAITING_REQUESTS, admission, agents, facade, issuers, raw::RawConfig,
    service, tls,
};

/// Heartbeats: faster ones load small machines, slower ones leave the dead in the registry for minutes.
const HEARTBEATS: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(300);

/// Longest drain; whoever wants more wants no end.
const LONGEST_DRAIN: Duration = Duration::from_secs(3600);

/// Most requests in flight at one facade: beyond it the process runs out of file descriptors first.
pub(super) const MOST_REQUESTS: u32 = 1_000_000;

/// Longest tunnel path, in bytes.
const PATH_BYTES: usize = 256;

pub(super) fn check(raw: &RawConfig, source: &Source) -> Result<Config, Invalid> {
    let mut found = Findings::new(source);
    let config = config(raw, &mut found);
    let (mut config, warnings) = found.finish(config)?;
    config.warnings = warnings;
    Ok(config)
}

fn config(raw: &RawConfig, found: &mut Findings<'_>) -> Option<Config> {
    let name = found.optional(raw.name.as_ref(), net::name);
    let path = found.or(raw.path.as_ref(), PATH.to_owned(), tunnel_path);
    let issuers = issuers::check_all(&raw.issuers, found);
    let agents = issuers.as_deref().and_then(|issuers| agents::check_all(&raw.agents, issuers, found));
    let facades = facades(raw, found);
    let tls = tls::check(raw.tls.as_ref(), false, found);
    let is_encrypted = tls.as_ref().is_none_or(Option::is_some);
    if let (Some(tls), Some(agents)) = (&tls, &agents) {
        agents::warn_of_useless(tls.as_ref(), agents, issuers.as_deref().unwrap_or_default(), found);
    }
    let listeners = listeners(raw, is_encrypted, agents.as_ref(), facades.as_deref(), found);
    let heartbeat = found.or(raw.heartbeat.as_ref(), HEARTBEAT, duration_within(HEARTBEATS));
    let drain_grace = found.or(raw.drain_grace.as_ref(), DRAIN_GRACE, duration_within(Duration::ZERO..=LONGEST_DRAIN));
    let drain_delay = drain_delay(raw, drain_grace, facades.as_deref(), found);
    let limits = raw.limits.of_links().check(found);
    let requests = found.or(raw.limits.requests_per_facade.as_ref(), REQUESTS, count_within(1..=MOST_REQUESTS));
    let services = service::check_all(&raw.services, found);
    let waiting = found.or(raw.limits.waiting_requests.as_ref(), WAITING_REQUESTS, count_within(0..=MOST_REQUESTS));
    let attempts = found.or(raw.limits.failed_attempts.as_ref(), FAILED_ATTEMPTS, count_within(0..=MOST_REQUESTS));
    let admission = admission::check(raw, found);
    if let (Some(agents), None) = (&agents, &raw.state_file) {
        agents::need_state(agents, found);
    }
    let address_header = found.optional(raw.address_header.as_ref(), admission::header);
    let origins = found.each(&raw.allowed_origins, origin);
    warn_of_unserved(agents.as_ref(), facades.as_deref(), found);

    let Listeners { tunnel, admin, health } = listeners?;
    let (admission, state_file) = admission?;
    Some(Config {
        name: name?.unwrap_or_else(|| net::host_name("gateway")),
        listen: tunnel,
        tls: tls?,
        path: path?,
        facades: facades?.into_iter().map(|facade| facade.value).collect(),
        admin,
        health,
        agents: agents?,
        issuers: issuers?,
        admission,
        state_file,
        failed_attempts: attempts?,
        address_header: address_header?,
        heartbeat: heartbeat?,
        drain_delay: drain_delay?,
        drain_grace: drain_grace?,
        limits: limits?,
        requests: requests?,
        services: services?,
        waiting_requests: waiting?,
        allowed_origins: origins?.into_iter().map(|origin| origin.value).collect(),
        warnings: Vec::new(),
    })
}

fn facades(raw: &RawConfig, found: &mut Findings<'_>) -> Option<Vec<At<Facade>>> {
    if raw.facades.is_empty() {
        let remedy = "add facades: [ { listen: 127.0.0.1:7080, service: orders } ]";
        found.fault(None, Fault::new("there is no facade: no application could reach anything", remedy));
        return None;
    }
    let usual_wait = found.or(raw.wait_for_agent.as_ref(), WAIT_FOR_AGENT, facade::wait);
    // A wrong `wait_for_agent` must not hide what is wrong with the facades.
    let wait = usual_wait.unwrap_or(WAIT_FOR_AGENT);
    let checked: Vec<_> = raw.facades.iter().map(|raw| facade::check(raw, wait, found)).collect();
    let facades: Vec<At<Facade>> = usual_wait.and_then(|_| checked.into_iter().collect())?;
    distinct_sockets(&facades, found).map(|()| facades)
}

/// As [`net::distinct`], for Unix sockets.
fn distinct_sockets(facades: &[At<Facade>], found: &mut Findings<'_>) -> Option<()> {
    let path = |facade: &At<Facade>| match &facade.value.listen {
        Listen::Unix { path, .. } => Some(path.clone()),
        Listen::Tcp(_) => None,
    };
    let taken = |at: usize, facade: &At<Facade>| facades[..at].iter().any(|earlier| path(earlier) == path(facade));
    let sockets = facades.iter().enumerate().filter(|(_, facade)| path(facade).is_some());
    let Some((_, again)) = sockets.into_iter().find(|(at, facade)| taken(*at, facade)) else { return Some(()) };
    let what = format!("a facade listens on {} already", again.value.listen);
    found.fault(again.place, Fault::new(what, "give each facade a socket of its own"));
    None
}

/// Never more than a fifth of the grace by itself, so that most of it is left for what is in flight.
fn drain_delay(
    raw: &RawConfig,
    grace: Option<Duration>,
    facades: Option<&[At<Facade>]>,
    found: &mut Findings<'_>,
) -> Option<Duration> {
    let (grace, facades) = (grace?, facades?);
    let is_exposed = |facade: &At<Facade>| facade.value.listen.address().is_some_and(|at| !net::is_loopback(at.ip()));
    let usual = if facades.iter().any(is_exposed) { DRAIN_DELAY_EXPOSED } else { DRAIN_DELAY };
    found.or(raw.drain_delay.as_ref(), usual.min(grace / 5), duration_within(Duration::ZERO..=grace))
}

struct Listeners {
    tunnel: SocketAddr,
    admin: Option<SocketAddr>,
    health: Option<SocketAddr>,
}

fn listeners(
    raw: &RawConfig,
    is_encrypted: bool,
    agents: Option<&Agents>,
    facades: Option<&[At<Facade>]>,
    found: &mut Findings<'_>,
) -> Option<Listeners> {
    let missing = Fault::new("there is no address where agents could connect", "add `listen`: listen: 127.0.0.1:7100");
    let tunnel = found.required(raw.listen.as_ref(), (None, missing), net::address);
    let admin = RawListener::check(raw.admin.as_ref(), "admin", found, net::loopback_address);
    let health = RawListener::check(raw.health.as_ref(), "health", found, net::address);
    let insecure = found.or(raw.insecure_listen.as_ref(), false, switch);

    let place = raw.listen.as_ref().map(|text| text.place).unwrap_or_default();
    let tunnel = At { value: tunnel?, place };
    let (admin, health) = (admin?, health?);
    let mut exposed = vec![Exposed { what: "the tunnel", address: tunnel.clone(), is_encrypted }];
    exposed.extend(facades.unwrap_or_default().iter().filter_map(|facade| {
        let address = At { value: facade.value.listen.address()?, place: facade.place };
        Some(Exposed { what: "a facade", address, is_encrypted: facade.value.tls.is_some() })
    }));
    let guarded = exposure(&exposed, insecure?, agents?, found);

    let mut all: Vec<_> = exposed.into_iter().map(|listener| (listener.what, listener.address)).collect();
    all.extend(admin.iter().map(|address| ("`admin`", address.clone())));
    all.extend(health.iter().map(|address| ("`health`", address.clone())));
    let distinct = net::distinct(found, &all);
    guarded.and(distinct)?;
    Some(Listeners {
        tunnel: tunnel.value,
        admin: admin.map(|address| address.value),
        health: health.map(|address| address.value),
    })
}

/// A listener that others may be able to reach.
struct Exposed {
    what: &'static str,
    address: At<SocketAddr>,
    is_encrypted: bool,
}

/// Nothing but loopback without credentials, and nothing unencrypted beyond loopback that nobody asked for.
fn exposure(listeners: &[Exposed], insecure: bool, agents: &Agents, found: &mut Findings<'_>) -> Option<()> {
    let file = found.source().is_numbered();
    let mut guarded = Some(());
    let beyond_loopback = listeners.iter().filter(|listener| !net::is_loopback(listener.address.value.ip()));
    for Exposed { what, address, is_encrypted } in beyond_loopback {
        let local = format!("listen on 127.0.0.1:{}", address.value.port());
        let beyond = format!("{what} on {} can be reached from other machines", address.value);
        let fault = match agents {
            Agents::Anyone if file => Fault::new(
                format!("{beyond}, but no agent credential is configured: anyone could pose as an agent"),
                format!("{local}, or list the agents permitted under `agents`"),
            ),
            Agents::Anyone => Fault::new(
                format!("{beyond}, but no agent credential is configured: anyone could pose as an agent"),
                format!("{local}; beyond loopback a gateway needs a configuration file"),
            ),
            Agents::Listed(_) if insecure || *is_encrypted => continue,
            Agents::Listed(_) if file => Fault::new(
                format!("{beyond} and is not encrypted"),
                format!("{local}; add `tls`; or, if TLS ends in front of it, set insecure_listen: true"),
            ),
            Agents::Listed(_) => Fault::new(
                format!("{beyond} and is not encrypted"),
                format!("{local}; beyond loopback a gateway needs a configuration file"),
            ),
        };
        found.fault(address.place, fault);
        guarded = None;
    }
    guarded
}

/// A facade for a service that no agent may serve is nearly always a slip of the pen.
fn warn_of_unserved(agents: Option<&Agents>, facades: Option<&[At<Facade>]>, found: &mut Findings<'_>) {
    let Some(Agents::Listed(agents)) = agents else { return };
    for At { value: facade, place } in facades.unwrap_or_default() {
        let services: Vec<_> = match &facade.routing {
            Routing::Service(service) => vec![service],
            Routing::Host(Hosts::Listed(hosts)) | Routing::Proxy(Hosts::Listed(hosts)) => hosts.values().collect(),
            Routing::Host(Hosts::Below(_)) | Routing::Proxy(Hosts::Below(_)) | Routing::Path | Routing::Header => {
                Vec::new()
            }
        };
        let served = |service| agents.iter().flat_map(|agent| &agent.services).any(|pattern| pattern.matches(service));
        for service in services.into_iter().filter(|service| !served(service)) {
            found.warn(*place, format!("no agent listed may serve `{service}`, so this facade can never reach it"));
        }
    }
}

fn tunnel_path(text: &str) -> Result<String, Fault> {
    let segment = |segment: &str| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~'))
    };
    let good = text.strip_prefix('/').is_some_and(|rest| rest.split('/').all(segment));
    if good && text.len() <= PATH_BYTES {
        return Ok(text.to_owned());
    }
    let remedy = format!("write a path such as {PATH}, of letters, digits, `-`, `_`, `.` and `~`");
    Err(Fault::new(format!("{text:?} is not a path for the tunnel"), remedy))
}

fn origin(text: &str) -> Result<String, Fault> {
    let lower = text.to_ascii_lowercase();
    let host = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://"));
    let good =
        |host: &str| !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:[]".contains(&b));
    if host.is_some_and(good) {
        return Ok(lower);
    }
    let remedy = "write scheme and host, such as https://console.example.org, without a path";
    Err(Fault::new(format!("{text:?} is not an origin"), remedy))
}
