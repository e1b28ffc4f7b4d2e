//! From what was written to what it means: every key checked, everything wrong reported at once.

use std::{env, time::Duration};

use settings::{
    At, Fault, Findings, Invalid, Source, file, net,
    net::RawListener,
    units::{count_within, duration_within},
};

use super::{
    AuditTarget, Config, DRAIN_GRACE, GatewayUrl, LINKS, MOST_LINKS, RERESOLVE, proxy, raw::RawConfig, service, trust,
    trust::Trust, url,
};

/// Longest drain; whoever wants more wants no end.
const LONGEST_DRAIN: Duration = Duration::from_secs(3600);

/// How often names may be resolved again: more often only troubles the resolver, more rarely misses replicas for
/// long.
const RERESOLVES: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

pub(super) fn check(raw: &RawConfig, source: &Source) -> Result<Config, Invalid> {
    let mut found = Findings::new(source);
    let config = config(raw, &mut found);
    let (mut config, warnings) = found.finish(config)?;
    config.warnings = warnings;
    Ok(config)
}

fn config(raw: &RawConfig, found: &mut Findings<'_>) -> Option<Config> {
    let name = found.optional(raw.name.as_ref(), net::name);
    let gateways = gateways(raw, found);
    let trust = trust::check(raw, gateways.as_deref(), found);
    let proxies = proxy::check(raw, gateways.as_deref(), found, |name| env::var(name).ok());
    let admin = RawListener::check(raw.admin.as_ref(), "admin", found, net::loopback_address);
    let health = RawListener::check(raw.health.as_ref(), "health", found, net::address);
    let services = service::check_all(&raw.services, found);
    let drain_grace = found.or(raw.drain_grace.as_ref(), DRAIN_GRACE, duration_within(Duration::ZERO..=LONGEST_DRAIN));
    let reresolve = found.or(raw.reresolve.as_ref(), RERESOLVE, duration_within(RERESOLVES));
    let links = found.or(raw.links.as_ref(), LINKS, count_within(1..=MOST_LINKS));
    let limits = raw.limits.check(found);
    let source = found.source();
    let audit_log = found.optional(raw.audit_log.as_ref(), |text| audit_target(text, source));

    let (admin, health) = (admin?, health?);
    let listeners = [("`admin`", admin.clone()), ("`health`", health.clone())];
    let listeners: Vec<_> = listeners.into_iter().filter_map(|(what, address)| Some((what, address?))).collect();
    net::distinct(found, &listeners)?;
    let Trust { token, token_file, certificate, ca, insecure_skip_verify } = trust?;
    Some(Config {
        name: name?.unwrap_or_else(|| net::host_name("agent")),
        gateways: gateways?.into_iter().map(|gateway| gateway.value).collect(),
        token,
        token_file,
        certificate,
        ca,
        insecure_skip_verify,
        proxies: proxies?,
        admin: admin.map(|address| address.value),
        health: health.map(|address| address.value),
        services: services?,
        drain_grace: drain_grace?,
        reresolve: reresolve?,
        links: links?,
        limits: limits?,
        audit_log: audit_log?,
        origin: None,
        warnings: Vec::new(),
    })
}

fn audit_target(text: &str, source: &Source) -> Result<AuditTarget, Fault> {
    match text {
        "" => Err(Fault::new("the path of the audit log is empty", "write stdout, or the path of a file")),
        "stdout" => Ok(AuditTarget::Stdout),
        path => {
            let path = source.resolve(path);
            file::within_a_folder(&path).map(|()| AuditTarget::File(path))
        }
    }
}

fn gateways(raw: &RawConfig, found: &mut Findings<'_>) -> Option<Vec<At<GatewayUrl>>> {
    if raw.gateways.is_empty() {
        let fault = Fault::new("there is no gateway to dial", "add gateways: [ ws://127.0.0.1:7100 ]");
        found.fault(None, fault);
        return None;
    }
    let gateways = found.each(&raw.gateways, url::gateway)?;
    for (at, gateway) in gateways.iter().enumerate() {
        if gateways[..at].iter().any(|earlier| earlier.value == gateway.value) {
            let what = format!("the gateway {} stands here a second time", gateway.value);
            found.fault(gateway.place, Fault::new(what, "keep one of the two: every address of it is dialled anyway"));
            return None;
        }
    }
    Some(gateways)
}
