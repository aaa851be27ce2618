//! Records to be written, in one buffer. It stores bytes and sends nothing.

use super::{
    headers::{Headers, headers_in},
    record::{ProducerRecord, Topic},
};

/// The length of an absent key or value.
const NONE: u32 = u32::MAX;

/// The size of a record batch's header (61 bytes), and the largest size of a record without its
/// key, value and headers (36 bytes), in version 2 of Kafka's format.
const OVERHEAD: usize = 61 + 36;
/// What a header takes on the wire beyond [`Headers`]: the lengths of its name and value take up to
/// 5 bytes each there, and 4 bytes each here.
const HEADER_OVERHEAD: usize = 2;

/// An upper bound of the bytes that a record takes as a record batch of its own. Brokers compare
/// the size of a record batch with the topic's `max.message.bytes`.
pub fn wire_bytes(key: Option<&[u8]>, value: Option<&[u8]>, headers: &Headers) -> usize {
    wire_bytes_of(key, value, headers.as_bytes(), headers.len())
}

fn wire_bytes_of(key: Option<&[u8]>, value: Option<&[u8]>, headers: &[u8], count: usize) -> usize {
    let length = |bytes: Option<&[u8]>| bytes.map_or(0, <[u8]>::len);
    OVERHEAD + length(key) + length(value) + headers.len() + HEADER_OVERHEAD * count
}

/// Records to be written, in order. One buffer holds all keys, values and headers, and a topic's
/// name is stored once: many small records cost two allocations, and one thread can create them and
/// another write them without shared data.
#[derive(Clone, Debug, Default)]
pub struct ProducerRecords {
    topics: Vec<Topic>,
    bytes: Vec<u8>,
    records: Vec<Layout>,
}

/// The layout of one record in the buffer: its key, its value and its headers follow each other
/// from `start`.
#[derive(Clone, Copy, Debug)]
struct Layout {
    start: usize,
    topic: u32,
    partition: i32,
    key: u32,
    value: u32,
    headers: u32,
}

/// A borrowed record of a [`ProducerRecords`].
#[derive(Clone, Copy, Debug)]
pub struct ProducerRecordRef<'a> {
    /// The topic to write to.
    pub topic: &'a Topic,
    /// The partition's number.
    pub partition: i32,
    /// The key.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    headers: &'a [u8],
}

impl<'a> ProducerRecordRef<'a> {
    /// Names and values of the headers, in order.
    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        headers_in(self.headers)
    }

    /// An upper bound of the bytes that the record takes as a record batch of its own: see
    /// [`wire_bytes`].
    pub fn wire_bytes(&self) -> usize {
        wire_bytes_of(self.key, self.value, self.headers, self.headers().count())
    }

    /// A copy of the record that does not borrow.
    pub fn to_producer_record(&self) -> ProducerRecord {
        let mut headers = Headers::default();
        self.headers().for_each(|(name, value)| headers.push(name, value));
        ProducerRecord {
            topic: self.topic.clone(),
            partition: self.partition,
            key: self.key.map(|key| key.to_vec().into()),
            value: self.value.map(|value| value.to_vec().into()),
            headers,
        }
    }
}

impl ProducerRecords {
    /// The number of records.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are no records.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The number of bytes of all keys, values and headers.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Appends a record. Its parts are far below 4 GiB, because the broker limits a record.
    pub fn push(
        &mut self,
        topic: &Topic,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &Headers,
    ) {
        let start = self.bytes.len();
        let length = |bytes: Option<&[u8]>| bytes.map_or(NONE, |bytes| bytes.len() as u32);
        let topic = self.topic(topic);
        self.bytes.extend_from_slice(key.unwrap_or_default());
        self.bytes.extend_from_slice(value.unwrap_or_default());
        self.bytes.extend_from_slice(headers.as_bytes());
        let headers = headers.as_bytes().len() as u32;
        self.records.push(Layout {
            start,
            topic,
            partition,
            key: length(key),
            value: length(value),
            headers,
        });
    }

