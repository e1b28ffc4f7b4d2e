//! What a failed TLS handshake means in words, and what to do about it: for gateways and for proxies alike. And what it
//! means that a gateway does not take the agent's own certificate.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};

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

/// The gateway does not take what the agent proves itself with: this was its alert (RFC 8446, section 6.2).
#[derive(Debug, thiserror::Error)]
#[error("the gateway {} ({_0:?})", what_to_do(*_0))]
pub(super) struct Unwanted(AlertDescription);

impl Unwanted {
    /// If that is what the error says.
    pub(super) fn by(error: &io::Error) -> Option<Self> {
        use AlertDescription as A;
        match error.get_ref()?.downcast_ref::<Error>()? {
            Error::AlertReceived(
                alert @ (A::CertificateExpired
                | A::UnknownCA
                | A::DecryptError
                | A::CertificateRequired
                | A::BadCertificate
                | A::UnsupportedCertificate
                | A::CertificateRevoked
                | A::CertificateUnknown
                | A::AccessDenied),
            ) => Some(Self(*alert)),
            _ => None,
        }
    }
}

/// Continues "the gateway".
fn what_to_do(alert: AlertDescription) -> &'static str {
    use AlertDescription as A;
    match alert {
        A::CertificateExpired => {
            "refused this agent's certificate: it has expired, or is not valid yet: renew cert_file, unless a clock is wrong"
        }
        A::UnknownCA => {
            "refused this agent's certificate: it is signed by nobody the gateway trusts: have one made by an authority of \
             the gateway's client_ca_file, or name its authority there; cert_file holds those in between as well"
        }
        A::DecryptError => {
            "refused this agent's certificate: probably another authority of the same name has signed it than the one in \
             the gateway's client_ca_file"
        }
        A::CertificateRequired => "wants a certificate of this agent: name one with cert_file and key_file",
        _ => "refused this agent's certificate: the gateway's log says more; have one made for a TLS client",
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

    #[test]
    fn an_alert_about_the_agents_certificate_says_what_to_do() {
        use AlertDescription as A;
        let by = |error: Error| Unwanted::by(&io::Error::new(io::ErrorKind::InvalidData, error));
        let check = |alert: A, fragments: &[&str]| {
            let text = by(Error::AlertReceived(alert)).unwrap().to_string();
            assert!(text.starts_with("the gateway ") && text.ends_with(&format!("({alert:?})")), "{text}");
            assert!(fragments.iter().all(|fragment| text.contains(fragment)), "{fragments:?} in {text:?}");
        };
        check(A::CertificateExpired, &["refused this agent's certificate", "renew", "clock"]);
        check(A::UnknownCA, &["refused this agent's certificate", "client_ca_file"]);
        check(A::DecryptError, &["refused this agent's certificate", "the same name"]);
        check(A::BadCertificate, &["refused this agent's certificate", "the gateway's log"]);
        check(A::CertificateRequired, &["wants a certificate", "cert_file"]);
        assert!(by(Error::AlertReceived(A::HandshakeFailure)).is_none());
        assert!(by(CertificateError::Expired.into()).is_none());
        assert!(Unwanted::by(&io::ErrorKind::ConnectionReset.into()).is_none());
    }
}
