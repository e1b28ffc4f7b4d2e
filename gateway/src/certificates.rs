//! Certificates in use: their files are looked at every other second, and what they hold is used from then on.
//!
//! Connections keep what they began with. Files that cannot be used change nothing, but for the log and `/status`.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use settings::Fault;
use tokio_rustls::TlsAcceptor;
use tracing::{error, info};

use crate::{
    config::{Tls, TlsFiles},
    limits::CERTIFICATE_POLL,
};

/// What one listener proves itself with, now.
#[derive(Debug)]
pub(crate) struct Certificate {
    files: TlsFiles,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tls: Tls,
    since: Instant,
    /// What the files held at the last look, if it is not what is in use.
    news: Option<News>,
}

/// What files hold, by digest; or why they cannot be read, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Contents([u8; 32]),
    Unreadable(String),
}

#[derive(Debug)]
struct News {
    seen: Seen,
    /// Why it cannot be used, once that was tried.
    trouble: Option<String>,
}

/// What `/status` says of it.
#[derive(Debug)]
pub(crate) struct InUse {
    pub(crate) cert_file: String,
    pub(crate) since: Instant,
    /// Why what the files hold now is not in use.
    pub(crate) trouble: Option<String>,
}

impl Certificate {
    pub(crate) fn new(tls: Tls) -> Self {
        let state = State { since: Instant::now(), news: None, tls };
        Self { files: state.tls.files.clone(), state: Mutex::new(state) }
    }

    /// For the next handshake.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        self.state().tls.server.clone().into()
    }

    pub(crate) fn in_use(&self) -> InUse {
        let state = self.state();
        let trouble = state.news.as_ref().and_then(|news| news.trouble.clone());
        InUse { cert_file: self.files.cert.display().to_string(), since: state.since, trouble }
    }

    /// Follows the files for ever.
    pub(crate) async fn follow(self: Arc<Self>) {
        loop {
            tokio::time::sleep(CERTIFICATE_POLL).await;
            let this = self.clone();
            let _ = tokio::task::spawn_blocking(move || this.look()).await;
        }
    }

    /// Uses what the files hold if two looks in a row find the same: certificate and key are replaced one after the
    /// other, and not always in one step.
    fn look(&self) {
        let contents = self.files.read();
        let seen = match &contents {
            Ok(contents) => Seen::Contents(contents.digest()),
            Err(fault) => Seen::Unreadable(fault.to_string()),
        };
        let mut state = self.state();
        if seen == Seen::Contents(state.tls.digest) {
            state.news = None;
            return;
        }
        match &state.news {
            Some(news) if news.seen == seen && news.trouble.is_some() => {}
            Some(news) if news.seen == seen => {
                let loaded = contents.and_then(|contents| Tls::new(&self.files, &contents));
                self.take(&mut state, seen, loaded);
            }
            _ => state.news = Some(News { seen, trouble: None }),
        }
    }

    fn take(&self, state: &mut State, seen: Seen, loaded: Result<Tls, Fault>) {
        let cert_file = self.files.cert.display();
        match loaded {
            Ok(tls) => {
                *state = State { tls, since: Instant::now(), news: None };
                info!(%cert_file, "the certificate was read again, and is in use");
            }
            Err(fault) => {
                error!(%cert_file, %fault, "the certificate has changed and cannot be used: the old one stays in use");
                state.news = Some(News { seen, trouble: Some(fault.to_string()) });
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use settings::scratch::Scratch;

    use super::*;

    fn pem() -> String {
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
        signing_key.serialize_pem() + &cert.pem()
    }

    #[test]
    fn what_is_there_twice_is_used_if_it_can_be() {
        let folder = Scratch::new();
        let path = folder.file("both.pem");
        fs::write(&path, pem()).unwrap();
        let files = TlsFiles { cert: path.clone(), key: path.clone(), client_ca: None, http2: false };
        let certificate = Certificate::new(Tls::new(&files, &files.read().unwrap()).unwrap());
        let digest = || certificate.state().tls.digest;
        let trouble = || certificate.in_use().trouble;
        let first = digest();
        certificate.look();
        assert_eq!((digest(), trouble()), (first, None));

        fs::write(&path, pem()).unwrap();
        certificate.look();
        assert_eq!(digest(), first, "perhaps it is half written");
        certificate.look();
        let second = digest();
        assert!(second != first && trouble().is_none());

        let good = fs::read(&path).unwrap();
        fs::write(&path, "nothing").unwrap();
        certificate.look();
        assert_eq!(trouble(), None, "perhaps it is half written");
        certificate.look();
        assert!(trouble().unwrap().contains("holds no certificate") && digest() == second);
        fs::remove_file(&path).unwrap();
        certificate.look();
        certificate.look();
        assert!(trouble().unwrap().contains("cannot be read") && digest() == second);
        fs::write(&path, good).unwrap();
        certificate.look();
        assert_eq!((digest(), trouble()), (second, None), "what is in use is there again");
    }
}
