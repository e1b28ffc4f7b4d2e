//! From what was written to what it means: every key checked, everything wrong reported at once.

use std::{fs::File, io::Read as _, path::Path, time::Duration};

use rustls::RootCertStore;
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use settings::{
    At, Fault, Findings, Invalid, Source, Text, Token, net,
    net::RawListener,
    token::token,
    units::{count_within, duration_within, show_bytes},
};

use super::{AuditTarget, Config, DRAIN_GRACE, GatewayUrl, LINKS, MOST_LINKS, RERESOLVE, raw::RawConfig, service, url};

/// Longest drain; whoever wants more wants no end.
const LONGEST_DRAIN: Duration = Duration::from_secs(3600);

/// How often names may be resolved again: more often only troubles the resolver, more rarely misses replicas for
/// long.
const RERESOLVES: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

/// Largest CA file, in bytes: ten times all web roots.
const CA_BYTES: u64 = 4 * 1024 * 1024;

pub(super) fn check(raw: &RawConfig, source: &Source) -> Result<Config, Invalid> {
    let mut found = Findings::new(source);
    let config = config(raw, &mut found);
    let (mut config, warnings) = found.finish(config)?;
    config.warnings = warnings;
    Ok(config)
}

fn config(raw: &RawConfig, found: &mut Findings<'_>) -> Option<Config> {
    let name = found.optional(raw.name.as_ref(), net::name);
    let token = token(found, raw.token_file.as_ref(), raw.token_env.as_ref());
    let gateways = gateways(raw, found);
    let secured = gateways.as_deref().zip(token.as_ref()).and_then(|(gateways, token)| {
        warn_of_plain_text(gateways, token.as_ref(), found);
        proven(gateways, token.as_ref(), found)
    });
    let ca = ca(raw.ca_file.as_ref(), gateways.as_deref(), found);
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
    secured?;
    Some(Config {
        name: name?.unwrap_or_else(|| net::host_name("agent")),
        gateways: gateways?.into_iter().map(|gateway| gateway.value).collect(),
        token: token?,
        ca: ca?,
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
        path => Ok(AuditTarget::File(source.resolve(path))),
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

/// A gateway beyond loopback admits nobody without a credential, so dialling it without one could only fail later.
fn proven(gateways: &[At<GatewayUrl>], token: Option<&Token>, found: &mut Findings<'_>) -> Option<()> {
    if token.is_some() {
        return Some(());
    }
    if let Some(gateway) = gateways.iter().find(|gateway| !gateway.value.is_loopback()) {
        let what = format!("{} is another machine, but there is no token to prove itself with", gateway.value);
        let remedy = if found.source().is_numbered() { "add `token_file` or `token_env`" } else { "add --token-file" };
        found.fault(gateway.place, Fault::new(what, remedy));
        return None;
    }
    found.warn(None, "there is no token: only gateways on this machine are dialled, and only open ones will accept");
    Some(())
}

fn warn_of_plain_text(gateways: &[At<GatewayUrl>], token: Option<&Token>, found: &mut Findings<'_>) {
    let plain = |gateway: &&At<GatewayUrl>| !gateway.value.tls && !gateway.value.is_loopback();
    for gateway in gateways.iter().filter(plain).filter(|_| token.is_some()) {
        let text = format!("the token and all requests travel to {} unencrypted; prefer wss://", gateway.value);
        found.warn(gateway.place, text);
    }
}

fn ca(
    file: Option<&Text>,
    gateways: Option<&[At<GatewayUrl>]>,
    found: &mut Findings<'_>,
) -> Option<Option<Vec<CertificateDer<'static>>>> {
    let Some(file) = file else { return Some(None) };
    if gateways.is_some_and(|gateways| gateways.iter().all(|gateway| !gateway.value.tls)) {
        found.warn(file.place, "`ca_file` has no effect, because no gateway is dialled by wss://");
    }
    let path = found.source().resolve(&file.value);
    found.parsed(file, |_| certificates(&path)).map(Some)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        let remedy = "check the path (relative ones start at the configuration file's folder) and its permissions";
        Fault::new(format!("the CA file {shown} cannot be read: {error}"), remedy)
    };
    let mut pem = Vec::new();
    File::open(path).and_then(|file| file.take(CA_BYTES + 1).read_to_end(&mut pem)).map_err(unreadable)?;
    if pem.len() as u64 > CA_BYTES {
        let what = format!("the CA file {shown} is larger than {}", show_bytes(CA_BYTES));
        return Err(Fault::new(what, "keep only the authorities that sign your gateways"));
    }
    let remedy = "put certificates in PEM form into it (-----BEGIN CERTIFICATE-----)";
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| Fault::new(format!("the CA file {shown} is damaged: {error}"), remedy))?;
    if certificates.is_empty() {
        return Err(Fault::new(format!("the CA file {shown} holds no certificate"), remedy));
    }
    for (at, certificate) in certificates.iter().enumerate() {
        RootCertStore::empty().add(certificate.clone()).map_err(|error| {
            let what = format!("certificate {} of the CA file {shown} cannot be an authority: {error}", at + 1);
            Fault::new(what, "keep only certificates of authorities in it")
        })?;
    }
    Ok(certificates)
}
