//! What an agent is told to do, checked: a [`Config`] exists only if it can be carried out as it stands.

mod check;
mod method;
mod proxy;
mod raw;
mod rule;
mod service;
#[cfg(test)]
mod tests;
mod trust;
mod unregistered;
mod url;

use std::{
    collections::HashMap,
    fmt,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use proto::wire::ServiceName;
pub use proxy::{Login, Proxy, ProxyKind};
pub use raw::KEYS_OF_ITS_OWN;
use rustls_pki_types::CertificateDer;
use settings::{Findings, Invalid, Limits, Source, Token};
pub use trust::CertificateFiles;
pub(crate) use unregistered::Unregistered;
pub use url::{GatewayUrl, Upstream};

use crate::whitelist::{self, Host, Mode, Rule, Times, Whitelist};

/// Where gateways offer the tunnel unless their URL says otherwise.
pub const PATH: &str = proto::link::upgrade::DEFAULT_PATH;

/// How long a drain may take: five seconds less than Kubernetes gives a pod by default.
pub const DRAIN_GRACE: Duration = Duration::from_secs(25);

/// How often gateways' names are resolved again: a new replica has a link within half a minute.
pub const RERESOLVE: Duration = Duration::from_secs(30);

/// How long an upstream may take to accept a connection: it stands beside the agent, and one retransmitted SYN (1 s,
/// then 2 s) still succeeds.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an upstream may take to begin its answer: what most proxies grant, so that applications expect no more.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// Requests of one service at its upstream at once: what four links may bring by default, so that one gateway, if it is a
/// hostile one, leaves room for others.
pub const MAX_IN_FLIGHT: u32 = 4 * settings::limits::STREAMS;

/// Links to each address of a gateway: one carries what one core can do.
pub const LINKS: u32 = 1;

/// Most links to each address of a gateway: a quarter of what a gateway takes of one agent, which leaves room for
/// replicas under one name, and for a restart.
pub const MOST_LINKS: u32 = 16;

/// An agent's checked configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// What the agent calls itself in its hello and in logs. By default the host's name.
    pub name: String,
    /// Where to dial; at least one, none twice. Without token and certificate, all are loopback.
    pub gateways: Vec<GatewayUrl>,
    /// What the agent proves itself with.
    pub token: Option<Token>,
    /// Where the token stands, if in a file: each dial reads it anew.
    pub token_file: Option<PathBuf>,
    /// The certificate that it proves itself with.
    pub certificate: Option<CertificateFiles>,
    /// Authorities to trust for `wss://` instead of the built-in web roots; `None` for those.
    pub ca: Option<Vec<CertificateDer<'static>>>,
    /// Whether anybody is taken for the gateway.
    pub insecure_skip_verify: bool,
    /// The proxies by which gateways are dialled; those that are not in it are dialled directly.
    pub proxies: HashMap<GatewayUrl, Proxy>,
    /// Where `/status` and everything else about the agent can be read; loopback.
    pub admin: Option<SocketAddr>,
    /// Where probes can be read, and nothing else; may be any address.
    pub health: Option<SocketAddr>,
    /// What the agent offers, in the order of the file; at least one, none twice.
    pub services: Vec<Service>,
    /// How long in-flight requests may take to finish once a shutdown has begun.
    pub drain_grace: Duration,
    /// How often gateways' names are resolved again.
    pub reresolve: Duration,
    /// How many links to keep to each address of a gateway.
    pub links: u32,
    /// The bounds of each link.
    pub limits: Limits,
    /// Where a line for each decision of the whitelist goes; `None`: nowhere.
    pub audit_log: Option<AuditTarget>,
    /// The file it was read from, to be read again; `None` if there is none.
    pub origin: Option<Origin>,
    /// What is permitted but probably not meant, each with its place.
    pub warnings: Vec<String>,
}

/// A file, as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Where it is.
    pub path: PathBuf,
    /// What it said.
    pub text: Arc<str>,
}

