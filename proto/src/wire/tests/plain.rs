//! The short cut through plain heads: taken for what our own writer writes, and never read otherwise than as JSON.

use super::{SAMPLES, decode};
use crate::wire::{
    Packet, encode,
    json::{self, Fields},
    plain,
};

/// Steps of splitmix64.
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) % bound as u64).unwrap()
    }
}

/// The fields of a plain head.
fn plain(text: &str) -> Option<Fields<'_>> {
    let mut fields = Fields::default();
    plain::read(text, &mut fields).map(|()| fields)
}

/// Pieces that change what JSON means, or nearly.
const PIECES: &[&str] = &[
    "\"",
    "\\",
    "\\u0000",
    "\\n",
    ",",
    ":",
    "]",
    "[",
    "}",
    "{",
    " ",
    "\n",
    "0",
    "1",
    "9999999999",
    "-1",
    "1e2",
    "1.5",
    "true",
    "null",
    "\u{e9}",
    "\u{7f}",
    "\u{20ac}",
    ",\"end\":true",
    ",\"end\":false",
    ",\"upgrade\":true",
    ",\"deadline_ms\":5",
    ",[\"c\",\"3\"]",
    ",[]",
    ",\"x\":[[{}]]",
    "\"id\":1,",
];

#[test]
fn taken_for_every_head_that_is_written_without_an_escape() {
    let mut taken = 0;
    for sample in SAMPLES {
        let written = encode(&decode(&Packet::Text((*sample).to_owned())).unwrap());
        let Packet::Text(text) = written else { panic!("a text") };
        let is_head = text.contains(r#""headers""#) && !text.contains("trailers") && !text.contains("interim");
        assert_eq!(plain(&text).is_some(), is_head, "{text}");
        taken += usize::from(is_head);
    }
    assert!(taken >= 4, "the samples hold heads");
}

#[test]
fn read_as_any_json_would_be() {
    let heads: Vec<&str> = SAMPLES.iter().copied().filter(|sample| plain(sample).is_some()).collect();
    let mut rng = Rng(7);
    let mut taken = 0;
    for _ in 0..200_000 {
        let mut text: Vec<char> = heads[rng.below(heads.len())].chars().collect();
        for _ in 0..=rng.below(2) {
            let at = rng.below(text.len());
            match rng.below(3) {
                0 => drop(text.drain(at..(at + 1 + rng.below(4)).min(text.len()))),
                1 => drop(text.splice(at..at, PIECES[rng.below(PIECES.len())].chars())),
                _ => text[at] = char::from(u8::try_from(rng.below(128)).unwrap()),
            }
            if text.is_empty() {
                text.push('{');
            }
        }
        let text: String = text.into_iter().collect();
        if let Some(fields) = plain(&text) {
            let mut any = Fields::default();
            json::read_any(&text, &mut any).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(format!("{fields:?}"), format!("{any:?}"), "{text}");
            taken += 1;
        }
    }
    assert!(taken > 10_000, "many of them are still plain heads: {taken}");
}
