//! Which follow-ups are admitted, step by step, without a log.

use super::{latest::SLOTS, *};

const ANN_TO_BOB: (&str, &str) = ("ann", "bob");
const DAN_TO_BOB: (&str, &str) = ("dan", "bob");

fn partition() -> TopicPartition {
    TopicPartition::new("order.followups", 1)
}

fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// The partition is closed until offset 5, and a task reads it from `position` on.
fn read_from(position: i64) -> OpenPartitions {
    let mut open = OpenPartitions::default();
    open.close_until(partition(), 5);
    open.set_positions([(partition(), position)]);
    open
}

/// Writes a follow-up without the header.
fn write(open: &mut OpenPartitions, number: u128) {
    assert!(!open.admits(&partition(), ANN_TO_BOB, id(number), true));
}

/// Whether a follow-up would be admitted.
fn is_open(open: &mut OpenPartitions, pair: (&str, &str)) -> bool {
    let before = open.written();
    let admits = open.admits(&partition(), pair, id(u128::MAX), false);
    open.undo(before);
    admits
}

fn commit(open: &mut OpenPartitions) {
    open.submitted();
    open.committed(|_| true);
}

#[test]
fn partition_opens_when_it_is_read_up_to_the_end_at_the_start_of_a_task() {
    let mut open = read_from(4);
    open.close_until(partition(), 3);
    assert!(open.is_behind() && !is_open(&mut open, ANN_TO_BOB));
    open.set_positions([(partition(), 5)]);
    assert!(!open.is_behind() && is_open(&mut open, ANN_TO_BOB));
    open.set_positions([]);
    assert!(!is_open(&mut open, ANN_TO_BOB), "no task reads it");
    let other = TopicPartition::new("mail.followups", 1);
    assert!(!open.admits(&other, ANN_TO_BOB, id(1), false), "another processor's");
    assert_eq!(open.written(), 0);
}

#[test]
fn follow_up_without_the_header_closes_its_sender_and_key_until_it_is_read() {
    let mut open = read_from(5);
    write(&mut open, 1);
    assert!(!is_open(&mut open, ANN_TO_BOB), "pending");
    assert!(is_open(&mut open, DAN_TO_BOB), "another sender");
    assert!(is_open(&mut open, ("ann", "cid")), "another key");
    open.submitted();
    assert!(!is_open(&mut open, ANN_TO_BOB), "in flight");
    open.committed(|number| number == 1);
    assert!(!is_open(&mut open, ANN_TO_BOB), "committed");
    open.was_read(&partition(), id(2), 8);
    assert!(!is_open(&mut open, ANN_TO_BOB), "another record opens nothing");
    open.was_read(&partition(), id(1), 9);
    assert!(is_open(&mut open, ANN_TO_BOB) && !open.is_awaiting());
    open.set_positions([(partition(), 9)]);
    assert!(!is_open(&mut open, DAN_TO_BOB), "its decision was aborted");
    open.set_positions([(partition(), 10)]);
    assert!(is_open(&mut open, ANN_TO_BOB));
}

#[test]
fn follow_up_for_a_task_that_is_not_at_work_is_awaited_after_the_task_starts() {
    let mut open = OpenPartitions::default();
    // Another task has started; nobody here reads the partition yet.
    open.close_until(partition(), 0);
    assert!(!open.admits(&partition(), ANN_TO_BOB, id(1), false));
    // The ends of the restore were read before the follow-up was written.
    open.close_until(partition(), 0);
    open.set_positions([(partition(), 0)]);
    for age in ["pending", "in flight", "committed"] {
        assert!(!is_open(&mut open, ANN_TO_BOB), "{age}");
        if age == "pending" {
            open.submitted();
        } else {
            open.committed(|_| true);
        }
    }
    open.was_read(&partition(), id(1), 0);
    assert!(is_open(&mut open, ANN_TO_BOB));
}