/// Where the audit log goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditTarget {
    /// To standard output, where nothing else is written.
    Stdout,
    /// To the end of a file.
    File(PathBuf),
}

impl fmt::Display for AuditTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

/// One service: where it is, and what of it may be reached.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Service {
    /// What gateways call it.
    pub name: ServiceName,
    /// The server that answers.
    pub upstream: Upstream,
    /// How it is spoken to.
    pub protocol: Protocol,
    /// The rules, in the order of the file. None allow nothing.
    pub allow: Vec<Rule>,
    /// What becomes of a request that no rule allows.
    pub mode: Mode,
    /// What the `Host` field of a request to the upstream says.
    pub host: Host,
    /// Whether `Forwarded`, `X-Forwarded-*` and their kin pass. The gateway, if compromised, could forge them.
    pub trust_forwarded: bool,
    /// How long the upstream may take to accept a connection.
    pub connect_timeout: Duration,
    /// How long an exchange may take where its rule says nothing else.
    pub times: Times,
    /// Requests at the upstream at once.
    pub max_in_flight: u32,
    /// Whether an idempotent request may be sent again when the upstream closes an idle connection under it.
    pub retry: bool,
}

/// What an upstream speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 without TLS, from the first byte (RFC 9113 §3.3).
    H2c,
}

/// The flags of a first try without a file.
#[derive(Clone, Debug, Default)]
pub struct Flags {
    /// `--gateway URL`, repeated.
    pub gateways: Vec<String>,
    /// `--service NAME=URL`, repeated.
    pub services: Vec<String>,
    /// `--allow 'NAME: RULE'`, repeated.
    pub allow: Vec<String>,
    /// `--token-file PATH`.
    pub token_file: Option<String>,
    /// `--name NAME`.
    pub name: Option<String>,
}

impl Config {
    /// Reads and checks a file. Relative paths in it start at its folder.
    ///
    /// # Errors
    /// [`Invalid`] with everything that is wrong, each with its line, column and remedy.
    pub fn load(path: &Path) -> Result<Self, Invalid> {
        let source = Source::read(path)?;
        let origin = Origin { path: path.to_owned(), text: source.text().into() };
        Self::from_source(&source).map(|config| Self { origin: Some(origin), ..config })
    }

    /// Checks a text that is at hand.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn from_source(source: &Source) -> Result<Self, Invalid> {
        check::check(&settings::yaml::read(source)?, source)
    }

    /// Checks what flags say.
    ///
    /// # Errors
    /// [`Invalid`] with everything that is wrong, each with its flag and remedy.
    pub fn from_flags(flags: &Flags) -> Result<Self, Invalid> {
        let (raw, source) = raw::from_flags(flags)?;
        check::check(&raw, &source)
    }
}

/// Reads and checks only the services of a file, so that its rules can be tried where its secrets are not at hand.
/// Keys beside `services` must still be known ones.
///
/// # Errors
/// [`Invalid`] with everything that is wrong with the services.
pub fn load_services(path: &Path) -> Result<Vec<Service>, Invalid> {
    services_of(&Source::read(path)?)
}

/// Checks only the services of a text that is at hand.
///
/// # Errors
/// As [`load_services`].
pub fn services_of(source: &Source) -> Result<Vec<Service>, Invalid> {
    let raw: raw::RawConfig = settings::yaml::read(source)?;
    let mut found = Findings::new(source);
    let services = service::check_all(&raw.services, &mut found);
    found.finish(services).map(|(services, _)| services)
}

/// The whitelist that these services make.
#[must_use]
pub fn whitelist(services: &[Service]) -> Whitelist {
    Whitelist::new(services.iter().map(|service| {
        let rules = whitelist::Service::new(service.allow.clone(), service.host.clone());
        let rules = rules.with_trust_forwarded(service.trust_forwarded).with_mode(service.mode);
        (service.name.clone(), rules.with_times(service.times))
    }))
}
