//! Flow control: what frames cost, when credit comes back, how windows grow, and who goes first.

use std::time::Duration;

use bytes::Bytes;

use super::pair::{Got, Pair, SMALL, body, events, handle, packets, read, request, response, trailers};
use crate::{
    session::{Limits, Read, limits::COPIED_CHUNK},
    wire::{Packet, StreamId},
};

const KIB: usize = 1024;

fn limits(window: usize, max_window: usize, growth: u64) -> Limits {
    let bytes = |count: usize| u32::try_from(count).unwrap();
    Limits { streams: 4, window: bytes(window), max_window: bytes(max_window), growth }
}

#[test]
fn a_frame_costs_its_length_but_at_least_a_kib() {
    /// Writes chunks of `len` to a reader that reads nothing; returns the lengths that went out.
    fn check(len: usize, window: usize, expected: &[usize]) {
        let mut pair = Pair::new(SMALL, limits(window, window, 0));
        let id = pair.open(false);
        let mut sent = Vec::new();
        while pair.gateway.write(id, &mut body(len)) == Ok(true) {
            sent.extend(std::iter::from_fn(|| pair.gateway.poll_packet()).map(|packet| match packet {
                Packet::Data(data) => data.len() - 5,
                other => panic!("only data is left to send, not {other:?}"),
            }));
        }
        assert_eq!(sent, expected, "chunks of {len} in a window of {window}");
    }
    check(1, 8 * KIB, &[1; 8]);
    check(1024, 8 * KIB, &[1024; 8]);
    check(1025, 8 * KIB, &[1025; 7]);
    check(1025, 8 * KIB + 7, &[1025, 1025, 1025, 1025, 1025, 1025, 1025, 1024]);
    check(3000, 8 * KIB, &[3000, 3000, 2192]);
    check(100_000, 64 * KIB - 1, &[64 * KIB - 1]);
    check(100_000, 64 * KIB, &[64 * KIB]);
    check(100_000, 64 * KIB + 1023, &[64 * KIB]);
    check(100_000, 64 * KIB + 1024, &[64 * KIB, 1024]);
}

