//! Schemas that only the registry knows.

use std::time::Instant;

use super::*;
use crate::Cause;

/// How long a registry that does not answer holds up each request.
const TIMEOUT: Duration = Duration::from_millis(50);
const PARTITIONS: i32 = 12;

#[test]
fn silent_registry_holds_up_a_turn_for_one_request_and_not_for_each_partition() {
    let (runtime, fake) = (Runtime::new().expect("a runtime"), Fake::default());
    let log = MemoryLog::new([("events", PARTITIONS)]);
    for partition in 0..PARTITIONS {
        log.append_raw(ProducerRecord {
            topic: "events".into(),
            partition,
            key: None,
            // The wire format's first byte, and an id that this program does not know.
            value: Some(vec![0, 0, 0, 0xff, 0xff].into()),
            headers: Headers::default(),
        });
    }
    let asked = Arc::new(AtomicUsize::new(0));
    let answers = Arc::new(AtomicBool::new(false));
    let (count, is_back) = (asked.clone(), answers.clone());
    let schema_by_id = move |_: u32| -> Result<Option<String>, Cause> {
        count.fetch_add(1, Ordering::Relaxed);
        if is_back.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let begun = Instant::now();
        while begun.elapsed() < TIMEOUT {
            std::thread::yield_now();
        }
        Err("no answer".into())
    };
    let resources = Resources { schema_by_id: Arc::new(schema_by_id), ..resources(&log, &runtime) };
    let mut projector = member(&log, &fake, &resources);
    projector.apply_max = TIMEOUT;
    while asked.load(Ordering::Relaxed) == 0 {
        steps(&mut projector, 1);
    }
    assert_eq!(asked.load(Ordering::Relaxed), 1);
    assert_eq!(projector.partitions(), (0, PARTITIONS as usize), "all wait");

    // then all are applied when it answers again
    answers.store(true, Ordering::Relaxed);
    projector.apply_max = Duration::from_secs(5);
    while fake.applied.load(Ordering::Relaxed) < PARTITIONS as usize {
        steps(&mut projector, 1);
    }
}
