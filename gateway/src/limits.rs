//! Every bound of the gateway that is not a setting, with its reason.

use std::time::Duration;

/// For a connection to the tunnel to ask for its upgrade, and again for the agent behind it to say hello: a slow or
/// silent stranger costs no more than this.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a client's connection may lie idle: longer than common clients keep theirs.
pub(crate) const IDLE_CONNECTION: Duration = Duration::from_secs(75);

/// How long a listener rests when the process is out of file descriptors: accepting at once again would spin.
pub(crate) const ACCEPT_REST: Duration = Duration::from_millis(100);

/// What a rejected agent waits before it dials again, unless it is about to be let in.
pub(crate) const REJECT_HOLD_OFF: Duration = Duration::from_secs(60);

/// What `Retry-After` tells a client when a retry may soon succeed, in seconds.
pub(crate) const RETRY_AFTER_SECONDS: u16 = 1;

/// Bytes read from a client at once, and thereby of the head of a request: two chunks. More than a processor's cache
/// holds would cost bulk.
pub(crate) const CLIENT_BUFFER: usize = 128 * 1024;
