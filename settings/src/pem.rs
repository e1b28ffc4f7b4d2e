//! PEM files: certificates, and private keys.

use std::{io::Read as _, path::Path};

use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject as _};

use crate::{
    file::{self, FOLDER_OF_THE_FILE},
    report::Fault,
    units::show_bytes,
};

/// Largest file, in bytes: ten times all web roots.
const FILE_BYTES: u64 = 4 * 1024 * 1024;

/// What a PEM file is for, as messages name it.
pub type Purpose = &'static str;

/// The bytes of a file, bounded.
///
/// # Errors
/// A [`Fault`] if it cannot be read, or is larger than any PEM file.
pub fn read(path: &Path, purpose: Purpose) -> Result<Vec<u8>, Fault> {
    let shown = path.display();
    let mut pem = Vec::new();
    let read = file::open(path).and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut pem));
    read.map_err(|error| {
        let remedy = format!("check the path ({FOLDER_OF_THE_FILE}) and its permissions");
        Fault::new(format!("the {purpose} file {shown} cannot be read: {error}"), remedy)
    })?;
    if pem.len() as u64 > FILE_BYTES {
        let what = format!("the {purpose} file {shown} is larger than {}", show_bytes(FILE_BYTES));
        return Err(Fault::new(what, "check that the path is the right one"));
    }
    Ok(pem)
}

/// The certificates in what was read from a file, at least one, in their order.
///
/// # Errors
/// A [`Fault`] if there is none, or one is damaged.
pub fn certificates(pem: &[u8], path: &Path, purpose: Purpose) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let shown = path.display();
    let remedy = "put certificates in PEM form into it (-----BEGIN CERTIFICATE-----)";
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| Fault::new(format!("the {purpose} file {shown} is damaged: {error}"), remedy))?;
    if certificates.is_empty() {
        return Err(Fault::new(format!("the {purpose} file {shown} holds no certificate"), remedy));
    }
    Ok(certificates)
}

/// The first private key in what was read from a file.
///
/// # Errors
/// A [`Fault`] if there is none, or it is damaged or encrypted. It never repeats any of the key.
pub fn private_key(pem: &[u8], path: &Path) -> Result<PrivateKeyDer<'static>, Fault> {
    let shown = path.display();
    let is_encrypted = ["ENCRYPTED PRIVATE KEY-----", "Proc-Type: 4,ENCRYPTED"];
    if is_encrypted.iter().any(|mark| pem.windows(mark.len()).any(|window| window == mark.as_bytes())) {
        return Err(Fault::new(
            format!("the private key in {shown} is encrypted, and nobody is there to type its passphrase"),
            "decrypt it (openssl pkey -in FILE -out KEY) into a file that only reachback can read",
        ));
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| {
        let remedy = "put the certificate's private key in PEM form into it (-----BEGIN PRIVATE KEY-----)";
        match error {
            pem::Error::NoItemsFound => Fault::new(format!("the file {shown} holds no private key"), remedy),
            error => Fault::new(format!("the private key in {shown} is damaged: {error}"), remedy),
        }
    })
}
