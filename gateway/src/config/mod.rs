//! What a gateway is told to do, checked: a [`Config`] exists only if it can be carried out as it stands.

mod admission;
mod agents;
mod check;
mod facade;
mod issuers;
mod listen;
mod name_pattern;
mod pattern;
mod raw;
mod service;
#[cfg(test)]
mod tests;
mod tls;
mod totp;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

pub use admission::{Admission, FAILED_ATTEMPTS, LONGEST_HOLD};
pub use agents::TokenDigest;
use http::HeaderName;
pub use issuers::{Issuer, KeySource};
pub use listen::Listen;
pub use name_pattern::NamePattern;
pub use pattern::ServicePattern;
use proto::wire::ServiceName;
pub use raw::KEYS_OF_ITS_OWN;
use settings::{Invalid, Limits, Source};
pub use tls::{Tls, TlsFiles};
pub use totp::{Code, TotpSecret};

/// Where the tunnel is offered, by default and on both sides.
pub const PATH: &str = proto::link::upgrade::DEFAULT_PATH;

/// How long a request waits for an agent: longer than an agent takes to redial, shorter than clients' patience.
pub const WAIT_FOR_AGENT: Duration = Duration::from_secs(5);

/// Heartbeat: a dead link is noticed in at most two and a half of them, and idle timers of middleboxes (30 s at the
/// shortest) do not run out.
pub const HEARTBEAT: Duration = Duration::from_secs(10);

/// How long a drain may take: five seconds less than Kubernetes gives a pod by default.
pub const DRAIN_GRACE: Duration = Duration::from_secs(25);

/// How long a drain goes on serving while clients are sent elsewhere: long enough for an application to finish with the
/// connections that it keeps …
pub const DRAIN_DELAY: Duration = Duration::from_secs(1);

/// … or, if a facade can be reached from other machines, for whatever balances load between gateways to notice.
pub const DRAIN_DELAY_EXPOSED: Duration = Duration::from_secs(5);

/// Requests in flight at one facade: the streams of four full links; past that, waiting helps nobody.
pub const REQUESTS: u32 = 4096;

/// Requests in flight of one service: half of what a facade takes, so that one slow service leaves room for others.
pub const MAX_IN_FLIGHT: u32 = 2048;

/// Requests of one service that wait for room: what a service of 500 requests a second works off in the time below.
pub const QUEUE: u32 = 1024;

/// How long a request waits for room: a burst has passed by then, and whatever lasts longer gets worse by waiting.
pub const QUEUE_TIMEOUT: Duration = Duration::from_secs(2);

/// Requests that wait for an agent, at all facades: as many as would fill one link as soon as it is there.
pub const WAITING_REQUESTS: u32 = 1024;

/// A gateway's checked configuration.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// What the gateway calls itself in its hello and in logs. By default the host's name.
    pub name: String,
    /// Where agents connect. Beyond loopback only with agents listed, and with `tls` or `insecure_listen`.
    pub listen: SocketAddr,
    /// What the gateway proves itself to agents with; `None` if it speaks no TLS itself.
    pub tls: Option<Tls>,
    /// The path at which agents connect; begins with `/` and is longer.
    pub path: String,
    /// The local HTTP listeners, at least one.
    pub facades: Vec<Facade>,
    /// Where `/status` and everything else about the gateway can be read; loopback.
    pub admin: Option<SocketAddr>,
    /// Where probes can be read, and nothing else; may be any address.
    pub health: Option<SocketAddr>,
    /// Who may connect.
    pub agents: Agents,
    /// Whose signed tokens are believed; `JwtRule` counts on this order.
    pub issuers: Vec<Issuer>,
    /// Who of them is let in.
    pub admission: Admission,
    /// Where decisions about agents outlive the process.
    pub state_file: Option<PathBuf>,
    /// Failed attempts to connect that one address has in a minute; 0 for any number.
    pub failed_attempts: u32,
    /// The header in which an ingress says where a connection to the tunnel comes from.
    pub address_header: Option<HeaderName>,
    /// How often each side of a link pings the other; 1 s to 5 min.
    pub heartbeat: Duration,
    /// How long a drain goes on serving while clients are sent elsewhere; a part of the grace.
    pub drain_delay: Duration,
    /// How long a drain may take, until in-flight requests are cut.
    pub drain_grace: Duration,
    /// The bounds of each link.
    pub limits: Limits,
    /// Requests in flight at each facade.
    pub requests: u32,
    /// What holds for single services; the default for all others.
    pub services: BTreeMap<ServiceName, Service>,
    /// Requests that may wait for an agent at once, at all facades together.
    pub waiting_requests: u32,
    /// Values of `Origin` that an upgrade may carry, in lower case. Agents send none, browsers always do.
    pub allowed_origins: Vec<String>,
    /// What is permitted but probably not meant, each with its place.
    pub warnings: Vec<String>,
}

