//! The memory of a program that links this crate: its threads take what they use, not a huge page
//! of 2 MiB for each place where they use some.
#![cfg(target_os = "linux")]

use std::sync::{Arc, Barrier};

/// As many as a service has.
const THREADS: usize = 50;

#[test]
fn threads_that_hold_little_memory_get_no_huge_pages() {
    redpanda::allocator::disable_huge_pages();
    // Given threads that hold blocks of many sizes, 130 KB each
    let (have_allocated, may_end) = (Barrier::new(THREADS + 1), Barrier::new(THREADS + 1));
    let barriers = Arc::new((have_allocated, may_end));
    let hold = |barriers: Arc<(Barrier, Barrier)>| {
        let blocks: Vec<_> = (4..17).map(|power| vec![1_u8; 1 << power]).collect();
        barriers.0.wait();
        barriers.1.wait();
        blocks.len()
    };
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let barriers = barriers.clone();
            std::thread::spawn(move || hold(barriers))
        })
        .collect();
    barriers.0.wait();

    // When the kernel is asked for the memory of this process
    let memory = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux");

    // Then none of it is in huge pages
    let huge = memory.lines().find(|line| line.starts_with("AnonHugePages:")).expect("a line");
    assert_eq!(huge.split_whitespace().nth(1), Some("0"), "{memory}");
    barriers.1.wait();
    for thread in threads {
        assert_eq!(thread.join().expect("no panic"), 13);
    }
}
