//! The suite's readers as processes of a suite that is killed. Needs kcat, and no stack: the broker
//! that they look for does not exist.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use proof::reader::LiveReader;

/// Names the broker to a copy of this test binary that plays the suite.
const SUITE: &str = "MILLRACE_TEST_SUITE";
/// How long the kernel may take to end processes.
const GONE_MAX: Duration = Duration::from_secs(10);

/// How many processes of kcat ask for this broker.
fn readers_of(brokers: &str) -> usize {
    let asks = |entry: std::fs::DirEntry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let mut words = line.split(|byte| *byte == 0);
        words.next() == Some(b"kcat") && words.any(|word| word == brokers.as_bytes())
    };
    std::fs::read_dir("/proc").expect("/proc").flatten().map(asks).filter(|is| *is).count()
}

/// Kills the suite when a test fails.
struct Suite(Child);

impl Drop for Suite {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

#[test]
#[ignore = "the suite that the other test of this file starts and kills"]
fn suite_with_readers() {
    let Ok(brokers) = std::env::var(SUITE) else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let _reader = LiveReader::start(&brokers, folder.path()).expect("readers");
    println!("reading");
    std::thread::sleep(Duration::from_secs(60));
}

#[test]
#[ignore = "needs kcat: integration/test runs it"]
fn readers_end_with_a_suite_that_is_killed() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let brokers = held.local_addr().expect("its number").to_string();
    drop(held);
    // Given a suite whose readers run
    let mut suite = Suite(
        Command::new(std::env::current_exe().expect("this binary"))
            .args(["--ignored", "--exact", "--nocapture", "suite_with_readers"])
            .env(SUITE, &brokers)
            .stdout(Stdio::piped())
            .spawn()
            .expect("a process"),
    );
    let said = BufReader::new(suite.0.stdout.take().expect("a pipe"));
    assert!(said.lines().map_while(Result::ok).any(|line| line.ends_with("reading")));
    let begun = Instant::now();
    while readers_of(&brokers) == 0 {
        assert!(begun.elapsed() < GONE_MAX, "no reader runs");
        std::thread::sleep(Duration::from_millis(20));
    }
    // When the suite is killed and can clear nothing up
    drop(suite);
    // Then its readers are gone
    let begun = Instant::now();
    while readers_of(&brokers) > 0 {
        assert!(begun.elapsed() < GONE_MAX, "{} readers outlive the suite", readers_of(&brokers));
        std::thread::sleep(Duration::from_millis(20));
    }
}
