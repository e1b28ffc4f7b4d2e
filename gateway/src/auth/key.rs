//! Public keys of issuers, from a JSON Web Key Set (RFC 7517).

use std::path::Path;

use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey,
    jwk::{Jwk, PublicKeyUse},
};
use serde::Deserialize;
use settings::{Fault, pem};

use crate::limits::KEYS;

/// A key that can verify a signature.
#[derive(Debug)]
pub(super) struct Key {
    pub(super) id: Option<String>,
    /// What it verifies, if it says so.
    algorithm: Option<Algorithm>,
    pub(super) key: DecodingKey,
}

impl Key {
    /// Whether it may verify a signature of this kind. Its own family decides, whatever a token says: a public key is
    /// never taken for a shared secret.
    pub(super) fn verifies(&self, algorithm: Algorithm) -> bool {
        let family = self.key.family();
        family != AlgorithmFamily::Hmac
            && family == algorithm.family()
            && self.algorithm.is_none_or(|own| own == algorithm)
    }
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

/// The keys of a set that can verify signatures, at least one. Others are left out: sets may hold keys for other uses,
/// and of kinds that are not known here.
///
/// # Errors
/// Why there is none.
pub(super) fn parse(json: &[u8]) -> Result<Vec<Key>, String> {
    let set: Set = serde_json::from_slice(json).map_err(|error| format!("is not a JSON Web Key Set: {error}"))?;
    if set.keys.len() > KEYS {
        return Err(format!("has {} keys; {KEYS} are taken at most", set.keys.len()));
    }
    let keys: Vec<_> = set.keys.into_iter().filter_map(key).collect();
    if keys.is_empty() { Err("has no key that can verify a signature".to_owned()) } else { Ok(keys) }
}

fn key(value: serde_json::Value) -> Option<Key> {
    let jwk: Jwk = serde_json::from_value(value).ok()?;
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let algorithm = match jwk.common.key_algorithm {
        Some(own) => Some(Algorithm::try_from(own).ok()?),
        None => None,
    };
    let key = DecodingKey::from_jwk(&jwk).ok().filter(|key| key.family() != AlgorithmFamily::Hmac)?;
    Some(Key { id: jwk.common.key_id, algorithm, key })
}

/// Finds out early what would otherwise be found when an agent connects.
pub(crate) fn check_key_file(path: &Path) -> Result<(), Fault> {
    let keys = parse(&pem::read(path, "key set")?);
    keys.map(drop).map_err(|why| {
        let remedy = "put the issuer's key set into it, for example the output of kubectl get --raw /openid/v1/jwks";
        Fault::new(format!("the key set file {} {why}", path.display()), remedy)
    })
}
