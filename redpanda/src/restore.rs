//! Reads what a task starts from, on a thread of its own: committed offsets, the changelog, the ends of the inputs.
//!
//! Each of these may have to be waited for: an open transaction is undecided, a partition has no leader, a
//! broker does not answer. Whoever polls here never waits for any of it, so a task that is being restored holds
//! up no other. It commits nothing and is no member of the group.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
        mpsc,
    },
    time::Duration,
};

use rdkafka::{
    ClientContext, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaError,
};

use crate::{
    fault,
    group::{Copier, committed, consumption, fatal, is_passing, tell, watermarks},
    log::{LogError, Record, Restore, Start, TopicPartition},
};

/// How many records are handed over at a time, and how many such chunks wait for whoever polls.
const CHUNK_MAX: usize = 1_000;
const CHUNKS_MAX: usize = 4;
/// How long the thread waits for records before it looks whether anybody still polls.
const READ: Duration = Duration::from_millis(100);
/// The wait before a question is asked again that has met a passing error.
const AGAIN: Duration = Duration::from_millis(50);

/// A reader outside of any group, to whom the end of a partition is news and no error.
pub(crate) struct Alone;

impl ClientContext for Alone {
    fn error(&self, error: KafkaError, reason: &str) {
        tell(&error, reason);
    }
}

impl ConsumerContext for Alone {}

/// What the thread tells.
enum News {
    Records(Vec<Record>),
    Done(Start),
}

/// Position and end in the changelog.
#[derive(Default)]
struct Progress {
    position: AtomicI64,
    end: AtomicI64,
}

/// Hands over what its thread has read.
pub(crate) struct RestoreReader {
    changelog: TopicPartition,
    news: mpsc::Receiver<Result<News, LogError>>,
    progress: Arc<Progress>,
    done: Option<Start>,
}

impl RestoreReader {
    /// Starts the thread. `consumer` reads committed records and `edges` uncommitted ones.
    pub(crate) fn begin(
        consumer: BaseConsumer<Alone>,
        edges: Arc<BaseConsumer>,
        group: &str,
        changelog: &TopicPartition,
        inputs: &[TopicPartition],
    ) -> Result<Self, LogError> {
        let (told, news) = mpsc::sync_channel(CHUNKS_MAX);
        let progress = Arc::<Progress>::default();
        let reading = Reading {
            consumer,
            edges,
            group: group.to_owned(),
            changelog: changelog.clone(),
            inputs: inputs.to_vec(),
            told,
            progress: progress.clone(),
        };
        // It ends when nobody polls any more, after the question that it has asked.
        let thread = std::thread::Builder::new().name("restore".to_owned());
        let read = move || {
            reading.run().ok();
        };
        thread.spawn(read).map_err(|error| LogError::Fatal {
            doing: format!("reading {changelog} back"),
            cause: error.to_string(),
        })?;
        Ok(Self { changelog: changelog.clone(), news, progress, done: None })
    }
}

impl Restore for RestoreReader {
    fn poll(
        &mut self,
        timeout: Duration,
        max: usize,
        out: &mut Vec<Record>,
    ) -> Result<Option<Start>, LogError> {
        let (before, mut wait) = (out.len(), timeout);
        while self.done.is_none() && out.len() - before < max {
            match self.news.recv_timeout(wait) {
                Ok(Ok(News::Records(records))) => out.extend(records),
                Ok(Ok(News::Done(start))) => self.done = Some(start),
                Ok(Err(error)) => return Err(error),
                Err(mpsc::RecvTimeoutError::Timeout) => break,
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let doing = format!("reading {} back", self.changelog);
                    return Err(LogError::Fatal { doing, cause: "its thread has ended".to_owned() });
                }
            }
            wait = Duration::ZERO;
        }
        Ok(self.done.clone())
    }

    fn progress(&self) -> (i64, i64) {
        (self.progress.position.load(Ordering::Relaxed), self.progress.end.load(Ordering::Relaxed))
    }
}

/// What the thread has.
struct Reading {
    consumer: BaseConsumer<Alone>,
    edges: Arc<BaseConsumer>,
    group: String,
    changelog: TopicPartition,
    inputs: Vec<TopicPartition>,
    told: mpsc::SyncSender<Result<News, LogError>>,
    progress: Arc<Progress>,
}

/// Nobody polls any more, or the error that was told does not pass.
struct Over;

