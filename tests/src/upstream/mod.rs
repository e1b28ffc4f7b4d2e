//! A server that answers by script, and keeps account of everything that reaches it.
//!
//! It answers by path: the table in `conversation.rs` says what there is, and [`Upstream::says`] adds anything else.

mod account;
mod conversation;

use std::{net::SocketAddr, sync::Arc};

use tokio::{net::TcpListener, task::JoinHandle};

use self::account::Account;
pub use self::account::Counts;
use crate::{http1::Head, wait::until_so};

/// The server; it ends when it is dropped.
#[derive(Debug)]
pub struct Upstream {
    address: SocketAddr,
    account: Arc<Account>,
    task: JoinHandle<()>,
}

/// What follows scripted bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The next request on the same connection.
    GoOn,
    /// The end of the connection.
    Close,
    /// Nothing, until the gate lets it close.
    Hold,
    /// These bytes when the gate opens, although nobody asks; then the next request.
    More(&'static str),
}

impl Upstream {
    /// Listens on a free port of loopback.
    ///
    /// # Panics
    /// If there is none.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let account = Arc::new(Account::default());
        let task = tokio::spawn(serve(listener, account.clone()));
        Self { address, account, task }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on answers a path with these bytes, as they are.
    pub fn says(&self, path: &str, bytes: impl AsRef<[u8]>, then: Then) {
        self.account.script(path, bytes.as_ref(), then);
    }

    /// Lets so many of those that wait at the gate go on, now or when they come.
    pub fn open_gate(&self, count: usize) {
        self.account.gate.add_permits(count);
    }

    /// What has happened so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.account.counts()
    }

    /// Waits until what has happened is this.
    pub async fn until(&self, what: &str, holds: impl Fn(Counts) -> bool) {
        until_so(what, || holds(self.counts())).await;
    }

    /// The heads of all requests so far, as they came.
    #[must_use]
    pub fn heads(&self) -> Vec<Head> {
        self.account.heads()
    }

    /// The trailer lines of the last request that had a body in chunks.
    #[must_use]
    pub fn trailers(&self) -> Vec<String> {
        self.account.trailers()
    }

    /// The last of the heads.
    ///
    /// # Panics
    /// If there was none.
    #[must_use]
    pub fn last_head(&self) -> Head {
        self.heads().pop().expect("a request reached the upstream")
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, account: Arc<Account>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(conversation::run(stream, account.clone()));
    }
}
