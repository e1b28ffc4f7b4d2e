//! What a stream goes through when everyone keeps to the rules: heads, bodies, trailers, invitations, failures.

use http::StatusCode;

use super::pair::{Got, Pair, SMALL, body, events, packets, read, request, response, trailers};
use crate::{
    session::{
        Answer, Event, OpenError, Read, StreamError,
        limits::{INTERIMS, Limits},
    },
    wire::{Failure, FailureCode, ResetCode, ServiceName, StreamId},
};

fn reset(code: ResetCode) -> StreamError {
    StreamError::Reset { code, message: String::new() }
}

#[test]
fn a_request_and_a_response_without_bodies() {
    let mut pair = Pair::new(SMALL, SMALL);
    let id = pair.gateway.open(request(), true).unwrap();
    assert!(matches!(pair.gateway.answer(id), Ok(None)));
    pair.carry();
    let Some(Event::Opened(opened, head)) = pair.agent.poll_event() else { panic!("a request opens a stream") };
    assert_eq!((opened, head), (id, request()));
    assert!(pair.agent.is_bodiless(id));
    pair.agent.respond(id, response(), true);
    pair.carry();
    assert_eq!(events(&mut pair.gateway), ["readable 1"]);
    assert!(matches!(pair.gateway.answer(id), Ok(Some(Answer::Response(head))) if head == response()));
    assert!(pair.gateway.is_bodiless(id));
    assert_eq!(pair.gateway.read(id), Ok(Read::End(None)));
    pair.release(id);
    assert_eq!(pair.gateway.open(request(), true), Ok(StreamId(2)), "ids are never reused");
}

#[test]
fn bodies_of_every_size_and_their_trailers_both_ways() {
    fn check(len: usize, limits: Limits, with_trailers: bool) {
        let mut pair = Pair::new(limits, limits);
        let end = with_trailers.then(trailers);
        let expected = Got { bytes: body(len).to_vec(), end: Some(end.clone()) };
        let id = pair.open(false);
        assert!(!pair.agent.is_bodiless(id));
        assert_eq!(pair.transfer(id, true, body(len), end.clone()), expected, "upload of {len}");
        pair.agent.respond(id, response(), false);
        pair.carry();
        assert!(matches!(pair.gateway.answer(id), Ok(Some(Answer::Response(_)))));
        assert_eq!(pair.transfer(id, false, body(len), end), expected, "download of {len}");
        pair.release(id);
    }
    for len in [0, 1, 1023, 1024, 1025, 8191, 8192, 8193, 65_535, 65_536, 65_537, 300_000] {
        for with_trailers in [false, true] {
            check(len, SMALL, with_trailers);
            check(len, Limits::default(), with_trailers);
        }
    }
}

#[test]
fn the_last_chunk_says_so_unless_trailers_follow() {
    for (end, expected) in [(None, "data 1 3!"), (Some(trailers()), "data 1 3")] {
        let mut pair = Pair::new(SMALL, SMALL);
        let id = pair.open(false);
        let is_last = end.is_none();
        assert_eq!(pair.gateway.write(id, &mut body(3)), Ok(true));
        pair.gateway.finish(id, end);
        let sent = pair.gateway.poll_packet().unwrap();
        super::pair::handle(&mut pair.agent, sent, pair.now).unwrap();
        assert_eq!(pair.agent.read(id), Ok(Read::Data { chunk: body(3), last: is_last }), "{expected}");
    }
}

#[test]
fn only_100_invites_a_body_that_is_held_back() {
    let mut pair = Pair::new(SMALL, SMALL);
    let id = pair.open(false);
    assert_eq!(pair.gateway.is_invited(id), Ok(false));
    pair.agent.inform(id, StatusCode::EARLY_HINTS);
    pair.carry();
    assert_eq!(pair.gateway.is_invited(id), Ok(false));
    pair.agent.inform(id, StatusCode::CONTINUE);
    pair.carry();
    assert_eq!(events(&mut pair.gateway), ["writable 1"]);
    assert_eq!(pair.gateway.is_invited(id), Ok(true));
    pair.transfer(id, true, body(10), None);
    pair.agent.respond(id, response(), true);
    pair.carry();
    pair.release(id);
}

#[test]
fn a_final_answer_calls_off_the_invitation() {
    let mut pair = Pair::new(SMALL, SMALL);
    let id = pair.open(false);
    assert_eq!(pair.gateway.is_invited(id), Ok(false));
    pair.agent.respond(id, response(), true);
    pair.carry();
    assert!(events(&mut pair.gateway).contains(&"writable 1".to_owned()));
    assert_eq!(pair.gateway.is_invited(id), Err(reset(ResetCode::Complete)));
    pair.release(id);
}

