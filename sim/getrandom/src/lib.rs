//! getrandom, with a seed: what the agent and the gateway are given as `getrandom` in a simulation, and what the standard
//! library and tokio get when they ask the system. They shuffle the entries of maps, and the branches of `select!`.

use std::cell::Cell;

thread_local! {
    static DRAWN: Cell<u64> = const { Cell::new(0) };
    static SYSTEM: Cell<u64> = const { Cell::new(0) };
}

/// Begins a sequence of numbers, on this thread.
pub fn seed(seed: u64) {
    DRAWN.set(seed);
}

/// The next number of the sequence.
///
/// # Errors
/// None.
pub fn u64() -> Result<u64, std::convert::Infallible> {
    Ok(DRAWN.with(next))
}

/// Fills it from the sequence.
///
/// # Errors
/// None.
pub fn fill(all: &mut [u8]) -> std::io::Result<()> {
    all.chunks_mut(8).for_each(|some| some.copy_from_slice(&DRAWN.with(next).to_be_bytes()[..some.len()]));
    Ok(())
}

/// SplitMix64.
fn next(state: &Cell<u64>) -> u64 {
    state.set(state.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
    let mixed = state.get();
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// Stands before the system's own (getrandom(2)) in the program that this is linked into. A sequence of its own, so that
/// it makes no difference how often it is asked.
///
/// # Safety
/// As for the system's: `buffer` is valid for writes of `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn getrandom(buffer: *mut u8, length: usize, _flags: u32) -> isize {
    for at in 0..length {
        let byte = SYSTEM.with(next).to_be_bytes()[0];
        // SAFETY: the caller has promised that there is room.
        unsafe { buffer.add(at).write(byte) };
    }
    isize::try_from(length).unwrap_or(-1)
}
