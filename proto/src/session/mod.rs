//! The multiplexer: many requests over one link, as a pure state machine.
//!
//! A [`Session`] is one side's protocol state of one link, after both hellos. It reads no clock, spawns no task and
//! touches no socket, so that its tests run in virtual time and cover what sockets show once a year. Four kinds of
//! method make it up, as in quinn:
//!
//! - `handle_*` takes what happened: a packet came, time passed, the socket is full;
//! - the verbs (`open`, `respond`, `write`, `read`, `reset` …) are the application's;
//! - `poll_packet` gives what to send, control before data, data round robin, one chunk a stream;
//! - `poll_event` tells whom to wake. A verb that answers *blocked* is always followed by an event once it can go on.
//!
//! Errors of the peer end either the session ([`SessionError`]) or one stream ([`StreamError`]); our own
//! guarantees are asserted.

mod budget;
mod deadlines;
mod error;
mod heartbeat;
pub(crate) mod ids;
mod inbound;
pub mod limits;
mod outbound;
mod recv;
mod send;
mod stream;
#[cfg(test)]
mod tests;
mod verbs;

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use self::{
    budget::Budget,
    deadlines::Deadlines,
    heartbeat::Heartbeat,
    ids::ById,
    stream::{Head, Stream},
};
use crate::wire::{Credential, Frame, RequestHead, ServiceName, StreamId};

pub use self::{
    error::{OpenError, SessionError, Stopped, StreamError},
    limits::Limits,
    recv::Read,
    stream::Answer,
};

/// Which side of the link this is. Only the gateway opens streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Opens streams and reads answers.
    Gateway,
    /// Takes streams and answers them.
    Agent,
}

/// What the peer said of itself in its hello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Bytes that it takes on each stream at first.
    pub window: u32,
    /// Streams that it takes, or opens, at once.
    pub streams: u32,
}

/// Something the application, or the driver on its behalf, has to look at.
#[derive(Debug)]
pub enum Event {
    /// A new request (agent only).
    Opened(StreamId, Arc<RequestHead>),
    /// Reading the stream, or taking its answer, will get further than it did.
    Readable(StreamId),
    /// Writing the stream will get further than it did, or its body was invited.
    Writable(StreamId),
    /// The agent offers these services from now on (gateway only).
    Services(Vec<ServiceName>),
    /// The agent shows a fresh credential (gateway only).
    Renewed(Credential),
    /// The peer wants, or opens, no new streams, and this side has not said so before.
    GoAway,
}

/// What speaks against a link for the next stream; the less, the better.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Burden {
    /// The peer may be dead: see [`Session::doubt`]. This counts first.
    pub doubted: bool,
    /// Streams in flight.
    pub streams: usize,
}

/// One side's state of one link. See the module's documentation.
#[derive(Debug)]
pub struct Session {
    side: Side,
    limits: Limits,
    peer: Peer,
    now: Instant,
    streams: ById<Stream>,
    /// The last stream opened (gateway) or seen (agent).
    last_id: StreamId,
    /// The last stream that both sides know of: the gateway's driver has taken its head.
    last_sent: StreamId,
    control: VecDeque<Frame>,
    /// Streams with a window frame to send.
    windows: VecDeque<StreamId>,
    /// The round robin of streams that have data, or an end, to send.
    ready: VecDeque<StreamId>,
    events: VecDeque<Event>,
    heartbeat: Heartbeat,
    /// A doubt was raised that the driver has to hear of.
    is_doubt_news: bool,
    deadlines: Deadlines,
    /// What windows may still grow by.
    growth: u64,
    /// Credit that peers held for streams which this side ended early: as much may still be on its way.
    orphaned: u64,
    /// Control frames for ended streams that may still be on their way.
    strays: u32,
    /// Cancelled streams: those of the peer (agent), or this side's own, kept to half of what the agent bears (gateway).
    cancels: Budget,
    pings: Budget,
    notices: Budget,
    /// This side has said go-away, and so has the peer.
    going_away: bool,
    peer_going_away: bool,
    ended: bool,
}

