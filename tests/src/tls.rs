//! TLS: what ends it in front of a gateway, with a certificate authority of its own; and a client for facades.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, CertifiedKey, DnType, IsCa, KeyPair, SanType,
    date_time_ymd, generate_simple_self_signed,
};
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore, ServerConfig, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, pem::PemObject as _},
    server::WebPkiClientVerifier,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, TlsConnector, client::TlsStream};

use crate::scratch::Scratch;

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
    /// Relays from a free port of `ip` to `target`, as `localhost`, `127.0.0.1` and `gateway.test`.
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

/// Somebody who vouches for certificates.
#[derive(Debug)]
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    /// A new one, whom nobody trusts yet.
    ///
    /// # Panics
    /// If none can be made.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "no two are alike")]
    pub fn new() -> Self {
        Self::named("an authority")
    }

    /// One of this name.
    ///
    /// # Panics
    /// As [`Authority::new`].
    #[must_use]
    pub fn named(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names are good names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, new_key()).expect("an authority can be made"))
    }

    /// Its own certificate, as a CA file holds it.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate with its key, both in one PEM. A name with `://` is a URI, one with `CN=` before it the common name,
    /// any other a DNS name or an address.
    ///
    /// # Panics
    /// If a name is none.
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> String {
        let (certificate, key) = self.certificate(names, |_| {});
        key.serialize_pem() + &certificate.pem()
    }

    /// The same, but long expired.
    ///
    /// # Panics
    /// If a name is none.
    #[must_use]
    pub fn issue_expired(&self, names: &[&str]) -> String {
        let (certificate, key) = self.certificate(names, |params| params.not_after = date_time_ymd(2001, 1, 1));
        key.serialize_pem() + &certificate.pem()
    }

    fn certificate(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> (Certificate, KeyPair) {
        let (common, names): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.starts_with("CN="));
        let (uris, names): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.contains("://"));
        let names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(names).expect("the names are good");
        params.subject_alt_names.extend(uris.into_iter().map(|uri| SanType::URI(uri.try_into().expect("it is a URI"))));
        for name in common {
            params.distinguished_name.push(DnType::CommonName, name.trim_start_matches("CN="));
        }
        change(&mut params);
        let key = new_key();
        let certificate = params.signed_by(&key, &self.0).expect("a certificate can be signed");
        (certificate, key)
    }
}

/// What `openssl req -x509` makes: a certificate that vouches for itself, and is an authority's. With its key, both in one
/// PEM.
///
/// # Panics
/// If none can be made.
#[must_use]
pub fn authority_as_server(names: &[&str]) -> String {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("the names are good");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = new_key();
    key.serialize_pem() + &params.self_signed(&key).expect("a certificate can vouch for itself").pem()
}

fn new_key() -> KeyPair {
    KeyPair::generate().expect("a key can be made")
}

fn certificates() -> (String, ServerConfig) {
    let authority = Authority::new();
    let (certificate, own) = authority.certificate(&["localhost", "127.0.0.1", "gateway.test"], |_| {});
    let own = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows the versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], own)
        .expect("the certificate fits its key");
    (authority.pem(), config)
}

/// Takes connections of this version of TLS from whoever has a certificate of this authority (PEM), and proves itself
/// with this one (PEM with its key). Nothing is said there.
///
/// # Panics
/// If one of them is damaged, or loopback has no free port.
pub async fn judge(version: &'static SupportedProtocolVersion, authority: &str, own: &str) -> SocketAddr {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(authority)), provider.clone());
    let (certificate, key) = certificate_and_key(own);
    let config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .expect("the provider knows the version")
        .with_client_cert_verifier(clients.build().expect("it is an authority"))
        .with_single_cert(vec![certificate], key)
        .expect("the certificate fits its key");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound listener has an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = acceptor.accept(stream).await;
        }
    });
    address
}

fn certificate_and_key(pem: &str) -> (CertificateDer<'static>, PrivateKeyDer<'static>) {
    let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).expect("it holds a certificate");
    (certificate, PrivateKeyDer::from_pem_slice(pem.as_bytes()).expect("it holds a key"))
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

/// A facade for `orders` that speaks TLS, as an item of a gateway's list, and the certificate to trust, which is left in
/// the folder as `cert.pem`. `more`: further keys.
///
/// # Panics
/// If no certificate can be made.
#[must_use]
pub fn facade(folder: &Scratch, more: &str) -> (String, String) {
    let (certificate, key) = identity();
    folder.write("both.pem", &format!("{key}{certificate}"));
    folder.write("cert.pem", &certificate);
    let file = folder.path().join("both.pem");
    let item =
        format!("  - {{ listen: 127.0.0.1:0, service: orders, tls: {{ cert_file: {} }}{more} }}\n", file.display());
    (item, certificate)
}

/// Connects to `localhost` at an address to speak HTTP/1.1, and trusts this certificate (PEM) alone.
///
/// # Panics
/// If nobody listens, or somebody else does.
pub async fn connect(address: SocketAddr, certificate: &str) -> TlsStream<TcpStream> {
    offer(address, certificate, &["http/1.1"]).await.expect("the certificate is the one that is trusted")
}

/// The same with a choice of protocols (ALPN, RFC 7301).
///
/// # Errors
/// If the other side wants none of them, or is somebody else.
///
/// # Panics
/// If nobody listens.
pub async fn offer(address: SocketAddr, certificate: &str, protocols: &[&str]) -> io::Result<TlsStream<TcpStream>> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider knows the versions")
        .with_root_certificates(roots(certificate))
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await.expect("somebody listens");
    let name = ServerName::try_from("localhost").expect("it is a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// Whether somebody who shows this certificate, with its key (PEM), is let go on with an earlier session the second time,
/// in which the certificate is not shown and so not judged.
///
/// # Panics
/// If nobody listens who is of this authority (PEM), or who takes the certificate.
pub async fn resumes(
    address: SocketAddr,
    authority: &str,
    own: &str,
    version: &'static SupportedProtocolVersion,
) -> bool {
    let (certificate, key) = certificate_and_key(own);
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .expect("the provider knows the version")
        .with_root_certificates(roots(authority))
        .with_client_auth_cert(vec![certificate], key)
        .expect("the certificate fits its key");
    let connector = TlsConnector::from(Arc::new(config));
    let mut kind = None;
    for _ in 0..2 {
        let stream = TcpStream::connect(address).await.expect("somebody listens");
        let name = ServerName::try_from("localhost").expect("it is a name");
        let mut stream = connector.connect(name, stream).await.expect("the certificates are good");
        kind = stream.get_ref().1.handshake_kind();
        // What a session is gone on with comes with an answer at the latest.
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("the other side listens");
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
    kind == Some(HandshakeKind::Resumed)
}

fn roots(certificate: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("it is a certificate");
    roots.add(certificate).expect("it can be trusted");
    roots
}
