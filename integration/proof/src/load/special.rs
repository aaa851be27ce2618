//! Commands that a fault sends beside the stream: unreadable, oversized, repeated, stamped with
//! another time, or written by another program.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use bytes::Bytes;
use integration::cluster::{Cluster, RawRecord};
use redpanda::aborted::Aborted;
use redpanda::log::TopicPartition;
use schemas::order::PlaceOrder;
use schemas::stock::ReceiveStock;

use super::history::Command;
use super::{Load, TRY_MAX};

impl Load {
    /// Sends a value that can't be processed, as a command that must fail.
    pub async fn doom(&self, topic: &'static str, key: String, value: Bytes) {
        let command = Command::raw(topic, key, "millrace.Poison", value);
        self.history().doomed.insert(command.id);
        self.send(Arc::new(command)).await;
    }

    /// Sends an order whose principal has so long a name that an output that contains it twice is
    /// too large for its topic.
    ///
    /// # Errors
    /// When the codec does not know the schema.
    pub async fn oversize(&self, sku: &str, principal_bytes: usize) -> anyhow::Result<()> {
        let (key, order) = self.order(sku)?;
        let name = <PlaceOrder as schemas::Record>::SCHEMA.name;
        let principal = "p".repeat(principal_bytes);
        let command = Command::of(&principal, "order.commands", key, name, order.into());
        self.history().doomed.insert(command.id);
        self.send(Arc::new(command)).await;
        Ok(())
    }

