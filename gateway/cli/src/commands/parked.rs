//! Parked keys: their list, their records, and what to do with them.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{
    edit,
    key::Key,
    pages::{List, Pages},
    redrive, selection,
};
use crate::{
    client::Client,
    failure::Failure,
    report::Report,
    text::{
        escape,
        table::Column,
        value::{self, optional, short_type, text},
    },
};

const PATH: &str = "/v1/operations/parked";

/// What to do with parked keys.
#[derive(Debug, Subcommand)]
pub(crate) enum Parked {
    /// Lists parked keys by topic and key.
    List(Pages),
    /// Shows the parked records of a key, decoded, with personal fields masked.
    Show(Show),
    /// Applies the parked records of a key again, in their order.
    Retry(redrive::Retry),
    /// Applies the first parked record of a key with another value, and then the others.
    Edit(edit::Edit),
    /// Gives up the first parked record of a key, and applies the others.
    Drop(redrive::Drop),
    /// Applies the records of all keys with one error, or of one topic, again.
    RetryAll(selection::Selection),
    /// Gives up the first record of all keys with one error, or of one topic.
    DropAll(selection::Selection),
}

impl Parked {
    pub(super) async fn run(self, client: &mut Client) -> Result<Report, Failure> {
        match self {
            Self::List(pages) => list(client, &pages).await,
            Self::Show(show) => show.run(client).await,
            Self::Retry(retry) => retry.run(client).await,
            Self::Edit(edit) => edit.run(client).await,
            Self::Drop(drop) => drop.run(client).await,
            Self::RetryAll(selection) => selection.run(client, &selection::RETRY).await,
            Self::DropAll(selection) => selection.run(client, &selection::DROP).await,
        }
    }
}

/// Which key, and how many of its records.
#[derive(Debug, Args)]
pub(crate) struct Show {
    #[command(flatten)]
    key: Key,
    #[command(flatten)]
    pages: Pages,
}

impl Show {
    async fn run(self, client: &mut Client) -> Result<Report, Failure> {
        let list = self.key.records(client, &self.pages).await?;
        if list.items.is_empty() {
            return Err(Failure::Failed(self.key.nothing()));
        }
        let lines = list.items.iter().flat_map(record).collect();
        Ok(list.with(lines))
    }
}

const COLUMNS: &[Column] = &[
    ("TOPIC", |it| text(it, "topic")),
    ("KEY", |it| text(it, "key")),
    ("RECORDS", |it| text(it, "records")),
    ("SINCE", |it| text(it, "since")),
    ("OFFSET", |it| text(it, "offset")),
    ("TYPE", short_type),
    ("SENDER", |it| text(it, "sender")),
    ("ERROR", |it| text(it, "error")),
];

async fn list(client: &mut Client, pages: &Pages) -> Result<Report, Failure> {
    let list = pages.read(client, PATH, &[]).await?;
    Ok(list.report(COLUMNS, "No key is parked."))
}

/// Reads the first page of parked keys.
pub(super) async fn first_page(client: &mut Client) -> Result<List, Failure> {
    Pages::first().read(client, PATH, &[]).await
}

/// A parked record and its content.
fn record(it: &Value) -> Vec<String> {
    let state = optional(it, "error").unwrap_or_else(|| "it waits".to_owned());
    let mut lines = vec![
        format!("Offset {}: {}", text(it, "offset"), text(it, "type")),
        format!("  {state}"),
        format!("  written at {}, sent by {}", text(it, "at"), text(it, "sender")),
    ];
    lines.extend(content(it));
    lines.push(String::new());
    lines
}

/// The headers, the schema and the value of a record, indented.
pub(super) fn content(it: &Value) -> Vec<String> {
    let headers = it["headers"].as_object().into_iter().flatten();
    let mut lines: Vec<_> =
        headers.map(|(name, value)| format!("  {name}: {}", value::plain(value))).collect();
    if let Some(id) = optional(it, "schema_id") {
        let version = optional(it, "schema_version").map(|version| format!("version {version}, "));
        lines.push(format!("  schema: {}id {id}", version.unwrap_or_default()));
    }
    match &it["value"] {
        Value::Null => {
            lines.push(format!("  There is no value: {}.", text(it, "omitted")));
        }
        value => lines.extend(escape::json(value).iter().map(|line| format!("  {line}"))),
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::text::table;

    #[test]
    fn keys_are_listed_with_what_waits_and_why() {
        let key = json!({
            "topic": "order.followups", "key": "0199-1", "partition": 1, "records": 3,
            "bytes": 300, "since": "2026-11-28T05:54:18.123Z", "offset": 5,
            "error": "the decider panicked", "type": "millrace.order.RecordReservation",
            "sender": "ada",
        });
        let lines = table::list(COLUMNS, &[key], "");
        assert_eq!(
            lines,
            [
                "TOPIC            KEY     RECORDS  SINCE                     OFFSET  TYPE\
                 \u{20}              SENDER  ERROR",
                "order.followups  0199-1  3        2026-11-28T05:54:18.123Z  5       \
                 RecordReservation  ada     the decider panicked",
            ]
        );
    }

    #[test]
    fn record_is_shown_with_its_headers_and_value() {
        let shown = record(&json!({
            "offset": 5, "at": "2026-11-28T05:54:18.123Z", "error": "no\nstock",
            "type": "millrace.order.RecordReservation", "sender": "ada", "bytes": 20,
            "headers": { "ce_id": "an id" }, "value": { "sku": "tea", "name": "•••" },
            "schema_id": 17, "schema_version": 3,
        }));
        assert_eq!(
            shown,
            [
                "Offset 5: millrace.order.RecordReservation",
                "  no\nstock",
                "  written at 2026-11-28T05:54:18.123Z, sent by ada",
                "  ce_id: an id",
                "  schema: version 3, id 17",
                "  {",
                "    \"sku\": \"tea\",",
                "    \"name\": \"•••\"",
                "  }",
                "",
            ]
        );
        let unknown = json!({ "offset": 6, "omitted": "it begins with byte 112" });
        let shown = record(&unknown);
        assert_eq!(shown[0], "Offset 6: -");
        assert_eq!(shown[3], "  There is no value: it begins with byte 112.");
    }
}
