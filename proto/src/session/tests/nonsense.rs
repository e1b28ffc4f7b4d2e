//! A peer that says random things: the session may end, but it never panics and never holds too much.

use super::{
    hostile::{Alone, CREDIT, FAILED, HINTS, NO_HEADERS, OK, OK_END, RESET, ask, say},
    pair::{body, packets, request, response},
    rng::{Rng, seeds},
};
use crate::{
    session::{Event, Limits, Session, Side, stream::Head},
    wire::{ResetCode, StreamId},
};

const LIMITS: Limits = Limits { streams: 4, window: 8 * 1024, max_window: 20 * 1024, growth: 10_000 };

/// A stream whose handles the application still has.
struct Handle {
    id: StreamId,
    /// It may write: it has a body to send, and has answered.
    writes: bool,
}

struct Scene {
    alone: Alone,
    alive: Vec<Handle>,
    next_id: u32,
}

/// What a peer says next: mostly something that it may say of a stream that there is.
fn utter(rng: &mut Rng, scene: &mut Scene) -> String {
    loop {
        let session = &scene.alone.session;
        let last = session.last_sent.0;
        let id = if rng.one_in(200) { last + 1 } else { last - u32::try_from(rng.below(6)).unwrap().min(last) };
        let from_agent = session.side == Side::Gateway;
        let (kind, rest) = match rng.below(16) {
            0..=3 if !from_agent || rng.one_in(100) => {
                scene.next_id += 1;
                return ask(scene.next_id, rng.one_in(2));
            }
            4 if from_agent || rng.one_in(50) => ("response", rng.pick(&[OK, OK, OK_END, FAILED])),
            5 if from_agent || rng.one_in(50) => ("interim", rng.pick(&[HINTS, r#","status":100,"headers":[]"#])),
            6 => ("trailers", NO_HEADERS),
            7..=8 => ("window", rng.pick(&[CREDIT, r#","bytes":1"#, r#","bytes":1000000"#])),
            9 => ("reset", rng.pick(&[RESET, r#","code":"refused""#, r#","code":"complete""#])),
            10 if rng.one_in(10) => return format!(r#"{{"type":"go-away","last_id":{id},"reason":"x"}}"#),
            11.. => ("data", rng.pick(&["1", "100", "1024", "3000", "8192", "1!", "0!"])),
            _ => continue,
        };
        if is_allowed(session, id, kind, rest) || rng.one_in(100) {
            return if kind == "data" { format!("data {id} {rest}") } else { say(kind, id, rest) };
        }
    }
}

/// Whether a peer that keeps to the rules could say so, as far as is easily told.
fn is_allowed(session: &Session, id: u32, kind: &str, rest: &str) -> bool {
    let Some(stream) = session.streams.get(&StreamId(id)) else { return kind != "data" && id > 0 };
    let headed = session.side == Side::Agent || !matches!(stream.head, Head::Asked);
    let open = stream.recv.is_open();
    match kind {
        "response" | "interim" => open && !headed,
        "trailers" => open && headed,
        "data" => {
            open && headed && rest.trim_end_matches('!').parse::<u32>().unwrap().max(1024) <= stream.recv.lent().0
        }
        _ => true,
    }
}

/// Does something that an application may do with a stream whose handles are both alive.
fn meddle(rng: &mut Rng, session: &mut Session, handle: &mut Handle) {
    let (gateway, id) = (session.side == Side::Gateway, handle.id);
    match rng.below(8) {
        0 if gateway => drop(session.answer(id)),
        0 if !handle.writes => {
            handle.writes = true;
            session.respond(id, response(), false);
        }
        1..=2 => drop(session.read(id)),
        3..=4 if handle.writes => drop(session.write(id, &mut body(3000))),
        5 => drop(session.stopped(id)),
        6 if rng.one_in(10) => session.reset(id, ResetCode::Cancelled, ""),
        _ => {}
    }
}

fn act(rng: &mut Rng, scene: &mut Scene) {
    let session = &mut scene.alone.session;
    for event in std::iter::from_fn(|| session.poll_event()) {
        if let Event::Opened(id, _) = event {
            scene.alive.push(Handle { id, writes: false });
        }
    }
    if session.side == Side::Gateway && rng.one_in(3) && session.can_open().is_ok() {
        let end = rng.one_in(2);
        let id = session.open(request(), end).unwrap();
        scene.alive.push(Handle { id, writes: !end });
    }
    for handle in &mut scene.alive {
        meddle(rng, session, handle);
    }
    if rng.one_in(2) {
        packets(session);
    }
    if !scene.alive.is_empty() && rng.one_in(6) {
        let Handle { id, .. } = scene.alive.swap_remove(rng.below(scene.alive.len()));
        scene.alone.release(id.0);
    }
}

#[test]
fn no_nonsense_makes_a_session_panic_or_hold_too_much() {
    for seed in seeds(1000) {
        let mut rng = Rng::new(seed);
        let alone = if rng.one_in(2) { Alone::gateway(LIMITS) } else { Alone::agent(LIMITS) };
        let alive = alone.session.ids().into_iter().map(|id| Handle { id, writes: id == StreamId(2) }).collect();
        let mut scene = Scene { alone, alive, next_id: 0 };
        for _ in 0..150 {
            let message = utter(&mut rng, &mut scene);
            if scene.alone.take(&message).is_err() {
                break;
            }
            act(&mut rng, &mut scene);
            assert!(scene.alone.session.held() <= LIMITS.memory(), "seed {seed}");
            assert!(scene.alone.session.streams() <= LIMITS.streams as usize, "seed {seed}");
        }
        scene.alone.session.handle_lost();
        for id in scene.alone.session.ids() {
            // Those that were released before do not mind.
            scene.alone.release(id.0);
        }
        assert_eq!(scene.alone.session.streams(), 0, "seed {seed}");
        assert_eq!(scene.alone.session.growth, LIMITS.growth, "seed {seed}");
    }
}
