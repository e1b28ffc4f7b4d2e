//! The parts of a run, each of which starts what it needs and adds samples.

pub(crate) mod distance;
pub(crate) mod memory;
pub(crate) mod narrow;
mod side_by_side;

pub(crate) use side_by_side::side_by_side;
