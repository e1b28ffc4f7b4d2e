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
    let mut refused = stranger("the token's issuer is not known");
    let mut missing = Vec::new();
    for (at, set) in issuers.iter().enumerate().filter(|(_, set)| set.issuer.issuer == iss) {
        let keys = set.keys();
        let mut fitting = keys.iter().filter(|key| fits(key, &header)).peekable();
        if fitting.peek().is_none() {
            refused = stranger("the token's key is not known");
            missing.push(set);
        }
        for key in fitting {
            match verified(token, key, &header, &set.issuer, now) {
                Ok((subject, expires)) => return Ok(Verified { issuer: at, subject, expires }),
                Err(why) => refused = why,
            }
        }
    }
    let wanted: Vec<bool> = missing.into_iter().map(|set| set.want()).collect();
    if wanted.contains(&true) { Err(Refused::NotYet) } else { Err(refused) }
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
