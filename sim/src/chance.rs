//! What chance decides in a life. Agents and gateways draw from the same sequence.

use std::time::Duration;

/// Any number below `bound`.
pub(crate) fn below(bound: u64) -> u64 {
    let Ok(number) = getrandom::u64();
    number % bound
}

/// Any time from nothing to `longest`, in milliseconds.
pub(crate) fn up_to(longest: Duration) -> Duration {
    let millis = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX - 1);
    Duration::from_millis(below(millis + 1))
}

/// Any of these.
pub(crate) fn one_of<T: Copy>(all: &[T]) -> T {
    let at = usize::try_from(below(all.len() as u64)).expect("it came from a usize");
    all[at]
}
