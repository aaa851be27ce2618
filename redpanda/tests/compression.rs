//! Every codec that a producer of others may use, on a real broker. Topics keep the producer's
//! codec. Run under `stack run`, as in integration/test; `--servers-only` is enough.

use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig,
    producer::{BaseProducer, BaseRecord, Producer as _},
};
use redpanda::{
    log::{Input as _, Membership, Record, TopicPartition},
    provision::Provision,
    reader::Reader,
    registry::Registry,
    topics::Topics,
};

/// The deadline of everything that a broker does here.
const WITHIN: Duration = Duration::from_secs(60);
/// The records of one batch: they repeat, so that their compressed form is the shorter one, which
/// librdkafka requires to use it.
const RECORDS: usize = 100;

fn setting(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run this under `stack run`"))
}

/// Creates a topic of one partition; returns its name, which only this run uses.
async fn topic() -> String {
    let nanoseconds = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a clock").as_nanos();
    let letter = |digit: char| char::from(b'a' + digit.to_digit(10).expect("a digit") as u8);
    let name: String = nanoseconds.to_string().chars().map(letter).collect();
    let topic = format!("trial.codecs.{name}");
    let text = format!(
        "defaults: {{ partitions: 1, bytes_max: 1048576 }}\ntopics:\n  {topic}: {{ owner: t, \
         doc: d, records: [millrace.Outcome], keep: 1d }}\n"
    );
    let registry = Registry::new(&setting("MILLRACE_REGISTRY_URL")).expect("an address");
    let topics = Topics::parse(&text).expect("topics");
    let provision =
        Provision::of(&setting("MILLRACE_BROKERS"), registry, 1, topics).expect("a client");
    let provision = provision.with_schemas(Vec::new());
    for step in provision.plan().await.expect("a plan").steps {
        provision.apply(&step).await.expect("applied");
    }
    provision.wait_for_leaders().await.expect("leaders");
    topic
}

/// Writes [`RECORDS`] records with the codec's name as value.
fn produce(topic: &str, codec: &str) {
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", setting("MILLRACE_BROKERS"))
        .set("compression.type", codec)
        .set("linger.ms", "500")
        .create()
        .expect("a producer");
    for _ in 0..RECORDS {
        let record = BaseRecord::<str, str>::to(topic).payload(codec);
        producer.send(record).map_err(|(error, _)| error).expect("room in the queue");
    }
    producer.flush(WITHIN).expect("written");
}

/// Reads `count` records from the topic's beginning, as a member of a group.
fn read(topic: &str, count: usize) -> Vec<Record> {
    let mut reader =
        Reader::join(&setting("MILLRACE_BROKERS"), topic, "0", &[topic.into()]).expect("a reader");
    let (since, mut records) = (Instant::now(), Vec::new());
    while records.len() < count {
        reader.poll(Duration::from_millis(100), count, &mut records).expect("a poll");
        while let Some(change) = reader.membership() {
            if let Membership::Assigned(_) = change {
                reader.fetch_from(&[(TopicPartition::new(topic, 0), 0)]).expect("it moves");
            }
        }
        assert!(since.elapsed() < WITHIN, "{} of {count} records", records.len());
    }
    records
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the stack"]
async fn records_of_every_codec_are_read() {
    let codecs = ["none", "gzip", "snappy", "lz4", "zstd"];
    let topic = topic().await;
    for codec in codecs {
        produce(&topic, codec);
    }
    let records = read(&topic, codecs.len() * RECORDS);
    for codec in codecs {
        let is_its = |record: &&Record| record.value.as_deref() == Some(codec.as_bytes());
        assert_eq!(records.iter().filter(is_its).count(), RECORDS, "{codec}");
    }
}
