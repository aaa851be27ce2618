//! The trace of a command, an order or a record as a tree in text.

use clap::Args;
use serde_json::Value;
use uuid::Uuid;

use crate::{
    client::{Client, Request},
    failure::Failure,
    report::Report,
    text::{
        table::aligned,
        tree::branches,
        value::{items, optional, place, plain, short_type, text},
    },
};

/// Which command, order or record.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Trace {
    /// The id of a command or of an order.
    id: Option<Uuid>,
    /// A record: shows the trace of the command that caused it.
    #[arg(long, value_name = "TOPIC:PARTITION:OFFSET", value_parser = record_place)]
    record: Option<String>,
}

impl Trace {
    pub(super) async fn run(self, client: &mut Client) -> Result<Report, Failure> {
        let body = match (self.id, self.record) {
            (Some(id), _) => by_id(client, id).await?,
            (None, record) => by_record(client, &record.unwrap_or_default()).await?,
        };
        let lines = lines(&body);
        Ok(Report::done(body, lines))
    }
}

/// The trace of the command with this id, or of the order, if there is no such command.
async fn by_id(client: &mut Client, id: Uuid) -> Result<Value, Failure> {
    let command = client.send(Request::get(&format!("/v1/commands/{id}/trace"))).await;
    match command {
        Err(failure) if failure.status() == Some(404) => {
            let order = client.send(Request::get(&format!("/v1/orders/{id}/trace"))).await;
            let unknown = || {
                format!(
                    "there is no trace of {id}: expected the id of a command of the last seven \
                     days, or of an order"
                )
            };
            Ok(order.map_err(|failure| failure.or_if(404, unknown))?.body)
        }
        other => Ok(other?.body),
    }
}

/// The trace of the command that caused a record.
async fn by_record(client: &mut Client, record: &str) -> Result<Value, Failure> {
    let found = client.send(Request::get(&format!("/v1/records/{record}/trace"))).await;
    let unknown =
        || format!("there is no trace of {record}: expected a record of the last seven days");
    Ok(found.map_err(|failure| failure.or_if(404, unknown))?.body)
}

/// A text that names no record.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected TOPIC:PARTITION:OFFSET, such as order.events:2:17")]
struct NoRecordPlace;

/// Where a record is, as the gateway's paths name it. A slash may stand for a colon.
fn record_place(text: &str) -> Result<String, NoRecordPlace> {
    let place = text.replace('/', ":");
    let mut parts = place.rsplitn(3, ':');
    let offset = parts.next().and_then(|part| part.parse::<i64>().ok());
    let partition = parts.next().and_then(|part| part.parse::<i32>().ok());
    // What a topic's name consists of needs no escape in a path.
    let is_name = |topic: &str| {
        let is_plain = |it: u8| it.is_ascii_alphanumeric() || b"._-".contains(&it);
        !topic.is_empty() && topic.bytes().all(is_plain)
    };
    match (offset, partition, parts.next()) {
        (Some(_), Some(_), Some(topic)) if is_name(topic) => Ok(place),
        _ => Err(NoRecordPlace),
    }
}

/// The trace: what it is of, its tree, and what it waits for.
fn lines(trace: &Value) -> Vec<String> {
    let records = items(trace, "records");
    let mut lines = vec![subject(trace)];
    if !records.is_empty() {
        lines.push(String::new());
        lines.extend(tree(records));
    }
    if trace["is_cut"] == true {
        lines.push("The trace has more records than these.".to_owned());
    }
    lines.extend(waits(trace, records));
    lines
}

fn subject(trace: &Value) -> String {
    let state = text(trace, "state");
    if let Some(order) = optional(trace, "order") {
        let commands: Vec<_> = items(trace, "commands").iter().map(plain).collect();
        return format!("Order {order}: {state}; its commands: {}", commands.join(", "));
    }
    let at = optional(trace, "decided_at").map(|at| format!(" at {at}")).unwrap_or_default();
    format!("Command {}: {state}{at}", text(trace, "command"))
}

fn tree(records: &[Value]) -> Vec<String> {
    let parent = |it: &Value| it["parent"].as_u64().and_then(|parent| usize::try_from(parent).ok());
    let parents: Vec<_> = records.iter().map(parent).collect();
    let headings = ["RECORD", "AFTER", "PLACE", "SCHEMA", "READ MODELS", "KEY"].map(str::to_owned);
    let row = |(branch, it): (String, &Value)| {
        let after = it["after_ms"].as_i64().map(|ms| format!("+{ms} ms"));
        vec![
            format!("{branch}{}", name(it)),
            after.unwrap_or_else(|| "-".to_owned()),
            place(it),
            schema(it),
            applied(it),
            text(it, "key"),
        ]
    };
    let rows = branches(&parents).into_iter().zip(records).map(row);
    aligned(std::iter::once(headings.to_vec()).chain(rows).collect())
}

fn name(it: &Value) -> String {
    let is_dead = it["topic"].as_str().is_some_and(|topic| topic.ends_with(".dead"));
    format!("{}{}", short_type(it), if is_dead { " (dead letter)" } else { "" })
}

