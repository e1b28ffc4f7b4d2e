//! The keys of `gateway.yaml` as written, from a file or from flags; nothing is checked yet.

use serde::Deserialize;
use settings::{At, CommandLine, Entries, Fault, Findings, Invalid, Source, Text, limits::RawLimits, net::RawListener};

use super::Flags;

/// Keys that only a gateway's configuration has: they tell one from an agent's.
pub const KEYS_OF_ITS_OWN: &[&str] = &[
    "listen",
    "tls",
    "path",
    "insecure_listen",
    "facades",
    "wait_for_agent",
    "agents",
    "admission",
    "issuers",
    "admission_hold",
    "state_file",
    "heartbeat",
    "drain_delay",
    "allowed_origins",
    "address_header",
];

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) listen: Option<Text>,
    pub(super) tls: Option<At<RawTls>>,
    pub(super) path: Option<Text>,
    pub(super) insecure_listen: Option<Text>,
    pub(super) name: Option<Text>,
    pub(super) facades: Vec<At<RawFacade>>,
    pub(super) wait_for_agent: Option<Text>,
    pub(super) admin: Option<At<RawListener>>,
    pub(super) health: Option<At<RawListener>>,
    pub(super) agents: Vec<At<RawAgent>>,
    pub(super) issuers: Entries<At<RawIssuer>>,
    pub(super) admission: Option<Text>,
    pub(super) admission_hold: Option<Text>,
    pub(super) state_file: Option<Text>,
    pub(super) heartbeat: Option<Text>,
    pub(super) drain_delay: Option<Text>,
    pub(super) drain_grace: Option<Text>,
    pub(super) services: Entries<RawService>,
    pub(super) limits: RawGatewayLimits,
    pub(super) allowed_origins: Vec<Text>,
    pub(super) address_header: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawFacade {
    pub(super) listen: Option<Text>,
    pub(super) service: Option<Text>,
    pub(super) route: Option<Text>,
    pub(super) suffix: Option<Text>,
    pub(super) hosts: Option<At<Entries<Text>>>,
    pub(super) wait_for_agent: Option<Text>,
    pub(super) mode: Option<Text>,
    pub(super) tls: Option<At<RawTls>>,
    pub(super) forwarded: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawService {
    pub(super) retry: Option<Text>,
    pub(super) max_in_flight: Option<Text>,
    pub(super) queue: Option<Text>,
    pub(super) queue_timeout: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawTls {
    pub(super) cert_file: Option<Text>,
    pub(super) key_file: Option<Text>,
    pub(super) client_ca_file: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawAgent {
    pub(super) name: Option<Text>,
    pub(super) token_file: Option<Text>,
    pub(super) token_env: Option<Text>,
    pub(super) token_sha256: Vec<Text>,
    pub(super) totp_secret_file: Option<Text>,
    pub(super) certificate: Option<At<RawCertificate>>,
    pub(super) jwt: Option<At<RawJwt>>,
    pub(super) services: Vec<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawCertificate {
    pub(super) san_dns: Option<Text>,
    pub(super) san_uri: Option<Text>,
    pub(super) cn: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawJwt {
    pub(super) issuer: Option<Text>,
    pub(super) subject: Option<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawIssuer {
    pub(super) issuer: Option<Text>,
    pub(super) audience: Option<Text>,
    pub(super) jwks_file: Option<Text>,
    pub(super) jwks_url: Option<Text>,
    pub(super) ca_file: Option<Text>,
    pub(super) algorithms: Vec<Text>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct RawGatewayLimits {
    streams_per_link: Option<Text>,
    window: Option<Text>,
    memory_per_link: Option<Text>,
    pub(super) requests_per_facade: Option<Text>,
    pub(super) waiting_requests: Option<Text>,
    pub(super) failed_attempts: Option<Text>,
}

impl RawGatewayLimits {
    /// The three that both sides know. Not `#[serde(flatten)]`: it would lose the places.
    pub(super) fn of_links(&self) -> RawLimits {
        RawLimits {
            streams_per_link: self.streams_per_link.clone(),
            window: self.window.clone(),
            memory_per_link: self.memory_per_link.clone(),
        }
    }
}

/// The same keys, said by flags.
pub(super) fn from_flags(flags: &Flags) -> Result<(RawConfig, Source), Invalid> {
    let mut line = CommandLine::new();
    let listen = line.flag("--listen", &flags.listen);
    let facades: Vec<Text> = flags.facades.iter().map(|facade| line.flag("--facade", facade)).collect();
    let token_file = flags.token_file.as_ref().map(|path| line.flag("--token-file", path));
    let source = line.into_source();

    let facades = facades.iter().map(|facade| raw_facade(facade, &source)).collect::<Result<_, _>>()?;
    let agents = token_file.into_iter().map(raw_agent).collect();
    Ok((RawConfig { listen: Some(listen), facades, agents, ..RawConfig::default() }, source))
}

fn raw_facade(facade: &Text, source: &Source) -> Result<At<RawFacade>, Invalid> {
    let Some((listen, service)) = facade.split('=') else {
        let fault = Fault::new(
            format!("`{}` does not say which service the facade is for", facade.value),
            "write --facade ADDRESS=SERVICE, such as --facade 127.0.0.1:7080=orders",
        );
        return Err(Findings::new(source).fail(facade.place, fault));
    };
    let value = RawFacade { listen: Some(listen), service: Some(service), ..RawFacade::default() };
    Ok(At { value, place: facade.place })
}

/// Whoever knows the token of a first try is "agent" and may serve everything.
fn raw_agent(token_file: Text) -> At<RawAgent> {
    let place = token_file.place;
    let word = |word: &str| At { value: word.to_owned(), place };
    let value = RawAgent {
        name: Some(word("agent")),
        token_file: Some(token_file),
        services: vec![word("*")],
        ..RawAgent::default()
    };
    At { value, place }
}