impl Reading {
    fn run(&self) -> Result<(), Over> {
        // First the offsets, then the changelog's end: so the changelog has at least what the offsets say.
        let committed = match self.inputs.is_empty() {
            true => Vec::new(),
            false => self.ask(|| committed(&self.consumer, &self.group, &self.inputs))?,
        };
        let (beginning, end) = self.ask(|| watermarks(&*self.edges, &self.changelog))?;
        self.progress.position.store(beginning, Ordering::Relaxed);
        self.progress.end.store(end, Ordering::Relaxed);
        if beginning < end {
            // Before an open transaction committed records end, and that would be taken for the end.
            while self.ask(|| watermarks(&self.consumer, &self.changelog))?.1 < end {
                std::thread::sleep(AGAIN);
                self.is_wanted()?;
            }
            self.read(beginning, end)?;
        }
        let mut kept = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            kept.push(self.ask(|| watermarks(&*self.edges, input))?);
        }
        self.tell(Ok(News::Done(Start { committed, kept })))
    }

    /// Reads the changelog from `beginning` to `end`.
    fn read(&self, beginning: i64, end: i64) -> Result<(), Over> {
        let place = &self.changelog;
        let mut list = TopicPartitionList::new();
        let assigned = list
            .add_partition_offset(&place.topic, place.partition, Offset::Offset(beginning))
            .and_then(|()| self.consumer.assign(&list));
        if let Err(error) = assigned {
            self.tell(Err(fatal(format!("reading {place} back"), &error)))?;
            return Err(Over);
        }
        let (mut copier, mut records, mut position) = (Copier::default(), Vec::new(), beginning);
        while position < end {
            let wait = if records.is_empty() { READ } else { Duration::ZERO };
            let came = self.consumer.poll(wait);
            let mut is_idle = came.is_none();
            match came {
                None => {}
                Some(Ok(message)) => {
                    fault::place("during-restore");
                    // What was written after the end was taken is not ours to know yet, but does no harm.
                    position = message.offset() + 1;
                    records.push(copier.record(&message));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => position = end,
                // One broker of several is down, or its name is unknown: the client goes on with the others.
                Some(Err(error)) if is_passing(&error) => is_idle = true,
                Some(Err(error)) => self.tell_error(consumption(&place.to_string(), &error))?,
            }
            if is_idle || position >= end || records.len() >= CHUNK_MAX {
                self.is_wanted()?;
                self.tell(Ok(News::Records(std::mem::take(&mut records))))?;
                self.progress.position.store(position, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Asks until there is an answer.
    fn ask<T>(&self, question: impl Fn() -> Result<T, LogError>) -> Result<T, Over> {
        loop {
            match question() {
                Ok(answer) => return Ok(answer),
                Err(error) => self.tell_error(error)?,
            }
            std::thread::sleep(AGAIN);
        }
    }

    /// Tells an error; `Err` where it does not pass.
    fn tell_error(&self, error: LogError) -> Result<(), Over> {
        let passes = matches!(error, LogError::Retriable { .. });
        self.tell(Err(error))?;
        if passes { Ok(()) } else { Err(Over) }
    }

    /// Whether anybody still polls.
    fn is_wanted(&self) -> Result<(), Over> {
        if Arc::strong_count(&self.progress) > 1 { Ok(()) } else { Err(Over) }
    }

    /// Hands something over. It waits while whoever polls has not taken what was handed over before.
    fn tell(&self, news: Result<News, LogError>) -> Result<(), Over> {
        if matches!(&news, Ok(News::Records(records)) if records.is_empty()) {
            return Ok(());
        }
        self.told.send(news).map_err(|_| Over)
    }
}

#[cfg(test)]
mod tests {
    use std::{net::TcpListener, time::Instant};

    use rdkafka::mocking::MockCluster;

    use super::*;
    use crate::{
        group::{GroupConsumer, tests::produce},
        log::Headers,
    };

    /// How long librdkafka's own mock of a broker may take.
    const MOCK_MAX: Duration = Duration::from_secs(20);

    fn member(brokers: &str) -> GroupConsumer {
        GroupConsumer::join(brokers, "group", &["input".into()], &[], Box::new(|| {})).expect("a member")
    }

    #[test]
    fn restore_holds_nobody_up_while_no_broker_answers() {
        // It takes connections and answers nothing.
        let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
        let mut member = member(&silent.local_addr().expect("an address").to_string());
        let (begun, mut none) = (Instant::now(), Vec::new());
        let places = ["changelog", "input"].map(|topic| TopicPartition::new(topic, 0));
        for _ in 0..8 {
            let mut reader = member.restore(&places[0], &places[1..]).expect("a reader");
            let told = reader.poll(Duration::from_millis(1), 10, &mut none).expect("no error yet");
            assert_eq!((told, none.len(), reader.progress()), (None, 0, (0, 0)));
        }
        assert!(begun.elapsed() < Duration::from_secs(4), "it took {:?}", begun.elapsed());
    }

    #[test]
    fn restore_reads_the_changelog_and_tells_what_its_task_starts_from() {
        let cluster = MockCluster::new(1).expect("a mock");
        cluster.create_topic("input", 1, 1).expect("a topic");
        cluster.create_topic("changelog", 1, 1).expect("a topic");
        let brokers = cluster.bootstrap_servers();
        produce(&brokers, "changelog", &Headers::default(), 2_500);
        produce(&brokers, "input", &Headers::default(), 3);
        let places = ["changelog", "input"].map(|topic| TopicPartition::new(topic, 0));
        let mut reader = member(&brokers).restore(&places[0], &places[1..]).expect("a reader");
        let (begun, mut records) = (Instant::now(), Vec::new());
        let start = loop {
            match reader.poll(Duration::from_millis(50), 1_000, &mut records) {
                Ok(Some(start)) => break start,
                Ok(None) | Err(LogError::Retriable { .. }) => {}
                Err(error) => panic!("{error}"),
            }
            assert!(begun.elapsed() < MOCK_MAX, "{} records, {:?}", records.len(), reader.progress());
        };
        assert_eq!(start, Start { committed: vec![None], kept: vec![(0, 3)] });
        let offsets: Vec<_> = records.iter().map(|record| record.offset).collect();
        assert_eq!(offsets, (0..2_500).collect::<Vec<_>>());
        assert_eq!(reader.progress(), (2_500, 2_500));
    }
}