    /// Removes all records behind the first `length`.
    pub fn truncate(&mut self, length: usize) {
        if let Some(first) = self.records.get(length) {
            self.bytes.truncate(first.start);
            self.records.truncate(length);
        }
    }

    /// The records, in order.
    pub fn iter(&self) -> impl Iterator<Item = ProducerRecordRef<'_>> {
        self.records.iter().map(|layout| {
            let mut rest = &self.bytes[layout.start..];
            let mut next = |length: u32| {
                let (bytes, behind) = rest.split_at(length as usize);
                rest = behind;
                bytes
            };
            let mut some = |length: u32| (length != NONE).then(|| next(length));
            let (key, value) = (some(layout.key), some(layout.value));
            let headers = next(layout.headers);
            ProducerRecordRef {
                topic: &self.topics[layout.topic as usize],
                partition: layout.partition,
                key,
                value,
                headers,
            }
        })
    }

    /// Moves all records out and leaves an empty buffer with the same capacity.
    pub fn take(&mut self) -> Self {
        let next = Self {
            topics: self.topics.clone(),
            bytes: Vec::with_capacity(self.bytes.len()),
            records: Vec::with_capacity(self.records.len()),
        };
        std::mem::replace(self, next)
    }

    /// The index of a topic in `topics`. There are few topics, and most callers pass the same
    /// allocation again, so comparing addresses finds it first.
    fn topic(&mut self, topic: &Topic) -> u32 {
        let known =
            self.topics.iter().position(|known| Topic::ptr_eq(known, topic) || known == topic);
        known.unwrap_or_else(|| {
            self.topics.push(topic.clone());
            self.topics.len() - 1
        }) as u32
    }
}

impl Extend<ProducerRecord> for ProducerRecords {
    fn extend<T: IntoIterator<Item = ProducerRecord>>(&mut self, records: T) {
        for ProducerRecord { topic, partition, key, value, headers } in records {
            self.push(&topic, partition, key.as_deref(), value.as_deref(), &headers);
        }
    }
}

impl FromIterator<ProducerRecord> for ProducerRecords {
    fn from_iter<T: IntoIterator<Item = ProducerRecord>>(records: T) -> Self {
        let mut all = Self::default();
        all.extend(records);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records() -> Vec<ProducerRecord> {
        let mut headers = Headers::default();
        headers.push("id", "1");
        headers.push("empty", "");
        headers.push(b"\xff\xfe", b"\xff");
        let record =
            |topic: &str, partition, key: Option<&str>, value: Option<&str>, headers: &Headers| {
                ProducerRecord {
                    topic: topic.into(),
                    partition,
                    key: key.map(|key| key.to_owned().into()),
                    value: value.map(|value| value.to_owned().into()),
                    headers: headers.clone(),
                }
            };
        vec![
            record("a", 0, Some("key"), Some("value"), &headers),
            record("b", 1, None, None, &Headers::default()),
            record("a", 2, Some(""), Some(""), &headers),
            record("b", 3, Some("key"), None, &headers),
        ]
    }

    fn printed(records: impl IntoIterator<Item = ProducerRecord>) -> Vec<String> {
        records.into_iter().map(|record| format!("{record:?}")).collect()
    }

    #[test]
    fn iteration_returns_the_records_that_were_pushed() {
        let all: ProducerRecords = records().into_iter().collect();
        assert_eq!(
            printed(all.iter().map(|record| record.to_producer_record())),
            printed(records())
        );
    }

    #[test]
    fn truncated_buffer_holds_no_bytes_of_the_removed_records() {
        let mut all: ProducerRecords = records().into_iter().collect();
        all.truncate(9);
        assert_eq!(all.len(), 4);
        all.truncate(1);
        all.extend(records().pop());
        let expected = [records().remove(0), records().remove(3)];
        assert_eq!(
            printed(all.iter().map(|record| record.to_producer_record())),
            printed(expected)
        );
        let taken = all.take();
        assert_eq!((taken.len(), all.len(), all.bytes()), (2, 0, 0));
    }
}
