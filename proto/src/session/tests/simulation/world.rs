//! Two sessions, the link between them, and the laws that hold at every moment.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Instant,
};

use super::{
    apps::{App, Half},
    plan::Scene,
};
use crate::{
    session::{
        Peer, Session, Side,
        limits::CONTROL_FRAMES,
        recv::charge,
        stream::Stream,
        tests::{pair::handle, rng::Rng},
    },
    wire::{Frame, Packet, StreamId, decode_data, decode_text},
};

/// Something on its way.
enum Parcel {
    Packet(Packet),
    /// What the WebSocket library answers a ping with.
    Pong,
}

/// What a parcel does to the credit of a stream: data carries some, a window frame brings some.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Carries {
    Nothing,
    Request,
    Charge(StreamId, u32),
    Credit(StreamId, u32),
}

/// One side, and the pipe that leads away from it.
pub(super) struct Station {
    pub(super) session: Session,
    pub(super) app: App,
    pipe: VecDeque<(Parcel, Carries, Instant)>,
    room: usize,
    lost: bool,
}

pub(super) struct World {
    pub(super) scene: Scene,
    pub(super) rng: Rng,
    /// The gateway and the agent.
    pub(super) stations: [Station; 2],
    now: Instant,
    pub(super) opened: usize,
    steps: usize,
}

/// What can happen next; the number is that of a station.
#[derive(Clone, Copy, Debug)]
enum Action {
    Send(usize),
    Deliver(usize),
    Hear(usize),
    Run(usize),
    Rouse(usize),
    Open,
    Lose(usize),
}

impl World {
    pub(super) fn new(scene: Scene, rng: Rng) -> Self {
        let now = Instant::now();
        let station = |side, own: crate::session::Limits, peer: crate::session::Limits, room| Station {
            session: Session::new(side, own, Peer { window: peer.window, streams: peer.streams }, scene.heartbeat, now),
            app: App::new(side == Side::Gateway),
            pipe: VecDeque::new(),
            room,
            lost: false,
        };
        let stations = [
            station(Side::Gateway, scene.gateway, scene.agent, scene.room[0]),
            station(Side::Agent, scene.agent, scene.gateway, scene.room[1]),
        ];
        Self { scene, rng, stations, now, opened: 0, steps: 0 }
    }

    /// Lets things happen, in random order, until nothing can.
    pub(super) fn run(&mut self) {
        loop {
            self.steps += 1;
            assert!(self.steps < 1_000_000, "the world comes to rest");
            self.disturb();
            if self.rng.one_in(20) {
                self.tick();
            }
            let actions = self.possible();
            if actions.is_empty() {
                let awaits_time =
                    |station: &Station| !station.lost && station.session.deadlines.poll_timeout().is_some();
                if !self.stations.iter().any(awaits_time) {
                    break;
                }
                self.tick();
                continue;
            }
            let action = self.rng.pick(&actions);
            self.act(action);
            self.assert_bounds();
            if self.rng.one_in(16) {
                self.assert_laws();
            }
        }
        self.assert_laws();
    }

