//! One decoded segment, as globs search it: fast even if it is long, made to be slow, and searched by many rules.

use std::cell::OnceCell;

/// From this length on, searching goes by [`Places`]. Building them costs about as much as two searches do.
const LONG: usize = 256;

/// Up to this length of what is searched for, [`Places`] are faster than std's two-way search at its slowest.
const SHORT_PIECE: usize = 64;

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
        if self.text.len() < LONG || piece.len() > SHORT_PIECE {
            return self.text[from..].find(piece).map(|found| from + found);
        }
        self.places.get_or_init(|| Box::new(Places::of(self.text.as_bytes()))).find(piece.as_bytes(), from)
    }
}

/// For each byte value one bit for each place in the text, set where the byte stands. Shifting and combining these
/// rows tries 64 places at once. Takes 32 bytes for each byte of text, until the request is judged.
#[derive(Debug)]
struct Places {
    bits: Box<[u64]>,
    /// How many words there are in a row. The last is always 0, so that every other has a next one.
    words: usize,
    /// How often each byte stands in the text.
    counts: [usize; 256],
}

impl Places {
    fn of(text: &[u8]) -> Self {
        let words = text.len() / 64 + 2;
        let mut places = Self { bits: vec![0; 256 * words].into(), words, counts: [0; 256] };
        for (at, &byte) in text.iter().enumerate() {
            places.bits[usize::from(byte) * words + at / 64] |= 1 << (at % 64);
            places.counts[usize::from(byte)] += 1;
        }
        places
    }

    fn find(&self, piece: &[u8], from: usize) -> Option<usize> {
        let rarest = (0..piece.len()).min_by_key(|&i| self.counts[usize::from(piece[i])])?;
        let mut possible = !0 << (from % 64);
        for word in from / 64..self.words - 1 {
            // The rarest byte leaves the fewest places to try the others at.
            let mut places = possible & self.places(piece[rarest], rarest, word);
            for (distance, &byte) in piece.iter().enumerate() {
                if places == 0 {
                    break;
                }
                places &= self.places(byte, distance, word);
            }
            if places != 0 {
                return Some(word * 64 + places.trailing_zeros() as usize);
            }
            possible = !0;
        }
        None
    }

    /// Which of the 64 places in a word have the byte at this distance behind them, less than 64.
    fn places(&self, byte: u8, distance: usize, word: usize) -> u64 {
        let at = usize::from(byte) * self.words + word;
        let (low, high) = (self.bits[at], self.bits[at + 1]);
        low >> distance | high << 1 << (63 - distance)
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
        let long: String = (0..LONG * 3).map(|_| letter()).collect();
        let text = Text::new(&long);
        let edges: Vec<_> = long.char_indices().map(|(at, _)| at).chain([long.len()]).collect();
        for length in 1..12 {
            for &from in &edges {
                let piece: String = (0..length).map(|_| letter()).collect();
                let expected = long[from..].find(&piece).map(|found| from + found);
                assert_eq!(text.find(&piece, from), expected, "{piece} from {from}");
            }
        }
        for piece in ["c", &long[long.len() - 60..], &long[..65], &"a".repeat(64)] {
            assert_eq!(text.find(piece, 0), long.find(piece), "{piece}");
        }
        assert!(text.places.get().is_some(), "the text is long enough to be indexed");
    }

    #[test]
    fn finds_at_the_very_ends() {
        for length in [LONG - 1, LONG, LONG + 1, 511, 512, 513] {
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
