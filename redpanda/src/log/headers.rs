//! The headers of a record. It copies bytes and never interprets them.

use std::fmt;

/// A record's headers, in order. A name may occur several times; the last one counts.
///
/// Names are bytes: Kafka's protocol says that they are UTF-8, and no broker checks it.
///
/// All headers share one buffer, because a record has a dozen short ones. Each header is the length
/// of its name, the length of its value, the name, and the value.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers {
    count: usize,
    bytes: Vec<u8>,
}

impl Headers {
    /// Empty headers with room for `bytes` bytes.
    pub fn with_capacity(bytes: usize) -> Self {
        Self { count: 0, bytes: Vec::with_capacity(bytes) }
    }

    /// The number of headers.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are no headers.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Names and values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        headers_in(&self.bytes)
    }

    /// The buffer that holds all headers.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Removes all headers.
    pub fn clear(&mut self) {
        self.count = 0;
        self.bytes.clear();
    }

    /// The value of the last header called `name`.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.iter().filter(|(found, _)| *found == name.as_bytes()).last().map(|(_, value)| value)
    }

    /// The value of the last header called `name` as text; `None` also if it is not UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Appends a header. Name and value are far below 4 GiB, because the broker limits a record.
    pub fn push(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let (name, value) = (name.as_ref(), value.as_ref());
        self.count += 1;
        self.bytes.extend_from_slice(&(name.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(value);
    }
}

/// Names and values in a buffer that [`Headers::push`] has filled.
pub(super) fn headers_in(mut rest: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (name, behind) = rest.split_first_chunk()?;
        let (value, behind) = behind.split_first_chunk()?;
        let (name, behind) = behind.split_at_checked(u32::from_le_bytes(*name) as usize)?;
        let (value, behind) = behind.split_at_checked(u32::from_le_bytes(*value) as usize)?;
        rest = behind;
        Some((name, value))
    })
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(
                self.iter().map(|(n, v)| (String::from_utf8_lossy(n), String::from_utf8_lossy(v))),
            )
            .finish()
    }
}
