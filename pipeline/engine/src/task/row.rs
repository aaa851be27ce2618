//! One record of the changelog: builds its key and headers, and checks its size.

use std::fmt::Write as _;

use redpanda::{
    log::{Headers, Topic},
    topics::record_bytes_max,
};
use schemas::headers;

use crate::{
    changelog::Key,
    error::RowTooLarge,
    output::{Output, check},
};

/// The longest part of a key in an error.
const KEY_SHOWN_BYTES_MAX: usize = 200;

/// A row of the changelog. One `Row` is used for many records, so that its buffers are allocated
/// once.
#[derive(Debug)]
pub(super) struct Row {
    changelog: Topic,
    bytes_max: usize,
    key: String,
    /// The version of a state is the one thing that is not in its value.
    headers: Headers,
}

impl Row {
    /// Creates an empty row of `changelog`.
    pub(super) fn of(changelog: &Topic) -> Self {
        let bytes_max = record_bytes_max(changelog);
        let (key, headers) = (String::new(), Headers::default());
        Self { changelog: changelog.clone(), bytes_max, key, headers }
    }

    /// Sets key and version.
    pub(super) fn set(&mut self, key: &Key<'_>, version: Option<i64>) {
        self.headers.clear();
        self.key.clear();
        // Writing into a string can't fail.
        if let Some(version) = version {
            let _ = write!(self.key, "{version}");
            self.headers.push(headers::VERSION, &self.key);
            self.key.clear();
        }
        let _ = write!(self.key, "{key}");
    }

    /// Checks whether the changelog takes the row with this value.
    pub(super) fn check(&self, value: Option<&[u8]>) -> Result<(), RowTooLarge> {
        let key = Some(self.key.as_bytes());
        let checked = check(&self.changelog, self.bytes_max, key, value, &self.headers);
        checked.map_err(|source| {
            let key = &self.key[..self.key.floor_char_boundary(KEY_SHOWN_BYTES_MAX)];
            RowTooLarge { key: key.escape_debug().to_string(), source }
        })
    }

    /// Adds the row with this value to the output.
    pub(super) fn write(&self, partition: i32, value: Option<&[u8]>, output: &mut Output) {
        let key = Some(self.key.as_bytes());
        output.records.push(&self.changelog, partition, key, value, &self.headers);
    }
}
