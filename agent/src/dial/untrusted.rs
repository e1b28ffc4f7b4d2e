//! What a failed TLS handshake means in words, and what to do about it: for gateways and for proxies alike.

use std::io;

use rustls::{CertificateError, Error, InvalidMessage};

/// Says it of the peer ("its certificate …"). What is in nobody's hand here stays as the library says it.
pub(super) fn explain(error: &io::Error) -> String {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        Some(Error::InvalidCertificate(error)) => certificate(error),
        Some(Error::InvalidMessage(InvalidMessage::InvalidContentType)) => {
            "what answers there does not speak TLS: is it the right port? If it is meant to speak none, write ws:// for a \
             gateway, http:// for a proxy"
                .to_owned()
        }
        _ => error.to_string(),
    }
}

fn certificate(error: &CertificateError) -> String {
    use CertificateError as E;
    match error {
        E::UnknownIssuer => "its certificate is signed by nobody this agent trusts: name the authority that has signed it in \
                             ca_file, or the certificate itself if it vouches for itself (UnknownIssuer)"
            .to_owned(),
        E::BadSignature => "its certificate is signed by another authority of the same name as one in ca_file: have the \
                            one that has signed it in there (BadSignature)"
            .to_owned(),
        E::Expired | E::ExpiredContext { .. } => {
            format!("its certificate has expired: renew it there, unless the clock of this machine is wrong ({error})")
        }
        E::NotValidYet | E::NotValidYetContext { .. } => {
            format!("its certificate is not valid yet: is the clock of this machine right? ({error})")
        }
        E::NotValidForName => "its certificate is for another name than the one that is dialled".to_owned(),
        E::NotValidForNameContext { expected, presented } => format!(
            "its certificate is for {}, and {} was dialled: dial a name that it has, or have one made for this name",
            if presented.is_empty() { "no name at all (subjectAltName)".to_owned() } else { presented.join(", ") },
            expected.to_str()
        ),
        E::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
            "its certificate is an authority's, which no server may show; `openssl req -x509` makes such a one unless it is \
             told basicConstraints=critical,CA:FALSE: make it anew as docs/configuration.md, \"With TLS\", says \
             (CaUsedAsEndEntity)"
                .to_owned()
        }
        _ => format!("its certificate is not accepted: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_says_what_to_do() {
        let check = |error: Error, fragments: &[&str]| {
            let text = explain(&io::Error::new(io::ErrorKind::InvalidData, error));
            for fragment in fragments {
                assert!(text.contains(fragment), "{fragment:?} in {text:?}");
            }
        };
        let name = |presented: Vec<String>| CertificateError::NotValidForNameContext {
            expected: "edge.example".try_into().unwrap(),
            presented,
        };
        check(CertificateError::UnknownIssuer.into(), &["nobody this agent trusts", "ca_file", "(UnknownIssuer)"]);
        check(CertificateError::Expired.into(), &["has expired", "renew", "clock"]);
        check(CertificateError::NotValidYet.into(), &["not valid yet", "clock"]);
        check(
            name(vec!["a.example".into(), "b.example".into()]).into(),
            &["for a.example, b.example, and edge.example was"],
        );
        check(name(Vec::new()).into(), &["for no name at all", "edge.example"]);
        check(CertificateError::BadSignature.into(), &["another authority", "ca_file", "(BadSignature)"]);
        check(CertificateError::Revoked.into(), &["not accepted", "Revoked"]);
        check(InvalidMessage::InvalidContentType.into(), &["does not speak TLS", "ws://", "http://"]);
        check(Error::DecryptError, &["decrypt"]);
    }
}
