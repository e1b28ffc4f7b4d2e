//! Whose signed tokens (JWT, RFC 7519) are believed: the entries of `issuers`, checked.

use std::path::PathBuf;

use http::Uri;
use jsonwebtoken::Algorithm;
use rustls_pki_types::CertificateDer;
use settings::{At, Entries, Fault, Findings, Text, net, pem};

use super::raw::RawIssuer;

/// What may sign a token. Nothing symmetric: whoever can verify could forge. (`none` is not known at all.)
const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

/// Somebody who signs tokens for agents.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Issuer {
    /// What the configuration calls it.
    pub name: String,
    /// The `iss` of its tokens.
    pub issuer: String,
    /// The `aud` that they must have, perhaps among others.
    pub audience: String,
    /// Where its keys are.
    pub keys: KeySource,
    /// What they may be signed with; at least one.
    pub algorithms: Vec<Algorithm>,
}

/// Where the keys of an issuer are: a JSON Web Key Set (RFC 7517 §5).
#[derive(Clone, Debug)]
pub enum KeySource {
    /// In a file.
    File(PathBuf),
    /// At a URL.
    Url {
        /// `https://`, or `http://` on this machine.
        url: Uri,
        /// Authorities to trust instead of the built-in web roots.
        ca: Option<Vec<CertificateDer<'static>>>,
    },
}

pub(super) fn check_all(raw: &Entries<At<RawIssuer>>, found: &mut Findings<'_>) -> Option<Vec<Issuer>> {
    let checked: Vec<_> = raw.0.iter().map(|(name, raw)| issuer(name, raw, found)).collect();
    checked.into_iter().collect()
}

fn issuer(name: &Text, raw: &At<RawIssuer>, found: &mut Findings<'_>) -> Option<Issuer> {
    let at = Some(raw.place);
    let named = found.parsed(name, net::name);
    let missing = Fault::new("this issuer has no `issuer`", "add `issuer`: what its tokens have as `iss`");
    let iss = found.required(raw.value.issuer.as_ref(), (at, missing), text);
    let remedy = "add `audience`, such as reachback: a token made for somebody else must not open this door";
    let missing = Fault::new("this issuer has no `audience`", remedy);
    let audience = found.required(raw.value.audience.as_ref(), (at, missing), text);
    let keys = keys(raw, found);
    let algorithms = found.each(&raw.value.algorithms, algorithm)?;
    let algorithms = match &*algorithms {
        [] => ALGORITHMS.iter().map(|(_, algorithm)| *algorithm).collect(),
        given => given.iter().map(|given| given.value).collect(),
    };
    Some(Issuer { name: named?, issuer: iss?, audience: audience?, keys: keys?, algorithms })
}

fn text(text: &str) -> Result<String, Fault> {
    if text.is_empty() {
        return Err(Fault::new("this is empty", "write what the tokens say"));
    }
    Ok(text.to_owned())
}

fn keys(raw: &At<RawIssuer>, found: &mut Findings<'_>) -> Option<KeySource> {
    let RawIssuer { jwks_file, jwks_url, ca_file, .. } = &raw.value;
    match (jwks_file, jwks_url) {
        (Some(file), None) => {
            let path = found.source().resolve(&file.value);
            found.parsed(file, |_| crate::auth::check_key_file(&path))?;
            Some(KeySource::File(path))
        }
        (None, Some(text)) => {
            let url = found.parsed(text, url);
            let source = found.source();
            let ca = found.optional(ca_file.as_ref(), |file| {
                let path = source.resolve(file);
                pem::certificates(&pem::read(&path, "CA")?, &path, "CA")
            });
            Some(KeySource::Url { url: url?, ca: ca? })
        }
        _ => {
            let remedy = "add `jwks_file: FILE` or `jwks_url: https://…`, one of the two";
            found.fault(raw.place, Fault::new("where this issuer's keys are is not said, or said twice", remedy));
            None
        }
    }
}

fn url(text: &str) -> Result<Uri, Fault> {
    let remedy = "write https://HOST/PATH, or http://127.0.0.1:PORT/PATH on this machine";
    let uri: Uri = text.parse().map_err(|_| Fault::new(format!("{text:?} is not a URL"), remedy))?;
    let host = uri.host().unwrap_or_default();
    let good = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => net::is_loopback_host(host.trim_matches(['[', ']'])),
        _ => false,
    };
    let plain = uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
    if good && plain && !host.is_empty() {
        return Ok(uri);
    }
    Err(Fault::new(format!("keys cannot be fetched from {text:?}: whoever listens in could replace them"), remedy))
}

fn algorithm(text: &str) -> Result<Algorithm, Fault> {
    let known = ALGORITHMS.iter().find(|(name, _)| *name == text);
    known.map(|(_, algorithm)| *algorithm).ok_or_else(|| {
        let names: Vec<&str> = ALGORITHMS.iter().map(|(name, _)| *name).collect();
        Fault::new(format!("`{text}` may not sign a token"), format!("write some of {}", names.join(", ")))
    })
}