#[test]
fn the_agent_passes_on_as_many_informational_answers_as_the_gateway_takes() {
    let mut pair = Pair::new(SMALL, SMALL);
    let id = pair.open(true);
    for _ in 0..=INTERIMS {
        pair.agent.inform(id, StatusCode::EARLY_HINTS);
    }
    pair.carry();
    pair.agent.respond(id, response(), true);
    pair.carry();
    assert!(matches!(pair.gateway.answer(id), Ok(Some(Answer::Response(_)))));
    pair.release(id);
}

#[test]
fn a_failure_answers_and_ends_the_stream() {
    let mut pair = Pair::new(SMALL, SMALL);
    let id = pair.open(false);
    let failure = Failure::retry_safe(FailureCode::UpstreamRefused, "nobody listens");
    pair.agent.fail(id, failure.clone());
    pair.carry();
    assert!(matches!(pair.gateway.answer(id), Ok(Some(Answer::Failure(got))) if got == failure));
    assert!(pair.gateway.is_bodiless(id));
    assert_eq!(pair.gateway.write(id, &mut body(1)), Err(reset(ResetCode::Complete)), "the upload is not wanted");
    pair.release(id);
}

#[test]
fn a_complete_answer_stops_the_upload_and_stays() {
    let mut pair = Pair::new(SMALL, SMALL);
    let id = pair.open_answered(false);
    let mut upload = body(100_000);
    while pair.gateway.write(id, &mut upload) == Ok(true) {
        pair.carry();
    }
    assert_eq!(pair.agent.write(id, &mut body(5)), Ok(true));
    pair.agent.finish(id, None);
    pair.carry();
    assert_eq!(events(&mut pair.gateway).last().unwrap(), "writable 1", "the stopped upload is told");
    assert_eq!(pair.gateway.write(id, &mut upload), Err(reset(ResetCode::Complete)));
    let mut got = Got::default();
    assert_eq!(read(&mut pair.gateway, id, &mut got), Ok(()));
    assert_eq!(got, Got { bytes: body(5).to_vec(), end: Some(None) });
    assert_eq!(read(&mut pair.agent, id, &mut Got::default()), Err(reset(ResetCode::Complete)));
    pair.release(id);
}

#[test]
fn a_reader_that_goes_discards_and_the_upload_goes_on() {
    let mut pair = Pair::new(SMALL, SMALL);
    let id = pair.open(false);
    pair.agent.release_reader(id);
    let mut upload = body(100_000);
    while !upload.is_empty() {
        assert_eq!(pair.gateway.write(id, &mut upload), Ok(true));
        pair.carry();
        assert_eq!(pair.agent.held(), 0);
    }
    pair.gateway.finish(id, None);
    pair.carry();
    pair.agent.respond(id, response(), true);
    pair.carry();
    assert!(matches!(pair.gateway.answer(id), Ok(Some(_))));
    pair.release(id);
}

#[test]
fn a_full_agent_refuses_and_the_gateway_knows_that_nothing_happened() {
    let mut pair = Pair::new(Limits { streams: 9, ..SMALL }, SMALL);
    for _ in 0..SMALL.streams {
        pair.open(true);
    }
    assert_eq!(pair.gateway.can_open(), Err(OpenError::Full), "the agent said how many it takes");
    assert_eq!(pair.gateway.open(request(), true), Err(OpenError::Full));
    // The gateway may think a stream over of which the agent still holds a handle.
    pair.agent.respond(StreamId(1), response(), true);
    pair.carry();
    pair.gateway.release_reader(StreamId(1));
    pair.gateway.release_writer(StreamId(1));
    let id = pair.gateway.open(request(), false).unwrap();
    assert!(matches!(pair.gateway.answer(id), Ok(None)));
    pair.carry();
    assert_eq!(events(&mut pair.gateway).last().unwrap(), "readable 5");
    assert_eq!(pair.gateway.answer(id).unwrap_err(), StreamError::NotProcessed);
    assert_eq!(pair.gateway.write(id, &mut body(1)), Err(StreamError::NotProcessed));
    assert_eq!(events(&mut pair.agent), [""; 0]);
    assert_eq!(pair.agent.streams(), 4);
}

#[test]
fn of_announcements_that_wait_only_the_newest_is_sent() {
    let mut pair = Pair::new(SMALL, SMALL);
    let names = |count| (0..count).map(|n| ServiceName::new(&format!("s{n}")).unwrap()).collect();
    pair.carry();
    pair.agent.announce(names(1));
    pair.agent.announce(names(3));
    assert_eq!(packets(&mut pair.agent), [r#"{"type":"services","services":["s0","s1","s2"]}"#]);
    pair.agent.announce(names(2));
    pair.carry();
    assert_eq!(events(&mut pair.gateway), ["services 2"]);
}