#[test]
fn credit_returns_at_an_eighth_but_not_below_the_step() {
    /// How much has to be read of a window before its credit comes back: not for a byte less.
    fn check(window: usize, due: usize) {
        for (read, returned) in [(due - 1, false), (due, true)] {
            let mut pair = Pair::new(limits(window, window, 0), SMALL);
            let id = pair.open_answered(true);
            let mut data = body(read);
            while !data.is_empty() {
                assert_eq!(pair.agent.write(id, &mut data), Ok(true));
                let packet = pair.agent.poll_packet().unwrap();
                handle(&mut pair.gateway, packet, pair.now).unwrap();
                assert_eq!(packets(&mut pair.gateway), [""; 0], "nothing was read yet");
            }
            while pair.gateway.read(id).unwrap() != Read::Blocked {}
            let expected = format!(r#"{{"type":"window","id":1,"bytes":{due}}}"#);
            assert_eq!(
                packets(&mut pair.gateway),
                if returned { vec![expected] } else { vec![] },
                "{read} of {window}"
            );
        }
    }
    check(8 * KIB, 4 * KIB);
    check(32 * KIB, 16 * KIB);
    check(64 * KIB, 32 * KIB);
    check(256 * KIB, 32 * KIB);
    check(512 * KIB, 64 * KIB);
}

#[test]
fn a_window_that_holds_a_stream_back_grows_fourfold() {
    /// Reads whole windows, each in `elapsed`, over a link of 50 ms; returns the sizes after each.
    fn check(limits: Limits, elapsed: u64, expected: &[usize]) {
        let mut pair = Pair::new(limits, SMALL);
        pair.measure_rtt(Duration::from_millis(50));
        let id = pair.open_answered(true);
        for (round, &size) in expected.iter().enumerate() {
            // The first byte of a round starts its clock; the rest comes and is read at its end.
            read_some(&mut pair, id, 1);
            pair.now += Duration::from_millis(elapsed);
            let window = pair.gateway.streams[&id].recv.size() as usize;
            read_some(&mut pair, id, window);
            assert_eq!(pair.gateway.streams[&id].recv.size() as usize, size, "after round {round} of {expected:?}");
        }
    }
    fn read_some(pair: &mut Pair, id: StreamId, bytes: usize) {
        let mut data = body(bytes);
        let mut got = Got::default();
        while !data.is_empty() {
            pair.agent.write(id, &mut data).unwrap();
            pair.carry();
            read(&mut pair.gateway, id, &mut got).unwrap();
        }
        pair.carry();
        read(&mut pair.gateway, id, &mut got).unwrap();
        pair.carry();
    }
    let ample = 1 << 30;
    check(limits(8 * KIB, 64 * KIB, ample), 99, &[32 * KIB, 64 * KIB, 64 * KIB]);
    check(limits(8 * KIB, 64 * KIB, ample), 100, &[8 * KIB, 8 * KIB]);
    check(limits(8 * KIB, 20 * KIB, ample), 0, &[20 * KIB, 20 * KIB]);
    check(limits(8 * KIB, 64 * KIB, 9 * 1024), 0, &[17 * KIB, 17 * KIB]);
    check(limits(8 * KIB, 64 * KIB, 0), 0, &[8 * KIB]);
    check(limits(32 * KIB, 8 * KIB, ample), 0, &[32 * KIB]);
}

#[test]
fn a_window_does_not_grow_for_a_reader_that_lags() {
    let mut pair = Pair::new(limits(16 * KIB, 64 * KIB, 1 << 20), SMALL);
    pair.measure_rtt(Duration::from_millis(50));
    let id = pair.open_answered(true);
    for _ in 0..200 {
        // The sender keeps the window full; the reader takes a chunk now and then.
        while pair.agent.write(id, &mut body(KIB)) == Ok(true) {
            pair.carry();
        }
        pair.gateway.read(id).unwrap();
        pair.carry();
    }
    assert_eq!(pair.gateway.streams[&id].recv.size() as usize, 16 * KIB);
}

#[test]
fn credit_that_was_not_yet_announced_is_announced_once() {
    let mut pair = Pair::new(limits(8 * KIB, 8 * KIB, 0), SMALL);
    let id = pair.open_answered(true);
    for _ in 0..2 {
        assert_eq!(pair.agent.write(id, &mut body(4 * KIB)), Ok(true));
        pair.carry();
    }
    assert!(pair.gateway.read(id).is_ok() && pair.gateway.read(id).is_ok());
    assert_eq!(packets(&mut pair.gateway), [r#"{"type":"window","id":1,"bytes":8192}"#]);
}

#[test]
fn an_end_needs_credit_and_trailers_need_none() {
    for (end, goes_out) in [(None, false), (Some(trailers()), true)] {
        let mut pair = Pair::new(limits(8 * KIB, 8 * KIB, 0), SMALL);
        let id = pair.open_answered(true);
        assert_eq!(pair.agent.write(id, &mut body(8 * KIB)), Ok(true));
        pair.carry();
        pair.agent.finish(id, end);
        assert_eq!(pair.agent.has_packets(), goes_out);
        let mut got = Got::default();
        while got.end.is_none() {
            pair.carry();
            read(&mut pair.gateway, id, &mut got).unwrap();
        }
        pair.release(id);
    }
}

#[test]
fn control_goes_before_windows_before_data_and_data_takes_turns() {
    let mut pair = Pair::new(Limits::default(), Limits::default());
    let ids: Vec<StreamId> = (0..3).map(|_| pair.open_answered(false)).collect();
    // The gateway owes credit on the third stream, and has two chunks a stream to send.
    assert_eq!(pair.agent.write(ids[2], &mut body(40_000)), Ok(true));
    pair.carry();
    for id in &ids {
        assert_eq!(pair.gateway.write(*id, &mut body(70_000)), Ok(true));
    }
    assert!(matches!(pair.gateway.read(ids[2]), Ok(Read::Data { .. })));
    pair.gateway.drain("later");
    let mut order: Vec<Packet> = (0..2).map(|_| pair.gateway.poll_packet().unwrap()).collect();
    for id in &ids {
        order.push(pair.gateway.poll_packet().unwrap());
        assert_eq!(pair.gateway.write(*id, &mut body(10)), Ok(true), "there is room behind a chunk that was taken");
    }
    order.extend(std::iter::from_fn(|| pair.gateway.poll_packet()));
    let order: Vec<String> = order
        .into_iter()
        .map(|packet| match packet {
            Packet::Text(text) => text.split('"').nth(3).unwrap().to_owned(),
            Packet::Data(data) => format!("{}", data[3]),
            Packet::Ping => "ping".to_owned(),
        })
        .collect();
    assert_eq!(order, ["go-away", "window", "1", "2", "3", "1", "2", "3"]);
}

#[test]
fn a_writer_has_one_chunk_in_hand() {
    let mut pair = Pair::new(SMALL, SMALL);
    let id = pair.open(false);
    let mut data = body(65 * KIB);
    assert_eq!(pair.gateway.write(id, &mut data), Ok(true));
    assert_eq!(data.len(), KIB, "a chunk is as much as one frame holds");
    assert_eq!(pair.gateway.write(id, &mut data), Ok(false));
    assert_eq!(data.len(), KIB);
    // The window is an eighth of the chunk: room comes when all of it is gone.
    let mut got = Got::default();
    while events(&mut pair.gateway).is_empty() {
        pair.carry();
        read(&mut pair.agent, id, &mut got).unwrap();
    }
    assert!(got.bytes.len() >= 56 * KIB);
    assert_eq!(pair.gateway.write(id, &mut data), Ok(true));
}

#[test]
fn short_chunks_that_queue_do_not_hold_what_they_were_read_from() {
    for (len, copied) in [(1, true), (COPIED_CHUNK - 1, true), (COPIED_CHUNK, false)] {
        let mut pair = Pair::new(SMALL, Limits::default());
        let id = pair.open(false);
        let message: Vec<u8> = [&[0, 0, 0, 1, 0], &*body(len)].concat();
        let buffer = Bytes::from([&*message, &*message].concat());
        for at in [0, message.len()] {
            pair.agent.handle_data(buffer.slice(at..at + message.len()), pair.now).unwrap();
        }
        assert_eq!(pair.agent.read(id), Ok(Read::Data { chunk: body(len), last: false }));
        assert_eq!(buffer.is_unique(), copied, "a second chunk of {len}");
        assert_eq!(pair.agent.read(id), Ok(Read::Data { chunk: body(len), last: false }));
    }
}

#[test]
fn a_request_waits_for_room_before_it_fails() {
    let mut pair = Pair::new(SMALL, SMALL);
    pair.carry();
    for id in 1..=3 {
        assert_eq!(pair.gateway.open(request(), true), Ok(StreamId(id)));
    }
    assert_eq!(pair.gateway.can_open(), Ok(()));
    assert_eq!(pair.gateway.open(request(), true), Ok(StreamId(4)));
    assert!(pair.gateway.open(request(), true).is_err());
    pair.carry();
    pair.agent.respond(StreamId(2), response(), true);
    pair.carry();
    for session in [&mut pair.gateway, &mut pair.agent] {
        session.release_reader(StreamId(2));
        session.release_writer(StreamId(2));
    }
    assert_eq!(pair.gateway.open(request(), true), Ok(StreamId(5)));
}