/// The version of a record's schema; its id in the registry, if the version is unknown.
fn schema(it: &Value) -> String {
    let version = optional(it, "schema_version").map(|version| format!("v{version}"));
    let id = || optional(it, "schema_id").map(|id| format!("id {id}"));
    version.or_else(id).unwrap_or_else(|| "-".to_owned())
}

/// How many projections have applied a record, and at which time the last of them had.
fn applied(it: &Value) -> String {
    let all = items(it, "applied");
    if all.is_empty() {
        return "-".to_owned();
    }
    let late: Vec<_> = all.iter().filter(|by| by["is_applied"] != true).collect();
    if !late.is_empty() {
        let names: Vec<_> = late.iter().map(|by| text(by, "projection")).collect();
        return format!("not yet: {}", names.join(", "));
    }
    let last = all.iter().filter_map(|by| by["after_ms"].as_i64()).max();
    let by = last.map(|ms| format!(" by +{ms} ms")).unwrap_or_default();
    format!("all {}{by}", all.len())
}

fn waits(trace: &Value, records: &[Value]) -> Vec<String> {
    let waits = &trace["waits"];
    let ids = items(waits, "records");
    let until = optional(waits, "until").map(|at| format!(" until {at}")).unwrap_or_default();
    if ids.is_empty() && until.is_empty() {
        return Vec::new();
    }
    let named = |id: &Value| {
        let record = records.iter().find(|record| record["id"] == *id);
        record.map_or_else(|| plain(id), |it| format!("{}, {}", short_type(it), place(it)))
    };
    let mut lines = vec![format!("It waits{until} for:")];
    lines.extend(ids.iter().map(|id| format!("  {}", named(id))));
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::text::columns;

    fn record(topic: &str, kind: &str, id: &str, parent: Option<usize>, ms: i64) -> Value {
        json!({
            "parent": parent, "depth": 0, "topic": topic, "partition": 2, "offset": 17,
            "key": "o-1", "type": format!("millrace.order.{kind}"), "bytes": 40,
            "at": "2026-11-28T05:54:18.123Z", "after_ms": ms, "id": id,
            "is_decided_at_once": false, "applied": [], "schema_id": 17, "schema_version": 2,
        })
    }

    #[test]
    fn record_is_named_with_colons_or_slashes_and_a_partition_and_an_offset() {
        for text in ["order.events:2:17", "order.events/2/17"] {
            assert_eq!(record_place(text).as_deref(), Ok("order.events:2:17"));
        }
        for text in
            ["", "order.events", "order.events:2", ":2:17", "order.events:two:17", "a b:1:2"]
        {
            let wrong = record_place(text);
            let says = |error: NoRecordPlace| error.to_string().contains("order.events:2:17");
            assert!(wrong.is_err_and(says), "{text}");
        }
    }

    #[test]
    fn trace_is_a_tree_with_what_it_waits_for() {
        let mut placed = record("order.events", "OrderPlaced", "2", Some(0), 3);
        placed["applied"] = json!([
            { "projection": "orders", "is_applied": true, "after_ms": 12 },
            { "projection": "stream", "is_applied": true, "after_ms": 9 },
        ]);
        let mut reserve = record("stock.followups", "ReserveStock", "3", Some(1), 3);
        reserve["key"] = json!("tea\u{1b}[31m");
        reserve["schema_version"] = json!(null);
        let mut dead = record("stock.followups.dead", "ReserveStock", "3", Some(2), 8);
        (dead["schema_id"], dead["schema_version"]) = (json!(null), json!(null));
        dead["applied"] = json!([{ "projection": "op", "is_applied": false }]);
        let trace = json!({
            "command": "c-1", "state": "pending", "is_cut": false,
            "records": [
                record("order.commands", "PlaceOrder", "1", None, 0), placed, reserve, dead,
            ],
            "waits": { "until": "2026-11-28T05:54:48.123Z", "records": ["3", "unknown"] },
        });
        let shown: Vec<_> = lines(&trace).iter().map(|line| columns(line)).collect();
        assert_eq!(
            shown,
            [
                "Command c-1: pending",
                "",
                "RECORD|AFTER|PLACE|SCHEMA|READ MODELS|KEY",
                "PlaceOrder|+0 ms|order.commands[2]@17|v2|-|o-1",
                "└─ OrderPlaced|+3 ms|order.events[2]@17|v2|all 2 by +12 ms|o-1",
                r"   └─ ReserveStock|+3 ms|stock.followups[2]@17|id 17|-|tea\u{1b}[31m",
                "      └─ ReserveStock (dead letter)|+8 ms|stock.followups.dead[2]@17|-|\
                 not yet: op|o-1",
                "It waits until 2026-11-28T05:54:48.123Z for:",
                "  ReserveStock, stock.followups[2]@17",
                "  unknown",
            ]
        );
    }

    #[test]
    fn trace_of_an_order_names_its_commands() {
        let trace = json!({
            "order": "o-1", "state": "confirmed", "commands": ["c-1", "c-2"], "records": [],
            "is_cut": true,
        });
        assert_eq!(
            lines(&trace),
            [
                "Order o-1: confirmed; its commands: c-1, c-2",
                "The trace has more records than these.",
            ]
        );
    }
}