impl Session {
    /// A session between two sides that have said hello.
    ///
    /// # Panics
    /// If a window is below [`limits::MIN_WINDOW`], or may grow beyond [`limits::MAX_PEER_WINDOW`]: configuration and
    /// handshake have refused that.
    #[must_use]
    pub fn new(side: Side, limits: Limits, peer: Peer, heartbeat: Duration, now: Instant) -> Self {
        assert!(limits.window >= limits::MIN_WINDOW, "the configured window is checked when it is read");
        assert!(peer.window >= limits::MIN_WINDOW, "the peer's window is checked in the handshake");
        let largest = limits.window.max(limits.max_window);
        assert!(largest <= limits::MAX_PEER_WINDOW, "no window grows beyond what a peer takes");
        Self {
            side,
            limits,
            peer,
            now,
            streams: ById::default(),
            last_id: StreamId(0),
            last_sent: StreamId(0),
            control: VecDeque::new(),
            windows: VecDeque::new(),
            ready: VecDeque::new(),
            events: VecDeque::new(),
            heartbeat: Heartbeat::new(heartbeat, now),
            is_doubt_news: false,
            deadlines: Deadlines::default(),
            growth: limits.growth,
            orphaned: 0,
            strays: limits::STRAYS,
            cancels: match side {
                Side::Agent => Budget::new(limits::cancel_burst(limits.streams), limits::CANCELS_PER_SECOND, now),
                Side::Gateway => {
                    Budget::new(limits::cancel_burst(peer.streams) / 2, limits::CANCELS_PER_SECOND / 2, now)
                }
            },
            pings: Budget::new(limits::PING_BURST, limits::PINGS_PER_SECOND, now),
            notices: Budget::new(limits::NOTICE_BURST, 1, now),
            going_away: false,
            peer_going_away: false,
            ended: false,
        }
    }

    /// Streams that are open or whose answer is still being read.
    #[must_use]
    pub fn streams(&self) -> usize {
        self.streams.len()
    }

    /// How good a choice the link is for the next stream.
    #[must_use]
    pub fn burden(&self) -> Burden {
        Burden { doubted: self.heartbeat.is_doubted(), streams: self.streams.len() }
    }

    /// The smoothed round trip, once one was measured.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.heartbeat.rtt()
    }

    /// Body bytes that wait to be read.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.streams.values().map(|stream| stream.recv.held()).sum()
    }

    /// Whether no stream will come any more and everything in flight is finished and sent. No stream comes once the
    /// gateway has said go-away; until then an agent that has said so itself goes on taking them.
    #[must_use]
    pub fn is_drained(&self) -> bool {
        let is_last_said = match self.side {
            Side::Gateway => self.going_away,
            Side::Agent => self.peer_going_away,
        };
        is_last_said && self.streams.is_empty() && self.control.is_empty()
    }

    /// The ids of the streams, in their order: a session does the same whenever it is told the same.
    fn ids(&self) -> Vec<StreamId> {
        let mut ids: Vec<StreamId> = self.streams.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Ends a stream early on this side: both halves, and what the peer may still send for it is accounted for.
    fn abandon(&mut self, id: StreamId, error: &StreamError) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.send.stop(error.clone());
        self.orphaned += u64::from(stream.recv.fail(error.clone()));
        self.wake(id);
    }

    /// Tells whoever waits on the stream, and forgets the stream if nobody will.
    fn wake(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        if std::mem::take(&mut stream.recv.waiting) {
            self.events.push_back(Event::Readable(id));
        }
        if stream.send.take_wakeup() {
            self.events.push_back(Event::Writable(id));
        }
        if stream.is_done() {
            self.growth += stream.recv.grown(self.limits.window);
            self.streams.remove(&id);
        }
    }

    /// Allows for the frames of one more stream that may come after it has ended.
    fn allow_strays(&mut self) {
        let most = self.limits.streams.saturating_mul(2 * limits::STRAYS_PER_STREAM).saturating_add(limits::STRAYS);
        self.strays = (self.strays + limits::STRAYS_PER_STREAM).min(most);
    }

    /// Puts the stream into the round robin if it has something to send and does not stand there.
    fn schedule(&mut self, id: StreamId) {
        if let Some(stream) = self.streams.get_mut(&id)
            && stream.send.is_ready()
            && !std::mem::replace(&mut stream.send.queued, true)
        {
            let headed = self.side == Side::Gateway || matches!(stream.head, Head::Answered);
            debug_assert!(headed, "an answer's head goes before its body");
            self.ready.push_back(id);
        }
    }
}
