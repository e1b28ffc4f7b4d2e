//! How streams end before their time: cancelled, cut short, turned away, lost with the link.

use std::time::Duration;

use bytes::Bytes;

use super::pair::{Got, HEARTBEAT, Pair, SMALL, body, events, handle, packets, read, request, response};
use crate::{
    session::{Answer, Limits, OpenError, Read, Stopped, StreamError},
    wire::{ResetCode, StreamId},
};

fn reset(code: ResetCode) -> StreamError {
    StreamError::Reset { code, message: String::new() }
}

#[test]
fn a_request_cancelled_before_it_was_sent_never_is() {
    let mut pair = Pair::new(SMALL, SMALL);
    pair.carry();
    let (cancelled, other) =
        (pair.gateway.open(request(), false).unwrap(), pair.gateway.open(request(), true).unwrap());
    assert_eq!(pair.gateway.write(cancelled, &mut body(10)), Ok(true));
    pair.gateway.release_reader(cancelled);
    pair.gateway.release_writer(cancelled);
    assert_eq!(pair.gateway.streams(), 1);
    let sent = packets(&mut pair.gateway);
    assert!(sent.len() == 1 && sent[0].contains(&format!(r#""id":{other},"#)), "{sent:?}");
}

#[test]
fn a_cancelled_call_wakes_everyone_at_the_agent() {
    let mut pair = Pair::new(SMALL, SMALL);
    let id = pair.open(false);
    assert_eq!(pair.agent.read(id), Ok(Read::Blocked));
    assert_eq!(pair.agent.stopped(id), None);
    pair.gateway.release_reader(id);
    pair.carry();
    assert_eq!(events(&mut pair.agent), ["readable 1", "writable 1"]);
    assert_eq!(pair.agent.read(id), Err(reset(ResetCode::Cancelled)));
    assert_eq!(pair.agent.stopped(id), Some(Stopped::Unwanted(reset(ResetCode::Cancelled))));
    // Answering nobody is harmless.
    pair.agent.respond(id, response(), false);
    assert_eq!(pair.agent.write(id, &mut body(1)), Err(reset(ResetCode::Cancelled)));
    pair.release(id);
}

#[test]
fn whoever_watches_for_the_end_hears_of_it_although_it_wrote_in_between() {
    let mut pair = Pair::new(SMALL, SMALL);
    let id = pair.open_answered(true);
    assert_eq!(pair.agent.stopped(id), None);
    assert_eq!(pair.agent.write(id, &mut body(1)), Ok(true));
    pair.carry();
    assert_eq!(events(&mut pair.agent), [""; 0], "a watcher is not woken by room that it did not ask for");
    pair.gateway.release_reader(id);
    pair.carry();
    assert_eq!(events(&mut pair.agent), ["writable 1"]);
    pair.release(id);
}

#[test]
fn a_half_that_was_cut_short_never_looks_complete() {
    for upload in [true, false] {
        let mut pair = Pair::new(SMALL, SMALL);
        let id = pair.open_answered(!upload);
        let (from, _) = pair.ends(upload);
        assert_eq!(from.write(id, &mut body(5)), Ok(true));
        pair.carry();
        let (from, to) = pair.ends(upload);
        from.release_writer(id);
        let mut got = Got::default();
        read(to, id, &mut got).unwrap();
        pair.carry();
        let (_, to) = pair.ends(upload);
        assert_eq!(read(to, id, &mut got), Err(reset(ResetCode::Aborted)));
        assert_eq!(read(to, id, &mut got), Err(reset(ResetCode::Aborted)), "and stays so");
        assert_eq!(got, Got { bytes: body(5).to_vec(), end: None }, "what came before is read");
        pair.release(id);
    }
}

#[test]
fn an_agent_that_never_answers_is_an_error() {
    let mut pair = Pair::new(SMALL, SMALL);
    let id = pair.open(true);
    assert!(matches!(pair.gateway.answer(id), Ok(None)));
    pair.agent.release_writer(id);
    pair.carry();
    assert_eq!(events(&mut pair.gateway), ["readable 1"]);
    assert_eq!(pair.gateway.answer(id).unwrap_err(), reset(ResetCode::Internal));
    pair.release(id);
}

#[test]
fn an_answer_outlives_the_reset_behind_it() {
    let mut pair = Pair::new(SMALL, SMALL);
    let id = pair.open(true);
    pair.agent.respond(id, response(), false);
    pair.agent.reset(id, ResetCode::Internal, "a bug");
    pair.carry();
    let error = StreamError::Reset { code: ResetCode::Internal, message: "a bug".to_owned() };
    assert!(matches!(pair.gateway.answer(id), Ok(Some(Answer::Response(_)))));
    assert_eq!(pair.gateway.read(id), Err(error.clone()));
    assert_eq!(pair.agent.write(id, &mut body(1)), Err(error));
    pair.release(id);
}

#[test]
fn both_sides_may_abandon_a_stream_at_once() {
    let mut pair = Pair::new(SMALL, SMALL);
    let id = pair.open_answered(false);
    assert_eq!(pair.gateway.write(id, &mut body(9)), Ok(true));
    pair.gateway.reset(id, ResetCode::Cancelled, "");
    pair.agent.reset(id, ResetCode::Internal, "");
    pair.release(id);
}

#[test]
fn what_nobody_will_read_or_send_is_let_go_of() {
    let mut pair = Pair::new(SMALL, SMALL);
    let id = pair.open_answered(false);
    let message = Bytes::from([&[0, 0, 0, 1, 0], &*body(9)].concat());
    pair.agent.handle_data(message.clone(), pair.now).unwrap();
    pair.agent.release_reader(id);
    assert!(message.is_unique(), "what was queued for a reader that has gone");
    let piece = Bytes::from(vec![7; 100]);
    assert_eq!(pair.agent.write(id, &mut piece.clone()), Ok(true));
    pair.agent.reset(id, ResetCode::Internal, "");
    assert!(piece.is_unique(), "what was written to a stream that is over");
}

#[test]
fn whatever_an_application_says_of_a_reset_the_peer_can_read() {
    for message in ["x".repeat(2000), "é".repeat(1000), "two\r\nlines\u{0}\u{85}".to_owned()] {
        let mut pair = Pair::new(SMALL, SMALL);
        let id = pair.open(true);
        pair.agent.reset(id, ResetCode::Internal, &message);
        pair.carry();
        assert!(matches!(pair.gateway.answer(id), Err(StreamError::Reset { code: ResetCode::Internal, .. })));
        pair.release(id);
    }
}

/// A packet of the gateway reaches the agent.
fn carry_one(pair: &mut Pair) {
    let packet = pair.gateway.poll_packet().unwrap();
    handle(&mut pair.agent, packet, pair.now).unwrap();
}

#[test]
fn streams_that_cross_an_agents_go_away_are_taken() {
    let mut pair = Pair::new(SMALL, SMALL);
    pair.carry();
    pair.agent.drain("reload");
    pair.agent.drain("said once");
    // These cross it, one of them before and one after it is heard.
    let sent = pair.gateway.open(request(), false).unwrap();
    carry_one(&mut pair);
    let unsent = pair.gateway.open(request(), false).unwrap();
    assert_eq!(packets(&mut pair.agent), [r#"{"type":"go-away","last_id":4294967295,"reason":"reload"}"#]);
    pair.gateway.handle_text(r#"{"type":"go-away","last_id":4294967295,"reason":"reload"}"#, pair.now).unwrap();
    assert_eq!(events(&mut pair.gateway), ["go-away"]);
    assert_eq!(pair.gateway.open(request(), true), Err(OpenError::Draining));
    carry_one(&mut pair);
    assert_eq!(events(&mut pair.agent), ["opened 1", "opened 2"]);
    for id in [sent, unsent] {
        assert!(!pair.agent.is_drained(), "{id}");
        let whole = Got { bytes: body(20_000).to_vec(), end: Some(None) };
        assert_eq!(pair.transfer(id, true, body(20_000), None), whole);
        pair.agent.respond(id, response(), true);
        pair.carry();
        assert!(matches!(pair.gateway.answer(id), Ok(Some(_))));
        for session in [&mut pair.gateway, &mut pair.agent] {
            session.release_reader(id);
            session.release_writer(id);
        }
    }
    assert!(pair.gateway.is_drained() && pair.agent.is_drained());
}

#[test]
fn an_agent_is_not_drained_before_the_gateway_has_said_its_last_request() {
    let mut pair = Pair::new(SMALL, SMALL);
    pair.agent.drain("shutdown");
    assert_eq!(packets(&mut pair.agent).len(), 1);
    assert!(!pair.agent.is_drained(), "a request may be on its way");
    // Nothing is in flight that would show whether the gateway is there: it is asked, and has half a heartbeat.
    pair.agent.handle_timeout(pair.now).unwrap();
    assert_eq!(packets(&mut pair.agent), ["ping"]);
    assert_eq!(pair.agent.poll_timeout(), pair.now + HEARTBEAT / 2);
    let answer = r#"{"type":"go-away","last_id":0,"reason":"the agent goes away"}"#;
    pair.agent.handle_text(answer, pair.now).unwrap();
    assert!(pair.agent.is_drained());
    assert_eq!(events(&mut pair.agent), [""; 0], "it knows");
}

#[test]
fn streams_above_a_go_away_were_not_processed() {
    let mut pair = Pair::new(SMALL, SMALL);
    let taken = pair.open(true);
    let [sent, unsent] = [false, true].map(|end| {
        let id = pair.gateway.open(request(), end).unwrap();
        if !end {
            assert!(pair.gateway.poll_packet().is_some());
        }
        id
    });
    // An agent that takes none of those that cross says so.
    pair.gateway.handle_text(r#"{"type":"go-away","last_id":1,"reason":""}"#, pair.now).unwrap();
    for id in [sent, unsent] {
        assert_eq!(pair.gateway.answer(id).unwrap_err(), StreamError::NotProcessed, "{id}");
        pair.gateway.release_reader(id);
        pair.gateway.release_writer(id);
    }
    assert_eq!(
        packets(&mut pair.gateway),
        [r#"{"type":"go-away","last_id":3,"reason":"the agent goes away"}"#],
        "what was not sent never is"
    );
    assert!(matches!(pair.gateway.answer(taken), Ok(None)));
    assert!(!pair.gateway.is_drained());
}

#[test]
fn a_gateway_drains_likewise() {
    let mut pair = Pair::new(SMALL, SMALL);
    let id = pair.open(true);
    pair.gateway.drain("shutdown");
    pair.gateway.drain("said once");
    assert!(!pair.gateway.is_drained());
    pair.carry();
    assert_eq!(events(&mut pair.agent), ["go-away"]);
    assert_eq!(pair.gateway.can_open(), Err(OpenError::Draining));
    pair.agent.respond(id, response(), true);
    pair.carry();
    pair.release(id);
    assert!(pair.gateway.is_drained() && pair.agent.is_drained());
}

#[test]
fn a_drain_waits_for_what_is_still_to_be_sent() {
    let mut pair = Pair::new(SMALL, SMALL);
    pair.carry();
    pair.agent.drain("shutdown");
    assert!(!pair.agent.is_drained(), "the go-away itself waits");
    pair.carry();
    assert!(pair.agent.is_drained());
}

#[test]
fn a_lost_link_ends_what_is_not_complete_and_says_what_was_sent() {
    let mut pair = Pair::new(SMALL, SMALL);
    let complete = pair.open_answered(false);
    assert_eq!(pair.agent.write(complete, &mut body(7)), Ok(true));
    pair.agent.finish(complete, None);
    pair.carry();
    let sent = pair.open(true);
    let unsent = pair.gateway.open(request(), true).unwrap();
    for id in [sent, unsent] {
        assert!(matches!(pair.gateway.answer(id), Ok(None)));
    }
    events(&mut pair.gateway);
    pair.gateway.handle_lost();
    pair.agent.handle_lost();
    assert_eq!(events(&mut pair.gateway), ["readable 2", "readable 3"]);
    assert_eq!(pair.gateway.answer(sent).unwrap_err(), StreamError::LinkLost { sent: true });
    assert_eq!(pair.gateway.answer(unsent).unwrap_err(), StreamError::LinkLost { sent: false });
    assert_eq!(pair.gateway.read(complete), Ok(Read::Data { chunk: body(7), last: true }));
    assert_eq!(pair.gateway.open(request(), true), Err(OpenError::Ended));
    assert_eq!(packets(&mut pair.gateway), [""; 0], "there is nobody to tell");
    assert_eq!(pair.agent.stopped(sent), Some(Stopped::Unwanted(StreamError::LinkLost { sent: true })));
    for id in [complete, sent, unsent] {
        pair.gateway.release_reader(id);
        pair.gateway.release_writer(id);
        pair.agent.release_reader(id);
        pair.agent.release_writer(id);
    }
    assert_eq!((pair.gateway.streams(), pair.agent.streams()), (0, 0));
}

#[test]
fn a_link_that_has_used_up_its_ids_drains() {
    let mut pair = Pair::new(SMALL, SMALL);
    (pair.gateway.last_id, pair.gateway.last_sent) = (StreamId(u32::MAX - 1), StreamId(u32::MAX - 1));
    let last = pair.open(true);
    assert_eq!(last, StreamId(u32::MAX));
    assert_eq!(pair.gateway.open(request(), true), Err(OpenError::Draining));
    pair.carry();
    assert_eq!(events(&mut pair.agent), ["go-away"]);
    pair.agent.respond(last, response(), true);
    pair.carry();
    pair.release(last);
    assert!(pair.gateway.is_drained());
}

#[test]
fn growth_that_a_stream_took_comes_back_however_it_ends() {
    // The first window is read within two round trips, so that the second is larger.
    let limits = Limits { streams: 4, window: 8 * 1024, max_window: 64 * 1024, growth: 10_000 };
    for how in ["finished", "reset by the reader", "reset by the writer", "lost"] {
        let mut pair = Pair::new(limits, SMALL);
        pair.measure_rtt(Duration::from_millis(50));
        let id = pair.open_answered(true);
        let mut data: Bytes = body(60_000);
        let mut got = Got::default();
        while pair.gateway.growth > 0 {
            pair.agent.write(id, &mut data).unwrap();
            pair.carry();
            read(&mut pair.gateway, id, &mut got).unwrap();
        }
        match how {
            "finished" => pair.agent.finish(id, None),
            "reset by the reader" => pair.gateway.reset(id, ResetCode::Cancelled, ""),
            "reset by the writer" => pair.agent.reset(id, ResetCode::Aborted, ""),
            _ => {
                pair.gateway.handle_lost();
                pair.agent.handle_lost();
            }
        }
        pair.carry();
        assert_eq!(pair.gateway.growth, 0, "{how}: still in use");
        pair.release(id);
        assert_eq!(pair.gateway.growth, limits.growth, "{how}");
    }
}
