//! What a listener that speaks TLS proves itself with, and whom it asks to do the same: read, and checked together.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    Error, RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    server::{NoServerSessionStorage, WebPkiClientVerifier},
};
use settings::{
    At, Fault, Findings,
    pem::{self, certificates, private_key},
};
use sha2::{Digest, Sha256};

use super::raw::RawTls;

/// What a listener proves itself with.
#[derive(Clone)]
#[non_exhaustive]
pub struct Tls {
    /// Where it was read from.
    pub files: TlsFiles,
    /// What the files held when they were read.
    pub server: Arc<ServerConfig>,
    /// Tells whether they hold the same still.
    pub(crate) digest: [u8; 32],
}

/// The files of a listener that speaks TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsFiles {
    /// The certificate and those that vouch for it, in PEM.
    pub cert: PathBuf,
    /// The certificate's private key, in PEM; may be the same file.
    pub key: PathBuf,
    /// The authorities of clients' certificates, in PEM; `None`: clients are asked for no certificate.
    pub client_ca: Option<PathBuf>,
    /// Whether HTTP/2 and HTTP/1.0 are offered beside HTTP/1.1, as a facade does.
    pub http2: bool,
}

/// What the files held at one moment.
pub(crate) struct TlsContents {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl TlsFiles {
    /// Reads all of them.
    pub(crate) fn read(&self) -> Result<TlsContents, Fault> {
        Ok(TlsContents {
            cert: pem::read(&self.cert, "certificate")?,
            key: pem::read(&self.key, "key")?,
            client_ca: self.client_ca.as_deref().map(|path| pem::read(path, "CA")).transpose()?,
        })
    }
}

impl TlsContents {
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for file in [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()].into_iter().flatten() {
            digest.update((file.len() as u64).to_be_bytes());
            digest.update(file);
        }
        digest.finalize().into()
    }
}

impl Tls {
    /// Makes sense of what was read.
    pub(crate) fn new(files: &TlsFiles, contents: &TlsContents) -> Result<Self, Fault> {
        let server = server(files, contents)?;
        Ok(Self { files: files.clone(), server: Arc::new(server), digest: contents.digest() })
    }
}

/// The keys within stay hidden.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("files", &self.files).finish_non_exhaustive()
    }
}

/// Checks `tls: { cert_file: …, key_file: … }`. One file may hold both.
pub(super) fn check(raw: Option<&At<RawTls>>, http2: bool, found: &mut Findings<'_>) -> Option<Option<Tls>> {
    let Some(raw) = raw else { return Some(None) };
    let missing = Fault::new("`tls` has no certificate", "add `cert_file`, and `key_file` unless one file holds both");
    let RawTls { cert_file: Some(cert_file), key_file, client_ca_file } = &raw.value else {
        found.fault(raw.place, missing);
        return None;
    };
    let resolve = |text: &settings::Text| found.source().resolve(&text.value);
    let key_file = key_file.as_ref().unwrap_or(cert_file);
    let client_ca = client_ca_file.as_ref().map(resolve);
    let files = TlsFiles { cert: resolve(cert_file), key: resolve(key_file), client_ca, http2 };
    // Looked at one by one only to point at the right one.
    if key_file.place != cert_file.place {
        found.parsed(key_file, |_| private_key(&pem::read(&files.key, "key")?, &files.key))?;
    }
    if let (Some(text), Some(path)) = (client_ca_file, &files.client_ca) {
        found.parsed(text, |_| roots(&pem::read(path, "CA")?, path))?;
    }
    found.parsed(cert_file, |_| Tls::new(&files, &files.read()?)).map(Some)
}

fn server(files: &TlsFiles, contents: &TlsContents) -> Result<ServerConfig, Fault> {
    let chain = certificates(&contents.cert, &files.cert, "certificate")?;
    let key = private_key(&contents.key, &files.key)?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(&error, files))?;
    let builder = match (&files.client_ca, &contents.client_ca) {
        (Some(path), Some(pem)) => {
            // Who shows no certificate has another credential, or is refused for want of one.
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots(pem, path)?), provider)
                .allow_unauthenticated()
                .build()
                .map_err(|error| not_an_authority(path, &error))?;
            builder.with_client_cert_verifier(verifier)
        }
        _ => builder.with_no_client_auth(),
    };
    let mut server = builder.with_single_cert(chain, key).map_err(|error| unusable(&error, files))?;
    // Some clients that speak HTTP/1.0 offer that and nothing else.
    let protocols: &[&[u8]] = if files.http2 { &[b"h2", b"http/1.1", b"http/1.0"] } else { &[b"http/1.1"] };
    if contents.client_ca.is_some() {
        // A session that is gone on with shows no certificate, and one that has expired meanwhile would pass.
        server.session_storage = Arc::new(NoServerSessionStorage {});
        server.send_tls13_tickets = 0;
    }
    server.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Ok(server)
}