    fn possible(&self) -> Vec<Action> {
        let mut actions = Vec::new();
        for (at, station) in self.stations.iter().enumerate() {
            let lost = station.lost;
            actions.extend(
                (!lost && station.pipe.len() < station.room && station.session.has_packets())
                    .then_some(Action::Send(at)),
            );
            actions.extend((!station.pipe.is_empty()).then_some(Action::Deliver(at)));
            actions.extend((!station.session.events.is_empty()).then_some(Action::Hear(at)));
            actions.extend((!station.app.awake.is_empty()).then_some(Action::Run(at)));
            actions.extend((!station.app.asleep.is_empty()).then_some(Action::Rouse(at)));
            // Once one side knows that the link is lost, the other learns it some day.
            actions.extend((!lost && self.stations[1 - at].lost).then_some(Action::Lose(at)));
        }
        let can_open = self.opened < self.scene.requests && self.stations[0].session.can_open().is_ok();
        actions.extend(can_open.then_some(Action::Open));
        actions
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Send(at) => self.send(at),
            Action::Deliver(at) => self.deliver(at),
            Action::Hear(at) => {
                let station = &mut self.stations[at];
                let event = station.session.poll_event().expect("there is one");
                station.app.hear(&event, &self.scene);
            }
            Action::Run(at) => {
                let Station { session, app, .. } = &mut self.stations[at];
                let (id, half) = app.awake.swap_remove(self.rng.below(app.awake.len()));
                app.run(session, id, half, &mut self.rng);
            }
            Action::Rouse(at) => {
                let app = &mut self.stations[at].app;
                let half: (StreamId, Half) = app.asleep.swap_remove(self.rng.below(app.asleep.len()));
                app.awake.push(half);
            }
            Action::Open => {
                self.opened += 1;
                let Station { session, app, .. } = &mut self.stations[0];
                app.open(session, &self.scene);
            }
            Action::Lose(at) => self.lose(at),
        }
    }

    /// What the scene has planned for this step.
    fn disturb(&mut self) {
        let step = Some(self.steps);
        if self.scene.gateway_drains == step {
            self.stations[0].session.drain("planned");
        }
        if self.scene.agent_drains == step {
            self.stations[1].session.announce(Vec::new());
            self.stations[1].session.drain("planned");
        }
        if self.scene.lost == step {
            let at = self.rng.below(2);
            self.lose(at);
        }
    }

    fn lose(&mut self, at: usize) {
        for station in &mut self.stations {
            station.pipe.clear();
        }
        self.stations[at].lost = true;
        self.stations[at].session.handle_lost();
    }

    fn send(&mut self, at: usize) {
        let now = self.now;
        let other_lost = self.stations[1 - at].lost;
        let station = &mut self.stations[at];
        let Some(packet) = station.session.poll_packet() else { return };
        let carries = carries(&packet);
        if !other_lost {
            station.pipe.push_back((Parcel::Packet(packet), carries, now));
        }
        station.session.handle_blocked(station.pipe.len() >= station.room, now);
    }

    fn deliver(&mut self, at: usize) {
        let now = self.now;
        let Some((parcel, carries, _)) = self.stations[at].pipe.pop_front() else { return };
        self.stations[at].session.handle_blocked(false, now);
        let [gateway, agent] = &mut self.stations;
        let (from, to) = if at == 0 { (gateway, agent) } else { (agent, gateway) };
        match parcel {
            Parcel::Pong => to.session.handle_pong(now),
            Parcel::Packet(packet) => {
                if packet == Packet::Ping {
                    // The library's answer takes no turn, and no room.
                    to.pipe.push_back((Parcel::Pong, Carries::Nothing, now));
                }
                let before = to.session.streams();
                if let Err(error) = handle(&mut to.session, packet, now) {
                    panic!("between two honest sides: {error} ({:?})", from.session.side);
                }
                if carries == Carries::Request && before < to.session.limits.streams as usize {
                    assert_eq!(to.session.streams(), before + 1, "whoever has room takes a request, draining or not");
                }
            }
        }
    }

    /// Time passes, but never so much that a packet is on its way for long: nobody is dead here.
    fn tick(&mut self) {
        let step = self.scene.heartbeat / 8;
        self.now += step.mul_f64(f64::from(u32::try_from(self.rng.below(1000)).unwrap()) / 1000.0);
        for at in 0..2 {
            while self.stations[at].pipe.front().is_some_and(|(.., sent)| *sent + 3 * step < self.now) {
                self.deliver(at);
            }
            let station = &mut self.stations[at];
            if station.lost {
                continue;
            }
            if station.session.poll_timeout() <= self.now {
                let alive = station.session.handle_timeout(self.now);
                if self.stations[1 - at].lost {
                    self.lose(at);
                } else {
                    alive.expect("the peer is alive");
                    self.send(at);
                }
            }
        }
    }

    /// The bounds that a peer could strain.
    fn assert_bounds(&self) {
        for Station { session, .. } in &self.stations {
            assert!(session.held() <= session.limits.memory(), "held is within the memory");
            assert!(session.streams() <= session.limits.streams as usize, "streams are within their limit");
            assert!(session.control.len() < CONTROL_FRAMES, "the control queue stays short");
            assert!(session.events.len() <= 3 * session.limits.streams as usize + 64, "events do not pile up");
        }
    }

    /// The laws that hold between any two steps.
    fn assert_laws(&self) {
        for Station { session, lost, .. } in &self.stations {
            let grown: u64 = session.streams.values().map(|s| s.recv.grown(session.limits.window)).sum();
            assert_eq!(session.growth + grown, session.limits.growth, "growth is in the budget or in a window");
            for (id, stream) in &session.streams {
                assert!(!stream.is_done(), "stream {id} is over and forgotten");
                assert!(*lost || stream.send.queued || !stream.send.is_ready(), "stream {id} is ready and queued");
                assert!(!stream.recv.is_credit_due(), "stream {id} returns what is due at once");
            }
            let distinct: HashSet<_> = session.ready.iter().collect();
            assert_eq!(distinct.len(), session.ready.len(), "no stream has two turns");
        }
        for upload in [true, false] {
            self.assert_credit_conserved(upload);
        }
        let [gateway, agent] = &self.stations;
        let on_its_way = || gateway.pipe.iter().any(|(_, carries, _)| *carries == Carries::Request);
        assert!(agent.lost || !agent.session.is_drained() || !on_its_way(), "a link closes on no request");
    }

    /// What a sender may still send, with what is on its way in either direction, is what the receiver has lent.
    fn assert_credit_conserved(&self, upload: bool) {
        let (from, to) = if upload { (0, 1) } else { (1, 0) };
        let (from, to) = (&self.stations[from], &self.stations[to]);
        if from.lost || to.lost {
            return;
        }
        let mut flying = HashMap::<StreamId, u32>::new();
        for (_, carries, _) in &from.pipe {
            if let Carries::Charge(id, bytes) = carries {
                *flying.entry(*id).or_default() += bytes;
            }
        }
        for (_, carries, _) in &to.pipe {
            if let Carries::Credit(id, bytes) = carries {
                *flying.entry(*id).or_default() += bytes;
            }
        }
        for (id, sender) in &from.session.streams {
            let open = |stream: &&Stream| stream.recv.is_open() && !sender.send.is_closed();
            let Some(receiver) = to.session.streams.get(id).filter(open) else { continue };
            let (lent, owed) = receiver.recv.lent();
            let flying = flying.get(id).copied().unwrap_or_default();
            assert_eq!(sender.send.credit() + flying + owed, lent, "credit of stream {id}");
        }
    }

    /// What is left when nothing can happen any more.
    pub(super) fn assert_at_rest(&mut self) {
        for station in &mut self.stations {
            let session = &mut station.session;
            let unfinished = station.app.unfinished();
            assert!(unfinished.is_empty(), "every half finishes: {unfinished:#?}");
            assert_eq!(session.streams(), 0, "no stream is left");
            assert_eq!(session.growth, session.limits.growth, "all growth was returned");
            assert_eq!(session.held(), 0);
            if !station.lost {
                assert_eq!(session.poll_packet(), None, "nothing to send was forgotten");
                let draining = session.going_away || session.peer_going_away;
                assert_eq!(session.is_drained(), draining);
            }
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        self.stations.iter().any(|station| station.lost)
    }
}

fn carries(packet: &Packet) -> Carries {
    let frame = match packet {
        Packet::Text(text) => decode_text(text),
        Packet::Data(data) => decode_data(data.clone()),
        Packet::Ping => return Carries::Nothing,
    };
    match frame.expect("a session sends what can be read") {
        Frame::Request { .. } => Carries::Request,
        Frame::Data { id, chunk, .. } => Carries::Charge(id, charge(chunk.len())),
        Frame::Window { id, bytes } => Carries::Credit(id, bytes),
        _ => Carries::Nothing,
    }
}
