//! The allocator's settings: the one place in Reachback that needs `unsafe`.

/// Buffers of 64 KiB come and go with every chunk. By default glibc gives their pages back to the kernel each time and
/// asks for them again, which costs a third of a download's time; and it tidies its small free chunks up before each
/// larger allocation. Another allocator would be quicker still, at twice the memory for each waiting request.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "there is no safe way to say this to the C library")]
pub(crate) fn tune() {
    /// Free memory kept at the top of the heap, in bytes: a few full windows.
    const KEPT: libc::c_int = 4 * 1024 * 1024;
    // SAFETY: mallopt takes numbers, and no other thread runs yet. An option that it does not know it ignores.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, KEPT);
        libc::mallopt(libc::M_MMAP_THRESHOLD, KEPT);
        libc::mallopt(libc::M_MXFAST, 0);
    }
}

/// Other allocators are left as they are.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn tune() {}
