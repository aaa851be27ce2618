//! Reads what a task starts from, on a thread of its own: committed offsets, the changelog, the
//! ends of the inputs.
//!
//! Each of these may have to be waited for: an open transaction is undecided, a partition has no
//! leader, a broker does not answer. Whoever polls here never waits for any of it, so a task that
//! is being restored holds up no other. It commits nothing and is no member of the group.
//!
//! The end that a leader states may be one of a leader that is deposed and does not know it, or of
//! a new one that does not know yet how far the log is committed. So it is asked for again when
//! everything is read.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Message as _, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaError,
};

use crate::{
    fault,
    group::{
        ASK, Copier, SETTLE, committed, consumption, fatal, is_passing, retriable, tell, watermarks,
    },
    log::{LogError, Record, Restore, Start, TopicPartition},
};

/// How many records are handed over at a time, and how many such chunks wait for whoever polls.
const CHUNK_MAX: usize = 1_000;
const CHUNKS_MAX: usize = 4;
/// How long the thread waits for records before it looks whether anybody still polls.
const READ: Duration = Duration::from_millis(100);
/// The wait before a question is asked again that has met a passing error.
const AGAIN: Duration = Duration::from_millis(50);
/// For how long a leader may state an end before one that was stated earlier: a new leader learns
/// it from the others within moments. After that records are lost, and the offsets that the group
/// has committed tell whether any matters.
const BEHIND_MAX: Duration = Duration::from_secs(30);

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
                    return Err(LogError::Fatal {
                        doing,
                        cause: "its thread has ended".to_owned(),
                    });
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
#[derive(Debug)]
struct Over;

/// Whether everything is read, where a reading came to `position` of `end` and the leader states
/// `stated`, which is not before `end`. `quiet` says that nothing came in two readings that began
/// when all of it was readable: what is left holds no records.
fn is_all(position: i64, end: i64, stated: i64, quiet: bool) -> bool {
    position >= stated || quiet && stated == end
}

impl Reading {
    fn run(&self) -> Result<(), Over> {
        // First the offsets, then the changelog's end: so the changelog has at least what the
        // offsets say.
        let committed = match self.inputs.is_empty() {
            true => Vec::new(),
            false => self.ask(|| committed(&self.consumer, &self.group, &self.inputs))?,
        };
        let (beginning, end) = self.ask(|| watermarks(&*self.edges, &self.changelog))?;
        self.progress.position.store(beginning, Ordering::Relaxed);
        self.progress.end.store(end, Ordering::Relaxed);
        self.read_all(beginning, end)?;
        let mut kept = Vec::with_capacity(self.inputs.len());
        for input in &self.inputs {
            kept.push(self.ask(|| watermarks(&*self.edges, input))?);
        }
        self.tell(Ok(News::Done(Start { committed, kept })))
    }

    /// Reads the changelog from `position` to the end that its leader states when all of it is
    /// read.
    fn read_all(&self, mut position: i64, mut end: i64) -> Result<(), Over> {
        // Where a reading met the partition's end before `end`.
        let (mut quiet_at, mut is_assigned) = (None, false);
        loop {
            if position < end {
                // Before an open transaction committed records end, and that would be taken for the
                // end.
                while self.ask(|| watermarks(&self.consumer, &self.changelog))?.1 < end {
                    std::thread::sleep(AGAIN);
                    self.is_wanted()?;
                }
                self.ask(|| self.go_to(position, is_assigned))?;
                is_assigned = true;
                position = self.read(position, end)?;
            }
            let Some(stated) = self.stated_end(end)? else { return Ok(()) };
            if is_all(position, end, stated, quiet_at == Some(position)) {
                self.progress.position.store(position.max(stated), Ordering::Relaxed);
                return Ok(());
            }
            quiet_at = Some(position).filter(|_| stated == end);
            end = stated;
            self.progress.end.store(end, Ordering::Relaxed);
        }
    }

    /// Asks whoever leads the changelog now for its last stable offset, until that is not before
    /// `end`; `None` where it stays before it, because records are lost. What stands behind it is
    /// of a transaction of a former owner, which can't be committed any more.
    fn stated_end(&self, end: i64) -> Result<Option<i64>, Over> {
        let (place, since) = (&self.changelog, Instant::now());
        let doing = || format!("asking for the end of {place} again");
        loop {
            let stated = self.ask(|| {
                let metadata = self.consumer.fetch_metadata(Some(&place.topic), ASK);
                metadata.map_err(|error| retriable(doing(), &error))?;
                Ok(watermarks(&self.consumer, place)?.1)
            })?;
            if stated >= end {
                return Ok(Some(stated));
            }
            if since.elapsed() >= BEHIND_MAX {
                tracing::error!(%place, stated, before = end, "the log's end has gone back: records are lost");
                self.progress.end.store(stated, Ordering::Relaxed);
                self.progress.position.store(stated, Ordering::Relaxed);
                return Ok(None);
            }
            let cause = format!("its leader states the end {stated}, one before stated {end}");
            self.tell_error(LogError::Retriable { doing: doing(), cause })?;
            std::thread::sleep(AGAIN);
            self.is_wanted()?;
        }
    }