    /// Places an order in a record with a timestamp `ahead` of now. For this write the topic
    /// accepts the writer's timestamps, so nothing else may be written to it meanwhile.
    ///
    /// # Errors
    /// When the cluster refuses it, or the topic's settings have no effect.
    pub async fn place_at(
        &self,
        cluster: &Cluster,
        sku: &str,
        ahead: Duration,
    ) -> anyhow::Result<()> {
        const TOPIC: &str = "order.commands";
        const SETTINGS: [&str; 2] = ["message.timestamp.type", "message.timestamp.after.max.ms"];
        let (key, order) = self.order(sku)?;
        let name = <PlaceOrder as schemas::Record>::SCHEMA.name;
        let command = Command::raw(TOPIC, key, name, order.into());
        let headers = command.headers.iter();
        let headers: Vec<_> = headers
            .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec()))
            .collect();
        let given = RawRecord { key: &command.key, value: &command.value, headers: &headers };
        let partitions = redpanda::topics::all().get(TOPIC).map_or(1, |topic| topic.partitions);
        let partition = redpanda::partition_of(command.key.as_bytes(), partitions);
        // A setting takes effect with a delay, so the record is written until it has the wanted
        // timestamp. All copies are one command, because they have one id.
        let write_until = async |writers_word: bool, ahead: Duration| {
            let begun = tokio::time::Instant::now();
            loop {
                let at = SystemTime::now().duration_since(UNIX_EPOCH)? + ahead;
                let at_ms = i64::try_from(at.as_millis())?;
                if cluster.write(TOPIC, partition, &given, at_ms).await? == writers_word {
                    return anyhow::Ok(());
                }
                anyhow::ensure!(
                    begun.elapsed() < TRY_MAX,
                    "{TOPIC} does not stamp records as it was configured to"
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let any_ms = i64::MAX.to_string();
        cluster
            .configure(TOPIC, &[(SETTINGS[0], Some("CreateTime")), (SETTINGS[1], Some(&any_ms))])
            .await?;
        let written = write_until(true, ahead).await;
        cluster
            .configure(TOPIC, &[(SETTINGS[0], Some("LogAppendTime")), (SETTINGS[1], None)])
            .await?;
        written?;
        write_until(false, Duration::ZERO).await?;
        let mut history = self.history();
        history.acknowledged.insert(command.id);
        history.sent.insert(command.id, Arc::new(command));
        Ok(())
    }

    /// Writes a command with one more header, whose name is not UTF-8. Only kcat can write such a
    /// header.
    ///
    /// # Errors
    /// When kcat can't be run, or the record was not acknowledged.
    pub async fn with_odd_header(
        &self,
        brokers: &str,
        topic: &'static str,
        key: String,
        name: &str,
        value: Bytes,
        doomed: bool,
    ) -> anyhow::Result<()> {
        let command = Command::raw(topic, key, name, value);
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), &command.value)?;
        let partitions = redpanda::topics::all().get(topic).map_or(1, |topic| topic.partitions);
        let partition = redpanda::partition_of(command.key.as_bytes(), partitions).to_string();
        let mut kcat = tokio::process::Command::new("kcat");
        kcat.args(["-P", "-b", brokers, "-t", topic, "-p", &partition, "-k", &command.key]);
        for (name, value) in command.headers.iter() {
            kcat.arg("-H").arg(OsString::from_vec([name, b"=", value].concat()));
        }
        kcat.arg("-H").arg(OsString::from_vec(b"\xff\xfe=1".to_vec())).arg(file.path());
        let written = kcat.output().await.context("running kcat")?;
        anyhow::ensure!(
            written.status.success(),
            "kcat: {}",
            String::from_utf8_lossy(&written.stderr)
        );
        let mut history = self.history();
        if doomed {
            history.doomed.insert(command.id);
        }
        history.acknowledged.insert(command.id);
        history.sent.insert(command.id, Arc::new(command));
        Ok(())
    }

    /// Writes `count` orders of unknown users in one transaction and aborts it. No service may read
    /// them, so none may have an outcome. This blocks.
    ///
    /// # Errors
    /// When the codec does not know their schema, or the broker refuses a step.
    pub fn aborted_orders(&self, brokers: &str, sku: &str, count: usize) -> anyhow::Result<()> {
        let topic = "order.commands";
        let partitions = redpanda::topics::all().get(topic).map_or(1, |topic| topic.partitions);
        let name = <PlaceOrder as schemas::Record>::SCHEMA.name;
        let order = |_| {
            let (key, value) = self.order(sku)?;
            let Command { key, value, headers, .. } = Command::raw(topic, key, name, value.into());
            let partition = redpanda::partition_of(key.as_bytes(), partitions);
            let partition = TopicPartition::new(topic, partition);
            Ok(Aborted { partition, key, value, headers })
        };
        let orders = (0..count).map(order).collect::<anyhow::Result<Vec<_>>>()?;
        Ok(redpanda::aborted::write_and_abort(brokers, "faults-aborted", &orders)?)
    }

    /// Places an order as a newer program does, whose schema `id` has one more field at the end.
    /// The field is null.
    ///
    /// # Errors
    /// When the codec does not know the schema of today.
    pub async fn place_as(&self, id: u32, sku: &str) -> anyhow::Result<()> {
        let (key, mut value) = self.order(sku)?;
        value[1..5].copy_from_slice(&id.to_be_bytes());
        // The first branch of a union.
        value.push(0);
        let name = <PlaceOrder as schemas::Record>::SCHEMA.name;
        self.send(Arc::new(Command::raw("order.commands", key, name, value.into()))).await;
        Ok(())
    }

    /// Sends one command that receives stock a hundred times, as a client would that never gets an
    /// answer.
    pub async fn a_hundred_times(&self, sku: &str) -> anyhow::Result<()> {
        let receive = ReceiveStock { sku: sku.to_owned(), quantity: 1 };
        let command =
            Arc::new(Command::new(&self.codec, "stock.commands", sku.to_owned(), &receive)?);
        for _ in 0..100 {
            self.send(command.clone()).await;
        }
        Ok(())
    }

    /// Sends up to `count` of all acknowledged commands again, chosen at random, which no service
    /// may decide a second time.
    pub async fn earlier_again(&self, count: usize) {
        let again: Vec<_> = {
            let history = self.history();
            let known = history
                .sent
                .iter()
                .filter(|(id, _)| history.is_acknowledged(id) && !history.is_doomed(id));
            known.map(|(_, command)| command.clone()).take(count).collect()
        };
        for command in again {
            self.send(command).await;
        }
    }
}
