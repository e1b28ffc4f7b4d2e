//! The end of a link whose credential expires, unless a fresh one comes first. One whose key is not known yet is judged
//! again as soon as there are other keys, for as long as the old one lasts.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use proto::{link::Connection, wire::Credential};
use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument as _, Span, info, warn};

use crate::{
    auth::{Credentials, Identity, Proved, Refused},
    limits::{KEPT_CREDENTIAL, KEYS_REST},
};

/// What an agent is told whose credential has expired.
const EXPIRED: &str = "credential_expired";

/// Sends an agent away when its time is over; dropped, it does not.
#[derive(Debug)]
pub(crate) struct Expiry {
    judge: Judge,
    /// Of a link that is to end. A task of its own: links have no timer to spare.
    task: Option<(Arc<Fresh>, AbortOnDropHandle<()>)>,
}

/// The credential that was shown last and has not been judged.
#[derive(Debug, Default)]
struct Fresh {
    credential: Mutex<Option<Credential>>,
    has_come: Notify,
}

impl Expiry {
    pub(crate) fn new(connection: Connection, credentials: &Arc<Credentials>, proved: &Proved) -> Self {
        let judge = Judge { credentials: credentials.clone(), identity: proved.identity.clone() };
        let task = proved.lasts(SystemTime::now()).map(|lasts| {
            let fresh = Arc::new(Fresh::default());
            let task = follow(connection, judge.clone(), lasts, fresh.clone()).instrument(Span::current());
            (fresh, AbortOnDropHandle::new(tokio::spawn(task)))
        });
        Self { judge, task }
    }

    /// A fresh credential was shown. A link that would not have ended does not end because of it.
    pub(crate) fn renew(&self, credential: Credential) {
        if let Some((fresh, _)) = &self.task {
            *fresh.credential.lock().unwrap_or_else(PoisonError::into_inner) = Some(credential);
            fresh.has_come.notify_one();
        } else if let Err(why) = self.judge.judge(&credential) {
            not_accepted(why);
        }
    }
}

impl Fresh {
    async fn next(&self) -> Option<Credential> {
        self.has_come.notified().await;
        self.credential.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Ends a link that lasts so long, unless it is renewed.
async fn follow(connection: Connection, judge: Judge, lasts: Duration, fresh: Arc<Fresh>) {
    let mut keys = judge.credentials.other_keys();
    // `None`: never, since a credential was shown that does not expire.
    let mut end = Some(Instant::now() + lasts);
    let mut waiting = None;
    loop {
        let is_news = tokio::select! {
            () = until(end) => break,
            credential = fresh.next() => {
                // There may be none, if two came at once.
                let is_news = credential.is_some();
                waiting = credential.or(waiting);
                is_news
            }
            _ = keys.changed(), if waiting.is_some() => false,
            // To judge it is to have its key asked for, which is done now and then.
            () = sleep(KEYS_REST), if waiting.is_some() => false,
        };
        keys.mark_unchanged();
        let Some(credential) = waiting.take() else { continue };
        match judge.judge(&credential) {
            Ok(lasts) => end = end.and(lasts).map(|lasts| Instant::now() + lasts),
            Err(why @ (Refused::NotYet(_) | Refused::UnknownKey)) if credential.0.len() <= KEPT_CREDENTIAL => {
                if is_news {
                    info!(%why, "an agent has shown a credential that cannot be judged yet: its link keeps the old one");
                }
                waiting = Some(credential);
            }
            Err(why) => not_accepted(why),
        }
    }
    warn!("closing the link of an agent whose credential has expired");
    connection.dismiss(EXPIRED);
}

async fn until(end: Option<Instant>) {
    match end {
        Some(end) => sleep_until(end).await,
        None => std::future::pending().await,
    }
}

/// Whose link it is, and what it may be renewed by.
#[derive(Clone, Debug)]
struct Judge {
    credentials: Arc<Credentials>,
    identity: Arc<Identity>,
}

impl Judge {
    /// How long a link may go on with this; `None`: for ever. It must prove the same agent.
    fn judge(&self, credential: &Credential) -> Result<Option<Duration>, Refused> {
        let now = SystemTime::now();
        let fresh = self.credentials.renew(&credential.0, now)?;
        if !Arc::ptr_eq(&fresh.identity, &self.identity) {
            return Err(Refused::Stranger("it is that of another agent"));
        }
        info!(proof = %fresh.by, "the agent has renewed its credential");
        Ok(fresh.lasts(now))
    }
}

fn not_accepted(why: Refused) {
    warn!(%why, "an agent has shown a credential that is not accepted: its link keeps the old one");
}
