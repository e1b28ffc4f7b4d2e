//! Every budget of a session at its bound and one past it.

use std::time::Duration;

use http::StatusCode;

use super::{
    hostile::{Alone, ask, say},
    pair::{Pair, SMALL, body, packets, request, response, trailers},
};
use crate::{
    session::{
        Limits, SessionError,
        limits::{
            CANCEL_BURST, CANCELS_PER_SECOND, CONTROL_FRAMES, INTERIMS, MAX_PEER_WINDOW, NOTICE_BURST,
            PINGS_PER_SECOND, STRAYS, STRAYS_PER_STREAM,
        },
    },
    wire::{Failure, FailureCode, ResetCode, StreamId},
};

const CANCEL: &str = r#","code":"cancelled""#;
const OK: &str = r#","status":200,"headers":[]"#;

fn over(what: &'static str) -> Result<(), SessionError> {
    Err(SessionError::OverBudget(what))
}

fn violation(what: &str) -> Result<(), SessionError> {
    Err(SessionError::Violation(what.to_owned()))
}

/// Takes the same message `count` times without complaint.
fn repeat(alone: &mut Alone, message: &str, count: u32) {
    for at in 0..count {
        alone.take(message).unwrap_or_else(|error| panic!("{message} number {at}: {error}"));
    }
}

#[test]
fn opening_and_abandoning() {
    let mut alone = Alone::agent(SMALL);
    let mut last = 0;
    let mut rounds = |alone: &mut Alone, count: u32| -> Result<(), SessionError> {
        for _ in 0..count {
            last += 1;
            alone.take(&ask(last, true)).unwrap();
            let result = alone.take(&say("reset", last, CANCEL));
            alone.release(last);
            result?;
        }
        Ok(())
    };
    assert_eq!(rounds(&mut alone, CANCEL_BURST), Ok(()));
    assert_eq!(rounds(&mut alone, 1), over("too many cancelled streams"));
    alone.now += Duration::from_secs(1);
    assert_eq!(rounds(&mut alone, CANCELS_PER_SECOND), Ok(()));
    assert_eq!(rounds(&mut alone, 1), over("too many cancelled streams"));
}

#[test]
fn opening_more_than_there_is_room_for() {
    let mut alone = Alone::agent(SMALL);
    for id in 1..=SMALL.streams + CANCEL_BURST {
        alone.take(&ask(id, true)).unwrap();
        packets(&mut alone.session);
    }
    assert_eq!(alone.take(&ask(1_000_000, true)), over("too many cancelled streams"));
    assert_eq!(alone.session.streams(), SMALL.streams as usize);
}

#[test]
fn every_client_of_a_large_link_hangs_up_at_once() {
    let mut alone = Alone::agent(Limits { streams: CANCEL_BURST, ..SMALL });
    for id in 1..=2 * CANCEL_BURST {
        alone.take(&ask(id, true)).unwrap();
        alone.take(&say("reset", id, CANCEL)).unwrap();
        alone.release(id);
    }
    alone.take(&ask(1_000_000, true)).unwrap();
    assert_eq!(alone.take(&say("reset", 1_000_000, CANCEL)), over("too many cancelled streams"));
}

/// Clients that only come to hang up must not cost the link: it is there for others, too.
#[test]
fn a_gateway_cancels_no_more_than_an_agent_bears() {
    let mut pair = Pair::new(Limits { streams: 256, ..SMALL }, Limits { streams: 256, ..SMALL });
    let mut seconds = [0; 4];
    for opened in &mut seconds {
        loop {
            let ids: Vec<StreamId> = std::iter::from_fn(|| pair.gateway.open(request(), true).ok()).collect();
            pair.carry();
            for id in &ids {
                pair.gateway.release_writer(*id);
                pair.gateway.release_reader(*id);
            }
            // An agent that would say that it is too much fails in here.
            pair.carry();
            for id in &ids {
                pair.agent.release_writer(*id);
                pair.agent.release_reader(*id);
            }
            pair.carry();
            *opened += u32::try_from(ids.len()).unwrap();
            if ids.is_empty() {
                break;
            }
        }
        pair.now += Duration::from_secs(1);
        pair.gateway.note_time(pair.now);
    }
    assert_eq!(seconds[0], CANCEL_BURST / 2);
    assert!(seconds[1..].iter().all(|&opened| opened == CANCELS_PER_SECOND / 2), "{seconds:?}");
}

