//! The allocator of every program that links this crate, and of librdkafka in it. It uses no huge
//! pages.
//!
//! A service has some forty threads, and each of them allocates in places of its own. If the kernel
//! backs each place with a huge page of 2 MiB, a service takes five times the memory that it uses.

/// One thread allocates the parts of a record and another frees them, which the C library's
/// allocator is slow at. The feature `no_thp` keeps it from requesting huge pages.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Disables huge pages for this process. Some systems give them to programs that do not request
/// them (`always` in `/sys/kernel/mm/transparent_hugepage/enabled`). A `main` calls it first: the
/// process keeps the huge pages that it has already.
pub fn disable_huge_pages() {
    // A kernel without huge pages refuses this, and has nothing to disable.
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_thp_disable(true);
}
