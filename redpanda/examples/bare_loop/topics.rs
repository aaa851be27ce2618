//! Creates and deletes the topics of the benchmark.

use std::time::{Duration, Instant};

use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    error::RDKafkaErrorCode,
};

use crate::{Failure, PARTITIONS, REQUEST_MAX};

/// Deletes topics, and waits until the broker does not list them any more.
pub(crate) fn delete(brokers: &str, topics: &[&str]) -> Result<(), Failure> {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", brokers).create()?;
    for result in block_on(admin.delete_topics(topics, &AdminOptions::new()))? {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::UnknownTopicOrPartition)) => {}
            Err((topic, error)) => return Err(format!("deleting {topic}: {error}").into()),
        }
    }
    let begun = Instant::now();
    let exists = |topic: &str| -> Result<bool, Failure> {
        let metadata = admin.inner().fetch_metadata(None, REQUEST_MAX)?;
        Ok(metadata.topics().iter().any(|known| known.name() == topic))
    };
    for topic in topics {
        while exists(topic)? {
            if begun.elapsed() > REQUEST_MAX {
                return Err(format!("{topic} still exists").into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// Creates topics, and deletes existing ones of the same name first.
pub(crate) fn fresh(brokers: &str, topics: &[&str]) -> Result<(), Failure> {
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
        result.map_err(|(topic, error)| format!("creating {topic}: {error}"))?;
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
