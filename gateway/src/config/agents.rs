//! Who may connect as what: the entries of `agents`, checked.

use std::fmt;

use proto::wire::InvalidName;
use serde::{Deserialize, Serialize};
use settings::{At, Fault, Findings, Place, Text, net};
use sha2::{Digest, Sha256};

use super::{
    AgentCredential, Agents, CertificateRule, Issuer, JwtRule, NamePattern, SanKind, ServicePattern, Tls, TotpSecret,
    raw::{RawAgent, RawCertificate, RawJwt},
};

/// Tokens of one agent at once: the one that goes and the one that comes.
const TOKENS: usize = 2;

/// The SHA-256 of a token: enough to know it again, and too little to show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct TokenDigest(pub(crate) [u8; 32]);

impl TokenDigest {
    /// Of this token.
    #[must_use]
    pub fn of(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// As `token_sha256` has it: 64 hexadecimal digits.
    ///
    /// # Errors
    /// A [`Fault`] for anything else. It does not repeat it: perhaps it is a token.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let nibble = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let mut digest = [0; 32];
        let bytes = text.as_bytes();
        let good = bytes.len() == 64
            && bytes.chunks_exact(2).zip(&mut digest).all(|(pair, byte)| match (nibble(pair[0]), nibble(pair[1])) {
                (Some(high), Some(low)) => {
                    *byte = high << 4 | low;
                    true
                }
                _ => false,
            });
        if good {
            return Ok(Self(digest));
        }
        let remedy =
            "write the 64 hexadecimal digits that `reachback token new` prints; the token itself goes to the agent";
        Err(Fault::new("this is not the SHA-256 of a token", remedy).hide_value())
    }
}

/// As [`TokenDigest::parse`] reads it.
impl fmt::Display for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl From<TokenDigest> for String {
    fn from(digest: TokenDigest) -> Self {
        digest.to_string()
    }
}

impl TryFrom<String> for TokenDigest {
    type Error = Fault;

    fn try_from(text: String) -> Result<Self, Fault> {
        Self::parse(&text)
    }
}

pub(super) fn check_all(raw: &[At<RawAgent>], issuers: &[Issuer], found: &mut Findings<'_>) -> Option<Agents> {
    if raw.is_empty() {
        let text = "no agent credential is configured: any process on this machine may pose as an agent";
        found.warn(None, format_args!("{text}, and only loopback is served"));
        return Some(Agents::Anyone);
    }
    let mut agents: Vec<AgentCredential> = Vec::new();
    let mut complete = Some(());
    for raw in raw {
        match agent(raw, &agents, issuers, found) {
            Some(agent) => agents.push(agent),
            None => complete = None,
        }
    }
    complete.map(|()| Agents::Listed(agents))
}

fn agent(
    raw: &At<RawAgent>,
    earlier: &[AgentCredential],
    issuers: &[Issuer],
    found: &mut Findings<'_>,
) -> Option<AgentCredential> {
    let at = Some(raw.place);
    let unnamed = Fault::new("this agent has no name", "add `name`, which stands in logs and in /status");
    let name = found.required(raw.value.name.as_ref(), (at, unnamed), net::name);
    let tokens = tokens(raw, found);
    let certificate = match &raw.value.certificate {
        Some(raw) => certificate(raw, found).map(Some),
        None => Some(None),
    };
    let jwt = match &raw.value.jwt {
        Some(raw) => jwt(raw, issuers, found).map(Some),
        None => Some(None),
    };
    let source = found.source();
    let secret = |file: &str| TotpSecret::from_file(&source.resolve(file));
    let totp = found.optional(raw.value.totp_secret_file.as_ref(), secret);
    let proofs = tokens.as_ref().is_none_or(|tokens| !tokens.is_empty())
        || raw.value.certificate.is_some()
        || raw.value.jwt.is_some()
        || raw.value.totp_secret_file.is_some();
    if !proofs {
        let remedy = "add `token_sha256` (see `reachback token new`), `totp_secret_file`, `token_file`, `token_env`, \
             `certificate` or `jwt`";
        found.fault(raw.place, Fault::new("this agent has nothing to prove itself with", remedy));
    }
    let services = patterns(raw.place, &raw.value.services, found);
    let (tokens, certificate, jwt, totp) = (tokens?, certificate?, jwt?, totp?);
    let agent = AgentCredential { name: name?, tokens, certificate, jwt, totp, services: services? };
    unlike(&agent, raw.value.name.as_ref().map_or(raw.place, |name| name.place), earlier, found)?;
    proofs.then_some(agent)
}

