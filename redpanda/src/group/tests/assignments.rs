//! What a member is assigned, and what it does without an assignment.

use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    consumer::CommitMode,
    mocking::MockCluster,
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

use super::super::*;
use super::{joined, member};
use crate::{
    client::testing::MOCK_MAX,
    log::{CommittedOffset, Membership, Restore as _},
};

#[test]
fn member_that_gets_no_assignment_must_be_replaced() {
    let cluster = MockCluster::new(3).expect("a mock");
    cluster.create_topic("input", 1, 3).expect("a topic");
    // As a coordinator does that is cut off from the other brokers.
    let refusals = vec![RDKafkaRespErr::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE; 1000];
    cluster.request_errors(RDKafkaApiKey::SyncGroup, &refusals);
    let mut first = member(&cluster.bootstrap_servers());
    first.assigned_max = Duration::from_secs(2);
    let (begun, mut nothing) = (Instant::now(), Vec::new());
    let error = loop {
        if let Err(error) = first.poll(Duration::from_millis(50), 1, &mut nothing) {
            break error;
        }
        assert!(begun.elapsed() < MOCK_MAX, "it never ends");
    };
    assert!(matches!(error, LogError::Fatal { .. }), "{error:?}");
    assert_eq!(error.to_string(), "joining group group (the session must be rebuilt)");

    // A member with an assignment may keep it for any time.
    let cluster = MockCluster::new(1).expect("a mock");
    cluster.create_topic("input", 1, 1).expect("a topic");
    let mut other = joined(&cluster.bootstrap_servers());
    other.assigned_max = Duration::ZERO;
    other.poll(Duration::from_millis(50), 1, &mut nothing).expect("it has an assignment");
}

/// A member of a group that reads several topics.
///
/// The mock refuses the SyncGroup request of a member if that of the leader came before it, which
/// depends on chance, and then waits for nearly the session timeout before the next attempt. The
/// timeout is short, so that there is time for many attempts; it is longer than the 3 s for which
/// the mock delays the first assignment.
fn member_of(brokers: &str, inputs: &[Topic]) -> GroupConsumer {
    let extra = [("session.timeout.ms", "4000"), ("heartbeat.interval.ms", "200")];
    let mut member = GroupConsumer::join(&brokers.into(), "group", inputs, &extra, Box::new(|| {}))
        .expect("it joins");
    member.assigned_max = MOCK_MAX;
    member
}

