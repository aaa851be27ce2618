//! The loop that is measured: poll, count, and commit on a second thread. It restores nothing.

use std::{
    collections::HashMap,
    sync::mpsc,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    producer::Producer,
};
use redpanda::raw;
use schemas::Message as _;

use crate::{
    Failure, PARTITIONS, REQUEST_MAX,
    producer::{producer, send},
    records::{Add, Count, Counted, codec},
};

/// The records and positions of one transaction.
#[derive(Default)]
struct Batch {
    records: Vec<Output>,
    next: HashMap<i32, i64>,
}

/// The output and the state that one input leads to.
struct Output {
    partition: i32,
    key: Vec<u8>,
    output: Vec<u8>,
    state: Vec<u8>,
}

/// Counts the inputs of each key until the process is killed; commits every `commit`.
pub(crate) fn run(
    brokers: &str,
    name: &str,
    topic: &str,
    out: &str,
    commit: Duration,
) -> Result<(), Failure> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", name)
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "5")
        .set("queued.min.messages", "10000")
        .set("queued.max.messages.kbytes", "16384")
        .create()?;
    let mut list = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        list.add_partition_offset(topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&list)?;
    let metadata = consumer.group_metadata().ok_or("no metadata")?;

    // A second thread commits, because librdkafka's transaction calls block.
    let (sender, batches) = mpsc::sync_channel::<Batch>(0);
    let (out, state, topic, id) =
        (out.to_owned(), format!("{name}.state"), topic.to_owned(), format!("{name}-0"));
    let producer = producer(brokers, Some(&id), "5")?;
    producer.init_transactions(REQUEST_MAX)?;
    std::thread::spawn(move || -> Result<(), Failure> {
        let commit = || -> Result<(), Failure> {
            while let Ok(batch) = batches.recv() {
                producer.begin_transaction()?;
                for record in &batch.records {
                    send(&producer, &out, record.partition, &record.key, &record.output)?;
                    send(&producer, &state, record.partition, &record.key, &record.state)?;
                }
                let mut offsets = TopicPartitionList::new();
                for (partition, next) in &batch.next {
                    offsets.add_partition_offset(&topic, *partition, Offset::Offset(*next))?;
                }
                producer.send_offsets_to_transaction(&offsets, &metadata, REQUEST_MAX)?;
                raw::commit_transaction(&producer, REQUEST_MAX).map_err(|error| error.text)?;
            }
            Ok(())
        };
        commit().inspect_err(|error| {
            eprintln!("{error}");
            std::process::exit(1);
        })
    });

    let (codec, mut counts) = (codec(), HashMap::<Vec<u8>, Count>::new());
    let mut batch = Batch::default();
    let mut since = Instant::now();
    loop {
        if let Some(message) = consumer.poll(Duration::from_millis(1)) {
            let message = message?;
            let (key, value) =
                (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
            let Add { body } = codec.open(value)?.read()?;
            let count = counts.get(key).map_or(0, |count| count.count) + 1;
            let (mut output, mut state) = (Vec::new(), Vec::new());
            Counted { count, body: body.clone() }.encode(&codec, &mut output)?;
            let now = Count { count, body };
            now.encode(&codec, &mut state)?;
            counts.insert(key.to_vec(), now);
            batch.records.push(Output {
                partition: message.partition(),
                key: key.to_vec(),
                output,
                state,
            });
            batch.next.insert(message.partition(), message.offset() + 1);
        }
        // A commit is due. While the previous one is in flight the batch grows, up to a bound.
        if since.elapsed() >= commit && !batch.records.is_empty() {
            match sender.try_send(batch) {
                Ok(()) => {
                    batch = Batch::default();
                    since = Instant::now();
                }
                Err(mpsc::TrySendError::Full(same)) if same.records.len() < 50_000 => batch = same,
                Err(mpsc::TrySendError::Full(same)) => {
                    sender.send(same)?;
                    batch = Batch::default();
                    since = Instant::now();
                }
                Err(mpsc::TrySendError::Disconnected(_)) => {
                    return Err("the committing thread has ended".into());
                }
            }
        }
    }
}
