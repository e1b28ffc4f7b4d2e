//! A small generator of random numbers (splitmix64), so that a seed reruns a schedule exactly.

#[derive(Clone, Debug)]
pub(super) struct Rng(u64);

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    /// Once in `times`.
    pub(super) fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

/// The seeds to run: `REACHBACK_SEED` alone if it is set.
pub(super) fn seeds(count: u64) -> Box<dyn Iterator<Item = u64>> {
    match std::env::var("REACHBACK_SEED") {
        Ok(seed) => Box::new(std::iter::once(seed.parse().expect("REACHBACK_SEED is a number"))),
        Err(_) => Box::new(0..count),
    }
}