/// A member of `a` and `b` that has got an assignment which it can't use. Calls `before_asking`
/// once it is assigned, before the member asks the brokers why inputs are lacking.
fn refused(
    cluster: &MockCluster<'_, impl ClientContext>,
    before_asking: impl FnOnce(),
) -> GroupConsumer {
    let mut member = member_of(&cluster.bootstrap_servers(), &["a".into(), "b".into()]);
    let (begun, mut nothing) = (Instant::now(), Vec::new());
    while member.consumer.context().changes().is_empty() {
        match member.poll(Duration::from_millis(50), 1, &mut nothing) {
            // The client reports a topic that it does not find.
            Ok(()) | Err(LogError::Retriable { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
        assert!(begun.elapsed() < MOCK_MAX, "it is never assigned");
    }
    before_asking();
    // The worker is not ready. The topics may still be created or extended, for a while.
    let change = member.membership();
    assert!(matches!(&change, Some(Membership::Lost(none)) if none.is_empty()), "{change:?}");
    member
}

/// The error of the next poll of such a member, which has waited too long.
fn polled_too_late(mut member: GroupConsumer) -> LogError {
    member.assigned_max = Duration::ZERO;
    let (begun, mut nothing) = (Instant::now(), Vec::new());
    loop {
        match member.poll(Duration::from_millis(50), 1, &mut nothing) {
            Ok(()) | Err(LogError::Retriable { .. }) => {}
            Err(error) => return error,
        }
        // A further assignment is refused too.
        let change = member.membership();
        assert!(!matches!(change, Some(Membership::Assigned(_))), "{change:?}");
        assert!(begun.elapsed() < MOCK_MAX, "it never ends");
    }
}

#[test]
fn inputs_with_different_partition_counts_are_no_assignment_and_end_the_process() {
    for (of_b, expected) in [
        (Some(1), "topic a has 2 partitions and b has 1, expected one"),
        (None, "an input has no partitions: asking for the partitions of b"),
    ] {
        let cluster = MockCluster::new(1).expect("a mock");
        cluster.create_topic("a", 2, 1).expect("a topic");
        of_b.into_iter().for_each(|count| cluster.create_topic("b", count, 1).expect("a topic"));
        let error = polled_too_late(refused(&cluster, || {}));
        assert!(matches!(error, LogError::Exhausted { .. }), "{error:?}");
        let cause = std::error::Error::source(&error).expect("a cause").to_string();
        assert!(cause.starts_with(expected), "{cause}");
    }
}

#[test]
fn member_is_replaced_if_only_old_metadata_lacks_an_input() {
    let cluster = MockCluster::new(1).expect("a mock");
    cluster.create_topic("a", 1, 1).expect("a topic");
    let mut member = refused(&cluster, || {});
    // The broker that refused the assignment did not know the topic; the next one that is asked
    // does. A poll might meet a new assignment meanwhile.
    cluster.create_topic("b", 1, 1).expect("a topic");
    let error = member.not_assigned();
    assert!(matches!(error, LogError::Fatal { .. }), "{error:?}");
}

#[test]
fn member_is_replaced_if_its_inputs_cant_be_compared_for_now() {
    let cluster = MockCluster::new(1).expect("a mock");
    cluster.create_topic("a", 1, 1).expect("a topic");
    let member = refused(&cluster, || {
        let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
        cluster.create_topic("b", 1, 1).expect("a topic");
        cluster.topic_error("b", error).expect("an error");
    });
    assert_eq!(member.unusable, None, "the topics are not at fault");
    let error = polled_too_late(member);
    assert!(matches!(error, LogError::Fatal { .. }), "{error:?}");
}

#[test]
fn complete_tasks_are_assigned_while_another_member_reads_fewer_topics() {
    let cluster = MockCluster::new(1).expect("a mock");
    cluster.create_topic("a", 2, 1).expect("a topic");
    cluster.create_topic("b", 2, 1).expect("a topic");
    let brokers = cluster.bootstrap_servers();
    // As a new version and the previous one do, while the one replaces the other.
    let mut newer = member_of(&brokers, &["a".into(), "b".into()]);
    let mut older = member_of(&brokers, &["a".into()]);
    let max = MOCK_MAX * 3;
    (newer.assigned_max, older.assigned_max) = (max, max);
    let (begun, mut nothing) = (Instant::now(), Vec::new());
    let (mut tasks, mut of_older) = (Vec::new(), Vec::new());
    while (tasks.len(), of_older.len()) != (1, 1) {
        for (member, tasks) in [(&mut newer, &mut tasks), (&mut older, &mut of_older)] {
            member.poll(Duration::from_millis(20), 1, &mut nothing).expect("it reads");
            match member.membership() {
                Some(Membership::Assigned(assigned)) => *tasks = assigned,
                Some(_) => tasks.clear(),
                None => {}
            }
        }
        assert!(begun.elapsed() < max, "{tasks:?}, {of_older:?}");
    }
    assert_ne!(tasks, of_older);
}

#[test]
fn restore_asks_the_coordinator_of_its_member_for_committed_offsets_and_their_metadata() {
    let [cluster, other] = [(); 2].map(|()| MockCluster::new(1).expect("a mock"));
    for cluster in [&cluster, &other] {
        cluster.create_topic("input", 1, 1).expect("a topic");
        cluster.create_topic("changelog", 1, 1).expect("a topic");
    }
    let mut member = joined(&cluster.bootstrap_servers());
    let inputs = [TopicPartition::new("input", 0)];
    let mut offsets = TopicPartitionList::new();
    let mut element = offsets.add_partition("input", 0);
    element.set_offset(Offset::Offset(7)).expect("an offset");
    element.set_metadata("t42");
    member.consumer.commit(&offsets, CommitMode::Sync).expect("committed");
    // Every client apart from the group reaches brokers that know nothing of it.
    member.brokers = (&*other.bootstrap_servers()).into();
    let changelog = TopicPartition::new("changelog", 0);
    let mut reader = member.restore(&changelog, &inputs, &[]).expect("a reader");
    let (begun, mut nothing) = (Instant::now(), Vec::new());
    let start = loop {
        match reader.poll(Duration::from_millis(50), 1, &mut nothing) {
            Ok(Some(start)) => break start,
            Ok(None) | Err(LogError::Retriable { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(begun.elapsed() < MOCK_MAX, "it never ends");
    };
    assert_eq!(start.committed, [Some(CommittedOffset { next: 7, transactions: Some(42) })]);
}
