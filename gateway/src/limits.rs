//! Every bound of the gateway that is not a setting, with its reason.

use std::time::Duration;

/// For a connection to agree upon TLS, and on the tunnel's listener for all until its agent has said hello: a slow or
/// silent stranger costs no more than this.
pub(crate) const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long a client's connection may lie idle: longer than common clients keep theirs.
pub(crate) const IDLE_CONNECTION: Duration = Duration::from_secs(75);

/// How long a client may take to send the head of a request, once it has begun with it: longer than any does that means
/// to. Looked at twice in that time, so it may become half as long again.
pub(crate) const HEAD: Duration = Duration::from_secs(30);

/// How often the log has a line for connections to a listener that come to nothing, because agents dial again and again,
/// or that have to wait because the process is out of file descriptors.
pub(crate) const COMPLAINT_REST: Duration = Duration::from_secs(60);

/// How long a listener rests when the process is out of file descriptors: accepting at once again would spin.
pub(crate) const ACCEPT_REST: Duration = Duration::from_millis(100);

/// What a rejected agent waits before it dials again, unless it is about to be let in.
pub(crate) const REJECT_HOLD_OFF: Duration = Duration::from_secs(60);

/// What an agent waits that nobody has decided about, when it was held for its time: whoever approves it then has it
/// within as long.
pub(crate) const PENDING_HOLD_OFF: Duration = Duration::from_secs(15);

/// What an agent waits that was held when the gateway began to drain: another is probably there already.
pub(crate) const DRAINING_HOLD_OFF: Duration = Duration::from_secs(1);

/// Links that are held for approval at once, of all agents together. Each holds a connection and a hello.
pub(crate) const PENDING_LINKS: usize = 64;

/// … and of one name: replicas and lanes that come together, and no more than an eighth of all. With as many different
/// sets of services it is remembered.
pub(crate) const PENDING_LINKS_PER_AGENT: usize = 8;

/// Agents that wait for approval and are remembered, those included that will come back. At least [`PENDING_LINKS`], so
/// that among too many one is away.
pub(crate) const PENDING_AGENTS: usize = 128;

/// Decisions in the state file, and bytes read of it: names and services of a large fleet.
pub(crate) const DECISIONS: usize = 4096;
/// See [`DECISIONS`]. More than they can come to, unless each claims more services than people read.
pub(crate) const STATE_BYTES: u64 = 64 * 1024 * 1024;

/// Bytes of a decision's request.
pub(crate) const DECISION_BYTES: usize = 4096;

/// Addresses whose failed attempts are counted; a few dozen bytes each.
pub(crate) const ATTEMPT_SOURCES: usize = 4096;

/// Lines in the log a minute for refusals of any kind at the tunnel, for each address.
pub(crate) const REFUSALS_LOGGED: u32 = 12;

/// What whoever has failed too often is told to wait, in seconds: as long as the attempts are counted.
pub(crate) const ATTEMPTS_RETRY_SECONDS: u16 = 60;

/// Wrong registration codes that are judged at once, of whomever: slips of people who type them.
pub(crate) const FREE_CODES: u32 = 5;

/// How long no code is judged after that, twice as long after each one more …
pub(crate) const CODE_REST: Duration = Duration::from_secs(30);

/// … up to this: whoever guesses for a day has tried some 30 of a million codes.
pub(crate) const LONGEST_CODE_REST: Duration = Duration::from_secs(3600);

/// When wrong codes are forgotten, if no more have come.
pub(crate) const CODES_FORGOTTEN: Duration = Duration::from_secs(24 * 3600);

/// How many steps of 30 s a code may be early or late (RFC 6238 §5.2): clocks differ, and people type.
pub(crate) const CODE_STEPS: u64 = 1;

/// Agents are let in one each so often (100 a second) …
pub(crate) const PACE: Duration = Duration::from_millis(10);

/// … but so many at once. Five hundred are in after three seconds, and a call waits for no more than one of them.
pub(crate) const PACE_BURST: u32 = 200;

/// Those beyond come back after one to so many seconds, evenly.
pub(crate) const PACE_SPREAD: u16 = 3;

/// On the tunnel's listener a TLS handshake begins each so often (200 a second: a fifth of a core at worst) …
pub(crate) const TURN: Duration = Duration::from_millis(5);

/// … but so many at once …
pub(crate) const TURN_BURST: u32 = 100;

/// … and a connection that would have to wait for longer is closed: half of what agents give a dial. So a thousand
/// wait, each with no more than its socket.
pub(crate) const TURN_PATIENCE: Duration = Duration::from_secs(5);

/// Signatures of tokens are verified one each so often for addresses that have failed too often: whoever has a good
/// token there gets in, and whoever has none costs less than a hundredth of a core …
pub(crate) const VERIFY: Duration = Duration::from_millis(20);