fn tokens(raw: &At<RawAgent>, found: &mut Findings<'_>) -> Option<Vec<TokenDigest>> {
    let RawAgent { token_file, token_env, token_sha256, .. } = &raw.value;
    let plain =
        settings::token::token(found, token_file.as_ref(), token_env.as_ref(), "`reachback token new` makes a token")?;
    let digests = found.each(token_sha256, TokenDigest::parse)?.into_iter().map(|digest| digest.value);
    let tokens: Vec<_> = plain.iter().map(|token| TokenDigest::of(token.expose().as_bytes())).chain(digests).collect();
    if tokens.len() > TOKENS {
        let what = format!("this agent has {} tokens; {TOKENS} are valid at once, for rotation", tokens.len());
        found.fault(raw.place, Fault::new(what, "remove those that the agent shows no more"));
        return None;
    }
    Some(tokens)
}

fn certificate(raw: &At<RawCertificate>, found: &mut Findings<'_>) -> Option<CertificateRule> {
    let RawCertificate { san_dns, san_uri, cn } = &raw.value;
    let rules = [(SanKind::Dns, san_dns), (SanKind::Uri, san_uri), (SanKind::CommonName, cn)];
    let mut given = rules.into_iter().filter_map(|(kind, text)| Some((kind, text.as_ref()?)));
    let (Some((kind, text)), None) = (given.next(), given.next()) else {
        let remedy = "write certificate: { san_dns: edge.example.org }, { san_uri: spiffe://… } or { cn: NAME }";
        found.fault(raw.place, Fault::new("`certificate` names not exactly one thing to look for", remedy));
        return None;
    };
    let name = found.parsed(text, NamePattern::parse)?;
    // DNS names know no case.
    let name = if kind == SanKind::Dns { name.lower_case() } else { name };
    Some(CertificateRule { kind, name })
}

fn jwt(raw: &At<RawJwt>, issuers: &[Issuer], found: &mut Findings<'_>) -> Option<JwtRule> {
    let missing = Fault::new("`jwt` has no subject", "add `subject`, such as system:serviceaccount:shop:reachback");
    let subject = found.required(raw.value.subject.as_ref(), (Some(raw.place), missing), NamePattern::parse);
    let known = || issuers.iter().map(|issuer| issuer.name.as_str()).collect::<Vec<_>>().join(", ");
    let issuer = match (&raw.value.issuer, issuers) {
        (Some(text), _) => found.parsed(text, |name| {
            let position = issuers.iter().position(|issuer| issuer.name == name);
            let remedy = format!("name one of `issuers`: {}", known());
            position.ok_or_else(|| Fault::new(format!("there is no issuer `{name}`"), remedy))
        }),
        (None, [_]) => Some(0),
        (None, []) => {
            let remedy = "add issuers: { NAME: { issuer: URL, audience: reachback, jwks_file: FILE } }";
            found.fault(raw.place, Fault::new("there are no `issuers` whose tokens could be verified", remedy));
            None
        }
        (None, _) => {
            let remedy = format!("add `issuer`, one of: {}", known());
            found.fault(raw.place, Fault::new("`jwt` does not say whose tokens are meant", remedy));
            None
        }
    };
    Some(JwtRule { issuer: issuer?, subject: subject? })
}

