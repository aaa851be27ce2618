use std::sync::mpsc;

use super::*;

/// Far longer than the threads of a test take to end.
const LONG: Duration = Duration::from_secs(60);

/// Starts a thread that ends when what this returns is dropped.
fn spawn_waiting(threads: &Threads, name: &str) -> mpsc::Sender<()> {
    let (end, ended) = mpsc::channel();
    let work = move |_: &Turns| {
        ended.recv().unwrap_or_default();
        Ok(())
    };
    threads.spawn(name.to_owned(), work).expect("a thread");
    end
}

#[tokio::test]
async fn panic_of_a_thread_names_it_while_others_work_and_is_the_error_of_the_join() {
    let threads = Threads::default();
    let end = spawn_waiting(&threads, "works");
    assert_eq!(threads.ended(), None);

    threads.spawn("dies".to_owned(), |_| panic!("a bug")).expect("a thread");
    assert_eq!(threads.any_ended().await, "dies");
    drop(end);
    let error = threads.join(LONG).expect_err("one has panicked");
    assert_eq!(error.to_string(), "thread dies panicked: a bug");
}

#[test]
fn join_names_a_thread_that_is_stuck_and_does_not_wait_for_it() {
    const SHORT: Duration = Duration::from_millis(20);
    let stuck_beside = |work: fn() -> anyhow::Result<()>| {
        let threads = Threads::default();
        let end = spawn_waiting(&threads, "stuck");
        threads.spawn("other".to_owned(), move |_| work()).expect("a thread");
        let begun = Instant::now();
        while threads.ended().is_none() {
            assert!(begun.elapsed() < LONG, "the other thread does not end");
            std::thread::yield_now();
        }
        let error = threads.join(SHORT).expect_err("one is stuck").to_string();
        drop(end);
        error
    };
    let error = stuck_beside(|| Ok(()));
    assert_eq!(error, "threads have not ended in 20ms: stuck");
    // Why another has died is the reason of the end.
    assert_eq!(stuck_beside(|| panic!("a bug")), "thread other panicked: a bug");
}

#[test]
fn threads_that_end_in_order_are_no_error() {
    let threads = Threads::default();
    threads.spawn("ends".to_owned(), |_| Ok(())).expect("a thread");
    assert!(threads.join(LONG).is_ok());
    assert_eq!(threads.ended(), None, "no thread is left");
}

#[test]
fn threads_that_are_joined_while_one_still_works_are_failing() {
    let threads = Threads::default();
    let (end, ended) = mpsc::channel::<()>();
    threads
        .spawn("finishes".to_owned(), move |_| {
            ended.recv().unwrap_or_default();
            Ok(())
        })
        .expect("a thread");
    let joins = threads.clone();
    let joined = std::thread::spawn(move || joins.join(LONG));
    let begun = Instant::now();
    while threads.failing(Duration::from_secs(60)).is_none() {
        assert!(begun.elapsed() < Duration::from_secs(10), "a service that shuts down seems ready");
        std::thread::yield_now();
    }
    drop(end);
    joined.join().expect("no panic").expect("the thread ends in order");
}

#[test]
fn thread_that_does_not_end_its_turn_is_named_until_it_begins_another() {
    const SHORT: Duration = Duration::from_millis(20);
    let threads = Threads::default();
    let registry = prometheus::Registry::new();
    threads.register(&registry).expect("a metric");
    let (next, next_turn) = mpsc::channel::<()>();
    let (turned, has_turned) = mpsc::channel::<()>();
    threads
        .spawn("worker-0".to_owned(), move |turns| {
            while next_turn.recv().is_ok() {
                turns.begin();
                turned.send(())?;
            }
            Ok(())
        })
        .expect("a thread");
    let begun = Instant::now();
    while threads.failing(SHORT).is_none() {
        assert!(begun.elapsed() < Duration::from_secs(10), "the stuck thread is not named");
        std::thread::yield_now();
    }
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).expect("text");
    let age = text.lines().find_map(|line| {
        line.strip_prefix("millrace_thread_turn_age_seconds{thread=\"worker-0\"} ")
    });
    let age: f64 = age.expect("its age").parse().expect("a number");
    assert!(age > SHORT.as_secs_f64(), "{text}");

    next.send(()).expect("it waits for its turn");
    has_turned.recv().expect("it turns");
    assert_eq!(threads.failing(Duration::from_secs(10)), None);
    drop(next);
    threads.join(LONG).expect("it ends");
}
