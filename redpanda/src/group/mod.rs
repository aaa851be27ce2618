//! A member of a consumer group on librdkafka: what sessions and readers have in common.
//!
//! It reads committed records from the positions that its owner sets, and commits nothing. It
//! acknowledges every assignment with an empty list: nothing is fetched before
//! [`GroupConsumer::fetch_from`], because the positions come from a changelog or a store.
//!
//! - `assignment`: whether the member can use what it is assigned
//! - `context`: the callbacks of the group, which run inside a poll
//! - `positions`: where the member reads, and how it moves there
//! - `stall`: finds partitions that the client has forgotten to fetch
//! - `closing`: leaves without blocking the owner, and counts the closes that never end

mod assignment;
mod closing;
mod context;
mod positions;
mod stall;
#[cfg(test)]
mod tests;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rdkafka::{
    config::FromClientConfigAndContext as _,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};

use closing::Closing;
pub(crate) use closing::give_back;
pub(crate) use context::{BeforeRevoke, GroupContext};
use stall::{Behind, StallCheck};

use crate::{
    brokers::Brokers,
    client::{
        Copier, committed, consumption, fatal, is_out_of_range, is_transient, is_unreadable,
        partitions, read_committed, standalone_reader, watermark_client, watermarks,
    },
    fault,
    log::{LogError, Record, Topic, TopicPartition},
    mutant::ReadMutant,
    restore::{RestoreReader, Restored},
};

/// How long a member waits for an assignment before it must be replaced. It is longer than the
/// session timeout, within which a group may wait for a member that has died, and than a revocation
/// waits for a transaction of another member.
///
/// The member is replaced by a new client, because waiting longer may not help. librdkafka asks for
/// the coordinator at the broker that it used last. If that broker is cut off from the others and
/// says that it is still the coordinator, a member without partitions uses no other broker, so it
/// asks and joins there again and again (`rd_kafka_broker_weight_usable` in `rdkafka_broker.c`). If
/// the broker is paused, the request to join has a deadline of minutes. A new client begins at any
/// broker, so it can find the coordinator at another one.
pub(crate) const ASSIGNED_MAX: Duration = Duration::from_secs(15);

/// The interval of librdkafka's statistics, which tell the lag and the time since the last contact.
const STATISTICS_INTERVAL_MS: &str = "5000";

/// A member of a group.
pub(crate) struct GroupConsumer {
    consumer: Closing,
    /// Since when the member has waited for an assignment. `None` while it has one.
    unassigned: Option<Instant>,
    /// See [`ASSIGNED_MAX`].
    assigned_max: Duration,
    /// Why the group's last assignment can't be used. `None` if it can, or if that is not known.
    unusable: Option<String>,
    /// Requests high watermarks, which count uncommitted records too, and partition counts. The
    /// member rarely needs it, so a poll without records drops it.
    watermark_client: Option<Arc<BaseConsumer>>,
    brokers: Brokers,
    group: String,
    copier: Copier,
    /// The positions of the last [`GroupConsumer::fetch_from`].
    positions: Vec<(TopicPartition, i64)>,
    stall: StallCheck,
    mutant: ReadMutant,
}

impl GroupConsumer {
    /// Joins `group` to read `inputs`. `extra` are settings beside those that every reader has.
    pub(crate) fn join(
        brokers: &Brokers,
        group: &str,
        inputs: &[Topic],
        extra: &[(&str, &str)],
        before_revoke: BeforeRevoke,
    ) -> Result<Self, LogError> {
        let doing = || format!("joining group {group}");
        closing::check(doing)?;
        let mut config = read_committed(brokers, group);
        config
            .set("isolation.level", ReadMutant::isolation())
            .set("statistics.interval.ms", STATISTICS_INTERVAL_MS);
        for (name, value) in extra {
            config.set(*name, *value);
        }
        let context = GroupContext::new(inputs, before_revoke);
        let consumer = BaseConsumer::from_config_and_context(&config, context)
            .map_err(|e| fatal(doing(), e))?;
        let names: Vec<&str> = inputs.iter().map(|topic| &**topic).collect();
        consumer.subscribe(&names).map_err(|e| fatal(doing(), e))?;
        Ok(Self {
            consumer: Closing::new(consumer),
            unassigned: Some(Instant::now()),
            assigned_max: ASSIGNED_MAX,
            unusable: None,
            watermark_client: None,
            brokers: brokers.clone(),
            group: group.to_owned(),
            copier: Copier::of(inputs),
            positions: Vec::new(),
            stall: StallCheck::default(),
            mutant: ReadMutant::default(),
        })
    }

    /// The client, from which a session reads the group's metadata.
    pub(crate) fn client(&self) -> Arc<BaseConsumer<GroupContext>> {
        Arc::clone(&self.consumer)
    }

