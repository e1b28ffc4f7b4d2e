//! The keys of one issuer, kept up to date: a file is looked at, a URL is fetched now and then, and when a token names
//! a key that is not known, but not more often than that is worth.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use settings::pem;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, timeout},
};
use tracing::{error, info};

use super::{
    fetch,
    key::{Key, parse},
};
use crate::{
    config::{Issuer, KeySource},
    limits::{CERTIFICATE_POLL, FIRST_KEYS_REST, KEYS_REFRESH, KEYS_REST},
};

/// The keys of one issuer.
pub(crate) struct KeySet {
    pub(super) issuer: Issuer,
    state: Mutex<State>,
    wanted: Notify,
    /// Told when these keys are others.
    other_keys: Arc<watch::Sender<()>>,
}

#[derive(Debug, Default)]
struct State {
    keys: Arc<[Key]>,
    /// What they were read from.
    text: Vec<u8>,
    /// When they were last asked for by a URL; `None`: never, so that they soon will be.
    asked: Option<Instant>,
    is_asking: bool,
    /// How often that has come to nothing since it last did not.
    failures: u32,
    /// Why the keys are not those that the source has now.
    trouble: Option<String>,
}

/// What `/status` says of it.
#[derive(Debug)]
pub(crate) struct KeysInUse {
    pub(crate) issuer: String,
    pub(crate) keys: usize,
    pub(crate) trouble: Option<String>,
}

impl State {
    /// How long after the last asking the next is due.
    fn rest(&self) -> Duration {
        match (&self.trouble, self.keys.is_empty()) {
            (None, _) => KEYS_REFRESH,
            (Some(_), false) => KEYS_REST,
            (Some(_), true) => {
                FIRST_KEYS_REST.saturating_mul(1 << self.failures.saturating_sub(1).min(16)).min(KEYS_REST)
            }
        }
    }
}

impl KeySet {
    pub(super) fn new(issuer: Issuer, other_keys: Arc<watch::Sender<()>>) -> Self {
        let set = Self { issuer, state: Mutex::default(), wanted: Notify::new(), other_keys };
        if let KeySource::File(path) = &set.issuer.keys {
            set.take(pem::read(path, "key set").map_err(|fault| fault.to_string()));
        }
        set
    }

    pub(crate) fn in_use(&self) -> KeysInUse {
        let state = self.state();
        KeysInUse { issuer: self.issuer.name.clone(), keys: state.keys.len(), trouble: state.trouble.clone() }
    }

    pub(super) fn keys(&self) -> Arc<[Key]> {
        self.state().keys.clone()
    }

    /// A token names a key that is not there. Says when it may be there, if it may.
    pub(super) fn want(&self) -> Option<Duration> {
        if matches!(self.issuer.keys, KeySource::File(_)) {
            return None;
        }
        let mut state = self.state();
        let Some(asked) = state.asked.filter(|_| !state.is_asking) else { return Some(Duration::ZERO) };
        if state.keys.is_empty() {
            // The first ones are asked for anyway, and until they are there nothing is known of any token.
            return Some(state.rest().saturating_sub(asked.elapsed()));
        }
        // Whoever makes up ids must not make the gateway ask for each of them.
        if asked.elapsed() < KEYS_REST {
            return None;
        }
        state.is_asking = true;
        self.wanted.notify_one();
        Some(Duration::ZERO)
    }

