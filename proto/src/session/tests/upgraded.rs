//! Streams behind a 101: each half has an end of its own.

use http::StatusCode;

use super::pair::{Got, Pair, SMALL, body, packets, request, response};
use crate::{
    session::{Answer, StreamError},
    wire::{ResetCode, ResponseHead, StreamId},
};

/// A stream on which the agent has answered with 101, and the gateway has taken that.
fn upgraded() -> (Pair, StreamId) {
    let mut pair = Pair::new(SMALL, SMALL);
    let id = pair.gateway.open(request(), false).unwrap();
    pair.carry();
    assert!(pair.agent.poll_event().is_some());
    pair.agent.respond(id, ResponseHead { status: StatusCode::SWITCHING_PROTOCOLS, ..response() }, false);
    pair.carry();
    assert!(matches!(pair.gateway.answer(id), Ok(Some(Answer::Response(_)))));
    (pair, id)
}

#[test]
fn either_half_ends_first_and_the_other_goes_on() {
    for agent_first in [true, false] {
        let (mut pair, id) = upgraded();
        let whole = Got { bytes: body(30_000).to_vec(), end: Some(None) };
        assert_eq!(pair.transfer(id, !agent_first, body(30_000), None), whole, "agent first: {agent_first}");
        assert_eq!(pair.transfer(id, agent_first, body(30_000), None), whole, "agent first: {agent_first}");
        pair.release(id);
    }
}

/// What the gateway sends too early waits, and costs its credit.
#[test]
fn bytes_before_the_answer_wait() {
    let mut pair = Pair::new(SMALL, SMALL);
    let id = pair.gateway.open(request(), false).unwrap();
    pair.gateway.write(id, &mut body(20_000)).unwrap();
    let sent = packets(&mut pair.gateway);
    assert_eq!(sent[1..], ["data 1 8192"], "a window of them");
}

#[test]
fn a_side_that_lets_go_resets_what_has_not_ended() {
    for agent_lets_go in [true, false] {
        let (mut pair, id) = upgraded();
        let (gone, left) = pair.ends(!agent_lets_go);
        // Its own half has ended, and it will not hear the end of the other.
        gone.finish(id, None);
        gone.release_writer(id);
        gone.release_reader(id);
        assert!(left.stopped(id).is_none());
        pair.carry();
        let code = if agent_lets_go { ResetCode::Aborted } else { ResetCode::Cancelled };
        let left = pair.ends(!agent_lets_go).1;
        assert_eq!(left.write(id, &mut body(1)), Err(StreamError::Reset { code, message: String::new() }));
        left.release_writer(id);
        left.release_reader(id);
        pair.carry();
        assert_eq!((pair.gateway.streams(), pair.agent.streams()), (0, 0));
    }
}
