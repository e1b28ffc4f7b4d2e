//! getrandom, with a seed: what the agent and the gateway are given as `getrandom` in a simulation.

use std::cell::Cell;

thread_local! {
    static STATE: Cell<u64> = const { Cell::new(0) };
}

/// Begins a sequence of numbers, on this thread.
pub fn seed(seed: u64) {
    STATE.set(seed);
}

/// The next number of the sequence (SplitMix64).
///
/// # Errors
/// None.
pub fn u64() -> Result<u64, std::convert::Infallible> {
    let state = STATE.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
    STATE.set(state);
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    Ok(mixed ^ (mixed >> 31))
}
