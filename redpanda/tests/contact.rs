//! How a session measures the silence of its brokers, against librdkafka's mock of a cluster.

use std::time::{Duration, Instant};

use rdkafka::mocking::MockCluster;
use redpanda::{
    log::{Connect as _, Session},
    session::{Delivery, Settings},
};

/// The deadline: statistics arrive every 5 s, and the machine may be busy.
const WITHIN: Duration = Duration::from_secs(60);

fn poll_until(session: &mut dyn Session, what: &str, done: impl Fn(&dyn Session) -> bool) {
    let since = Instant::now();
    while !done(session) {
        assert!(since.elapsed() < WITHIN, "{what}: silent for {:?}", session.silence());
        // A poll may fail while the broker is down.
        let _ = session.poll(Duration::from_millis(50), 100, &mut Vec::new());
        while session.membership().is_some() {}
    }
}

#[test]
fn silence_grows_without_a_broker_and_ends_with_it() {
    let cluster = MockCluster::new(1).expect("a cluster");
    cluster.create_topic("trial.in", 1, 1).expect("a topic");
    let settings = Settings {
        brokers: (&cluster.bootstrap_servers()).into(),
        group: "trial".to_owned(),
        inputs: vec!["trial.in".into()],
        transactional_id: "trial-0-0".to_owned(),
        delivery: Delivery::ExactlyOnce,
    };
    let mut session = settings.open().expect("a session");
    let begun = Instant::now();
    poll_until(&mut *session, "in contact", |session| {
        begun.elapsed() > Duration::from_secs(7) && session.silence() < Duration::from_secs(7)
    });

    cluster.broker_down(1).expect("a mock");
    poll_until(&mut *session, "cut off", |session| session.silence() > Duration::from_secs(9));

    cluster.broker_up(1).expect("a mock");
    poll_until(&mut *session, "connected again", |session| {
        session.silence() < Duration::from_secs(4)
    });
}
