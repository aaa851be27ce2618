//! The shortest loop that does the work of `integration/bench` by hand: what a transaction costs
//! without an engine. It restores nothing, survives nothing and moves nothing; it is there to be
//! measured. The other words make and delete topics and write inputs, for everybody who is
//! measured.

use std::{
    collections::HashMap,
    sync::mpsc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rdkafka::{
    ClientConfig, Message as _, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    error::RDKafkaErrorCode,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};
use redpanda::{partition_of, raw};
use schemas::{Codec, Message as _, Record, Schema};
use serde::{Deserialize, Serialize};

const PARTITIONS: i32 = 4;
const ASK: Duration = Duration::from_secs(30);

type Failure = Box<dyn std::error::Error + Send + Sync>;
type Sender = ThreadedProducer<DefaultProducerContext>;

macro_rules! record {
    ($record:ident { $($field:ident: $kind:ty),* }, $fields:literal) => {
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        struct $record { $($field: $kind),* }

        impl Record for $record {
            const SCHEMA: &'static Schema = {
                static SCHEMA: Schema = Schema::foreign(
                    concat!("speed.", stringify!($record)),
                    concat!(r#"{"type":"record","namespace":"speed","name":""#, stringify!($record), r#"","fields":["#, $fields, "]}"),
                );
                &SCHEMA
            };
        }
    };
}

record!(Add { body: String }, r#"{"name":"body","type":"string"}"#);
record!(
    Counted { count: i64, body: String },
    r#"{"name":"count","type":"long"},{"name":"body","type":"string"}"#
);
record!(
    Count { count: i64, body: String },
    r#"{"name":"count","type":"long"},{"name":"body","type":"string"}"#
);

fn codec() -> Codec {
    Codec::of([Add::SCHEMA, Counted::SCHEMA, Count::SCHEMA].into_iter().zip(1..))
}

fn producer(brokers: &str, id: Option<&str>, linger_ms: &str) -> Result<Sender, Failure> {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", brokers)
        .set("acks", "all")
        .set("linger.ms", linger_ms)
        .set("retry.backoff.ms", "2")
        .set("batch.num.messages", "100000")
        .set("batch.size", "1000000")
        .set("queue.buffering.max.messages", "1000000")
        .set("delivery.report.only.error", "true");
    if let Some(id) = id {
        config.set("transactional.id", id);
    }
    Ok(config.create()?)
}

fn send(
    producer: &Sender,
    topic: &str,
    partition: i32,
    key: &[u8],
    value: &[u8],
) -> Result<(), Failure> {
    let mut record = BaseRecord::to(topic).partition(partition).key(key).payload(value);
    while let Err((error, same)) = producer.send(record) {
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::QueueFull) {
            return Err(error.into());
        }
        std::thread::sleep(Duration::from_millis(1));
        record = same;
    }
    Ok(())
}

/// Deletes topics, and waits until they are gone.
fn delete(brokers: &str, topics: &[&str]) -> Result<(), Failure> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create()?;
    for result in block_on(admin.delete_topics(topics, &AdminOptions::new()))? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, error)) => return Err(format!("deleting {topic}: {error}").into()),
        }
    }
    let begun = Instant::now();
    let is_there = |topic: &str| -> Result<bool, Failure> {
        let metadata = admin.inner().fetch_metadata(None, ASK)?;
        Ok(metadata.topics().iter().any(|known| known.name() == topic))
    };
    for topic in topics {
        while is_there(topic)? {
            if begun.elapsed() > ASK {
                return Err(format!("{topic} is still there").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// Makes topics; those that are there are deleted first.
fn fresh(brokers: &str, topics: &[&str]) -> Result<(), Failure> {
    delete(brokers, topics)?;
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create()?;
    let new = |name| {
        NewTopic::new(name, PARTITIONS, TopicReplication::Fixed(1))
            .set("message.timestamp.type", "LogAppendTime")
            .set("file.delete.delay.ms", "1000")
    };
    let new: Vec<_> = topics.iter().copied().map(new).collect();
    for result in block_on(admin.create_topics(&new, &AdminOptions::new()))? {
        result.map_err(|(topic, error)| format!("making {topic}: {error}"))?;
    }
    Ok(())
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future)
}

/// A key for each number, every key once in `keys` numbers, in no order that a cache would like
/// (Knuth's multiplicative hash).
fn key_of(number: u64, keys: u64) -> String {
    format!("key-{}", number * 2_654_435_761 % keys)
}

fn write(
    producer: &Sender,
    codec: &Codec,
    topic: &str,
    key: &str,
    body: String,
) -> Result<(), Failure> {
    let mut value = Vec::new();
    Add { body }.encode(codec, &mut value)?;
    send(producer, topic, partition_of(key.as_bytes(), PARTITIONS), key.as_bytes(), &value)
}

fn fill(brokers: &str, topic: &str, records: u64, keys: u64, body: usize) -> Result<(), Failure> {
    let (producer, codec) = (producer(brokers, None, "5")?, codec());
    for number in 0..records {
        write(&producer, &codec, topic, &key_of(number, keys), format!("{number:0>body$}"))?;
    }
    Ok(producer.flush(Duration::from_secs(120))?)
}

/// Writes each input when it is due, or as soon as it can after that.
fn pace(
    brokers: &str,
    topic: &str,
    rate: u64,
    seconds: u64,
    keys: u64,
    body: usize,
) -> Result<(), Failure> {
    let (producer, codec) = (producer(brokers, None, "0")?, codec());
    producer.client().fetch_metadata(Some(topic), ASK)?;
    let begun_us = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?;
    let begun = Instant::now();
    for number in 0..rate * seconds {
        let due_us = number * 1_000_000 / rate;
        while let Some(wait) = Duration::from_micros(due_us).checked_sub(begun.elapsed()) {
            std::thread::sleep(wait);
        }
        let text = format!("{} ", begun_us + due_us);
        write(&producer, &codec, topic, &key_of(number, keys), format!("{text:-<body$}"))?;
    }
    Ok(producer.flush(Duration::from_secs(30))?)
}

struct Batch {
    records: Vec<Counting>,
    next: HashMap<i32, i64>,
}

struct Counting {
    partition: i32,
    key: Vec<u8>,
    output: Vec<u8>,
    state: Vec<u8>,
}

fn run(brokers: &str, name: &str, topic: &str, out: &str, commit: Duration) -> Result<(), Failure> {
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

    let (hand, handed) = mpsc::sync_channel::<Batch>(0);
    let (out, state, topic, id) =
        (out.to_owned(), format!("{name}.state"), topic.to_owned(), format!("{name}-0"));
    let producer = producer(brokers, Some(&id), "5")?;
    producer.init_transactions(ASK)?;
    std::thread::spawn(move || -> Result<(), Failure> {
        let commit = || -> Result<(), Failure> {
            while let Ok(batch) = handed.recv() {
                producer.begin_transaction()?;
                for done in &batch.records {
                    send(&producer, &out, done.partition, &done.key, &done.output)?;
                    send(&producer, &state, done.partition, &done.key, &done.state)?;
                }
                let mut offsets = TopicPartitionList::new();
                for (partition, next) in &batch.next {
                    offsets.add_partition_offset(&topic, *partition, Offset::Offset(*next))?;
                }
                producer.send_offsets_to_transaction(&offsets, &metadata, ASK)?;
                raw::commit_transaction(&producer, ASK).map_err(|error| error.text)?;
            }
            Ok(())
        };
        commit().inspect_err(|error| {
            eprintln!("{error}");
            std::process::exit(1);
        })
    });

    let (codec, mut counts) = (codec(), HashMap::<Vec<u8>, Count>::new());
    let mut batch = Batch { records: Vec::new(), next: HashMap::new() };
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
            batch.records.push(Counting {
                partition: message.partition(),
                key: key.to_vec(),
                output,
                state,
            });
            batch.next.insert(message.partition(), message.offset() + 1);
        }
        if since.elapsed() >= commit && !batch.records.is_empty() {
            match hand.try_send(batch) {
                Ok(()) => {
                    batch = Batch { records: Vec::new(), next: HashMap::new() };
                    since = Instant::now();
                }
                // The one before is still being committed.
                Err(mpsc::TrySendError::Full(same)) if same.records.len() < 50_000 => batch = same,
                Err(mpsc::TrySendError::Full(same)) => {
                    hand.send(same)?;
                    batch = Batch { records: Vec::new(), next: HashMap::new() };
                    since = Instant::now();
                }
                Err(mpsc::TrySendError::Disconnected(_)) => {
                    return Err("the committing thread has ended".into());
                }
            }
        }
    }
}

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["fresh", brokers, ref topics @ ..] => fresh(brokers, topics),
        ["delete", brokers, ref topics @ ..] => delete(brokers, topics),
        ["fill", brokers, topic, records, keys, body] => {
            fill(brokers, topic, records.parse()?, keys.parse()?, body.parse()?)
        }
        ["pace", brokers, topic, rate, seconds, keys, body] => {
            pace(brokers, topic, rate.parse()?, seconds.parse()?, keys.parse()?, body.parse()?)
        }
        ["run", brokers, name, topic, out, commit_ms] => {
            run(brokers, name, topic, out, Duration::from_millis(commit_ms.parse()?))
        }
        _ => Err("expected: fresh BROKERS TOPIC..., delete BROKERS TOPIC..., fill BROKERS TOPIC RECORDS KEYS BODY, \
                  pace BROKERS TOPIC RATE SECONDS KEYS BODY, or run BROKERS NAME INPUTS OUTPUTS COMMIT_MS"
            .into()),
    }
}
