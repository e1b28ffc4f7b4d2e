//! How the agent verifies gateways, and proves itself to them by a certificate.

use std::sync::Arc;

use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use settings::Fault;

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
        let verifies = match (&config.ca, config.insecure_skip_verify) {
            (_, true) => Verifies::Nothing,
            (Some(authorities), false) => {
                let mut roots = RootCertStore::empty();
                authorities.iter().try_for_each(|authority| roots.add(authority.clone()))?;
                Verifies::By(Arc::new(roots))
            }
            (None, false) => Verifies::By(Arc::new(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect())),
        };
        let without_certificate = Arc::new(client(&verifies, None).map_err(|error| match error {
            Unusable::Rustls(error) => error,
            Unusable::Certificate(fault) => Error::General(fault.to_string()),
        })?);
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
        let made = tokio::task::spawn_blocking(move || client(&verifies, Some(&files))).await;
        let made = made.map_err(|panic| panic.to_string())?;
        made.map(Arc::new).map_err(|error| error.to_string())
    }
}

#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error(transparent)]
    Rustls(#[from] Error),
    #[error("{0}")]
    Certificate(Fault),
}

fn client(verifies: &Verifies, files: Option<&CertificateFiles>) -> Result<ClientConfig, Unusable> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
    let builder = match verifies {
        Verifies::By(roots) => builder.with_root_certificates(roots.clone()),
        Verifies::Nothing => builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate(provider))),
    };
    let mut client = match files {
        Some(files) => {
            let (chain, key) = files.read().map_err(Unusable::Certificate)?;
            builder.with_client_auth_cert(chain, key)?
        }
        None => builder.with_no_client_auth(),
    };
    client.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(client)
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