#[test]
fn pings_over_time() {
    let mut alone = Alone::agent(SMALL);
    let every = Duration::from_secs(1) / PINGS_PER_SECOND;
    while alone.session.handle_ping(alone.now).is_ok() {}
    for _ in 0..100 {
        alone.now += every;
        assert_eq!(alone.session.handle_ping(alone.now), Ok(()));
        assert_eq!(alone.session.handle_ping(alone.now), over("too many pings"));
    }
}

#[test]
fn announcements() {
    let messages = [
        r#"{"type":"services","services":[]}"#,
        r#"{"type":"renew","credential":"x"}"#,
        r#"{"type":"go-away","last_id":9,"reason":""}"#,
    ];
    for message in messages {
        let mut alone = Alone::gateway(SMALL);
        repeat(&mut alone, message, NOTICE_BURST);
        assert_eq!(alone.take(message), over("too many announcements"), "{message}");
        alone.now += Duration::from_secs(1);
        assert_eq!(alone.take(message), Ok(()));
        assert_eq!(alone.take(message), over("too many announcements"), "{message}");
    }
}

#[test]
fn frames_for_ended_streams() {
    for (kind, rest) in [("window", r#","bytes":1"#), ("reset", CANCEL), ("trailers", r#","headers":[]"#)] {
        let mut alone = Alone::agent(SMALL);
        alone.take(&ask(1, false)).unwrap();
        alone.session.reset(StreamId(1), ResetCode::Internal, "");
        repeat(&mut alone, &say(kind, 1, rest), STRAYS + STRAYS_PER_STREAM);
        assert_eq!(alone.take(&say(kind, 1, rest)), over("too many frames for ended streams"), "{kind}");
        alone.take(&ask(2, true)).unwrap();
        repeat(&mut alone, &say(kind, 1, rest), STRAYS_PER_STREAM);
        assert_eq!(alone.take(&say(kind, 1, rest)), over("too many frames for ended streams"), "{kind}");
    }
}

#[test]
fn what_streams_left_of_their_strays_is_kept_but_not_for_ever() {
    let mut alone = Alone::agent(SMALL);
    for id in 1..100 {
        alone.take(&ask(id, true)).unwrap();
        alone.session.fail(StreamId(id), Failure::new(FailureCode::Denied, ""));
        alone.release(id);
    }
    let most = STRAYS + 2 * STRAYS_PER_STREAM * SMALL.streams;
    repeat(&mut alone, &say("window", 1, r#","bytes":1"#), most);
    assert!(alone.take(&say("window", 1, r#","bytes":1"#)).is_err());
}

#[test]
fn all_that_an_honest_agent_may_have_on_its_way_to_cancelled_streams() {
    let limits = Limits { streams: 20, ..SMALL };
    let mut pair = Pair::new(limits, limits);
    let ids: Vec<StreamId> = (0..limits.streams).map(|_| pair.open(true)).collect();
    for id in &ids {
        for _ in 0..INTERIMS {
            pair.agent.inform(*id, StatusCode::EARLY_HINTS);
        }
        pair.agent.respond(*id, response(), false);
        pair.agent.write(*id, &mut body(10)).unwrap();
        pair.agent.finish(*id, Some(trailers()));
        pair.gateway.reset(*id, ResetCode::Cancelled, "");
    }
    pair.carry();
}

#[test]
fn data_for_ended_streams() {
    let beyond = "data beyond the credit lent to ended streams";
    // All that was lent may have been on its way when the gateway hung up, minus what came before.
    for before in [0, 1, 2] {
        let mut alone = Alone::gateway(SMALL);
        alone.take(&say("response", 1, OK)).unwrap();
        repeat(&mut alone, "data 1 2048", before);
        alone.session.reset(StreamId(1), ResetCode::Cancelled, "");
        alone.release(1);
        repeat(&mut alone, "data 1 2048", 4 - before);
        assert_eq!(alone.take("data 1 1"), violation(beyond), "{before}");
    }
    // A request that was refused had a window, unless it had no body.
    let mut alone = Alone::agent(Limits { streams: 1, ..SMALL });
    alone.take(&ask(1, true)).unwrap();
    alone.take(&ask(2, true)).unwrap();
    assert_eq!(alone.take("data 2 1"), violation(beyond));
    alone.take(&ask(3, false)).unwrap();
    repeat(&mut alone, "data 3 1", 8);
    assert_eq!(alone.take("data 3 1"), violation(beyond));
    assert_eq!(alone.session.held(), 0);
}

#[test]
fn data_for_open_streams() {
    let beyond = "data beyond the credit lent";
    for (len, count) in [(1, 8), (1024, 8), (8192, 1)] {
        let mut alone = Alone::agent(SMALL);
        alone.take(&ask(1, false)).unwrap();
        repeat(&mut alone, &format!("data 1 {len}"), count);
        assert_eq!(alone.session.held(), 8192);
        assert_eq!(alone.take("data 1 1"), violation(beyond), "{len}");
        assert_eq!(alone.take("data 1 0!"), violation(beyond), "{len}");
    }
    // Credit is the peer's once it was announced.
    for announced in [true, false] {
        let mut alone = Alone::agent(SMALL);
        alone.take(&ask(1, false)).unwrap();
        alone.take("data 1 8192").unwrap();
        alone.session.read(StreamId(1)).unwrap();
        if announced {
            packets(&mut alone.session);
            alone.take("data 1 8192").unwrap();
        }
        assert_eq!(alone.take("data 1 1"), violation(beyond), "{announced}");
    }
}

#[test]
fn data_for_a_reader_that_has_gone() {
    let mut alone = Alone::agent(SMALL);
    alone.take(&ask(1, false)).unwrap();
    alone.session.release_reader(StreamId(1));
    for _ in 0..1000 {
        alone.take("data 1 8192").unwrap();
        assert_eq!(alone.session.held(), 0);
        packets(&mut alone.session);
    }
    assert_eq!(alone.take("data 1 9000"), violation("data beyond the credit lent"));
}

#[test]
fn credit() {
    let too_much = "a window frame of no, or of too much, credit";
    let credit = |bytes: u32| say("window", 2, &format!(r#","bytes":{bytes}"#));
    let mut alone = Alone::gateway(SMALL);
    alone.take(&credit(MAX_PEER_WINDOW - SMALL.window)).unwrap();
    assert_eq!(alone.take(&credit(1)), violation(too_much));
    let mut alone = Alone::gateway(SMALL);
    assert_eq!(alone.take(&credit(u32::MAX)), violation(too_much));
}

#[test]
fn what_waits_for_a_peer_that_does_not_read() {
    // Each request is answered at once with a failure: one frame.
    let mut alone = Alone::agent(SMALL);
    let most = u32::try_from(2 * CONTROL_FRAMES).unwrap() + 4 * SMALL.streams;
    let mut answer = |id: u32| {
        let result = alone.take(&ask(id, true));
        if result.is_ok() {
            alone.session.fail(StreamId(id), Failure::new(FailureCode::Denied, ""));
            alone.release(id);
        }
        result
    };
    for id in 1..=most + 1 {
        assert_eq!(answer(id), Ok(()), "{id}");
    }
    assert_eq!(answer(most + 2), over("too much waits to be sent"));
}

#[test]
fn a_gateway_whose_agent_does_not_read_opens_no_more() {
    let mut alone = Alone::gateway(Limits { streams: 10, ..SMALL });
    let mut opened = 0;
    while let Ok(id) = alone.session.open(request(), false) {
        opened += 1;
        assert!(alone.session.write(id, &mut body(10)).is_ok());
        alone.release(id.0);
    }
    assert_eq!(opened, CONTROL_FRAMES - 1, "stream 3 waits already");
    assert!(alone.session.control.len() <= CONTROL_FRAMES);
    packets(&mut alone.session);
    assert!(alone.session.open(request(), true).is_ok());
}

#[test]
fn an_answer_to_a_peer_that_does_not_read_is_one_chunk() {
    let mut alone = Alone::agent(SMALL);
    alone.take(&ask(1, true)).unwrap();
    alone.session.respond(StreamId(1), response(), false);
    assert_eq!(alone.session.write(StreamId(1), &mut body(100_000)), Ok(true));
    assert_eq!(alone.session.write(StreamId(1), &mut body(1)), Ok(false));
}
