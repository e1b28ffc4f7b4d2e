//! Whom the agent takes for a gateway, and what it proves itself with: token, certificate, authorities.

use std::path::{Path, PathBuf};

use rustls::{RootCertStore, crypto::aws_lc_rs, sign::CertifiedKey};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use settings::{At, Fault, Findings, Token, pem, secret, units::switch};

use super::{GatewayUrl, raw::RawConfig};

/// What to do where the token is not there yet.
const MAKES_TOKENS: &str = "`reachback register` puts a token there for a code from whoever runs the gateway";

/// The agent's own certificate. Only where it is: each dial reads it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateFiles {
    /// The certificate and those that vouch for it, in PEM.
    pub cert: PathBuf,
    /// Its private key, in PEM; may be the same file.
    pub key: PathBuf,
}

impl CertificateFiles {
    /// Reads both.
    ///
    /// # Errors
    /// A [`Fault`] if they cannot be read, or hold no certificate or key.
    pub(crate) fn read(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Fault> {
        let chain = pem::certificates(&pem::read(&self.cert, "certificate")?, &self.cert, "certificate")?;
        Ok((chain, pem::private_key(&pem::read(&self.key, "key")?, &self.key)?))
    }
}

/// What the agent proves itself with, and whom it believes.
pub(super) struct Trust {
    pub(super) token: Option<Token>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) certificate: Option<CertificateFiles>,
    pub(super) ca: Option<Vec<CertificateDer<'static>>>,
    pub(super) insecure_skip_verify: bool,
}

pub(super) fn check(raw: &RawConfig, gateways: Option<&[At<GatewayUrl>]>, found: &mut Findings<'_>) -> Option<Trust> {
    let token = settings::token::token(found, raw.token_file.as_ref(), raw.token_env.as_ref(), MAKES_TOKENS);
    let certificate = certificate(raw, found);
    let secrets = [raw.token_file.as_ref(), raw.key_file.as_ref().or(raw.cert_file.as_ref())];
    secrets.into_iter().flatten().for_each(|key| secret::warn_of_writers(found, key));
    let ca = authorities(raw, found);
    let insecure = found.or(raw.insecure_skip_verify.as_ref(), false, switch);
    if let Some(gateways) = gateways {
        warn_of_useless(raw, gateways, found);
        if let (Some(token), Some(certificate)) = (&token, &certificate) {
            warn_of_plain_text(gateways, token.as_ref(), found);
            proven(gateways, token.is_some() || certificate.is_some(), found)?;
        }
    }
    if insecure == Some(true) {
        let place = raw.insecure_skip_verify.as_ref().map(|text| text.place);
        found.warn(place, "`insecure_skip_verify`: whoever answers is taken for the gateway, and gets the credential");
    }
    Some(Trust {
        token: token?,
        token_file: raw.token_file.as_ref().map(|file| found.source().resolve(&file.value)),
        certificate: certificate?,
        ca: ca?,
        insecure_skip_verify: insecure?,
    })
}

fn certificate(raw: &RawConfig, found: &mut Findings<'_>) -> Option<Option<CertificateFiles>> {
    let (cert_file, key_file) = match (&raw.cert_file, &raw.key_file) {
        (Some(cert_file), key_file) => (cert_file, key_file.as_ref().unwrap_or(cert_file)),
        (None, Some(key_file)) => {
            let remedy = "add `cert_file`, the certificate that the key belongs to";
            found.fault(key_file.place, Fault::new("there is a key and no certificate", remedy));
            return None;
        }
        (None, None) => return Some(None),
    };
    let files = CertificateFiles {
        cert: found.source().resolve(&cert_file.value),
        key: found.source().resolve(&key_file.value),
    };
    // Looked at alone only to point at the right one.
    if key_file.place != cert_file.place {
        found.parsed(key_file, |_| pem::private_key(&pem::read(&files.key, "key")?, &files.key))?;
    }
    found.parsed(cert_file, |_| fit(&files))?;
    Some(Some(files))
}