    /// See [`crate::log::Input::poll`]. Also fails if the member has waited too long for an
    /// assignment that it can use, if the client does not fetch a partition that has records, or if
    /// it can't read them.
    pub(crate) fn poll(
        &mut self,
        timeout: Duration,
        max: usize,
        out: &mut Vec<Record>,
    ) -> Result<(), LogError> {
        let (mut wait, before, until) = (timeout, out.len(), Instant::now() + timeout);
        while out.len() - before < max && self.consumer.context().changes().is_empty() {
            match self.consumer.poll(wait) {
                None => break,
                Some(Ok(message)) => out.push(self.copier.record(&message)),
                Some(Err(KafkaError::PartitionEOF(_))) => {}
                // The client reconnects by itself. Hundreds of these errors may be queued after a
                // broker was away, so they must not use up the wait for the first record.
                Some(Err(error)) if is_transient(&error) => {
                    if out.len() == before {
                        wait = until.saturating_duration_since(Instant::now());
                        continue;
                    }
                }
                Some(Err(error)) if is_out_of_range(&error) => {
                    return Err(self
                        .out_of_range()
                        .unwrap_or_else(|| consumption(&self.group, error)));
                }
                Some(Err(error)) if is_unreadable(&error) => return Err(self.unreadable(error)),
                Some(Err(error)) => return Err(self.failed(error)),
            }
            // The first record has arrived: take what else is queued, and wait for nothing.
            wait = Duration::ZERO;
        }
        if self.unassigned.is_some_and(|since| since.elapsed() > self.assigned_max)
            && self.consumer.context().changes().is_empty()
        {
            return Err(self.not_assigned());
        }
        self.mutant.spoil(&self.brokers, out, before)?;
        match out.len() > before {
            true => fault::point("after-poll"),
            false if max == 0 => {}
            false => {
                self.check_fetches()?;
                if !timeout.is_zero() {
                    self.watermark_client = None;
                }
            }
        }
        Ok(())
    }

    /// The error of a poll. Only the client knows why a fatal one has happened.
    fn failed(&self, error: KafkaError) -> LogError {
        let is_fatal = matches!(
            error,
            KafkaError::MessageConsumptionFatal(_)
                | KafkaError::MessageConsumption(RDKafkaErrorCode::Fatal)
        );
        match self.consumer.client().fatal_error().filter(|_| is_fatal) {
            Some((RDKafkaErrorCode::FencedInstanceId, text)) => {
                LogError::Fenced { doing: format!("reading {}", self.group), cause: text.into() }
            }
            _ => consumption(&self.group, error),
        }
    }

    fn check_fetches(&mut self) -> Result<(), LogError> {
        let context = self.consumer.context();
        if !context.changes().is_empty() {
            return Ok(());
        }
        match self.stall.check(&self.consumer, &self.positions, || context.fetches()) {
            None => Ok(()),
            Some(Behind { partition, next, end }) => Err(fatal(
                format!("reading {partition} from offset {next}"),
                format!("the client fetches nothing, and committed records end at {end}"),
            )),
        }
    }

    /// See [`crate::log::Input::watermarks`].
    pub(crate) fn watermarks(
        &mut self,
        partition: &TopicPartition,
    ) -> Result<(i64, i64), LogError> {
        watermarks(&*self.watermark_client()?, partition)
    }

    /// See [`crate::log::Input::partitions`].
    pub(crate) fn partitions(&mut self, topic: &str) -> Result<i32, LogError> {
        partitions(&*self.watermark_client()?, topic)
    }

    fn watermark_client(&mut self) -> Result<Arc<BaseConsumer>, LogError> {
        match &self.watermark_client {
            Some(client) => Ok(client.clone()),
            None => {
                let client = watermark_client(&self.brokers, &self.group)?;
                Ok(self.watermark_client.insert(client).clone())
            }
        }
    }

    /// See [`crate::log::Input::silence`].
    pub(crate) fn silence(&self) -> Duration {
        self.consumer.context().silence()
    }

    /// See [`crate::log::Input::lag`].
    pub(crate) fn lag(&mut self) -> Option<Vec<(TopicPartition, i64)>> {
        let fetches = self.consumer.context().take_fetches()?;
        let lag = |(partition, from): &(TopicPartition, i64)| {
            let fetch = fetches.get(partition).copied().unwrap_or_default();
            let asked = self.stall.behind().iter().find(|behind| behind.partition == *partition);
            let lag = fetch.lag(*from, asked.map(|behind| behind.end))?;
            Some((partition.clone(), lag))
        };
        Some(self.positions.iter().filter_map(lag).collect())
    }

    /// See [`crate::log::Input::committed`].
    pub(crate) fn committed(
        &mut self,
        partitions: &[TopicPartition],
    ) -> Result<Vec<Option<i64>>, LogError> {
        let found = committed(&**self.consumer, &self.group, partitions)?;
        Ok(found.into_iter().map(|offset| offset.map(|offset| offset.next)).collect())
    }

    /// Begins to read what a task starts from: the committed offsets with this member's client, and
    /// everything else with clients of its own.
    pub(crate) fn restore(
        &mut self,
        changelog: &TopicPartition,
        inputs: &[TopicPartition],
        watched: &[TopicPartition],
    ) -> Result<RestoreReader, LogError> {
        let reader = standalone_reader(&self.brokers, &self.group)?;
        let what = Restored { changelog, inputs, watched };
        let member = Arc::downgrade(&self.consumer);
        RestoreReader::begin(member, reader, self.watermark_client()?, &self.group, what)
    }
}
