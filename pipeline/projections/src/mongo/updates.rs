//! Many updates in one command. MongoDB's `update` takes a list of statements, as every server that
//! speaks its protocol does; the driver's own bulk writes need MongoDB 8. It knows no collection.

use mongodb::{
    Database,
    bson::{self, Document, RawArrayBuf, RawDocumentBuf, rawdoc},
};
use serde::{Deserialize, Serialize};

use super::errors::{failed, is_about_data};
use crate::StoreError;

/// A command with statements of more bytes is sent before the next statement is added: a server
/// takes a command of 16 MiB.
const BYTES_MAX: usize = 8 << 20;

/// A statement, in the terms of the command.
#[derive(Serialize)]
pub(super) struct Update<D> {
    /// The filter.
    pub(super) q: Document,
    /// The new document, or the operators that change it.
    pub(super) u: D,
    /// Whether the document is added if none matches. If one with the filter's `_id` exists, the
    /// statement fails.
    pub(super) upsert: bool,
}

/// The answer to a command.
#[derive(Deserialize)]
struct Answer {
    /// The documents that were matched or added.
    n: i64,
    #[serde(rename = "writeErrors", default)]
    errors: Vec<WriteError>,
    #[serde(rename = "writeConcernError")]
    unconfirmed: Option<Document>,
}

#[derive(Deserialize)]
struct WriteError {
    code: i32,
    errmsg: String,
}

/// The code of a document that was added meanwhile.
const DUPLICATE_KEY: i32 = 11_000;

/// Runs the statements in as few commands as possible. Returns how many of them matched no
/// document, or would have added one that exists. The driver does not repeat the command by itself:
/// a projector repeats the whole batch.
pub(super) async fn update<D: Serialize>(
    database: &Database,
    collection: &str,
    updates: Vec<Update<D>>,
    doing: &'static str,
) -> Result<usize, StoreError> {
    let mut command =
        Command { database, collection, doing, updates: RawArrayBuf::new(), count: 0 };
    let mut missed = 0;
    for update in updates {
        let update = bson::to_raw_document_buf(&update);
        let update = update.map_err(|error| failed(doing)(error.into()))?;
        if command.updates.as_bytes().len() + update.as_bytes().len() > BYTES_MAX {
            missed += command.run().await?;
        }
        command.updates.push(update);
        command.count += 1;
    }
    Ok(missed + command.run().await?)
}

/// A command that is filled with statements.
struct Command<'a> {
    database: &'a Database,
    collection: &'a str,
    doing: &'static str,
    updates: RawArrayBuf,
    count: usize,
}

impl Command<'_> {
    /// Runs the command, and empties it. Returns how many statements matched no document.
    async fn run(&mut self) -> Result<usize, StoreError> {
        let count = std::mem::take(&mut self.count);
        if count == 0 {
            return Ok(0);
        }
        let updates = std::mem::take(&mut self.updates);
        let command: RawDocumentBuf =
            rawdoc! { "update": self.collection, "updates": updates, "ordered": false };
        let answer = self.database.run_raw_command(command).await.map_err(failed(self.doing))?;
        let answer: Answer =
            bson::from_document(answer).map_err(|error| StoreError::failed(self.doing, error))?;
        answer.missed(count, self.doing)
    }
}

impl Answer {
    /// How many of `count` statements matched no document.
    fn missed(self, count: usize, doing: &'static str) -> Result<usize, StoreError> {
        let refused = self.errors.into_iter().filter(|error| error.code != DUPLICATE_KEY);
        // An error about the data is the one to report: others may be gone with the next try.
        if let Some(error) = refused.max_by_key(|error| is_about_data(error.code)) {
            let why = format!("{} ({})", error.errmsg, error.code);
            return Err(match is_about_data(error.code) {
                true => StoreError::Unstorable { doing, cause: why.into() },
                false => StoreError::failed(doing, why),
            });
        }
        if let Some(unconfirmed) = self.unconfirmed {
            return Err(StoreError::failed(doing, unconfirmed.to_string()));
        }
        Ok(count.saturating_sub(usize::try_from(self.n).unwrap_or(0)))
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    fn missed(answer: Document) -> Result<usize, StoreError> {
        bson::from_document::<Answer>(answer).expect("an answer").missed(3, "writing")
    }

    #[test]
    fn statement_that_matched_nothing_or_met_an_existing_document_is_missed() {
        assert_eq!(missed(doc! { "n": 3, "nModified": 3, "ok": 1.0 }).ok(), Some(0));
        assert_eq!(missed(doc! { "n": 2_i64, "ok": 1 }).ok(), Some(1));
        let exists = doc! { "index": 1, "code": 11000, "errmsg": "E11000 duplicate key" };
        assert_eq!(missed(doc! { "n": 2, "writeErrors": [exists] }).ok(), Some(1));
    }

    #[test]
    fn error_about_the_data_is_reported_before_others() {
        let other = doc! { "index": 0, "code": 91, "errmsg": "shutting down" };
        let large = doc! { "index": 1, "code": 17420, "errmsg": "too large" };
        let error = missed(doc! { "n": 1, "writeErrors": [large, other.clone()] });
        assert!(matches!(error, Err(StoreError::Unstorable { .. })), "{error:?}");
        let error = missed(doc! { "n": 2, "writeErrors": [other] });
        assert!(matches!(error, Err(StoreError::Failed { .. })), "{error:?}");
        let error = missed(doc! { "n": 3, "writeConcernError": { "code": 64 } });
        assert!(matches!(error, Err(StoreError::Failed { .. })), "{error:?}");
    }
}
