//! Which agents have registered a token of their own, and which codes are spent by that.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use subtle::{Choice, ConstantTimeEq as _};

use crate::{config::TokenDigest, limits::DECISIONS};

/// Every registration, by the name of the agent in the gateway's file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Registrations(BTreeMap<String, Registration>);

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Registration {
    /// The step (RFC 6238 §4.2) of the code that was accepted last. Those of it and of all before it are spent.
    spent_step: u64,
    /// `None`: forgotten, because the agent was rejected.
    token_sha256: Option<TokenDigest>,
}

impl Registrations {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an agent has registered, be its token forgotten or not.
    pub(super) fn has(&self, agent: &str) -> bool {
        self.0.contains_key(agent)
    }

    /// Whose token this is. How long that takes does not depend on which one matches.
    pub(super) fn of_token(&self, shown: &TokenDigest) -> Option<&String> {
        let is_it = |kept: &Registration| kept.token_sha256.map_or(Choice::from(0), |digest| digest.0.ct_eq(&shown.0));
        self.0.iter().fold(None, |found, (agent, kept)| if is_it(kept).into() { Some(agent) } else { found })
    }

    /// Whether an agent may register by the code of this step: it has no token, and that code is not spent.
    pub(super) fn is_open(&self, agent: &str, step: u64) -> bool {
        self.0.get(agent).is_none_or(|kept| kept.token_sha256.is_none() && kept.spent_step < step)
    }

    /// The same with one more; `None` if there are [`DECISIONS`] already.
    pub(super) fn with(&self, agent: &str, step: u64, token: TokenDigest) -> Option<Self> {
        let mut all = self.clone();
        all.0.insert(agent.to_owned(), Registration { spent_step: step, token_sha256: Some(token) });
        (all.0.len() <= DECISIONS).then_some(all)
    }

    /// The code stays spent.
    pub(super) fn forget_token(&mut self, agent: &str) {
        if let Some(kept) = self.0.get_mut(agent) {
            kept.token_sha256 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_registers_once_and_stays_spent() {
        let (token, other) = (TokenDigest::of(b"token"), TokenDigest::of(b"other"));
        let none = Registrations::default();
        assert!(none.is_open("a", 7) && none.of_token(&token).is_none());
        let mut one = none.with("a", 7, token).unwrap();
        assert_eq!(one.of_token(&token).map(String::as_str), Some("a"));
        assert_eq!(one.of_token(&other), None);
        assert!(!one.is_open("a", 8), "it has a token");
        assert!(one.is_open("b", 7), "another agent has other codes");
        one.forget_token("a");
        assert_eq!(one.of_token(&token), None);
        assert!(!one.is_open("a", 6) && !one.is_open("a", 7) && one.is_open("a", 8));
    }
}