#[test]
fn follow_up_that_another_worker_reads_is_forgotten_at_its_commit() {
    let mut open = read_from(5);
    write(&mut open, 1);
    open.submitted();
    open.committed(|number| number != 1);
    assert!(!open.is_awaiting() && is_open(&mut open, ANN_TO_BOB));

    write(&mut open, 2);
    commit(&mut open);
    open.released(&[0]);
    assert!(open.is_awaiting());
    open.released(&[1]);
    assert!(!open.is_awaiting() && is_open(&mut open, ANN_TO_BOB));
}

#[test]
fn follow_ups_of_failed_inputs_and_aborted_transactions_close_nothing() {
    let mut open = read_from(5);
    write(&mut open, 1);
    let before = open.written();
    write(&mut open, 2);
    write(&mut open, 3);
    open.undo(before);
    commit(&mut open);
    open.was_read(&partition(), id(1), 6);
    assert!(is_open(&mut open, ANN_TO_BOB), "those of the failed input are not awaited");

    write(&mut open, 4);
    open.submitted();
    write(&mut open, 5);
    open.aborted();
    open.dropped();
    assert!(!is_open(&mut open, DAN_TO_BOB), "positions have returned");
    open.set_positions([(partition(), 7)]);
    assert!(!open.is_awaiting() && is_open(&mut open, ANN_TO_BOB));
}

#[test]
fn dropped_batch_leaves_the_follow_ups_of_earlier_transactions_awaited() {
    let mut open = read_from(5);
    write(&mut open, 1);
    commit(&mut open);
    write(&mut open, 2);
    open.dropped();
    open.set_positions([(partition(), 5)]);
    assert!(!is_open(&mut open, ANN_TO_BOB));
    open.was_read(&partition(), id(1), 6);
    assert!(is_open(&mut open, ANN_TO_BOB));
}

#[test]
fn follow_up_that_is_read_before_its_commit_is_known_is_not_awaited_after_it() {
    let mut open = read_from(5);
    write(&mut open, 1);
    commit(&mut open);
    write(&mut open, 2);
    open.submitted();
    write(&mut open, 3);
    open.was_read(&partition(), id(1), 6);
    open.was_read(&partition(), id(2), 7);
    assert!(!is_open(&mut open, ANN_TO_BOB), "one is pending");
    open.committed(|_| true);
    assert!(!open.is_awaiting());
    commit(&mut open);
    open.was_read(&partition(), id(3), 8);
    assert!(is_open(&mut open, ANN_TO_BOB));
}

#[test]
fn senders_reopen_while_others_send_all_the_time() {
    let mut open = read_from(4);
    // While the partition is closed, each sender's follow-up waits.
    let senders: Vec<_> = (0..100).map(|number| format!("order-{number}")).collect();
    for (number, sender) in (0..).zip(&senders) {
        assert!(!open.admits(&partition(), (sender, "cup"), id(number), false));
    }
    commit(&mut open);
    open.set_positions([(partition(), 5)]);
    // New senders send before each read of an old one, so that there is no lull.
    let mut waits = 0;
    for number in 0..100_u128 {
        let sender = format!("new-order-{number}");
        waits +=
            usize::from(!open.admits(&partition(), (&sender, "cup"), id(1_000 + number), false));
        commit(&mut open);
        open.was_read(&partition(), id(number), 5 + number as i64);
    }
    assert!(waits <= 10, "{waits} share a slot with one that waits");
    let closed = senders.iter().filter(|sender| !is_open(&mut open, (sender, "cup"))).count();
    assert!(closed <= waits, "{closed} are still closed");
}

#[test]
fn memory_is_bounded_however_many_follow_ups_wait() {
    let mut open = read_from(5);
    for number in 0..30_000_u128 {
        let sender = format!("order-{number}");
        assert!(!open.admits(&partition(), (&sender, "cup"), id(number), true));
        if number % 1_000 == 999 {
            commit(&mut open);
        }
    }
    let awaited = open.committed.len() as u64;
    assert!(awaited <= SLOTS && awaited > SLOTS / 2, "{awaited} are awaited");
    assert_eq!((open.pending.len(), open.in_flight.len(), open.written()), (0, 0, 0));
}
