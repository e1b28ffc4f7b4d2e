//! Signed tokens (JWT, RFC 7519): whose they are, if their issuer has signed them for this gateway and they hold now.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use jsonwebtoken::{
    Algorithm, Header, Validation, dangerous::insecure_decode_claims, decode, decode_header, errors::ErrorKind,
};
use serde::Deserialize;

use super::{Refused, key::Key, key_set::KeySet};
use crate::{config::Issuer, limits::CLOCK_LEEWAY};

/// A token that holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verified {
    /// Which of the issuers signed it.
    pub(super) issuer: usize,
    pub(super) subject: String,
    pub(super) expires: SystemTime,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    /// Seconds since 1970; may have a fraction (RFC 7519 §2).
    exp: f64,
    nbf: Option<f64>,
}

/// Only to choose the keys to verify with.
#[derive(Deserialize)]
struct Claimed {
    iss: String,
}

/// Verifies a token. Several issuers may share one `iss`, as clusters of one make do: their keys tell them apart.
pub(super) fn verify(issuers: &[Arc<KeySet>], token: &str, now: SystemTime) -> Result<Verified, Refused> {
    let stranger = Refused::Stranger;
    let header = decode_header(token).map_err(|_| stranger("the token is not known"))?;
    if header.crit.is_some() {
        // RFC 7515 §4.1.11: whoever does not know an extension must refuse.
        return Err(stranger("the token needs an extension that is not known here"));
    }
    let Claimed { iss } = insecure_decode_claims(token).map_err(|_| stranger("the token is damaged"))?;
    let mut refused = None;
    let mut missing = Vec::new();
    for (at, set) in issuers.iter().enumerate().filter(|(_, set)| set.issuer.issuer == iss) {
        let keys = set.keys();
        let mut fitting = keys.iter().filter(|key| fits(key, &header)).peekable();
        if fitting.peek().is_none() {
            missing.push(set);
        }
        for key in fitting {
            match verified(token, key, &header, &set.issuer, now) {
                Ok((subject, expires)) => return Ok(Verified { issuer: at, subject, expires }),
                Err(why) => refused = Some(why),
            }
        }
    }
    let unknown = if missing.is_empty() { stranger("the token's issuer is not known") } else { Refused::UnknownKey };
    // Of each: all that are wanted are to be asked for.
    let wanted: Vec<Duration> = missing.into_iter().filter_map(|set| set.want()).collect();
    Err(wanted.into_iter().min().map(Refused::NotYet).or(refused).unwrap_or(unknown))
}

/// Whether this is the key that the token names; a token that names none may be of any.
fn fits(key: &Key, header: &Header) -> bool {
    (header.kid.is_none() || key.id == header.kid) && key.verifies(header.alg)
}

fn verified(
    token: &str,
    key: &Key,
    header: &Header,
    issuer: &Issuer,
    now: SystemTime,
) -> Result<(String, SystemTime), Refused> {
    let stranger = Refused::Stranger;
    if !issuer.algorithms.contains(&header.alg) {
        return Err(stranger("the token is signed in a way that its issuer may not"));
    }
    let validation = validation(header.alg, issuer);
    let claims = decode::<Claims>(token, &key.key, &validation).map_err(|error| {
        stranger(match error.kind() {
            ErrorKind::InvalidSignature => "the token's signature is wrong",
            ErrorKind::InvalidAudience => "the token was made for another audience",
            ErrorKind::InvalidIssuer => "the token's issuer is not known",
            ErrorKind::MissingRequiredClaim(_) | ErrorKind::Json(_) => "the token lacks a claim: iss, aud, sub or exp",
            _ => "the token cannot be verified",
        })
    })?;
    let Claims { iss, sub, exp, nbf } = claims.claims;
    if iss != issuer.issuer {
        return Err(stranger("the token's issuer is not known"));
    }
    let expires = time(exp).ok_or(stranger("the token has no usable time"))?;
    if expires + CLOCK_LEEWAY <= now {
        return Err(stranger("the token has expired"));
    }
    let begins = nbf.map(|nbf| time(nbf).ok_or(stranger("the token has no usable time"))).transpose()?;
    if begins.is_some_and(|begins| begins > now + CLOCK_LEEWAY) {
        return Err(stranger("the token is not valid yet"));
    }
    Ok((sub, expires))
}

