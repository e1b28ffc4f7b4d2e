//! Who an agent is, and which services it may serve: from its credential and nothing else.
//!
//! A certificate counts first, then the bearer token: one whose digest is known, or one that an issuer has signed.

mod certificate;
mod fetch;
mod jwt;
mod key;
mod key_set;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

pub(crate) use certificate::fingerprint;
use http::{HeaderMap, header};
pub(crate) use key::check_key_file;
pub(crate) use key_set::KeySet;
use proto::wire::ServiceName;
use rustls_pki_types::CertificateDer;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};
use tokio::sync::watch;

use crate::{
    admission::Admission,
    config::{AgentCredential, Agents, Config, Issuer, ServicePattern, TokenDigest},
    limits::CLOCK_LEEWAY,
};

/// The credentials that the gateway accepts.
#[derive(Debug)]
pub(crate) struct Credentials {
    /// `None`: anyone.
    agents: Option<Vec<Known>>,
    issuers: Vec<Arc<KeySet>>,
    other_keys: Arc<watch::Sender<()>>,
    /// Which tokens were registered.
    admission: Arc<Admission>,
}

#[derive(Debug)]
struct Known {
    rules: AgentCredential,
    identity: Arc<Identity>,
}

/// An agent that is known.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Its name; none if the gateway asks for no credential.
    name: Option<String>,
    services: Vec<ServicePattern>,
}

/// What somebody shows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) headers: &'a HeaderMap,
    /// The certificate of its TLS connection, found genuine there.
    pub(crate) certificate: Option<&'a CertificateDer<'static>>,
}

/// An agent that has proved who it is.
#[derive(Clone, Debug)]
pub(crate) struct Proved {
    pub(crate) identity: Arc<Identity>,
    pub(crate) by: Means,
    /// When that is over; `None`: never.
    expires: Option<SystemTime>,
    /// The token that it has registered and shown, if that is how.
    registered: Option<TokenDigest>,
}

/// How an agent has proved who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Means {
    Nothing,
    Certificate,
    Token,
    /// By a token that it has registered itself.
    Registration,
    Jwt,
}

/// No acceptable credential was shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Why, for the log.
    Stranger(&'static str),
    /// It names a key that is not known.
    UnknownKey,
    /// The same, and keys are asked for again in about so long.
    NotYet(Duration),
    /// Its signature cannot be verified at the moment.
    NotNow,
}

impl Credentials {
    pub(crate) fn new(config: &Config, admission: Arc<Admission>) -> Self {
        let known = |rules: &AgentCredential| Known {
            rules: rules.clone(),
            identity: Arc::new(Identity { name: Some(rules.name.clone()), services: rules.services.clone() }),
        };
        let agents = match &config.agents {
            Agents::Anyone => None,
            Agents::Listed(agents) => Some(agents.iter().map(known).collect()),
        };
        let other_keys = Arc::new(watch::Sender::new(()));
        let key_set = |issuer: &Issuer| Arc::new(KeySet::new(issuer.clone(), other_keys.clone()));
        Self { agents, issuers: config.issuers.iter().map(key_set).collect(), other_keys, admission }
    }

    /// The keys of issuers, which have to be followed.
    pub(crate) fn key_sets(&self) -> &[Arc<KeySet>] {
        &self.issuers
    }

    /// Changes when an issuer's keys do.
    pub(crate) fn other_keys(&self) -> watch::Receiver<()> {
        self.other_keys.subscribe()
    }

    /// Identifies the sender of a request. Before a signature is verified it is asked whether it may be.
    pub(crate) fn identify(
        &self,
        shown: Shown<'_>,
        now: SystemTime,
        may_verify: impl FnOnce() -> bool,
    ) -> Result<Proved, Refused> {
        let Some(agents) = &self.agents else {
            let identity = Arc::new(Identity { name: None, services: vec![ServicePattern::Any] });
            return Ok(Proved { identity, by: Means::Nothing, expires: None, registered: None });
        };
        if let Some(known) = shown.certificate.and_then(|certificate| by_certificate(agents, certificate)) {
            return Ok(known.proved(Means::Certificate));
        }
        match bearer(shown.headers) {
            Some(token) => self.by_bearer(agents, token, now, may_verify),
            None if shown.certificate.is_some() => Err(Refused::Stranger("the certificate is that of no agent")),
            None => Err(Refused::Stranger("there is no credential")),
        }
    }

    /// Judges a fresh token of a link that is up.
    pub(crate) fn renew(&self, token: &str, now: SystemTime) -> Result<Proved, Refused> {
        match &self.agents {
            // How often a link may show one is bounded.
            Some(agents) => self.by_bearer(agents, token.as_bytes(), now, || true),
            None => Err(Refused::Stranger("this gateway asks for no credential")),
        }
    }

    /// Whether what an agent has proved itself with is good still: a registered token is, until the agent is revoked.
    pub(crate) fn is_still_good(&self, proved: &Proved) -> bool {
        proved.registered.is_none_or(|token| self.admission.registered(&token).is_some())
    }

