//! How the agent verifies gateways, and proves itself to them by a certificate.

use std::sync::Arc;

use rustls::{
    ClientConfig, ConfigBuilder, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        WantsClientCert,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use settings::Fault;

use super::standing::in_time;
use crate::config::{CertificateFiles, Config};

/// What dials by `wss://` go by.
#[derive(Debug)]
pub(super) struct Tls {
    without_certificate: Arc<ClientConfig>,
    verifies: Verifies,
    /// Read anew at each dial.
    certificate: Option<CertificateFiles>,
}

#[derive(Clone, Debug)]
enum Verifies {
    By(Arc<RootCertStore>),
    Nothing,
}

impl Tls {
    /// # Errors
    /// Those of rustls, if a configured authority is not a usable certificate.
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let verifies = if config.insecure_skip_verify { Verifies::Nothing } else { Verifies::By(roots(config)?) };
        let without_certificate = Arc::new(anonymous(&verifies)?);
        Ok(Self { without_certificate, verifies, certificate: config.certificate.clone() })
    }

    /// Whether anybody may pose as a gateway.
    pub(super) fn is_insecure(&self) -> bool {
        matches!(self.verifies, Verifies::Nothing)
    }

    /// For the next handshake.
    ///
    /// # Errors
    /// Why the agent's own certificate cannot be used.
    pub(super) async fn client(&self) -> Result<Arc<ClientConfig>, String> {
        let Some(files) = self.certificate.clone() else { return Ok(self.without_certificate.clone()) };
        let verifies = self.verifies.clone();
        let made = in_time(move || proven(&verifies, &files)).await?;
        made.map(Arc::new).map_err(|error| error.to_string())
    }
}

/// What dials by `https://` proxies go by: always verified, and without the agent's certificate.
///
/// # Errors
/// Those of rustls, if a configured authority is not a usable certificate.
pub(super) fn for_proxies(config: &Config) -> Result<Arc<ClientConfig>, Error> {
    anonymous(&Verifies::By(roots(config)?)).map(Arc::new)
}

/// The configured authorities alone, or the built-in web roots if there are none.
fn roots(config: &Config) -> Result<Arc<RootCertStore>, Error> {
    let Some(authorities) = &config.ca else {
        return Ok(Arc::new(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()));
    };
    let mut roots = RootCertStore::empty();
    authorities.iter().try_for_each(|authority| roots.add(authority.clone()))?;
    Ok(Arc::new(roots))
}

#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Rustls(#[from] Error),
    #[error("{0}")]
    Certificate(Fault),
}

fn anonymous(verifies: &Verifies) -> Result<ClientConfig, Error> {
    Ok(http1(builder(verifies)?.with_no_client_auth()))
}

fn proven(verifies: &Verifies, files: &CertificateFiles) -> Result<ClientConfig, Unusable> {
    let (chain, key) = files.read().map_err(Unusable::Certificate)?;
    Ok(http1(builder(verifies)?.with_client_auth_cert(chain, key)?))
}

fn builder(verifies: &Verifies) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    Ok(match verifies {
        Verifies::By(roots) => builder.with_root_certificates(roots.clone()),
        Verifies::Nothing => builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))),
    })
}

fn http1(mut client: ClientConfig) -> ClientConfig {
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    client
}

/// Takes anybody for the gateway (`insecure_skip_verify`). Signatures are still checked: without that the handshake
/// itself would be broken.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