fn fit(files: &CertificateFiles) -> Result<(), Fault> {
    let (chain, key) = files.read()?;
    let made = CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider());
    made.map(drop).map_err(|error| {
        let (cert, key) = (files.cert.display(), files.key.display());
        let what = format!("the certificate in {cert} cannot be used with the key in {key}: {error}");
        Fault::new(what, "take the key that the certificate was made for, and put the agent's own certificate first")
    })
}

/// Those of `ca_file`, those of the system, or both.
fn authorities(raw: &RawConfig, found: &mut Findings<'_>) -> Option<Option<Vec<CertificateDer<'static>>>> {
    let system = found.or(raw.system_roots.as_ref(), false, switch);
    let ca = match &raw.ca_file {
        Some(file) => {
            let path = found.source().resolve(&file.value);
            found.parsed(file, |_| of_file(&path)).map(Some)
        }
        None => Some(None),
    };
    let (system, ca) = (system?, ca?);
    let (true, Some(text)) = (system, &raw.system_roots) else { return Some(ca) };
    let mut all = found.parsed(text, |_| of_system())?;
    all.extend(ca.unwrap_or_default());
    Some(Some(all))
}

fn of_file(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let certificates = pem::certificates(&pem::read(path, "CA")?, path, "CA")?;
    for (at, certificate) in certificates.iter().enumerate() {
        RootCertStore::empty().add(certificate.clone()).map_err(|error| {
            let shown = path.display();
            let what = format!("certificate {} of the CA file {shown} cannot be an authority: {error}", at + 1);
            Fault::new(what, "keep only certificates of authorities in it")
        })?;
    }
    Ok(certificates)
}

/// Systems have some that cannot be used; they are passed over, as browsers do.
fn of_system() -> Result<Vec<CertificateDer<'static>>, Fault> {
    let found = rustls_native_certs::load_native_certs();
    let usable = |certificate: &CertificateDer<'static>| RootCertStore::empty().add(certificate.clone()).is_ok();
    let certificates: Vec<_> = found.certs.into_iter().filter(usable).collect();
    if !certificates.is_empty() {
        return Ok(certificates);
    }
    let why = found.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
    let remedy = "install the system's certificates (package ca-certificates), or use `ca_file`";
    Err(Fault::new(format!("the system has no authorities that could be trusted{why}"), remedy))
}

/// A gateway beyond loopback admits nobody without a credential, so dialling it without one could only fail later.
fn proven(gateways: &[At<GatewayUrl>], is_proven: bool, found: &mut Findings<'_>) -> Option<()> {
    if is_proven {
        return Some(());
    }
    if let Some(gateway) = gateways.iter().find(|gateway| !gateway.value.is_loopback()) {
        let what = format!("{} is another machine, but there is no token to prove itself with", gateway.value);
        let remedy = if found.source().is_numbered() {
            "add `token_file`, `token_env` or `cert_file`"
        } else {
            "add --token-file"
        };
        found.fault(gateway.place, Fault::new(what, remedy));
        return None;
    }
    found.warn(None, "there is no token: only gateways on this machine are dialled, and only open ones will accept");
    Some(())
}

fn warn_of_plain_text(gateways: &[At<GatewayUrl>], token: Option<&Token>, found: &mut Findings<'_>) {
    let plain = |gateway: &&At<GatewayUrl>| !gateway.value.tls && !gateway.value.is_loopback();
    for gateway in gateways.iter().filter(plain).filter(|_| token.is_some()) {
        let text = format!("the token and all requests travel to {} unencrypted; prefer wss://", gateway.value);
        found.warn(gateway.place, text);
    }
}

fn warn_of_useless(raw: &RawConfig, gateways: &[At<GatewayUrl>], found: &mut Findings<'_>) {
    let keys = [
        ("ca_file", &raw.ca_file),
        ("system_roots", &raw.system_roots),
        ("cert_file", &raw.cert_file),
        ("insecure_skip_verify", &raw.insecure_skip_verify),
    ];
    if gateways.iter().any(|gateway| gateway.value.tls) {
        return;
    }
    for (key, text) in keys.into_iter().filter_map(|(key, text)| Some((key, text.as_ref()?))) {
        found.warn(text.place, format!("`{key}` has no effect, because no gateway is dialled by wss://"));
    }
}
