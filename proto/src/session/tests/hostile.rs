//! A peer that breaks the rules, one rule a row: what becomes of the session, or of the stream.

use std::time::Instant;

use bytes::Bytes;

use super::pair::{SMALL, body, events, packets, request, session};
use crate::{
    session::{Answer, Limits, Session, SessionError, Side, StreamError, limits::INTERIMS},
    wire::{ResetCode, StreamId},
};

/// A session whose peer is played by the test.
pub(super) struct Alone {
    pub(super) session: Session,
    pub(super) now: Instant,
}

impl Alone {
    /// A gateway that has sent stream 1, without a body, and stream 2, with one; stream 3 still waits to be sent.
    pub(super) fn gateway(limits: Limits) -> Self {
        let mut alone = Self::new(Side::Gateway, limits);
        for end in [true, false] {
            alone.session.open(request(), end).unwrap();
        }
        assert_eq!(packets(&mut alone.session).len(), 2);
        alone.session.open(request(), true).unwrap();
        alone
    }

    pub(super) fn agent(limits: Limits) -> Self {
        Self::new(Side::Agent, limits)
    }

    fn new(side: Side, limits: Limits) -> Self {
        let now = Instant::now();
        Self { session: session(side, limits, SMALL, now), now }
    }

    /// Takes a message: JSON, or `data id length`, with a `!` if it is the last.
    pub(super) fn take(&mut self, message: &str) -> Result<(), SessionError> {
        let Some(data) = message.strip_prefix("data ") else { return self.session.handle_text(message, self.now) };
        let (id, len) = data.split_once(' ').unwrap();
        let id: u32 = id.parse().unwrap();
        let len = len.trim_end_matches('!').parse().unwrap();
        let prefix = [&id.to_be_bytes()[..], &[u8::from(data.ends_with('!'))]].concat();
        self.session.handle_data(Bytes::from([&prefix, &*body(len)].concat()), self.now)
    }

    /// Lets go of a stream.
    pub(super) fn release(&mut self, id: u32) {
        self.session.release_reader(StreamId(id));
        self.session.release_writer(StreamId(id));
    }
}

pub(super) fn ask(id: u32, end: bool) -> String {
    format!(
        r#"{{"type":"request","id":{id},"service":"a","method":"GET","target":"/","headers":[],"end":{end},"request_id":"r"}}"#
    )
}

