//! What the log says of connections that come to nothing because the two sides do not mean the same: one speaks TLS and
//! the other does not, or one does not accept the other's certificate. Anybody can cause it, so it is said now and then.

use std::{io, sync::Mutex};

use rustls::{AlertDescription, CertificateError, Error, InvalidMessage};
use tokio::time::Instant;
use tracing::warn;

use crate::{limits::COMPLAINT_REST, listener::Peer};

/// Of one listener.
#[derive(Debug)]
pub(crate) struct Complaints {
    listener: String,
    said: Mutex<Said>,
}

#[derive(Debug, Default)]
struct Said {
    last: Option<Instant>,
    /// What was not said since then.
    unsaid: u64,
}

impl Complaints {
    pub(crate) fn new(listener: String) -> Self {
        Self { listener, said: Mutex::default() }
    }

    /// Says it, unless something was said lately.
    pub(crate) fn say(&self, peer: Peer, why: &str) {
        if let Some(unsaid) = self.turn(Instant::now()) {
            warn!(listener = self.listener, %peer, why, unsaid, "a connection came to nothing");
        }
    }

    /// How much was not said before this, if this may be.
    fn turn(&self, now: Instant) -> Option<u64> {
        let mut said = self.said.lock().expect("nothing panics while it holds it");
        if said.last.is_some_and(|last| now < last + COMPLAINT_REST) {
            said.unsaid += 1;
            return None;
        }
        said.last = Some(now);
        Some(std::mem::take(&mut said.unsaid))
    }
}

/// Why a TLS handshake has failed, and what to do about it. `None` if the client is just gone, or silent.
pub(crate) fn why(error: &io::Error) -> Option<String> {
    use AlertDescription as Alert;
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "it does not speak TLS, and this listener does: agents dial wss://, applications call https://".to_owned()
        }
        Error::AlertReceived(
            alert @ (Alert::UnknownCA
            | Alert::BadCertificate
            | Alert::CertificateUnknown
            | Alert::CertificateExpired
            | Alert::CertificateRevoked
            | Alert::UnsupportedCertificate),
        ) => format!(
            "it does not accept this listener's certificate ({alert:?}): its own log says why; an agent needs the authority \
             that has signed it in ca_file"
        ),
        Error::InvalidCertificate(error) => {
            format!("its certificate is not accepted ({error}): {}", what_to_do(error))
        }
        _ => error.to_string(),
    })
}

/// About the certificate of a client that shows one.
fn what_to_do(error: &CertificateError) -> &'static str {
    use CertificateError as E;
    match error {
        E::Expired | E::ExpiredContext { .. } => "it needs a new one",
        E::NotValidYet | E::NotValidYetContext { .. } => "is it too new, or is a clock wrong?",
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => "it has to be made for clients (extendedKeyUsage)",
        _ => "is it signed by an authority of client_ca_file?",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_a_while_and_the_others_are_counted() {
        let complaints = Complaints::new("here".to_owned());
        let start = Instant::now();
        assert_eq!(complaints.turn(start), Some(0));
        assert_eq!(complaints.turn(start), None);
        assert_eq!(complaints.turn(start + COMPLAINT_REST / 2), None);
        assert_eq!(complaints.turn(start + COMPLAINT_REST), Some(2));
        assert_eq!(complaints.turn(start + COMPLAINT_REST * 2), Some(0));
    }

    #[test]
    fn who_is_just_gone_is_no_complaint() {
        assert_eq!(why(&io::ErrorKind::UnexpectedEof.into()), None);
        assert_eq!(why(&io::Error::other("too many connections wait for TLS")), None);
        let told = |error| why(&io::Error::new(io::ErrorKind::InvalidData, error)).unwrap();
        assert!(told(Error::AlertReceived(AlertDescription::UnknownCA)).contains("(UnknownCA)"));
        assert!(told(InvalidMessage::InvalidContentType.into()).contains("does not speak TLS"));
        for (error, hint) in [
            (CertificateError::Expired, "needs a new one"),
            (CertificateError::NotValidYet, "clock"),
            (CertificateError::UnknownIssuer, "client_ca_file"),
        ] {
            assert!(told(error.clone().into()).contains(hint), "{error:?}");
        }
    }
}
