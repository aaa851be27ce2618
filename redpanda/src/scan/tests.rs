//! Scans against librdkafka's mock of a cluster.

use rdkafka::mocking::MockCluster;

use super::*;
use crate::{
    client::testing::{MOCK_MAX, produce},
    log::Headers,
};

#[test]
fn position_that_the_log_does_not_hold_is_an_error_at_once() {
    let cluster = MockCluster::new(1).expect("a mock");
    cluster.create_topic("topic", 1, 1).expect("a topic");
    let brokers = cluster.bootstrap_servers();
    produce(&brokers, "topic", &Headers::default(), 3);

    let mut positions = BTreeMap::from([(0, 10)]);
    let begun = Instant::now();
    let read = scan(&brokers, "topic", 1, Isolation::Committed, &mut positions, MOCK_MAX);
    let error = read.expect_err("it is behind the end");
    assert!(begun.elapsed() < MOCK_MAX, "it took {:?}", begun.elapsed());
    assert_eq!(error.to_string(), "offset 10 of topic[0] is out of range: the log keeps 0..3");
    assert_eq!(positions, BTreeMap::from([(0, 10)]));

    positions.insert(0, 1);
    let read = scan(&brokers, "topic", 1, Isolation::Committed, &mut positions, MOCK_MAX);
    assert_eq!(read.expect("records").len(), 2);
    assert_eq!(positions, BTreeMap::from([(0, 3)]));
}