/// Which agents may connect.
#[derive(Clone, Debug)]
pub enum Agents {
    /// No credential is configured: anyone, and therefore every listener of the configuration is loopback.
    Anyone,
    /// Whoever shows one of these credentials; at least one, and no two share a name or a token.
    Listed(Vec<AgentCredential>),
}

/// One agent that may connect, and as what. It proves itself by any one of what is listed.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct AgentCredential {
    /// The agent's name, whatever it calls itself.
    pub name: String,
    /// The digests of its tokens; at most two.
    pub tokens: Vec<TokenDigest>,
    /// Which certificate it has.
    pub certificate: Option<CertificateRule>,
    /// Which signed token it has.
    pub jwt: Option<JwtRule>,
    /// What makes the codes by which it registers a token of its own.
    pub totp: Option<TotpSecret>,
    /// The services that it may serve; at least one pattern.
    pub services: Vec<ServicePattern>,
}

/// Which client certificate is an agent's. Whether it is genuine is for the authorities of `client_ca_file` to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateRule {
    /// Where to look.
    pub kind: SanKind,
    /// What to find there.
    pub name: NamePattern,
}

/// Where a certificate says whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SanKind {
    /// A DNS name among its subject alternative names.
    Dns,
    /// A URI among them, such as a SPIFFE id.
    Uri,
    /// The common name of its subject.
    CommonName,
}

/// Which signed token (JWT) is an agent's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtRule {
    /// Who signs it: an index of [`Config::issuers`].
    pub issuer: usize,
    /// Its `sub`.
    pub subject: NamePattern,
}

/// What holds for one service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Service {
    /// Whether idempotent requests may be sent a second time after a link was lost.
    pub retry: bool,
    /// Requests in flight.
    pub max_in_flight: u32,
    /// Requests that wait until there is room.
    pub queue: u32,
    /// How long each of them waits.
    pub queue_timeout: Duration,
}

impl Default for Service {
    fn default() -> Self {
        Self { retry: true, max_in_flight: MAX_IN_FLIGHT, queue: QUEUE, queue_timeout: QUEUE_TIMEOUT }
    }
}

/// A local HTTP listener.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Facade {
    /// Where applications connect.
    pub listen: Listen,
    /// What it proves itself with, if it speaks TLS.
    pub tls: Option<Tls>,
    /// Which service a request is for.
    pub routing: Routing,
    /// How long a request waits for an agent that serves its service; zero for not at all.
    pub wait_for_agent: Duration,
    /// What requests say about who the client is.
    pub forwarded: Forwarded,
}

/// What becomes of `X-Forwarded-For`, `-Proto` and `-Host` and of `Forwarded` (RFC 7239).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forwarded {
    /// The facade adds nothing, and what the client sent passes: as without a bridge.
    #[default]
    Off,
    /// The facade adds what it sees to what the client sent: the client is itself a proxy that can be believed.
    Append,
    /// The facade says what it sees, and what the client sent goes.
    Replace,
}

/// How a facade finds the service of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routing {
    /// Every request is for this service.
    Service(ServiceName),
    /// The `Host` header names it.
    Host(Hosts),
    /// The first segment of the path, which is then taken off.
    Path,
    /// The header `Reachback-Service`, which is then taken off.
    Header,
    /// The facade is a forward proxy, and the host of the URL names it.
    Proxy(Hosts),
}

/// Which hosts are which services. Whatever the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hosts {
    /// The host is the service, a dot and this suffix (lower case, no leading dot, no port).
    Below(String),
    /// These hosts (lower case, no port) and no others.
    Listed(BTreeMap<String, ServiceName>),
}

/// The flags of a first try without a file.
#[derive(Clone, Debug)]
pub struct Flags {
    /// `--listen ADDR`.
    pub listen: String,
    /// `--facade ADDR=SERVICE`, repeated.
    pub facades: Vec<String>,
    /// `--token-file PATH`: who knows the token may serve every service.
    pub token_file: Option<String>,
}

impl Config {
    /// Reads and checks a file. Relative paths in it start at its folder.
    ///
    /// # Errors
    /// [`Invalid`] with everything that is wrong, each with its line, column and remedy.
    pub fn load(path: &Path) -> Result<Self, Invalid> {
        Self::from_source(&Source::read(path)?)
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