fn roots(pem: &[u8], path: &Path) -> Result<RootCertStore, Fault> {
    let mut roots = RootCertStore::empty();
    for authority in certificates(pem, path, "CA")? {
        roots.add(authority).map_err(|error| not_an_authority(path, &error))?;
    }
    Ok(roots)
}

fn not_an_authority(path: &Path, error: &impl fmt::Display) -> Fault {
    let what = format!("a certificate of the CA file {} cannot be an authority: {error}", path.display());
    Fault::new(what, "keep only certificates of authorities in it")
}

fn unusable(error: &Error, files: &TlsFiles) -> Fault {
    let (cert, key) = (files.cert.display(), files.key.display());
    match error {
        Error::InconsistentKeys(_) => Fault::new(
            format!("the private key in {key} is not that of the first certificate in {cert}"),
            "take the key that the certificate was made for, and put the server's own certificate before the others",
        ),
        _ => Fault::new(
            format!("the certificate in {cert} cannot be used with the key in {key}: {error}"),
            "take an RSA, ECDSA or Ed25519 key with its certificate, in PEM form",
        ),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use settings::{Source, scratch::Scratch};

    use crate::{Config, Listen};

    /// A folder with files.
    struct Folder(Scratch);

    impl Folder {
        fn new(files: &[(&str, &str)]) -> Self {
            let folder = Scratch::new();
            files.iter().for_each(|(name, text)| folder.write(name, text));
            Self(folder)
        }

        fn config(&self, listen: &str, tls: &str) -> Result<Config, settings::Invalid> {
            let text = format!(
                "listen: 127.0.0.1:1\nagents: [ {{ name: a, token_file: token, services: ['*'] }} ]\nfacades:\n  \
                 - {{ listen: {listen}, service: a, tls: {tls} }}\n"
            );
            Config::from_source(&Source::file("gateway.yaml", &text, self.0.path()))
        }
    }

    #[test]
    fn pairs_good_and_bad() {
        let make = || generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        let (CertifiedKey { cert, signing_key }, other) = (make(), make());
        let (cert, key) = (cert.pem(), signing_key.serialize_pem());
        let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        let folder = Folder::new(&[
            ("token", "0123456789abcdef"),
            ("cert.pem", &cert),
            ("key.pem", &key),
            ("both.pem", &format!("{key}{cert}")),
            ("chain.pem", &format!("{cert}{}", other.cert.pem())),
            ("wrong-order.pem", &format!("{}{cert}", other.cert.pem())),
            ("other.key", &other.signing_key.serialize_pem()),
            ("encrypted.key", &encrypted),
            ("damaged.pem", &cert.replace("MII", "M!I")),
            ("large.pem", &"x".repeat(4 * 1024 * 1024 + 1)),
            ("empty.pem", ""),
        ]);
        for good in [
            "{ cert_file: cert.pem, key_file: key.pem }",
            "{ cert_file: both.pem }",
            "{ cert_file: chain.pem, key_file: key.pem }",
        ] {
            // Encrypted, it may be reached from elsewhere without `insecure_listen`.
            let config = folder.config("0.0.0.0:2", good).unwrap_or_else(|report| panic!("{good}\n{report}"));
            assert_eq!(config.facades[0].listen, Listen::Tcp("0.0.0.0:2".parse().unwrap()));
            assert!(!format!("{config:?}").contains("PrivateKey"), "a configuration that is logged shows no key");
        }
        let check = |tls: &str, fragments: &[&str]| {
            let report = folder.config("127.0.0.1:2", tls).expect_err(tls).to_string();
            for fragment in fragments {
                assert!(report.contains(fragment), "{tls}\nlacks {fragment:?}:\n{report}");
            }
            assert!(!report.contains("BEGIN PRIVATE KEY-----\n"), "{report}");
        };
        check("{}", &["gateway.yaml:4:45", "`tls` has no certificate"]);
        check("{ cert_file: none.pem }", &["4:58", "none.pem cannot be read"]);
        check("{ cert_file: cert.pem }", &["4:58", "cert.pem holds no private key"]);
        check("{ cert_file: cert.pem, key_file: cert.pem }", &["4:78", "holds no private key"]);
        check("{ cert_file: key.pem, key_file: key.pem }", &["4:58", "key.pem holds no certificate"]);
        check("{ cert_file: empty.pem, key_file: key.pem }", &["4:58", "holds no certificate"]);
        check("{ cert_file: cert.pem, key_file: other.key }", &["is not that of the first certificate"]);
        check("{ cert_file: wrong-order.pem, key_file: key.pem }", &["own certificate before the others"]);
        check("{ cert_file: cert.pem, key_file: encrypted.key }", &["4:78", "is encrypted", "openssl pkey"]);
        check("{ cert_file: damaged.pem, key_file: key.pem }", &["damaged.pem is damaged"]);
        check("{ cert_file: large.pem, key_file: key.pem }", &["is larger than 4MiB"]);
        check("{ cert: cert.pem }", &["did you mean `cert_file`?"]);
    }
}
