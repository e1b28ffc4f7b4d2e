//! Who an agent is, and which services it may serve: from its credential and nothing else.

use std::{fmt, sync::Arc};

use http::{HeaderMap, header};
use proto::wire::ServiceName;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::config::{Agents, ServicePattern};

/// The credentials that the gateway accepts.
#[derive(Debug)]
pub(crate) struct Credentials(Option<Vec<Credential>>);

#[derive(Debug)]
struct Credential {
    digest: [u8; 32],
    identity: Arc<Identity>,
}

/// An agent that has proved who it is.
#[derive(Debug)]
pub(crate) struct Identity {
    /// The credential's name; none if the gateway asks for no credential.
    name: Option<String>,
    services: Vec<ServicePattern>,
}

/// No acceptable credential was shown.
#[derive(Debug)]
pub(crate) struct Stranger;

impl Credentials {
    pub(crate) fn new(agents: &Agents) -> Self {
        let Agents::Listed(agents) = agents else { return Self(None) };
        let credential = |agent: &crate::config::AgentCredential| Credential {
            digest: digest(agent.token.expose().as_bytes()),
            identity: Arc::new(Identity { name: Some(agent.name.clone()), services: agent.services.clone() }),
        };
        Self(Some(agents.iter().map(credential).collect()))
    }

    /// Identifies the sender of a request. How long it takes does not depend on which credential matches, or how
    /// nearly one does: digests are compared, all of them, in constant time.
    pub(crate) fn identify(&self, headers: &HeaderMap) -> Result<Arc<Identity>, Stranger> {
        let Some(credentials) = &self.0 else {
            return Ok(Arc::new(Identity { name: None, services: vec![ServicePattern::Any] }));
        };
        let shown = digest(bearer(headers).ok_or(Stranger)?);
        let mut found = u64::MAX;
        for (index, credential) in (0u64..).zip(credentials) {
            let matches: Choice = credential.digest.ct_eq(&shown);
            found.conditional_assign(&index, matches);
        }
        let found = usize::try_from(found).ok().and_then(|index| credentials.get(index));
        found.map(|credential| credential.identity.clone()).ok_or(Stranger)
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

impl fmt::Display for Stranger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no acceptable credential")
    }
}

fn digest(token: &[u8]) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// The one bearer token of a request (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.as_bytes().split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

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
