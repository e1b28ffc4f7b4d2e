//! The allocator.

use tikv_jemallocator::Jemalloc;

/// A request makes and drops some forty small things, a download a buffer of 64 KiB for each chunk. The C library's
/// allocator costs a tenth more time on both sides together; mimalloc is as quick, at twice the memory for each waiting
/// request. A thread of its own gives memory back to the kernel a few seconds after the need for it has gone.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;