fn patterns(place: Place, raw: &[Text], found: &mut Findings<'_>) -> Option<Vec<ServicePattern>> {
    if raw.is_empty() {
        let remedy = r#"add `services`, such as services: [ orders, "*.acme" ], or "*" for all"#;
        found.fault(place, Fault::new("this agent may serve nothing", remedy));
        return None;
    }
    let remedy = r#"write a name such as orders, a suffix such as "*.acme", or "*" for every service"#;
    let wrong = |text: &str| Fault::new(format!("{text:?} is not a pattern of service names"), remedy);
    let pattern = |text: &str| text.parse().map_err(|_: InvalidName| wrong(text));
    Some(found.each(raw, pattern)?.into_iter().map(|pattern| pattern.value).collect())
}

/// A proof or a name given twice would leave open which agent it is.
fn unlike(agent: &AgentCredential, place: Place, earlier: &[AgentCredential], found: &mut Findings<'_>) -> Option<()> {
    let shares = |other: &&AgentCredential| {
        let tokens = agent.tokens.iter().any(|token| other.tokens.contains(token));
        let certificate = agent.certificate.is_some() && agent.certificate == other.certificate;
        let jwt = agent.jwt.is_some() && agent.jwt == other.jwt;
        let totp = agent.totp.is_some() && agent.totp == other.totp;
        let kinds = [(tokens, "token"), (certificate, "certificate"), (jwt, "jwt"), (totp, "registration secret")];
        kinds.into_iter().find(|(same, _)| *same)
    };
    let fault = if earlier.iter().any(|other| other.name == agent.name) {
        Fault::new(format!("a second agent is named `{}`", agent.name), "give each agent a name of its own")
    } else if let Some((other, (_, what))) = earlier.iter().find_map(|other| Some((other, shares(&other)?))) {
        let text = format!("the agents `{}` and `{}` have the same {what}", other.name, agent.name);
        Fault::new(text, format!("give each agent a {what} of its own"))
    } else {
        return Some(());
    };
    found.fault(place, fault);
    None
}

/// Who has registered, and with which code, must be known after a restart.
pub(super) fn need_state(agents: &Agents, found: &mut Findings<'_>) {
    let Agents::Listed(agents) = agents else { return };
    if let Some(agent) = agents.iter().find(|agent| agent.totp.is_some()) {
        let what =
            format!("`{}` registers with a code, and nothing could remember that: there is no state file", agent.name);
        found.fault(None, Fault::new(what, "add `state_file`, such as state_file: /var/lib/reachback/state.json"));
    }
}

/// What was written and can never count.
pub(super) fn warn_of_useless(tls: Option<&Tls>, agents: &Agents, issuers: &[Issuer], found: &mut Findings<'_>) {
    let Agents::Listed(agents) = agents else { return };
    let asks = tls.is_some_and(|tls| tls.files.client_ca.is_some());
    for agent in agents.iter().filter(|agent| agent.certificate.is_some() && !asks) {
        let text = format!("the certificate of `{}` is never asked for: `tls` has no `client_ca_file`", agent.name);
        found.warn(None, text);
    }
    if asks && agents.iter().all(|agent| agent.certificate.is_none()) {
        found.warn(None, "`client_ca_file` has no effect, because no agent has a `certificate`");
    }
    for (at, issuer) in issuers.iter().enumerate() {
        if !agents.iter().any(|agent| agent.jwt.as_ref().is_some_and(|jwt| jwt.issuer == at)) {
            found.warn(None, format!("the issuer `{}` has no effect, because no agent has a `jwt` of it", issuer.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_read_back() {
        // FIPS 180-2, appendix B.1.
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(TokenDigest::parse(abc), Ok(TokenDigest::of(b"abc")));
        assert_eq!(TokenDigest::of(b"abc").to_string(), abc);
        assert_eq!(TokenDigest::parse(&abc.to_uppercase()), Ok(TokenDigest::of(b"abc")));
        for bad in ["", &abc[1..], &format!("{abc}0"), &format!("{}g", &abc[1..]), &format!("{}é", &abc[2..])] {
            let fault = TokenDigest::parse(bad).unwrap_err();
            assert!(bad.is_empty() || !fault.to_string().contains(bad));
        }
    }
}
