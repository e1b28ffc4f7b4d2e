//! TLS: what ends it in front of a gateway, with a certificate authority of its own; and a client for facades.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CertifiedKey, IsCa, KeyPair, generate_simple_self_signed,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, pem::PemObject as _},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

/// The relay; it ends when it is dropped.
#[derive(Debug)]
pub struct Relay {
    /// Where TLS is spoken.
    pub address: SocketAddr,
    /// The authority's certificate, as a CA file holds it.
    pub authority: String,
    task: JoinHandle<()>,
}

impl Relay {
    /// Relays from a free port of `ip` to `target`, as `localhost` and `127.0.0.1`.
    ///
    /// # Panics
    /// If no certificate can be made, or loopback has no free port.
    pub async fn start(ip: IpAddr, target: SocketAddr) -> Self {
        let (authority, config) = certificates();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind((ip, 0)).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(relay(acceptor.clone(), stream, target));
            }
        });
        Self { address, authority, task }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn relay(acceptor: TlsAcceptor, stream: TcpStream, target: SocketAddr) {
    let Ok(mut near) = acceptor.accept(stream).await else { return };
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    let _ = copy_bidirectional(&mut near, &mut far).await;
}

fn certificates() -> (String, ServerConfig) {
    let key = || KeyPair::generate().expect("a key can be made");
    let mut params = CertificateParams::new(Vec::new()).expect("no names are good names");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, key()).expect("an authority can be made");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let own = key();
    let params = CertificateParams::new(names).expect("the names are good");
    let certificate = params.signed_by(&own, &authority).expect("a certificate can be signed");
    let own = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows the versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], own)
        .expect("the certificate fits its key");
    (authority.pem(), config)
}

/// A certificate for `localhost` and its key, both in PEM.
///
/// # Panics
/// If none can be made.
#[must_use]
pub fn identity() -> (String, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec!["localhost".to_owned()]).expect("a certificate can be made");
    (cert.pem(), signing_key.serialize_pem())
}

/// Connects to `localhost` at an address, and trusts this certificate (PEM) alone.
///
/// # Panics
/// If nobody listens, or somebody else does.
pub async fn connect(address: SocketAddr, certificate: &str) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("it is a certificate");
    roots.add(certificate).expect("it can be trusted");
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows the versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect(address).await.expect("somebody listens");
    let name = ServerName::try_from("localhost").expect("it is a name");
    TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .expect("the certificate is the one that is trusted")
}
