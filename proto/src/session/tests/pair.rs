//! A gateway's and an agent's session joined by the real codec, on a virtual clock.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};

use crate::{
    session::{Answer, Event, Limits, Peer, Read, Session, SessionError, Side, StreamError},
    wire::{Packet, RequestHead, RequestId, ResponseHead, ServiceName, StreamId},
};

/// Small enough that every bound is soon met; windows do not grow.
pub(super) const SMALL: Limits = Limits { streams: 4, window: 8 * 1024, max_window: 8 * 1024, growth: 0 };

pub(super) const HEARTBEAT: Duration = Duration::from_secs(10);

pub(super) fn session(side: Side, limits: Limits, peer: Limits, now: Instant) -> Session {
    Session::new(side, limits, Peer { window: peer.window, streams: peer.streams }, HEARTBEAT, now)
}

pub(super) fn request() -> Arc<RequestHead> {
    Arc::new(RequestHead {
        service: ServiceName::new("orders").unwrap(),
        method: Method::POST,
        target: Bytes::from_static(b"/v1?x=%2F"),
        headers: HeaderMap::new(),
        request_id: RequestId::new("r-1").unwrap(),
        deadline: None,
        upgrade: false,
    })
}

pub(super) fn response() -> ResponseHead {
    ResponseHead { status: StatusCode::OK, headers: HeaderMap::new() }
}

pub(super) fn trailers() -> HeaderMap {
    HeaderMap::from_iter([("x-checksum".parse().unwrap(), "7".parse().unwrap())])
}

/// Recognisable bytes of a length.
pub(super) fn body(len: usize) -> Bytes {
    (0..len).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

pub(super) fn handle(session: &mut Session, packet: Packet, now: Instant) -> Result<(), SessionError> {
    match packet {
        Packet::Text(text) => session.handle_text(&text, now),
        Packet::Data(data) => session.handle_data(data, now),
        Packet::Ping => session.handle_ping(now),
    }
}

/// The events of a session in words.
pub(super) fn events(session: &mut Session) -> Vec<String> {
    std::iter::from_fn(|| session.poll_event())
        .map(|event| match event {
            Event::Opened(id, _) => format!("opened {id}"),
            Event::Readable(id) => format!("readable {id}"),
            Event::Writable(id) => format!("writable {id}"),
            Event::Services(services) => format!("services {}", services.len()),
            Event::Renewed(credential) => format!("renewed {}", credential.0),
            Event::GoAway => "go-away".to_owned(),
        })
        .collect()
}

/// Everything that a session has to send, as text; data frames as `data id length`, `!` behind the last.
pub(super) fn packets(session: &mut Session) -> Vec<String> {
    std::iter::from_fn(|| session.poll_packet())
        .map(|packet| match packet {
            Packet::Text(text) => text,
            Packet::Ping => "ping".to_owned(),
            Packet::Data(data) => {
                let end = if data[4] == 1 { "!" } else { "" };
                format!("data {} {}{end}", u32::from_be_bytes(data[..4].try_into().unwrap()), data.len() - 5)
            }
        })
        .collect()
}

/// What a reader got until it was blocked or done.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Got {
    pub(super) bytes: Vec<u8>,
    /// `Some` once the body was seen to be complete, with its trailers.
    pub(super) end: Option<Option<HeaderMap>>,
}

/// Reads until blocked or done.
pub(super) fn read(session: &mut Session, id: StreamId, got: &mut Got) -> Result<(), StreamError> {
    while got.end.is_none() {
        match session.read(id)? {
            Read::Blocked => break,
            Read::End(trailers) => got.end = Some(trailers),
            Read::Data { chunk, last } => {
                assert!(!chunk.is_empty(), "a chunk holds something");
                got.bytes.extend_from_slice(&chunk);
                got.end = last.then_some(None);
            }
        }
    }
    Ok(())
}

/// A session that keeps all that it was sent, for scenes in which one side's reader has nothing to add.
pub(super) struct Pair {
    pub(super) gateway: Session,
    pub(super) agent: Session,
    pub(super) now: Instant,
    rounds: u32,
}

impl Pair {
    pub(super) fn new(gateway: Limits, agent: Limits) -> Self {
        let now = Instant::now();
        let (a, b) = (session(Side::Gateway, gateway, agent, now), session(Side::Agent, agent, gateway, now));
        Self { gateway: a, agent: b, now, rounds: 0 }
    }

    /// Opens a stream and lets the agent take it.
    pub(super) fn open(&mut self, end: bool) -> StreamId {
        let id = self.gateway.open(request(), end).unwrap();
        self.carry();
        assert_eq!(events(&mut self.agent), [format!("opened {id}")]);
        id
    }

    /// Opens a stream, answers it without `end`, and lets the gateway take the answer.
    pub(super) fn open_answered(&mut self, end: bool) -> StreamId {
        let id = self.open(end);
        self.agent.respond(id, response(), false);
        self.carry();
        assert!(matches!(self.gateway.answer(id), Ok(Some(Answer::Response(_)))));
        id
    }

    /// Carries packets both ways until neither side has any.
    pub(super) fn carry(&mut self) {
        self.rounds += 1;
        assert!(self.rounds < 10_000, "a scene comes to an end");
        while self.carry_some() > 0 {}
    }

    fn carry_some(&mut self) -> usize {
        let mut count = 0;
        while let Some(packet) = self.gateway.poll_packet() {
            count += 1;
            handle(&mut self.agent, packet, self.now).expect("an honest gateway");
        }
        while let Some(packet) = self.agent.poll_packet() {
            count += 1;
            handle(&mut self.gateway, packet, self.now).expect("an honest agent");
        }
        count
    }

    /// Lets each side measure the round trip, which takes this long.
    pub(super) fn measure_rtt(&mut self, rtt: Duration) {
        for session in [&mut self.gateway, &mut self.agent] {
            session.handle_timeout(self.now).unwrap();
            assert_eq!(session.poll_packet(), Some(Packet::Ping));
        }
        self.now += rtt;
        self.gateway.handle_pong(self.now);
        self.agent.handle_pong(self.now);
    }

    /// The two sides of a transfer: who writes, who reads.
    pub(super) fn ends(&mut self, upload: bool) -> (&mut Session, &mut Session) {
        if upload { (&mut self.gateway, &mut self.agent) } else { (&mut self.agent, &mut self.gateway) }
    }

    /// Moves a whole body and ends it.
    pub(super) fn transfer(&mut self, id: StreamId, upload: bool, mut data: Bytes, end: Option<HeaderMap>) -> Got {
        let mut got = Got::default();
        while !data.is_empty() {
            let (from, to) = self.ends(upload);
            let before = (data.len(), got.bytes.len());
            from.write(id, &mut data).unwrap();
            read(to, id, &mut got).unwrap();
            self.carry();
            assert_ne!(before, (data.len(), got.bytes.len()), "a transfer never sticks");
        }
        self.ends(upload).0.finish(id, end);
        while got.end.is_none() {
            let before = got.bytes.len();
            self.carry();
            read(self.ends(upload).1, id, &mut got).unwrap();
            assert!(got.end.is_some() || got.bytes.len() > before, "a transfer never sticks");
        }
        got
    }

    /// Lets go of every handle and checks that nothing of the stream is left.
    pub(super) fn release(&mut self, id: StreamId) {
        for session in [&mut self.gateway, &mut self.agent] {
            session.release_reader(id);
            session.release_writer(id);
        }
        self.carry();
        assert_eq!((self.gateway.streams(), self.agent.streams()), (0, 0), "both tables are empty");
    }
}
