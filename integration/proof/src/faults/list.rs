//! The list of all faults. A fault is one entry here and one function in the file of what it
//! happens to.

use super::clock::clock_off;
use super::mails::mail_slow;
use super::network::{
    connections_cut, dead_bootstrap, end_answers_lost, end_late, offsets_late, produce_late,
    slow_network,
};
use super::processes::{
    abort, all_restarted, broker_killed, broker_paused, comings_and_goings, during_restore,
    in_rebalance, kill_at, paused, servers_restarted, service_paused, takeover, thread_dies, twins,
    zombie, zombie_in_transaction,
};
use super::records::{
    a_hundred_times, aborted_input, clock_ahead, idle_retention, oversize, poison, poison_headers,
    registry_killed, rolling_restart,
};
use super::stores::{all_away, black_hole, killed, killed_unanswered, redis_emptied, slow};
use super::{Fault, Stack, brokers, cut_off, disk};

/// What the suite ends with: the services must restore what all faults have left behind.
pub const AFTERWARDS: Fault =
    fault!("afterwards", "all services killed and started", 1, false, all_restarted);

/// All faults.
pub const ALL: &[Fault] = &[
    kill_at!("after-poll", 40, "killed after a poll", false),
    kill_at!("after-begin", 40, "killed after a transaction has begun", true),
    kill_at!("after-send", 200, "killed after the broker has received a record", false),
    kill_at!("after-offsets", 40, "killed after the offsets were sent", false),
    kill_at!("before-commit", 40, "killed with everything written and nothing committed", true),
    kill_at!(
        "end-sent",
        40,
        "killed after the commit request was sent and before its answer",
        true
    ),
    kill_at!("after-commit", 40, "killed after the commit, before any client was notified", true),
    kill_at!("before-store", 40, "a projector killed before it writes to its store", false),
    kill_at!("after-store", 40, "a projector killed after it has written to its store", false),
    fault!("during-restore", "killed while its state is being restored", 5, true, during_restore),
    fault!("in-rebalance", "killed while its partitions are revoked", 5, false, in_rebalance),
    fault!("abort", "a transaction fails and is aborted", 5, true, abort),
    fault!("broker-killed", "the broker killed and started again", 3, true, broker_killed),
    fault!("broker-paused", "the broker paused past all timeouts", 1, false, broker_paused),
    fault!(
        "zombie",
        "a service stopped before a write to PostgreSQL, replaced after its session's timeout, and continued",
        3,
        true,
        zombie
    ),
    fault!(
        "zombie-in-transaction",
        "the same, stopped within PostgreSQL's transaction, with a row locked",
        2,
        false,
        zombie_in_transaction
    ),
    fault!(
        "takeover",
        "one of two instances killed with many partitions in a pending transaction",
        2,
        false,
        takeover
    ),
    fault!("twins", "two processes with one transactional id", 2, false, twins),
    fault!(
        "comings-and-goings",
        "an instance joins and leaves, after two seconds or once it has a task, in turn",
        2,
        false,
        comings_and_goings
    ),
    fault!(
        "connections-cut",
        "all connections of a service to the broker cut, again and again",
        3,
        false,
        connections_cut
    ),
    fault!("slow-network", "every request and answer 100 ms late", 1, false, slow_network),
    fault!("end-answers-lost", "answers to EndTxn lost", 3, true, end_answers_lost),
    fault!("end-late", "EndTxn arrives when the next transaction is under way", 5, true, end_late),
    fault!(
        "offsets-late",
        "TxnOffsetCommit arrives when the next transaction is under way",
        5,
        false,
        offsets_late
    ),
    fault!(
        "produce-late",
        "Produce arrives when the next transaction is under way",
        5,
        false,
        produce_late
    ),
    fault!(
        "dead-bootstrap",
        "a bootstrap broker dead while services restart",
        2,
        false,
        dead_bootstrap
    ),
    fault!("a-hundred-times", "the same command a hundred times", 1, true, a_hundred_times),
    fault!("aborted-input", "commands in transactions that are aborted", 3, true, aborted_input),
    fault!("poison", "records that can't be decoded, in every topic of commands", 1, true, poison),
    fault!("oversize", "outputs that are too large for their topics", 1, false, oversize),
    fault!("clock-ahead", "a record two days ahead", 1, false, clock_ahead),
    fault!("poison-headers", "headers whose names are not UTF-8", 1, true, poison_headers),
    fault!(
        "idle-retention",
        "all follow-ups removed after a quiet time, and the services restarted",
        1,
        false,
        idle_retention
    ),
    fault!(
        "thread-dies",
        "a worker dies in a process that lives, then a projector",
        2,
        true,
        thread_dies
    ),
    native!(
        "the registry is part of the broker's container",
        fault!(
            "registry-killed",
            "the registry killed, and a service started meanwhile",
            1,
            false,
            registry_killed
        )
    ),
    store!("postgres-killed", "PostgreSQL killed", 2, killed, "postgres"),
    store!(
        "postgres-unanswered",
        "PostgreSQL killed between a commit and its answer",
        3,
        killed_unanswered,
        "postgres"
    ),
    store!("postgres-slow", "PostgreSQL slow", 2, slow, "postgres"),
    store!("postgres-paused", "PostgreSQL paused for seconds", 1, paused, "postgres"),
    store!("mongo-killed", "the Mongo server killed", 2, killed, "mongo"),
    store!(
        "mongo-unanswered",
        "the Mongo server killed between a write and its answer",
        3,
        killed_unanswered,
        "mongo"
    ),
    store!("mongo-slow", "the Mongo server slow", 2, slow, "mongo"),
    store!("mongo-paused", "the Mongo server paused for seconds", 1, paused, "mongo"),
    store!("redis-killed", "Redis killed", 2, killed, "redis"),
    store!(
        "redis-unanswered",
        "Redis killed between a script's write and its answer",
        3,
        killed_unanswered,
        "redis"
    ),
    store!("redis-slow", "Redis slow", 2, slow, "redis"),
    store!("redis-paused", "Redis paused for seconds", 1, paused, "redis"),
    fault!(
        "store-black-hole",
        "connections to each store drop all messages, and stay open",
        1,
        false,
        black_hole
    ),
    fault!(
        "stores-away",
        "all services started while MongoDB and Redis are down",
        1,
        false,
        all_away
    ),
    fault!(
        "mail-slow",
        "two instances are behind by over 500 mails and two minutes, with three seconds for each",
        1,
        false,
        mail_slow
    ),
    fault!("redis-emptied", "Redis emptied", 2, false, redis_emptied),
    disk_full!("broker-disk-full", "the disk of the broker full, then not", disk::broker_full),
    disk_full!("postgres-disk-full", "the disk of PostgreSQL full, then not", disk::postgres_full),
    native!(
        "it loads a library into a service of the native stack",
        fault!(
            "clock-off",
            "a service's clock an hour ahead, then an hour behind",
            1,
            false,
            clock_off
        )
    ),
    fault!(
        "rolling-restart",
        "all services restarted in turn, with a schema version added",
        1,
        true,
        rolling_restart
    ),
    of_three!(
        "leader-killed",
        "the broker killed that leads a partition",
        5,
        true,
        brokers::leader_killed
    ),
    of_three!(
        "leader-moved",
        "all leaders moved to the next broker, again and again",
        3,
        false,
        brokers::leader_moved
    ),
    of_three!(
        "coordinator-killed",
        "the coordinator of the group killed, then the transaction's",
        3,
        false,
        brokers::coordinator_killed
    ),
    of_three!(
        "coordinator-moved",
        "all coordinators moved to the next broker, again and again",
        3,
        true,
        brokers::coordinator_moved
    ),
    of_three!(
        "one-broker-paused",
        "a leader paused past its session",
        2,
        false,
        brokers::one_paused
    ),
    native!(
        "only the native stack has relays between brokers",
        of_three!(
            "one-broker-cut-off",
            "a leader cut off from its peers",
            2,
            false,
            brokers::one_cut_off
        )
    ),
    Fault {
        brokers: 3,
        ..cut_off!(
            "one-broker-off-network",
            "a leader cut off from its peers and from all clients",
            cut_off::one_broker
        )
    },
    of_three!(
        "brokers-restarted",
        "all brokers restarted in turn",
        1,
        false,
        brokers::restarted_in_turn
    ),
    fault!(
        "service-paused",
        "a service paused past its session, with no other instance",
        2,
        false,
        service_paused
    ),
    fault!(
        "servers-restarted",
        "the stores and the broker stopped in order and started, one after the other",
        1,
        false,
        servers_restarted
    ),
    cut_off!("service-off-network", "a service cut off from everything", cut_off::service),
    cut_off!("gateway-off-network", "a gateway cut off from everything", cut_off::gateway),
    cut_off!("broker-off-network", "the first broker cut off from everything", |world, _, _| {
        cut_off::part(world, "broker")
    }),
    cut_off!("postgres-off-network", "PostgreSQL cut off from everything", |world, _, _| {
        cut_off::part(world, "postgres")
    }),
    cut_off!("mongo-off-network", "the Mongo server cut off from everything", |world, _, _| {
        cut_off::part(world, "mongo")
    }),
    cut_off!("redis-off-network", "Redis cut off from everything", |world, _, _| {
        cut_off::part(world, "redis")
    }),
];
