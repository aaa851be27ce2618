//! What the records of a batch change: dead letters, parked records by key, and re-drives. It knows
//! no SQL.

use std::collections::BTreeMap;

use redpanda::log::Record;
use schemas::{
    Codec, Shown,
    engine::{
        DeadLetterResent, DeadLetterRevealed, Event, KeyRedriven, ParkedRecordEdited, RecordParked,
    },
    headers,
};

use crate::{
    StoreError,
    event::{key, message, unfit},
};

/// The end of the names of topics of dead letters.
const DEAD: &str = ".dead";

/// The changes of a batch.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Changes {
    pub(super) dead: Vec<Dead>,
    /// By topic and key.
    pub(super) keys: BTreeMap<(String, String), KeyChange>,
    pub(super) actions: Vec<Acted>,
}

/// A dead letter.
#[derive(Debug, PartialEq)]
pub(super) struct Dead {
    /// The topic from which the record was read.
    pub(super) topic: String,
    pub(super) partition: i32,
    /// The offset of the dead letter.
    pub(super) dead_offset: i64,
    /// The offset of the record.
    pub(super) offset: Option<i64>,
    pub(super) at: i64,
    pub(super) error: String,
    pub(super) record_type: String,
    pub(super) key: Option<String>,
    pub(super) principal: Option<String>,
    pub(super) bytes: Option<i64>,
    pub(super) shown: Shown,
}

/// How the parked records of one key change.
#[derive(Debug, Default, PartialEq)]
pub(super) struct KeyChange {
    /// Records that are stored with a lower offset are not parked any more.
    pub(super) released_below: Option<i64>,
    /// Records that are parked then, by offset.
    pub(super) parked: BTreeMap<i64, Parked>,
}

/// A parked record.
#[derive(Debug, PartialEq)]
pub(super) struct Parked {
    pub(super) event: RecordParked,
    pub(super) parked_at: i64,
}

/// What an operator has done.
#[derive(Debug, PartialEq)]
pub(super) struct Acted {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) key: String,
    pub(super) event: Act,
}

/// The event that records it.
#[derive(Debug, PartialEq)]
pub(super) enum Act {
    Redriven(KeyRedriven),
    Revealed(DeadLetterRevealed),
    Resent(DeadLetterResent),
    Edited(ParkedRecordEdited),
}

impl Changes {
    /// Adds what a record says.
    pub(super) fn add(&mut self, record: &Record, codec: &Codec) -> Result<(), StoreError> {
        if let Some(topic) = record.topic.strip_suffix(DEAD) {
            self.dead.push(dead(topic, record, codec));
            return Ok(());
        }
        let event: Option<Event> = message(record, codec)?;
        match event.ok_or_else(|| unfit(record, "expected a value"))? {
            Event::RecordParked(event) => self.park(key(record)?, event, record.timestamp_ms),
            Event::KeyRedriven(event) => {
                self.release(key(record)?, &event.topic, event.parked_from);
                self.act(record, Act::Redriven(event))?;
            }
            Event::ParkedRecordEdited(event) => {
                self.release(key(record)?, &event.topic, event.parked_from);
                self.act(record, Act::Edited(event))?;
            }
            Event::DeadLetterRevealed(event) => self.act(record, Act::Revealed(event))?,
            Event::DeadLetterResent(event) => self.act(record, Act::Resent(event))?,
        }
        Ok(())
    }

    fn act(&mut self, record: &Record, event: Act) -> Result<(), StoreError> {
        let (partition, offset) = (record.partition, record.offset);
        self.actions.push(Acted { partition, offset, key: key(record)?.to_owned(), event });
        Ok(())
    }

    fn key(&mut self, topic: &str, key: &str) -> &mut KeyChange {
        self.keys.entry((topic.to_owned(), key.to_owned())).or_default()
    }

    fn park(&mut self, key: &str, event: RecordParked, at: i64) {
        let parked = &mut self.key(&event.topic, key).parked;
        // A record that has failed again is parked since the first time.
        let parked_at = parked.get(&event.offset).map_or(at, |earlier| earlier.parked_at);
        parked.insert(event.offset, Parked { event, parked_at });
    }

    fn release(&mut self, key: &str, topic: &str, parked_from: Option<i64>) {
        let below = parked_from.unwrap_or(i64::MAX);
        let change = self.key(topic, key);
        change.parked.retain(|offset, _| *offset >= below);
        change.released_below = change.released_below.max(Some(below));
    }
}

fn dead(topic: &str, record: &Record, codec: &Codec) -> Dead {
    let text = |name| record.headers.text(name);
    let owned = |name| text(name).map(str::to_owned);
    Dead {
        topic: topic.to_owned(),
        partition: record.partition,
        dead_offset: record.offset,
        offset: text("dead_offset").and_then(|offset| offset.parse().ok()),
        at: record.timestamp_ms,
        error: owned("dead_error").unwrap_or_default(),
        record_type: owned(headers::TYPE).unwrap_or_default(),
        key: record.key.as_deref().map(|key| String::from_utf8_lossy(key).into_owned()),
        principal: owned(headers::PRINCIPAL),
        bytes: record.value.as_ref().map(|value| i64::try_from(value.len()).unwrap_or(i64::MAX)),
        shown: shown(record, codec),
    }
}

/// What a dead letter says. One whose value was left out says why.
fn shown(record: &Record, codec: &Codec) -> Shown {
    let shown = Shown::of(codec, |name| record.headers.text(name), record.value.as_deref());
    match record.headers.text("dead_omitted") {
        Some(why) if shown.value.is_none() => Shown { omitted: Some(why.to_owned()), ..shown },
        _ => shown,
    }
}
