//! The connections to one upstream, of the kind that it speaks.

use tokio::net::TcpStream;

use super::{conversation::Conversation, http1::Own, http2::Shared, pool::Pool};
use crate::config::Protocol;

/// Those that are there.
pub(super) enum Connections {
    Http1(Pool),
    H2c(Shared),
}

impl Connections {
    pub(super) fn new(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http1 => Self::Http1(Pool::default()),
            Protocol::H2c => Self::H2c(Shared::default()),
        }
    }

    /// One that can take a request now.
    pub(super) fn take(&self) -> Option<Conversation> {
        match self {
            Self::Http1(pool) => pool.take().map(Conversation::Own),
            Self::H2c(shared) => shared.take().map(Conversation::Shared),
        }
    }

    /// Another one, once `connect` has connected. To a shared one it may come that somebody else has meanwhile.
    pub(super) async fn open<E: From<hyper::Error>>(
        &self,
        connect: impl Future<Output = Result<TcpStream, E>>,
    ) -> Result<Conversation, E> {
        match self {
            Self::Http1(_) => Ok(Conversation::Own(Own::new(connect.await?).await?)),
            Self::H2c(shared) => {
                let _opening = shared.opening().await;
                let place = match shared.take() {
                    Some(place) => place,
                    None => shared.add(connect.await?).await?,
                };
                Ok(Conversation::Shared(place))
            }
        }
    }

    /// Takes one back whose answer was read to its end, if it can take another request.
    pub(super) async fn put(&self, conversation: Conversation) {
        if let (Self::Http1(pool), Conversation::Own(mut own)) = (self, conversation)
            && own.becomes_ready().await
        {
            pool.put(own);
        }
    }

    /// Closes those that have lain idle for too long.
    pub(super) fn sweep(&self) {
        match self {
            Self::Http1(pool) => pool.sweep(),
            Self::H2c(shared) => shared.sweep(),
        }
    }
}
