//! Every bound of the agent that is not a setting, with its reason.

use std::time::Duration;

/// How long reading the token or the certificate for a dial may last, before it begins: a file system may stand still.
pub(crate) const READ_CREDENTIAL: Duration = Duration::from_secs(5);

/// From the first packet of a dial to the upgrade: TCP, TLS and the gateway's answer.
pub(crate) const DIAL: Duration = Duration::from_secs(10);

/// How much of that a proxy may take until it has connected to the gateway, so that it can be said who was too slow.
pub(crate) const PROXY: Duration = Duration::from_secs(8);

/// From the upgrade to the gateway's hello: a gateway may hold an agent for 15 s, for somebody to approve it.
pub(crate) const GREETING: Duration = Duration::from_secs(20);

/// From the upgrade to the hello, until it is said that the gateway holds the agent: others answer at once.
pub(crate) const HELD: Duration = Duration::from_secs(1);

/// A link that lived as long was a good one: whatever ended it, the gateway is probably back at once.
pub(crate) const LASTED: Duration = Duration::from_secs(5);

/// The first redial after such a link falls anywhere within this, so that many agents do not come all at once.
pub(crate) const FIRST_REDIAL: Duration = Duration::from_millis(250);

/// The range of the second; it doubles from dial to dial …
pub(crate) const REDIAL: Duration = Duration::from_millis(500);

/// … up to this …
pub(crate) const LONGEST_REDIAL: Duration = Duration::from_secs(30);

/// … or, while the gateway is only away (nobody listens at its address, its ingress answers 502, 503 or 504, or there
/// was a link that did not last), to this: a gateway that restarts has its agents back within a second or two.
pub(crate) const LONGEST_REDIAL_AWAY: Duration = Duration::from_millis(1500);

/// What an agent waits after a gateway said no (401, 403, or a reject that names no time).
pub(crate) const HOLD_OFF: Duration = Duration::from_secs(60);

/// The shortest hold-off, whatever a gateway says: a refusal that names no time at all must not make a loop.
pub(crate) const SHORTEST_HOLD_OFF: Duration = Duration::from_secs(1);

/// The longest hold-off that a gateway can impose.
pub(crate) const LONGEST_HOLD_OFF: Duration = Duration::from_secs(3600);

/// How often the log says at warn, for the same reason, that there is no link to an address.
pub(crate) const COMPLAINT_REST: Duration = Duration::from_secs(60);

/// Characters by which a reason is the same: the agent's own words, and of a peer's hardly more than which answer it is.
pub(crate) const REASON: usize = 100;

/// Reasons that are said in that time.
pub(crate) const REASONS: usize = 8;

/// How long an idle connection to an upstream is kept: less than the 75 s and 60 s after which common servers close.
pub(crate) const IDLE_UPSTREAM: Duration = Duration::from_secs(45);

/// Idle connections kept for one upstream: as many as one link's streams may need at once.
pub(crate) const IDLE_UPSTREAMS: usize = 1024;

/// Most addresses of one gateway name that are dialled.
pub(crate) const ADDRESSES: usize = 64;

/// How often idle connections to upstreams are looked through.
pub(crate) const SWEEP: Duration = Duration::from_secs(15);

/// How long a listener rests when it cannot accept: at once again would spin.
pub(crate) const ACCEPT_REST: Duration = Duration::from_millis(100);

/// Bytes read from an upstream at once, and thereby of the head of an answer: two chunks. More than a processor's cache
/// holds would cost bulk.
pub(crate) const UPSTREAM_BUFFER: usize = 128 * 1024;

/// Connections to an upstream that speaks HTTP/2. One is the rule; more are opened when the server takes fewer streams
/// on one than there are requests.
pub(crate) const UPSTREAM_CONNECTIONS: usize = 16;

/// Most streams on one of them: as many as one link's.
pub(crate) const UPSTREAM_STREAMS: usize = 1024;

/// Streams on one of them before the server has said how many it takes: fewer than 100 none should (RFC 9113 §6.5.2).
pub(crate) const UPSTREAM_FIRST_STREAMS: usize = 100;

/// What each of their bodies may send ahead of its reader, in bytes: two chunks, more than a round trip on one machine
/// needs. The same is held of a request's body that the server does not read.
pub(crate) const UPSTREAM_STREAM_WINDOW: u32 = 128 * 1024;

/// The largest head of an answer on them, in bytes as RFC 9113 §6.5.2 counts: what a link carries.
pub(crate) const UPSTREAM_HEAD: u32 = 96 * 1024 + 256 * 32;

/// How long closing links may take to say so, once a drain has run out of time.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(1);

/// A gateway's name is resolved again at most so soon after a link or dial has failed.
pub(crate) const RERESOLVE_AFTER_TROUBLE: Duration = Duration::from_millis(250);

/// Bytes read of the body of a refused upgrade.
pub(crate) const REFUSAL_BYTES: usize = 16 * 1024;

/// Characters shown of why there is no link, or none any more, and of what a gateway asks for in vain: the agent's own
/// words and the first ones of its peer.
pub(crate) const SHOWN: usize = 500;

/// Secrets that are taken out of what peers say: the token and the one before it, and credentials of proxies, each as it is
/// and as it travels. Those shown longest ago are forgotten.
pub(crate) const SECRETS: usize = 8;

/// Bytes of a secret in a row that are hidden where the rest of it is missing. Fewer are no secret, and may be a word.
pub(crate) const SECRET_PIECE: usize = 8;

/// Bytes that the password of a proxy must have to be hidden. Tokens and codes are longer.
pub(crate) const SHORTEST_SECRET: usize = 4;

/// How often gateways are told of other services at most: what their budgets grant for ever.
pub(crate) const ANNOUNCE_REST: Duration = Duration::from_secs(1);

/// Lines of the audit log that wait to be written. One is at most some 40 KiB long and usually 300 bytes.
pub(crate) const AUDIT_LINES: usize = 1024;

/// How long a request waits for room among them before it is refused: a disk that is merely slow has caught up by then.
pub(crate) const AUDIT_PATIENCE: Duration = Duration::from_secs(5);

/// How often a failed write is tried again, and how often at most it is looked whether the log was rotated.
pub(crate) const AUDIT_RETRY: Duration = Duration::from_secs(1);

/// How long the writing of the last lines may hold up the end of the process.
pub(crate) const AUDIT_LAST_WORDS: Duration = Duration::from_secs(2);

/// Bytes of a path in the audit log, escaped: what the whitelist takes of a target.
pub(crate) const AUDIT_PATH: usize = 8192;

/// Names of parameters in a line of the audit log …
pub(crate) const AUDIT_NAMES: usize = 64;

/// … and bytes of them.
pub(crate) const AUDIT_NAMES_BYTES: usize = 4096;

/// How long the configuration's folder must be quiet before the file is read: several changes are taken as one.
pub(crate) const RELOAD_QUIET: Duration = Duration::from_millis(100);

/// When it is read at the latest, although the folder does not come to rest.
pub(crate) const RELOAD_LATEST: Duration = Duration::from_secs(2);

/// How long a file that somebody writes into is left alone: until it is closed, or nothing was written for so long.
pub(crate) const RELOAD_WRITER: Duration = Duration::from_secs(10);

/// How often the file is looked at without a reason: some file systems tell of no change.
pub(crate) const RELOAD_POLL: Duration = Duration::from_secs(30);
