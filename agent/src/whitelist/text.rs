//! One decoded segment, as globs search it: fast even if it is long, made to be slow, and searched by many rules.

use std::{cell::OnceCell, cmp::Ordering};

/// From this length on, searching goes by [`Places`]. Building them costs about as much as two searches do.
const LONG: usize = 64;

/// How many words of [`Places`] are tried at once: the compiler makes a few wide instructions of them.
const BLOCK: usize = 8;

/// A segment's text. What searching learns of it is kept, for the next rule. (Boxed: few segments are long.)
#[derive(Debug)]
pub(super) struct Text<'a> {
    text: &'a str,
    /// Whether the request's segment held a `%2F`.
    slashed: bool,
    places: OnceCell<Box<Places>>,
}

impl<'a> Text<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, slashed: false, places: OnceCell::new() }
    }

    pub(super) fn with_slash(self, slashed: bool) -> Self {
        Self { slashed, ..self }
    }

    pub(super) fn is_slashed(&self) -> bool {
        self.slashed
    }

    pub(super) fn as_str(&self) -> &'a str {
        self.text
    }

    /// The first place of `piece` at or behind `from`, which is a character's edge.
    pub(super) fn find(&self, piece: &str, from: usize) -> Option<usize> {
        if self.text.len() < LONG {
            return self.text[from..].find(piece).map(|found| from + found);
        }
        self.places.get_or_init(|| Box::new(Places::of(self.text.as_bytes()))).find(piece.as_bytes(), from)
    }
}

/// For each byte value that stands in the text one bit for each place, set where it stands. Shifting and combining
/// these rows tries 64 places at once. Takes up to 32 bytes for each byte of text, until the request is judged.
#[derive(Debug)]
struct Places {
    /// The rows, one behind the other.
    bits: Vec<u64>,
    /// Which row is that of a byte, if it stands in the text.
    rows: [Option<u8>; 256],
    /// How many words there are in a row: whole blocks, and one word more, of zeros.
    words: usize,
    /// How often each byte stands in the text.
    counts: [usize; 256],
}

impl Places {
    fn of(text: &[u8]) -> Self {
        let words = (text.len() / 64 + 1).next_multiple_of(BLOCK) + 1;
        let mut counts = [0; 256];
        text.iter().for_each(|&byte| counts[usize::from(byte)] += 1);
        let mut rows = [None; 256];
        let standing = (0..=255_u8).filter(|&byte| counts[usize::from(byte)] > 0);
        (0..=255_u8).zip(standing).for_each(|(row, byte)| rows[usize::from(byte)] = Some(row));
        let mut bits = vec![0; words * rows.iter().flatten().count()];
        for (at, &byte) in text.iter().enumerate() {
            let row = rows[usize::from(byte)].map_or(0, usize::from);
            bits[row * words + at / 64] |= 1 << (at % 64);
        }
        Self { bits, rows, words, counts }
    }

    fn find(&self, piece: &[u8], from: usize) -> Option<usize> {
        // The rarest byte leaves the fewest places to try the others at. One that is nowhere leaves none.
        let rarest = (0..piece.len()).min_by_key(|&i| self.counts[usize::from(piece[i])])?;
        let first = from / 64;
        for block in (first / BLOCK * BLOCK..self.words - 1).step_by(BLOCK) {
            let mut places: [u64; BLOCK] = std::array::from_fn(|word| match (block + word).cmp(&first) {
                Ordering::Less => 0,
                Ordering::Equal => !0 << (from % 64),
                Ordering::Greater => !0,
            });
            for distance in std::iter::once(rarest).chain(0..piece.len()) {
                self.keep(&mut places, piece[distance], distance, block)?;
                if places == [0; BLOCK] {
                    break;
                }
            }
            if let Some(word) = places.iter().position(|places| *places != 0) {
                return Some((block + word) * 64 + places[word].trailing_zeros() as usize);
            }
        }
        None
    }

    /// Keeps those places that have the byte at this distance behind them, less than 64. `None` if it is nowhere.
    fn keep(&self, places: &mut [u64; BLOCK], byte: u8, distance: usize, block: usize) -> Option<()> {
        let at = usize::from(self.rows[usize::from(byte)]?) * self.words + block;
        let row: &[u64; BLOCK + 1] = self.bits.get(at..=at + BLOCK)?.try_into().ok()?;
        for word in 0..BLOCK {
            places[word] &= row[word] >> distance | row[word + 1] << 1 << (63 - distance);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A long text of few letters is found in like std finds, from everywhere.
    #[test]
    fn finds_what_std_finds() {
        let mut state = 1_u32;
        let mut letter = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ["a", "b", "\u{e9}"][(state >> 24) as usize % 3]
        };
        let long: String = (0..LONG * 30).map(|_| letter()).collect();
        let text = Text::new(&long);
        let edges: Vec<_> = long.char_indices().map(|(at, _)| at).chain([long.len()]).collect();
        for length in 1..12 {
            for &from in &edges {
                let piece: String = (0..length).map(|_| letter()).collect();
                let expected = long[from..].find(&piece).map(|found| from + found);
                assert_eq!(text.find(&piece, from), expected, "{piece} from {from}");
            }
        }
        for piece in ["c", &long[long.len() - 60..], &long[..32], &"a".repeat(64)] {
            assert_eq!(text.find(piece, 0), long.find(piece), "{piece}");
        }
        assert!(text.places.get().is_some(), "the text is long enough to be indexed");
    }

    #[test]
    fn finds_at_the_very_ends() {
        for length in [LONG - 1, LONG, LONG + 1, 511, 512, 513, 1023, 1024, 1025] {
            let long = format!("x{}y", "a".repeat(length - 2));
            let text = Text::new(&long);
            assert_eq!(text.find("x", 0), Some(0));
            assert_eq!(text.find("x", 1), None);
            assert_eq!(text.find("y", 0), Some(length - 1));
            assert_eq!(text.find("ay", length - 2), Some(length - 2));
            assert_eq!(text.find("ay", length - 1), None);
            assert_eq!(text.find("y", length), None);
            assert_eq!(text.find("yx", 0), None);
        }
    }
}
