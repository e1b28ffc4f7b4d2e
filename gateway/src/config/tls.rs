//! The certificate of a listener that speaks TLS, with its key: read, and checked as a pair.

use std::{
    fmt,
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{Error, ServerConfig, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _};
use settings::{At, Fault, Findings, units::show_bytes};

use super::raw::RawTls;

/// Largest file of a certificate or key, in bytes: a chain has a few kilobytes.
const FILE_BYTES: u64 = 1024 * 1024;

/// What a listener proves itself with.
#[derive(Clone)]
#[non_exhaustive]
pub struct Tls {
    /// The certificate and those that vouch for it, in PEM.
    pub cert_file: PathBuf,
    /// The certificate's private key, in PEM; may be the same file.
    pub key_file: PathBuf,
    /// What both held when they were read.
    pub server: Arc<ServerConfig>,
}

impl Tls {
    /// Reads both files. Where they are read again, they are read here.
    ///
    /// # Errors
    /// A [`Fault`] if they cannot be read, or do not hold a certificate and its key.
    pub fn load(cert_file: PathBuf, key_file: PathBuf) -> Result<Self, Fault> {
        let chain = certificates(&cert_file)?;
        let key = private_key(&key_file)?;
        let server = server(chain, key).map_err(|error| unusable(&error, &cert_file, &key_file))?;
        Ok(Self { cert_file, key_file, server: Arc::new(server) })
    }
}

/// The keys within stay hidden.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("cert_file", &self.cert_file).field("key_file", &self.key_file).finish()
    }
}

/// Checks `tls: { cert_file: …, key_file: … }`. One file may hold both.
pub(super) fn check(raw: Option<&At<RawTls>>, found: &mut Findings<'_>) -> Option<Option<Tls>> {
    let Some(raw) = raw else { return Some(None) };
    let missing = Fault::new("`tls` has no certificate", "add `cert_file`, and `key_file` unless one file holds both");
    let Some(cert_file) = &raw.value.cert_file else {
        found.fault(raw.place, missing);
        return None;
    };
    let key_file = raw.value.key_file.as_ref().unwrap_or(cert_file);
    let key_path = found.source().resolve(&key_file.value);
    let cert_path = found.source().resolve(&cert_file.value);
    // Told apart here only to point at the right one of two files.
    if key_file.place != cert_file.place {
        found.parsed(key_file, |_| private_key(&key_path))?;
    }
    found.parsed(cert_file, |_| Tls::load(cert_path, key_path)).map(Some)
}

fn server(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<ServerConfig, Error> {
    let mut server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(server)
}

fn unusable(error: &Error, cert_file: &Path, key_file: &Path) -> Fault {
    let (cert, key) = (cert_file.display(), key_file.display());
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

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let pem = read(path, "certificate")?;
    let shown = path.display();
    let remedy = "put the server's certificate in PEM form into it (-----BEGIN CERTIFICATE-----), then its chain";
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| Fault::new(format!("the certificate file {shown} is damaged: {error}"), remedy))?;
    if chain.is_empty() {
        return Err(Fault::new(format!("the certificate file {shown} holds no certificate"), remedy));
    }
    Ok(chain)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Fault> {
    let pem = read(path, "key")?;
    let shown = path.display();
    let is_encrypted = ["ENCRYPTED PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED"];
    if is_encrypted.iter().any(|mark| pem.windows(mark.len()).any(|window| window == mark.as_bytes())) {
        return Err(Fault::new(
            format!("the private key in {shown} is encrypted, and nobody is there to type its passphrase"),
            "decrypt it (openssl pkey -in FILE -out KEY) into a file that only the gateway can read",
        ));
    }
    PrivateKeyDer::from_pem_slice(&pem).map_err(|error| {
        let remedy = "put the certificate's private key in PEM form into it (-----BEGIN PRIVATE KEY-----)";
        match error {
            pem::Error::NoItemsFound => Fault::new(format!("the file {shown} holds no private key"), remedy),
            error => Fault::new(format!("the private key in {shown} is damaged: {error}"), remedy),
        }
    })
}

fn read(path: &Path, what: &str) -> Result<Vec<u8>, Fault> {
    let shown = path.display();
    let mut pem = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut pem));
    read.map_err(|error| {
        let remedy = "check the path (relative ones start at the configuration file's folder) and its permissions";
        Fault::new(format!("the {what} file {shown} cannot be read: {error}"), remedy)
    })?;
    if pem.len() as u64 > FILE_BYTES {
        let what = format!("the {what} file {shown} is larger than {}", show_bytes(FILE_BYTES));
        return Err(Fault::new(what, "check that the path is that of a PEM file"));
    }
    Ok(pem)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use settings::Source;

    use super::*;
    use crate::{Config, Listen};

    /// A folder with files, removed at the end.
    struct Folder(PathBuf);

    impl Folder {
        fn new(files: &[(&str, &str)]) -> Self {
            let random = getrandom::u64().unwrap();
            let folder = std::env::temp_dir().join(format!("reachback-tls-{random:x}"));
            fs::create_dir_all(&folder).unwrap();
            files.iter().for_each(|(name, text)| fs::write(folder.join(name), text).unwrap());
            Self(folder)
        }

        fn config(&self, listen: &str, tls: &str) -> Result<Config, settings::Invalid> {
            let text = format!(
                "listen: 127.0.0.1:1\nagents: [ {{ name: a, token_file: token, services: ['*'] }} ]\nfacades:\n  \
                 - {{ listen: {listen}, service: a, tls: {tls} }}\n"
            );
            Config::from_source(&Source::file("gateway.yaml", &text, &self.0))
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
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
            ("large.pem", &"x".repeat(1024 * 1024 + 1)),
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
        check("{ cert_file: large.pem, key_file: key.pem }", &["is larger than 1MiB"]);
        check("{ cert: cert.pem }", &["did you mean `cert_file`?"]);
    }
}