pub(super) fn say(kind: &str, id: u32, rest: &str) -> String {
    format!(r#"{{"type":"{kind}","id":{id}{rest}}}"#)
}

pub(super) const OK: &str = r#","status":200,"headers":[]"#;
pub(super) const OK_END: &str = r#","status":200,"headers":[],"end":true"#;
pub(super) const HINTS: &str = r#","status":103,"headers":[]"#;
pub(super) const NO_HEADERS: &str = r#","headers":[]"#;
pub(super) const FAILED: &str = r#","error":{"code":"denied","message":"no","retry_safe":true}"#;
pub(super) const RESET: &str = r#","code":"aborted""#;
pub(super) const CREDIT: &str = r#","bytes":1024"#;

/// The last of these messages ends the session in these words, or does not; those before it never do.
fn check(mut alone: Alone, messages: &[String], expected: Result<(), &str>) {
    let (last, before) = messages.split_last().unwrap();
    for message in before {
        alone.take(message).unwrap_or_else(|error| panic!("{message} of {messages:?}: {error}"));
    }
    let result = alone.take(last).map_err(|error| error.to_string());
    assert_eq!(result, expected.map_err(str::to_owned), "{messages:?}");
    // Whatever came, the streams can be ended and let go of.
    alone.session.handle_lost();
    for id in alone.session.ids() {
        alone.release(id.0);
    }
    assert_eq!(alone.session.streams(), 0);
}

#[test]
fn rules_that_an_agent_can_break() {
    fn refused(messages: &[String], why: &str) {
        check(Alone::gateway(SMALL), messages, Err(&format!("protocol violation: {why}")));
    }
    fn taken(messages: &[String]) {
        check(Alone::gateway(SMALL), messages, Ok(()));
    }
    let data = |text: &str| format!("data {text}");
    for (kind, rest) in [
        ("response", OK),
        ("response", FAILED),
        ("interim", HINTS),
        ("trailers", NO_HEADERS),
        ("window", CREDIT),
        ("reset", RESET),
    ] {
        for id in [0, 3, 4, u32::MAX] {
            refused(&[say(kind, id, rest)], "a frame for a stream that was never opened");
        }
    }
    refused(&[data("0 1")], "a frame for a stream that was never opened");
    refused(&[data("3 1")], "a frame for a stream that was never opened");
    refused(&[ask(4, true)], "an agent opens no streams");
    refused(&[data("1 1")], "data before the answer's head");
    refused(&[say("trailers", 1, NO_HEADERS)], "trailers before the answer's head");
    refused(&[say("response", 1, OK), say("response", 1, OK)], "a stream was answered twice");
    refused(&[say("response", 1, OK), say("response", 1, FAILED)], "a stream was answered twice");
    refused(&[say("response", 1, OK), say("interim", 1, HINTS)], "an interim response behind the final one");
    for end in [say("response", 1, OK_END), say("response", 1, FAILED)] {
        refused(&[end.clone(), data("1 1")], "data behind the end of a half");
        refused(&[end.clone(), data("1 0!")], "data behind the end of a half");
        for (kind, rest) in [("response", OK), ("interim", HINTS), ("trailers", NO_HEADERS)] {
            refused(&[end.clone(), say(kind, 1, rest)], "a frame behind the end of a half");
        }
    }
    let whole = [say("response", 1, OK), data("1 5"), say("trailers", 1, NO_HEADERS)];
    refused(&[&whole[..], &[data("1 1")]].concat(), "data behind the end of a half");
    refused(&[&whole[..], &[say("trailers", 1, NO_HEADERS)]].concat(), "a frame behind the end of a half");
    refused(&[say("response", 1, OK), data("1 0")], "a data frame is empty and not the last");
    refused(&[say("window", 2, r#","bytes":0"#)], "a window frame of no, or of too much, credit");
    // What an agent abandoned itself it does not send for.
    refused(&[say("reset", 1, RESET), data("1 1")], "data beyond the credit lent to ended streams");
    taken(&[say("reset", 1, RESET), say("response", 1, OK), say("trailers", 1, NO_HEADERS), say("reset", 1, RESET)]);
    taken(&[say("response", 2, OK_END), say("reset", 2, r#","code":"complete""#), say("window", 2, CREDIT)]);
    taken(&[r#"{"type":"go-away","last_id":0,"reason":""}"#.to_owned(), say("response", 1, OK), data("1 8192")]);
    taken(&[say("reset", 1, r#","code":"from_the_future""#)]);
}

#[test]
fn rules_that_a_gateway_can_break() {
    fn refused(messages: &[String], why: &str) {
        check(Alone::agent(SMALL), messages, Err(&format!("protocol violation: {why}")));
    }
    let data = |text: &str| format!("data {text}");
    refused(&[ask(0, true)], "a stream id did not increase");
    refused(&[ask(5, true), ask(5, true)], "a stream id did not increase");
    refused(&[ask(5, true), ask(4, true)], "a stream id did not increase");
    refused(&[ask(u32::MAX, true), ask(1, true)], "a stream id did not increase");
    let leaves = || r#"{"type":"go-away","last_id":0,"reason":""}"#.to_owned();
    refused(&[leaves(), ask(1, true)], "a request behind the gateway's go-away");
    for (kind, rest) in [("response", OK), ("response", FAILED), ("interim", HINTS)] {
        refused(&[ask(1, true), say(kind, 1, rest)], "a gateway sends no answers and announces nothing");
    }
    for text in [r#"{"type":"services","services":[]}"#, r#"{"type":"renew","credential":"x"}"#] {
        refused(&[text.to_owned()], "a gateway sends no answers and announces nothing");
    }
    for (kind, rest) in [("trailers", NO_HEADERS), ("window", CREDIT), ("reset", RESET)] {
        for id in [0, 1, 6] {
            refused(
                &[ask(5, true), say(kind, id, rest)],
                match id {
                    // Below the last id a stream may have ended and been forgotten: for a while nobody minds.
                    1 => continue,
                    _ => "a frame for a stream that was never opened",
                },
            );
        }
    }
    refused(&[data("1 1")], "a frame for a stream that was never opened");
    refused(&[ask(5, true), data("4 1")], "data beyond the credit lent to ended streams");
    refused(&[ask(1, true), data("1 1")], "data behind the end of a half");
    refused(&[ask(1, false), data("1 1!"), data("1 1")], "data behind the end of a half");
    refused(&[ask(1, false), data("1 1!"), say("trailers", 1, NO_HEADERS)], "a frame behind the end of a half");
    refused(&[ask(1, false), say("window", 1, r#","bytes":0"#)], "a window frame of no, or of too much, credit");
    refused(&[ask(1, false), say("reset", 1, RESET), data("1 1")], "data beyond the credit lent to ended streams");
    check(Alone::agent(SMALL), &[ask(7, true), say("window", 1, CREDIT), say("reset", 6, RESET)], Ok(()));
}

#[test]
fn rules_that_both_can_break() {
    let greetings = [
        r#"{"type":"hello","gateway":"g","window":8192,"streams":1,"heartbeat_ms":1000}"#,
        r#"{"type":"hello","agent":"a","instance":"i","services":[],"version":"1","window":8192,"streams":1}"#,
        r#"{"type":"reject","code":"no","message":"","retry_after_ms":1}"#,
    ];
    for text in greetings {
        for alone in [Alone::gateway(SMALL), Alone::agent(SMALL)] {
            check(alone, &[text.to_owned()], Err("protocol violation: a greeting after the greeting"));
        }
    }
    for text in [r#"{"type":"goodbye"}"#, r#"{"type":"data"}"#] {
        for alone in [Alone::gateway(SMALL), Alone::agent(SMALL)] {
            check(alone, &[text.to_owned()], Err("protocol violation: a text message is of an unknown type"));
        }
    }
}

#[test]
fn too_many_informational_answers_cost_the_stream_only() {
    let mut alone = Alone::gateway(SMALL);
    for _ in 0..INTERIMS {
        alone.take(&say("interim", 1, HINTS)).unwrap();
    }
    assert!(matches!(alone.session.answer(StreamId(1)), Ok(None)));
    packets(&mut alone.session);
    alone.take(&say("interim", 1, HINTS)).unwrap();
    let message = "too many interim responses".to_owned();
    let error = StreamError::Reset { code: ResetCode::Violation, message };
    assert_eq!(events(&mut alone.session), ["readable 1"]);
    assert_eq!(alone.session.answer(StreamId(1)).unwrap_err(), error);
    assert_eq!(
        packets(&mut alone.session),
        [r#"{"type":"reset","id":1,"code":"violation","message":"too many interim responses"}"#]
    );
    // Those that were on their way are strays.
    alone.take(&say("interim", 1, HINTS)).unwrap();
    alone.take(&say("response", 1, OK)).unwrap();
    assert!(matches!(alone.session.answer(StreamId(2)), Ok(None)), "others do not suffer");
}

#[test]
fn an_agent_may_answer_in_any_state_of_the_upload() {
    let mut alone = Alone::gateway(SMALL);
    alone.take(&say("response", 2, OK_END)).unwrap();
    assert!(matches!(alone.session.answer(StreamId(2)), Ok(Some(Answer::Response(_)))));
    assert_eq!(alone.session.write(StreamId(2), &mut body(10)), Ok(true), "nobody has stopped it yet");
    assert_eq!(packets(&mut alone.session).last().unwrap(), "data 2 10");
}