    fn by_bearer(
        &self,
        agents: &[Known],
        token: &[u8],
        now: SystemTime,
        may_verify: impl FnOnce() -> bool,
    ) -> Result<Proved, Refused> {
        let shown = TokenDigest::of(token);
        if let Some(known) = by_digest(agents, &shown) {
            return Ok(known.proved(Means::Token));
        }
        if let Some(known) = self.by_registration(agents, &shown) {
            return Ok(Proved { registered: Some(shown), ..known.proved(Means::Registration) });
        }
        let unknown = Refused::Stranger("the token is not known");
        let jwt = std::str::from_utf8(token).ok().filter(|_| !self.issuers.is_empty()).ok_or(unknown)?;
        if !may_verify() {
            return Err(Refused::NotNow);
        }
        let verified = jwt::verify(&self.issuers, jwt, now)?;
        let is_it = |known: &&Known| {
            let rule = known.rules.jwt.as_ref();
            rule.is_some_and(|rule| rule.issuer == verified.issuer && rule.subject.matches(&verified.subject))
        };
        let known = agents.iter().find(is_it).ok_or(Refused::Stranger("the token's subject is that of no agent"))?;
        Ok(Proved { expires: Some(verified.expires), ..known.proved(Means::Jwt) })
    }

    /// What was registered counts for as long as the agent is one that registers.
    fn by_registration<'a>(&self, agents: &'a [Known], shown: &TokenDigest) -> Option<&'a Known> {
        let name = self.admission.registered(shown)?;
        agents.iter().find(|known| known.rules.totp.is_some() && known.rules.name == name)
    }
}

fn by_certificate<'a>(agents: &'a [Known], certificate: &CertificateDer<'_>) -> Option<&'a Known> {
    agents.iter().find(|known| known.rules.certificate.as_ref().is_some_and(|rule| certificate::is(certificate, rule)))
}

/// How long it takes does not depend on which token matches, or how nearly one does: digests are compared, all of them,
/// in constant time.
fn by_digest<'a>(agents: &'a [Known], shown: &TokenDigest) -> Option<&'a Known> {
    let mut found = u64::MAX;
    for (index, known) in (0u64..).zip(agents) {
        for digest in &known.rules.tokens {
            let matches: Choice = digest.0.ct_eq(&shown.0);
            found.conditional_assign(&index, matches);
        }
    }
    usize::try_from(found).ok().and_then(|index| agents.get(index))
}

impl Known {
    /// For ever.
    fn proved(&self, by: Means) -> Proved {
        Proved { identity: self.identity.clone(), by, expires: None, registered: None }
    }
}

impl Proved {
    /// How long a link may go on with it; `None`: for ever. Clocks may differ a little.
    pub(crate) fn lasts(&self, now: SystemTime) -> Option<Duration> {
        let end = self.expires? + CLOCK_LEEWAY;
        Some(end.duration_since(now).unwrap_or_default())
    }
}

impl Identity {
    /// The name under which the agent is known; what it calls itself counts only without credentials.
    pub(crate) fn name<'a>(&'a self, claimed: &'a str) -> &'a str {
        self.name.as_deref().unwrap_or(claimed)
    }

    /// The first of these services that the agent may not serve.
    pub(crate) fn first_not_permitted<'a>(&self, services: &'a [ServiceName]) -> Option<&'a ServiceName> {
        services.iter().find(|service| !self.services.iter().any(|pattern| pattern.matches(service)))
    }
}

/// For logs.
impl fmt::Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Certificate => "certificate",
            Self::Token => "token",
            Self::Registration => "registration",
            Self::Jwt => "jwt",
        })
    }
}

/// For logs.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stranger(why) => why,
            Self::UnknownKey => "the token's key is not known",
            Self::NotYet(_) => "its issuer's keys are being fetched",
            Self::NotNow => "others of its address have failed too often",
        })
    }
}

/// The one bearer token of a request (RFC 6750 §2.1).
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use settings::Source;

    use super::*;

    #[test]
    fn no_signature_is_verified_unasked() {
        let text = "listen: 127.0.0.1:0\nfacades: [ { listen: 127.0.0.1:0, service: x } ]\n\
                    issuers: { i: { issuer: 'https://i', audience: r, jwks_url: 'https://i/keys' } }\n\
                    agents:\n  - { name: a, jwt: { subject: s }, services: [x] }\n  - { name: b, services: [x], \
                    token_sha256: [ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad] }\n";
        let config = Config::from_source(&Source::file("gateway.yaml", text, Path::new(""))).unwrap();
        let admission = Admission::open(config.admission, Some(Vec::new()), None).unwrap();
        let credentials = Credentials::new(&config, Arc::new(admission));
        let check = |token: &str, expected: Result<Means, Refused>| {
            let value = format!("Bearer {token}").parse().unwrap();
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
            let shown = Shown { headers: &headers, certificate: None };
            let proved = credentials.identify(shown, SystemTime::now(), || false);
            assert_eq!(proved.map(|proved| proved.by), expected, "{token}");
        };
        // FIPS 180-2, appendix B.1.
        check("abc", Ok(Means::Token));
        check("abd", Err(Refused::NotNow));
        check("e30.e30.e30", Err(Refused::NotNow));
    }

    #[test]
    fn exactly_one_bearer_token() {
        let check = |values: &[&str], expected: Option<&str>| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, value.parse().unwrap());
            }
            assert_eq!(bearer(&headers), expected.map(str::as_bytes), "{values:?}");
        };
        check(&["Bearer abc"], Some("abc"));
        check(&["bearer abc"], Some("abc"));
        check(&["Basic abc"], None);
        check(&["Bearer"], None);
        check(&["Bearer a", "Bearer b"], None);
        check(&[], None);
    }
}
