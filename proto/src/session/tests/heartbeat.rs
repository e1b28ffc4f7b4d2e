//! Heartbeats: their pace, silence, stalls, and the round trip they measure.

use std::time::{Duration, Instant};

use super::pair::{Got, HEARTBEAT, Pair, SMALL, body, packets, session};
use crate::{
    session::{
        Burden, Peer, Session, SessionError, Side,
        limits::{HEARTBEAT as HEARTBEATS, PING_BURST},
    },
    wire::Packet,
};

fn alone() -> (Session, Instant) {
    let now = Instant::now();
    (session(Side::Agent, SMALL, SMALL, now), now)
}

#[test]
fn the_first_ping_goes_out_at_once_and_then_one_a_heartbeat() {
    let (mut session, start) = alone();
    for beat in 0..5 {
        let due = start + HEARTBEAT * beat;
        assert_eq!(session.poll_timeout(), due);
        assert!(!session.has_packets());
        session.handle_timeout(due).unwrap();
        assert!(session.has_packets());
        assert_eq!(packets(&mut session), ["ping"]);
        session.handle_pong(due);
    }
}

#[test]
fn silence_for_two_heartbeats_and_a_half_is_death() {
    type Hear = fn(&mut Session, Instant);
    let heard: [(&str, Hear); 4] = [
        ("a pong", |session, now| session.handle_pong(now)),
        ("a ping", |session, now| session.handle_ping(now).unwrap()),
        ("a frame", |session, now| {
            session.handle_text(r#"{"type":"go-away","last_id":0,"reason":""}"#, now).unwrap();
        }),
        ("nothing", |_, _| {}),
    ];
    for (what, hear) in heard {
        let (mut session, start) = alone();
        let at = start + HEARTBEAT;
        session.handle_timeout(start).unwrap();
        session.handle_timeout(at).unwrap();
        hear(&mut session, at);
        let last = if what == "nothing" { start } else { at };
        let death = last + HEARTBEAT * 5 / 2;
        while session.poll_timeout() < death {
            session.handle_timeout(session.poll_timeout()).unwrap();
        }
        assert_eq!(session.handle_timeout(death - Duration::from_millis(1)), Ok(()), "{what}");
        assert_eq!(session.poll_timeout(), death, "{what}");
        assert_eq!(session.handle_timeout(death), Err(SessionError::Silent), "{what}");
    }
}

#[test]
fn three_heartbeats_without_a_byte_written_are_death() {
    let (mut session, start) = alone();
    let at = |seconds| start + Duration::from_secs(seconds);
    let hear = |session: &mut Session, until: u64| {
        for second in 0..=until {
            session.handle_timeout(at(second)).unwrap();
            session.handle_pong(at(second));
        }
    };
    session.handle_blocked(true, at(1));
    session.handle_blocked(true, at(20));
    hear(&mut session, 30);
    assert_eq!(session.handle_timeout(at(30)), Ok(()));
    assert_eq!(session.poll_timeout(), at(31), "the first time that the socket was full counts");
    // A byte of progress begins the wait anew, and room ends it.
    session.handle_blocked(false, at(30));
    session.handle_blocked(true, at(30));
    hear(&mut session, 59);
    assert_eq!(session.handle_timeout(at(59)), Ok(()));
    assert_eq!(session.handle_timeout(at(60)), Err(SessionError::Stalled));
    session.handle_blocked(false, at(60));
    assert_eq!(session.handle_timeout(at(60)), Ok(()));
}

#[test]
fn a_side_that_did_not_run_begins_anew_with_its_peer() {
    let (mut session, start) = alone();
    session.handle_timeout(start).unwrap();
    session.handle_pong(start);
    session.handle_blocked(true, start);
    packets(&mut session);
    // It was stopped for long; nothing that came meanwhile has been read yet.
    let awake = start + HEARTBEAT * 40;
    assert_eq!(session.handle_timeout(awake), Ok(()));
    assert_eq!(packets(&mut session), ["ping"], "the peer is asked at once");
    // Silence, and what the socket does not take, count from now on as ever.
    session.handle_timeout(awake + HEARTBEAT).unwrap();
    session.handle_timeout(awake + HEARTBEAT * 2).unwrap();
    assert_eq!(session.handle_timeout(awake + HEARTBEAT * 5 / 2), Err(SessionError::Silent));
}

#[test]
fn a_little_late_is_no_excuse() {
    let (mut session, start) = alone();
    session.handle_timeout(start).unwrap();
    session.handle_timeout(start + HEARTBEAT).unwrap();
    // Due at two heartbeats, and not quite half of one late.
    session.handle_timeout(start + HEARTBEAT * 5 / 2 - Duration::from_millis(1)).unwrap();
    assert_eq!(session.handle_timeout(start + HEARTBEAT * 5 / 2), Err(SessionError::Silent));
}

#[test]
fn whoever_is_doubted_has_half_a_heartbeat_to_show_that_it_lives() {
    let doubted = || {
        let (mut session, start) = alone();
        session.handle_timeout(start).unwrap();
        session.handle_pong(start);
        packets(&mut session);
        let at = start + HEARTBEAT / 3;
        session.doubt();
        assert!(session.take_nearer_timeout(), "the driver hears of it");
        assert!(session.poll_timeout() <= at, "at once");
        session.handle_timeout(at).unwrap();
        assert_eq!(packets(&mut session), ["ping"]);
        assert!(session.burden() > Burden { doubted: false, streams: 1000 }, "any other link is better");
        (session, at)
    };
    let (mut session, at) = doubted();
    let death = at + HEARTBEAT / 2;
    assert_eq!(session.poll_timeout(), death);
    session.doubt();
    session.handle_timeout(at).unwrap();
    assert_eq!(session.poll_timeout(), death, "asked again it gets no more time");
    assert_eq!(session.handle_timeout(death), Err(SessionError::Silent));

    let (mut session, at) = doubted();
    session.handle_pong(at + HEARTBEAT / 2);
    assert_eq!(session.burden(), Burden::default());
    assert_eq!(session.poll_timeout(), at + HEARTBEAT, "the usual pace again");
    // Doubted time and again it is not flooded with pings.
    for _ in 0..1000 {
        session.doubt();
        let next = session.poll_timeout().max(at + HEARTBEAT / 2);
        session.handle_timeout(next).unwrap();
        session.handle_pong(next);
    }
    assert_eq!(packets(&mut session).len(), 1);
}

#[test]
fn a_peer_that_sends_one_large_message_slowly_is_alive() {
    let (mut session, start) = alone();
    for beat in 0..10 {
        session.handle_timeout(start + HEARTBEAT * beat).unwrap();
        session.handle_progress(start + HEARTBEAT * beat);
    }
}

#[test]
fn the_round_trip_is_smoothed_and_measured_from_the_ping_that_is_answered() {
    let (mut session, start) = alone();
    let at = |ms| start + Duration::from_millis(ms);
    assert_eq!(session.rtt(), None);
    session.handle_pong(at(0));
    assert_eq!(session.rtt(), None, "nobody asked");
    session.handle_timeout(at(0)).unwrap();
    session.handle_pong(at(80));
    assert_eq!(session.rtt(), Some(Duration::from_millis(80)));
    session.handle_timeout(at(10_000)).unwrap();
    session.handle_pong(at(10_160));
    assert_eq!(session.rtt(), Some(Duration::from_millis(90)), "an eighth of the way");
    // The answer to a ping comes behind the next one: it took eleven seconds, not one.
    session.handle_timeout(at(20_000)).unwrap();
    session.handle_timeout(at(30_000)).unwrap();
    session.handle_pong(at(31_000));
    assert_eq!(session.rtt(), Some(Duration::from_micros(1_453_750)));
}

#[test]
fn pings_are_limited_and_the_shortest_heartbeat_stays_below() {
    let (mut session, start) = alone();
    for _ in 0..PING_BURST {
        session.handle_ping(start).unwrap();
    }
    assert_eq!(session.handle_ping(start), Err(SessionError::OverBudget("too many pings")));
    let (mut session, start) = alone();
    for beat in 0..10_000 {
        session.handle_ping(start + *HEARTBEATS.start() * beat).expect("an honest peer");
    }
}

/// For hours to days, and so does a stream on which nothing moves meanwhile.
#[test]
fn two_idle_sides_stay_alive_at_every_heartbeat() {
    for every in [*HEARTBEATS.start(), HEARTBEAT, *HEARTBEATS.end()] {
        let mut pair = Pair::new(SMALL, SMALL);
        let peer = Peer { window: SMALL.window, streams: SMALL.streams };
        pair.gateway = Session::new(Side::Gateway, SMALL, peer, every, pair.now);
        pair.agent = Session::new(Side::Agent, SMALL, peer, every, pair.now);
        let id = pair.open_answered(true);
        for _ in 0..1000 {
            pair.now = pair.gateway.poll_timeout().min(pair.agent.poll_timeout());
            for session in [&mut pair.gateway, &mut pair.agent] {
                if session.poll_timeout() <= pair.now {
                    session.handle_timeout(pair.now).expect("the peer is alive");
                }
            }
            let pings = [pair.gateway.poll_packet(), pair.agent.poll_packet()];
            pair.now += every / 4;
            if pings[0] == Some(Packet::Ping) {
                pair.agent.handle_ping(pair.now).unwrap();
                pair.gateway.handle_pong(pair.now);
            }
            if pings[1] == Some(Packet::Ping) {
                pair.gateway.handle_ping(pair.now).unwrap();
                pair.agent.handle_pong(pair.now);
            }
        }
        let got = pair.transfer(id, false, body(30_000), None);
        assert_eq!(got, Got { bytes: body(30_000).to_vec(), end: Some(None) }, "{every:?}");
        pair.release(id);
    }
}
