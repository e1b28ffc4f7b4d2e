//! The end of a link whose credential expires, unless a fresh one comes first.

use std::time::Duration;

use proto::link::Connection;
use tokio_util::task::AbortOnDropHandle;
use tracing::{Instrument as _, Span, warn};

/// What an agent is told whose credential has expired.
const EXPIRED: &str = "credential_expired";

/// Sends an agent away when its time is over; dropped, it does not. A task of its own: links have no timer to spare.
#[derive(Debug)]
pub(crate) struct Expiry {
    connection: Connection,
    task: Option<AbortOnDropHandle<()>>,
}

impl Expiry {
    /// `lasts`: `None` for ever.
    pub(crate) fn new(connection: Connection, lasts: Option<Duration>) -> Self {
        let mut expiry = Self { connection, task: None };
        expiry.task = lasts.map(|lasts| expiry.after(lasts));
        expiry
    }

    /// Begins anew. Nothing to do for a link that would not have ended.
    pub(crate) fn renew(&mut self, lasts: Option<Duration>) {
        if self.task.is_some() {
            self.task = lasts.map(|lasts| self.after(lasts));
        }
    }

    fn after(&self, lasts: Duration) -> AbortOnDropHandle<()> {
        let connection = self.connection.clone();
        let expire = async move {
            tokio::time::sleep(lasts).await;
            warn!("closing the link of an agent whose credential has expired");
            connection.dismiss(EXPIRED);
        };
        AbortOnDropHandle::new(tokio::spawn(expire.instrument(Span::current())))
    }
}
