//! Every bound of the gateway that is not a setting, with its reason.

use std::time::Duration;

/// For a connection to agree upon TLS, for one to the tunnel to ask for its upgrade, and again for the agent behind it
/// to say hello: a slow or silent stranger costs no more than this.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a client's connection may lie idle: longer than common clients keep theirs.
pub(crate) const IDLE_CONNECTION: Duration = Duration::from_secs(75);

/// How long a listener rests when the process is out of file descriptors: accepting at once again would spin.
pub(crate) const ACCEPT_REST: Duration = Duration::from_millis(100);

/// What a rejected agent waits before it dials again, unless it is about to be let in.
pub(crate) const REJECT_HOLD_OFF: Duration = Duration::from_secs(60);

/// What `Retry-After` tells a client when a retry may soon succeed, in seconds.
pub(crate) const RETRY_AFTER_SECONDS: u16 = 1;

/// Links that one request is offered to, where they do not process it: agents that all drain or are all full must not
/// keep it going round.
pub(crate) const LINKS_TRIED: usize = 4;

/// Bytes read from a client at once, and thereby of the head of a request: two chunks. More than a processor's cache
/// holds would cost bulk.
pub(crate) const CLIENT_BUFFER: usize = 128 * 1024;

/// Bytes read at first from a client, to learn what it speaks: most heads fit.
pub(crate) const FIRST_BYTES: usize = 1024;

/// Requests on one HTTP/2 connection at once; a client waits with more. As many as a link takes.
pub(crate) const CLIENT_STREAMS: u32 = 1024;

/// What the body of each of them may send ahead of its reader, in bytes, and as much of an answer waits for a slow
/// client: two chunks, more than a round trip on one machine needs.
pub(crate) const CLIENT_STREAM_WINDOW: u32 = 128 * 1024;

/// The largest head on such a connection, in bytes as RFC 9113 §6.5.2 counts: what a link carries. The whitelist
/// refuses less than that with a reason.
pub(crate) const CLIENT_HEAD: u32 = 96 * 1024 + 256 * 32;

/// Connections of one listener at once; more wait in the kernel's queue. Each costs a task and a few kilobytes.
pub(crate) const CONNECTIONS: usize = 8192;

/// Connections that wait in the queue of a Unix socket: what the system gives a port.
pub(crate) const BACKLOG: i32 = 1024;

/// How long a connection may show no sign of life while its listener drains.
pub(crate) const DRAIN_IDLE: Duration = Duration::from_secs(2);

/// Links of one agent at once: lanes (an agent keeps 16 at most), replicas under one name and restarts together. Each has
/// memory of its own.
pub(crate) const LINKS_PER_AGENT: usize = 64;

/// How long closing links may take to say so, once a drain has run out of time.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(1);

/// How often the files of certificates are looked at. What has changed is used at the second look.
pub(crate) const CERTIFICATE_POLL: Duration = Duration::from_secs(2);

/// Keys of one issuer: sets have two or three.
pub(crate) const KEYS: usize = 64;

/// Bytes of a fetched key set.
pub(crate) const KEYS_BYTES: usize = 256 * 1024;

/// How long fetching a key set may take.
pub(crate) const KEYS_FETCH: Duration = Duration::from_secs(10);

/// How often a key set is fetched without a reason. A new key is fetched when a token first names it; this is for keys
/// that are withdrawn.
pub(crate) const KEYS_REFRESH: Duration = Duration::from_secs(600);

/// How often a key set is fetched at most: after a failure, and for tokens that name unknown keys.
pub(crate) const KEYS_REST: Duration = Duration::from_secs(30);

/// How far the clocks of an issuer and of the gateway may be apart.
pub(crate) const CLOCK_LEEWAY: Duration = Duration::from_secs(30);