    /// Lets the client read on from `position`.
    fn go_to(&self, position: i64, is_assigned: bool) -> Result<(), LogError> {
        let (place, from) = (&self.changelog, Offset::Offset(position));
        let doing = || format!("reading {place} back");
        if is_assigned {
            let sought = self.consumer.seek(&place.topic, place.partition, from, SETTLE);
            return sought.map_err(|error| retriable(doing(), &error));
        }
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&place.topic, place.partition, from)
            .and_then(|()| self.consumer.assign(&list))
            .map_err(|error| fatal(doing(), &error))
    }

    /// Reads from `position` until `end` or the end of the partition, as its leader of that moment
    /// sees it; returns where.
    fn read(&self, mut position: i64, end: i64) -> Result<i64, Over> {
        let place = &self.changelog;
        let (mut copier, mut records, mut is_over) = (Copier::default(), Vec::new(), false);
        while !is_over && position < end {
            let wait = if records.is_empty() { READ } else { Duration::ZERO };
            let came = self.consumer.poll(wait);
            let mut is_idle = came.is_none();
            match came {
                None => {}
                Some(Ok(message)) => {
                    fault::place("during-restore");
                    // What was written after the end was taken is not ours to know yet, but does no
                    // harm.
                    position = message.offset() + 1;
                    records.push(copier.record(&message));
                }
                Some(Err(KafkaError::PartitionEOF(_))) => is_over = true,
                // One broker of several is down, or its name is unknown: the client goes on with
                // the others.
                Some(Err(error)) if is_passing(&error) => is_idle = true,
                Some(Err(error)) => self.tell_error(consumption(&place.to_string(), &error))?,
            }
            if is_idle || is_over || position >= end || records.len() >= CHUNK_MAX {
                self.is_wanted()?;
                self.tell(Ok(News::Records(std::mem::take(&mut records))))?;
                self.progress.position.store(position, Ordering::Relaxed);
            }
        }
        // The client's position moves past the marks of transactions too.
        let followed = self.consumer.position().ok();
        let followed = followed
            .and_then(|list| Some(list.find_partition(&place.topic, place.partition)?.offset()));
        match followed {
            Some(Offset::Offset(next)) => Ok(position.max(next)),
            _ => Ok(position),
        }
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

    /// Hands something over. It waits while whoever polls has not taken what was handed over
    /// before.
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
        GroupConsumer::join(&brokers.into(), "group", &["input".into()], &[], Box::new(|| {}))
            .expect("a member")
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
            assert!(
                begun.elapsed() < MOCK_MAX,
                "{} records, {:?}",
                records.len(),
                reader.progress()
            );
        };
        assert_eq!(start, Start { committed: vec![None], kept: vec![(0, 3)] });
        let offsets: Vec<_> = records.iter().map(|record| record.offset).collect();
        assert_eq!(offsets, (0..2_500).collect::<Vec<_>>());
        assert_eq!(reader.progress(), (2_500, 2_500));
    }

    /// A reading of the topic `changelog` of `brokers`, and what it tells.
    fn reading(brokers: &str) -> (Reading, mpsc::Receiver<Result<News, LogError>>) {
        let mut member = member(brokers);
        let (told, news) = mpsc::sync_channel(100);
        let (consumer, edges) = member.alone().expect("clients");
        let changelog = TopicPartition::new("changelog", 0);
        let (group, inputs) = ("group".to_owned(), Vec::new());
        (
            Reading { consumer, edges, group, changelog, inputs, told, progress: Arc::default() },
            news,
        )
    }

    #[test]
    fn restore_goes_on_to_the_end_that_its_leader_states_when_it_is_there() {
        let cluster = MockCluster::new(1).expect("a mock");
        cluster.create_topic("changelog", 1, 1).expect("a topic");
        produce(&cluster.bootstrap_servers(), "changelog", &Headers::default(), 5);
        let (reading, news) = reading(&cluster.bootstrap_servers());
        let polled = reading.progress.clone();
        // As a leader had stated it that did not know yet how far the log was committed.
        reading.read_all(0, 2).expect("it reads");
        drop(reading);
        let mut read = 0;
        while let Ok(told) = news.recv() {
            match told {
                Ok(News::Records(records)) => read += records.len(),
                Ok(News::Done(_)) => panic!("it is not done"),
                Err(error) => assert!(matches!(error, LogError::Retriable { .. }), "{error}"),
            }
        }
        assert_eq!((read, polled.position.load(Ordering::Relaxed)), (5, 5));
    }

    #[test]
    fn restore_waits_while_its_leader_states_an_end_before_one_that_was_stated_earlier() {
        let cluster = MockCluster::new(1).expect("a mock");
        cluster.create_topic("changelog", 1, 1).expect("a topic");
        let brokers = cluster.bootstrap_servers();
        produce(&brokers, "changelog", &Headers::default(), 3);
        let (reading, news) = reading(&brokers);
        let _polled = reading.progress.clone();
        let asking = std::thread::spawn(move || reading.stated_end(5));
        let waits = loop {
            match news.recv_timeout(MOCK_MAX).expect("it tells why it waits") {
                Err(LogError::Retriable { cause, .. }) if cause.starts_with("its leader") => {
                    break cause;
                }
                Err(LogError::Retriable { .. }) => {}
                _ => panic!("it tells something else"),
            }
        };
        assert_eq!(waits, "its leader states the end 3, one before stated 5");
        // The new leader has caught up.
        produce(&brokers, "changelog", &Headers::default(), 2);
        let drained = std::thread::spawn(move || news.iter().count());
        assert_eq!(asking.join().expect("no panic").expect("an answer"), Some(5));
        drained.join().expect("no panic");
    }

    #[test]
    fn end_without_records_is_believed_only_when_a_second_reading_meets_it() {
        for (position, end, stated, quiet, expected) in [
            (5, 5, 5, false, true),
            (7, 5, 6, false, true),
            (3, 5, 5, false, false),
            (3, 5, 5, true, true),
            (3, 5, 6, true, false),
        ] {
            assert_eq!(
                is_all(position, end, stated, quiet),
                expected,
                "{position} {end} {stated} {quiet}"
            );
        }
    }
}