/// Signature, audience and issuer are the library's to judge; time is judged here, by the clock that the caller has.
fn validation(algorithm: Algorithm, issuer: &Issuer) -> Validation {
    let mut validation = Validation::new(algorithm);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.set_issuer(&[&issuer.issuer]);
    validation.set_audience(&[&issuer.audience]);
    (validation.validate_exp, validation.validate_nbf) = (false, false);
    validation
}

/// A date of a claim, if it is one of this or the next few thousand years.
fn time(seconds: f64) -> Option<SystemTime> {
    let sane = (0.0..1e12).contains(&seconds);
    sane.then(|| SystemTime::UNIX_EPOCH + Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::{DecodingKey, EncodingKey, encode, jwk::Jwk};
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519};
    use serde_json::{Value, json};
    use settings::scratch::Scratch;

    use super::*;
    use crate::config::KeySource;

    const NOW: u64 = 1_800_000_000;

    /// Somebody who signs, and the issuer that trusts it.
    struct Signer {
        key: EncodingKey,
        algorithm: Algorithm,
        set: Arc<KeySet>,
    }

    fn signer(iss: &str, kid: &str, algorithm: Algorithm, allowed: &[Algorithm]) -> Signer {
        let key = match algorithm {
            Algorithm::EdDSA => {
                // Version 1 of PKCS #8, which has no public key: what the library reads.
                let der = KeyPair::generate_for(&PKCS_ED25519).unwrap().serialize_der();
                EncodingKey::from_ed_der(&[&[0x30, 0x2e, 2, 1, 0], &der[5..48]].concat())
            }
            _ => EncodingKey::from_ec_der(&KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap().serialize_der()),
        };
        let mut jwk = Jwk::from_encoding_key(&key, algorithm).unwrap();
        jwk.common.key_id = Some(kid.to_owned());
        let folder = Scratch::new();
        folder.write("jwks.json", &json!({ "keys": [{ "kty": "unheard-of" }, jwk] }).to_string());
        let issuer = Issuer {
            name: kid.to_owned(),
            issuer: iss.to_owned(),
            audience: "reachback".to_owned(),
            keys: KeySource::File(folder.file("jwks.json")),
            algorithms: allowed.to_vec(),
        };
        let set = Arc::new(KeySet::new(issuer, Arc::default()));
        Signer { key, algorithm, set }
    }

    impl Signer {
        fn sign(&self, kid: Option<&str>, claims: &Value) -> String {
            let mut header = Header::new(self.algorithm);
            header.kid = kid.map(str::to_owned);
            encode(&header, claims, &self.key).unwrap()
        }
    }

    fn claims(changes: &Value) -> Value {
        let mut claims = json!({
            "iss": "https://a", "aud": ["other", "reachback"], "sub": "agent",
            "iat": NOW - 10, "nbf": NOW - 10, "exp": NOW + 600,
        });
        for (claim, value) in changes.as_object().unwrap() {
            claims[claim] = value.clone();
        }
        claims
    }

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
    }

    #[test]
    fn claims_good_and_bad() {
        let signer = signer("https://a", "a", Algorithm::ES256, &[Algorithm::ES256]);
        let issuers = [signer.set.clone()];
        let check = |changes: Value, expected: Result<u64, &str>| {
            let token = signer.sign(Some("a"), &claims(&changes));
            let found = verify(&issuers, &token, now());
            let expected = expected.map(|exp| Verified {
                issuer: 0,
                subject: "agent".to_owned(),
                expires: SystemTime::UNIX_EPOCH + Duration::from_secs(exp),
            });
            match (found, expected) {
                (Err(Refused::Stranger(why)), Err(part)) => assert!(why.contains(part), "{changes}: {why}"),
                (found, expected) => assert_eq!(found.ok(), expected.ok(), "{changes}"),
            }
        };
        check(json!({}), Ok(NOW + 600));
        check(json!({ "aud": "reachback", "nbf": null }), Ok(NOW + 600));
        // Clocks that are 30 s apart, and one second more.
        check(json!({ "exp": NOW - 29 }), Ok(NOW - 29));
        check(json!({ "exp": NOW - 30 }), Err("has expired"));
        check(json!({ "nbf": NOW + 30 }), Ok(NOW + 600));
        check(json!({ "nbf": NOW + 31 }), Err("not valid yet"));
        check(json!({ "exp": -1 }), Err(""));
        check(json!({ "exp": 1e300 }), Err(""));
        check(json!({ "exp": "soon" }), Err("lacks a claim"));
        check(json!({ "exp": null }), Err("lacks a claim"));
        check(json!({ "sub": null }), Err("lacks a claim"));
        check(json!({ "aud": null }), Err("lacks a claim"));
        check(json!({ "aud": "other" }), Err("another audience"));
        check(json!({ "aud": [] }), Err("another audience"));
        check(json!({ "iss": "https://b" }), Err("issuer is not known"));
        check(json!({ "iss": ["https://a"] }), Err("damaged"));
    }

    #[test]
    fn keys_tell_issuers_apart_that_share_a_name() {
        let first = signer("https://a", "1", Algorithm::ES256, &[Algorithm::ES256]);
        let second = signer("https://a", "2", Algorithm::EdDSA, &[Algorithm::EdDSA]);
        let issuers = [first.set.clone(), second.set.clone()];
        let issuer = |token: &str| verify(&issuers, token, now()).map(|verified| verified.issuer);
        assert_eq!(issuer(&first.sign(Some("1"), &claims(&json!({})))), Ok(0));
        assert_eq!(issuer(&second.sign(Some("2"), &claims(&json!({})))), Ok(1));
        assert_eq!(issuer(&first.sign(None, &claims(&json!({})))), Ok(0), "one that names no key may be of any");
        assert!(issuer(&first.sign(Some("2"), &claims(&json!({})))).is_err());
        assert_eq!(issuer(&first.sign(Some("3"), &claims(&json!({})))), Err(Refused::UnknownKey));
        let forger = signer("https://a", "1", Algorithm::ES256, &[Algorithm::ES256]);
        let forged = forger.sign(Some("1"), &claims(&json!({})));
        assert_eq!(issuer(&forged), Err(Refused::Stranger("the token's signature is wrong")));
    }

    #[test]
    fn the_key_decides_how_it_verifies() {
        let signer = signer("https://a", "a", Algorithm::ES256, &[Algorithm::ES384, Algorithm::EdDSA]);
        let refused = |token: &str| match verify(std::slice::from_ref(&signer.set), token, now()) {
            Err(Refused::Stranger(why)) => why,
            Err(Refused::UnknownKey) => "its key is not known",
            other => panic!("{token}: {other:?}"),
        };
        let good = signer.sign(Some("a"), &claims(&json!({})));
        assert!(refused(&good).contains("its issuer may not"));
        // The public key as a shared secret: it is public.
        let keys = signer.set.keys();
        let public: &DecodingKey = &keys[0].key;
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("a".to_owned());
        let secret = EncodingKey::from_secret(public.try_get_as_bytes().unwrap());
        let forged = encode(&header, &claims(&json!({})), &secret).unwrap();
        assert!(refused(&forged).contains("key is not known"));
        let (_, rest) = good.split_once('.').unwrap();
        let (payload, _) = rest.split_once('.').unwrap();
        for none in ["eyJhbGciOiJub25lIn0", "eyJhbGciOiJOb25lIn0"] {
            assert_eq!(refused(&format!("{none}.{payload}.")), "the token is not known");
        }
        for garbage in ["", ".", "..", "a.b.c", "a.b", &good[1..], &"x.".repeat(5000)] {
            refused(garbage);
        }
    }
}