/// … but so many at once.
pub(crate) const VERIFY_BURST: u32 = 20;

/// What `Retry-After` tells a client when a retry may soon succeed, in seconds.
pub(crate) const RETRY_AFTER_SECONDS: u16 = 1;

/// What an agent may have a client wait, in seconds: a day.
pub(crate) const RETRY_AFTER_MOST: u64 = 24 * 60 * 60;

/// Links that one request is offered to, where they do not process it: agents that all drain or are all full must not
/// keep it going round.
pub(crate) const LINKS_TRIED: usize = 4;

/// Bytes of a body that are kept until its answer begins, so that it can be sent again: what most calls of an API have.
pub(crate) const KEPT_BODY: usize = 64 * 1024;

/// Bytes kept so by all requests of one facade: 512 of the longest. What finds no room is sent once.
pub(crate) const KEPT_BODIES: usize = 32 * 1024 * 1024;

/// Retries that each request earns its service …
pub(crate) const RETRY_SHARE: f64 = 0.2;

/// … and those that each second does: a service with little traffic has none to take a share of.
pub(crate) const RETRIES_PER_SECOND: f64 = 10.0;

/// How long what was earned can be spent: a link that breaks takes the requests of a moment with it, all at once.
pub(crate) const RETRY_WINDOW: Duration = Duration::from_secs(10);

/// How often the first in a queue looks for room unasked: other services may have left it on the same links.
pub(crate) const QUEUE_LOOK: Duration = Duration::from_millis(50);

/// Bytes read from a client at once, and thereby of the head of a request: two chunks. More than a processor's cache
/// holds would cost bulk.
pub(crate) const CLIENT_BUFFER: usize = 128 * 1024;

/// Bytes read at first from a client, to learn what it speaks: most heads fit.
pub(crate) const FIRST_BYTES: usize = 1024;

/// Bytes that are read of what an HTTP/1 client sends ahead of an answer, so that its end is seen behind them: of
/// pipelined requests many, of their bodies few.
pub(crate) const AHEAD: usize = 64 * 1024;

/// Requests on one HTTP/2 connection at once; a client waits with more. As many as a link takes.
pub(crate) const CLIENT_STREAMS: u32 = 1024;

/// What the body of each of them may send ahead of its reader, in bytes, and as much of an answer waits for a slow
/// client: two chunks, more than a round trip on one machine needs.
pub(crate) const CLIENT_STREAM_WINDOW: u32 = 128 * 1024;

/// The largest head on such a connection, in bytes as RFC 9113 §6.5.2 counts: what a link carries. The whitelist
/// refuses less than that with a reason.
pub(crate) const CLIENT_HEAD: u32 = 96 * 1024 + 256 * 32;

/// Idle connections that are closed at once where others wait for room: few enough that not all clients connect anew.
pub(crate) const GIVE_WAY: usize = 16;

/// How long one must have been idle for that on which there was a request before: its client may be about to send another.
pub(crate) const GIVE_WAY_AFTER: Duration = Duration::from_secs(1);

/// How long a listener rests for those to close.
pub(crate) const GIVE_WAY_REST: Duration = Duration::from_millis(1);

/// Connections of one listener at once; more wait in the kernel's queue. Each costs a task and a few kilobytes.
pub(crate) const CONNECTIONS: usize = 8192;

/// Connections that wait in a listener's queue until they are accepted. With the 128 that runtimes ask for, those that
/// come in a burst are forgotten by the kernel, and their clients try again after a second, or three.
pub(crate) const BACKLOG: u16 = 1024;

/// How long a connection may show no sign of life while its listener drains.
pub(crate) const DRAIN_IDLE: Duration = Duration::from_secs(2);

/// How long a client may go on sending what nobody reads once it was told that its request cannot be read …
pub(crate) const LINGER: Duration = Duration::from_secs(1);

/// … and how many bytes of it. A connection that is closed ahead of them is reset, and the answer may be lost.
pub(crate) const LINGER_BYTES: u64 = 1024 * 1024;

/// How long quiet connections are still served once their listener is closed: what a client has sent by then is on its
/// way for no longer.
pub(crate) const LAST_CALL: Duration = Duration::from_millis(250);

/// How long a listener that closes looks for another connection in its queue.
pub(crate) const LAST_ACCEPT: Duration = Duration::from_millis(1);

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

/// … but the first keys at first so soon after a failure, and twice as long after each one more: without them nobody is
/// known.
pub(crate) const FIRST_KEYS_REST: Duration = Duration::from_secs(1);

/// Longest fresh credential that a link keeps until its key is known, in bytes: twice the longest token of an agent.
pub(crate) const KEPT_CREDENTIAL: usize = 8 * 1024;

/// How far the clocks of an issuer and of the gateway may be apart.
pub(crate) const CLOCK_LEEWAY: Duration = Duration::from_secs(30);
