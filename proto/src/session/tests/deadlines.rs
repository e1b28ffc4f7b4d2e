//! Deadlines: told once they have passed, at the next tick, and only to whom they concern.

use std::time::Duration;

use super::pair::{Pair, SMALL, events, request, response};
use crate::session::Stopped;

#[test]
fn an_overdue_stream_is_told_at_the_next_tick() {
    let mut pair = Pair::new(SMALL, SMALL);
    let id = pair.gateway.open(request(), true).unwrap();
    let other = pair.gateway.open(request(), true).unwrap();
    pair.carry();
    events(&mut pair.agent);
    pair.agent.set_deadline(id, Some(Duration::from_secs(1)));
    assert!(pair.agent.take_nearer_timeout(), "the driver has to know");
    assert_eq!(pair.agent.stopped(id), None);
    assert_eq!(pair.agent.stopped(other), None);
    let start = pair.now;
    while pair.now < start + Duration::from_millis(1500) {
        pair.now = pair.agent.poll_timeout();
        pair.agent.handle_timeout(pair.now).unwrap();
        let told = events(&mut pair.agent).contains(&format!("writable {id}"));
        if told {
            assert!(pair.now >= start + Duration::from_secs(1), "not before its time");
            assert_eq!(pair.agent.stopped(id), Some(Stopped::Overdue));
            assert_eq!(pair.agent.stopped(other), None);
            return;
        }
    }
    panic!("nobody was told");
}

#[test]
fn a_deadline_set_on_a_quiet_link_counts_from_then() {
    let mut pair = Pair::new(SMALL, SMALL);
    pair.agent.handle_timeout(pair.now).unwrap();
    let id = pair.open(true);
    // Nine seconds later, with no packet in between, five are allowed.
    pair.now += Duration::from_secs(9);
    pair.agent.set_deadline(id, Some(Duration::from_secs(5)));
    assert_eq!(pair.agent.stopped(id), None);
    pair.agent.handle_timeout(pair.now).unwrap();
    assert_eq!(pair.agent.stopped(id), None);
    pair.now += Duration::from_secs(5);
    pair.agent.handle_timeout(pair.now).unwrap();
    assert_eq!(events(&mut pair.agent), ["writable 1"]);
    assert_eq!(pair.agent.stopped(id), Some(Stopped::Overdue));
}

#[test]
fn an_answer_ends_the_deadline() {
    let mut pair = Pair::new(SMALL, SMALL);
    let id = pair.gateway.open(request(), true).unwrap();
    pair.carry();
    pair.agent.set_deadline(id, Some(Duration::from_secs(1)));
    pair.agent.respond(id, response(), false);
    pair.now += Duration::from_secs(2);
    pair.agent.handle_timeout(pair.now).unwrap();
    assert_eq!(pair.agent.stopped(id), None);
    assert!(pair.agent.poll_timeout() > pair.now + Duration::from_secs(1), "nothing is left to look for");
}