    /// Keeps the keys up to date for ever.
    pub(crate) async fn follow(self: Arc<Self>) {
        match &self.issuer.keys {
            KeySource::File(path) => loop {
                sleep(CERTIFICATE_POLL).await;
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || pem::read(&path, "key set")).await;
                if let Ok(read) = read {
                    self.take(read.map_err(|fault| fault.to_string()));
                }
            },
            KeySource::Url { url, ca } => loop {
                self.state().is_asking = true;
                let fetched = fetch::get(url, ca.as_deref()).await;
                self.take(
                    fetched
                        .map(|text| text.to_vec())
                        .map_err(|why| format!("the keys at {url} cannot be fetched: {why}")),
                );
                // Early, if somebody needs them.
                let rest = self.state().rest();
                let _ = timeout(rest, self.wanted.notified()).await;
            },
        }
    }

    /// Puts keys into force if they are others, and good.
    fn take(&self, read: Result<Vec<u8>, String>) {
        let mut state = self.state();
        (state.asked, state.is_asking) = (Some(Instant::now()), false);
        if !state.keys.is_empty() && read.as_ref().is_ok_and(|text| *text == state.text) {
            (state.trouble, state.failures) = (None, 0);
            return;
        }
        let parsed = read.and_then(|text| {
            let keys = parse(&text).map_err(|why| format!("the key set {why}"))?;
            Ok((text, keys))
        });
        let issuer = &self.issuer.name;
        match parsed {
            Ok((text, keys)) => {
                info!(issuer, keys = keys.len(), "the issuer's keys are in use");
                *state = State { keys: keys.into(), text, asked: state.asked, ..State::default() };
                drop(state);
                self.other_keys.send_replace(());
            }
            Err(why) if state.trouble.as_ref() == Some(&why) => state.failures = state.failures.saturating_add(1),
            Err(why) => {
                state.failures = state.failures.saturating_add(1);
                error!(
                    issuer,
                    why,
                    keys = state.keys.len(),
                    "the issuer's keys cannot be renewed: those known stay in use"
                );
                state.trouble = Some(why);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySet").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &[u8] = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

    fn of_url() -> KeySet {
        let issuer = Issuer {
            name: "a".to_owned(),
            issuer: "https://a".to_owned(),
            audience: "reachback".to_owned(),
            keys: KeySource::Url { url: "https://a/keys".parse().unwrap(), ca: None },
            algorithms: Vec::new(),
        };
        KeySet::new(issuer, Arc::default())
    }

    #[tokio::test(start_paused = true)]
    async fn unknown_keys_are_asked_for_now_and_then() {
        let set = of_url();
        assert_eq!(set.want(), Some(Duration::ZERO), "they are about to be asked for");
        set.take(Ok(SET.to_vec()));
        assert_eq!(set.want(), None, "they have just come");
        tokio::time::advance(KEYS_REST - Duration::from_millis(1)).await;
        assert_eq!(set.want(), None);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(set.want(), Some(Duration::ZERO));
        assert_eq!(set.want(), Some(Duration::ZERO), "they are on their way");
        set.take(Err("nobody answers".to_owned()));
        assert_eq!(set.want(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_keys_are_asked_for_sooner_and_waited_for() {
        let set = of_url();
        for seconds in [1, 2, 4, 8, 16, 30, 30] {
            // An empty answer is none either.
            set.take(if seconds == 4 { Ok(Vec::new()) } else { Err("nobody answers".to_owned()) });
            assert_eq!(set.state().rest().as_secs(), seconds);
            tokio::time::advance(Duration::from_millis(500)).await;
            assert_eq!(
                set.want(),
                Some(Duration::from_secs(seconds) - Duration::from_millis(500)),
                "a token may be good"
            );
        }
        set.take(Ok(SET.to_vec()));
        assert_eq!(set.state().rest(), KEYS_REFRESH);
        set.take(Err("nobody answers".to_owned()));
        assert_eq!(set.state().rest(), KEYS_REST);
        assert_eq!(set.want(), None, "there are keys, and they were asked for just now");
    }

    #[tokio::test]
    async fn bad_keys_change_nothing() {
        let set = of_url();
        set.take(Ok(SET.to_vec()));
        let check = |text: &[u8], part: Option<&str>| {
            set.take(Ok(text.to_vec()));
            let KeysInUse { keys, trouble, .. } = set.in_use();
            assert_eq!(keys, 1);
            assert_eq!(trouble.is_some(), part.is_some());
            assert!(trouble.unwrap_or_default().contains(part.unwrap_or_default()), "{part:?}");
        };
        check(b"<html>", Some("is not a JSON Web Key Set"));
        check(b"{}", Some("is not a JSON Web Key Set"));
        check(br#"{"keys":[]}"#, Some("has no key"));
        // A shared secret, a key for something else, a key of an unknown kind.
        check(br#"{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}"#, Some("has no key"));
        check(br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKx","use":"enc"}]}"#, Some("has no key"));
        check(br#"{"keys":[{"kty":"new"}]}"#, Some("has no key"));
        check(format!(r#"{{"keys":[{}]}}"#, vec!["{}"; 65].join(",")).as_bytes(), Some("64 are taken at most"));
        check(SET, None);
    }
}
