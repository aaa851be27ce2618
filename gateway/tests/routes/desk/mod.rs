//! The operator's desk: who may see it, its pages, and the commands that change something there.
//! This file holds what its tests share.

mod access;
mod conditions;
mod dead_letters;
mod edits;
mod lists;
mod redrives;
mod selections;
mod stream;

use gateway::{
    commands::Command,
    desk::{DeadContent, DeadLetter, ParkedKey, ParkedRecord},
};
use schemas::engine::{self, Redrive};
use serde_json::{Value, json};
use uuid::Uuid;
use warp::{http::Response, hyper::body::Bytes, test::RequestBuilder};

use crate::support::*;

const DEAD: &str = "/v1/operations/dead-letters";
const PARKED: &str = "/v1/operations/parked";
const STREAM: &str = "/v1/operations/stream";
const ACTIONS: &str = "/v1/operations/actions";
const REVEAL: &str = "/v1/operations/dead-letters:reveal";
const RESEND: &str = "/v1/operations/dead-letters:resend";
const RECORDS: &str = "/v1/operations/parked/records?topic=order.followups&key=o-1";
const RETRY: &str = "/v1/operations/parked:retry";
const DROP: &str = "/v1/operations/parked:drop";
const EDIT: &str = "/v1/operations/parked:edit";
const RETRY_ALL: &str = "/v1/operations/parked:retry-all";
const DROP_ALL: &str = "/v1/operations/parked:drop-all";

/// A gateway, and the access token of an admin who uses its desk.
struct Desk {
    gateway: Gateway,
    admin: String,
}

impl Desk {
    /// The admin has just logged in.
    fn open() -> Self {
        Self::of(gateway())
    }

    fn of(gateway: Gateway) -> Self {
        let admin = gateway.admin();
        Self { gateway, admin }
    }

    fn world(&self) -> &World {
        &self.gateway.world
    }

    async fn get(&self, path: &str) -> Response<Bytes> {
        self.gateway.get(path, Some(&self.admin)).await
    }

    /// Sends JSON and waits for the result.
    async fn post(&self, path: &str, body: Value) -> Response<Bytes> {
        self.gateway.command("POST", path, Some(&self.admin), body).await
    }

    async fn send(&self, request: RequestBuilder) -> Response<Bytes> {
        self.gateway.send(with(Some(&self.admin), request)).await
    }

    /// Asserts that JSON is refused with this status and code, and returns the problem.
    async fn refuses(&self, path: &str, body: Value, status: u16, code: &str) -> Value {
        let refused = self.post(path, body).await;
        assert_problem(&refused, status, code);
        json(&refused)
    }

    /// Asserts that a command without an outcome is answered as pending, and returns the answer.
    async fn is_pending(&self, path: &str, body: &Value) -> Value {
        self.world().answers(Answer::Silence);
        let pending = self.send(request("POST", path).json(body)).await;
        assert_eq!((pending.status().as_u16(), &json(&pending)["state"]), (202, &json!("pending")));
        json(&pending)
    }

    /// Adds a dead letter whose value has a personal field.
    fn bury(&self) {
        let mut inner = self.world().inner();
        inner.desk.dead = vec![letter(17)];
        inner.desk.content = Some(DeadContent {
            letter: letter(17),
            key: Some("o-1".into()),
            headers: Some(json!({ "ce_id": "an id" })),
            value: Some(json!({ "name": "•••" })),
            personal: Some(json!({ "name": "Ada" })),
            omitted: None,
            schema_id: Some(9),
            schema_version: None,
        });
    }

    /// Parks keys with one error, and one with another error.
    fn park(&self, keys: usize) {
        let mut inner = self.world().inner();
        inner.desk.parked = (0..keys).map(|number| parked(&format!("o-{number:04}"))).collect();
        inner.desk.parked.push(ParkedKey { error: Some("another bug".into()), ..parked("p") });
    }
}

fn letter(dead_offset: i64) -> DeadLetter {
    DeadLetter {
        id: format!("order.commands:2:{dead_offset}"),
        topic: "order.commands".into(),
        partition: 2,
        offset: Some(7),
        dead_offset,
        at: "2026-01-01T00:00:00.000Z".into(),
        error: "malformed".into(),
        record_type: String::new(),
        key: None,
        sender: Some("ada".into()),
        bytes: Some(9),
        resent_by: None,
    }
}

fn parked(key: &str) -> ParkedKey {
    ParkedKey {
        topic: "order.followups".into(),
        key: key.into(),
        partition: 1,
        records: 3,
        bytes: 300,
        since: "2026-01-01T00:00:00.000Z".into(),
        offset: 5,
        error: Some("the decider panicked".into()),
        record_type: "millrace.order.RecordReservation".into(),
        sender: "ada".into(),
    }
}

fn record(offset: i64, error: Option<&str>, value: Value) -> ParkedRecord {
    ParkedRecord {
        offset,
        at: "2026-01-01T00:00:00.000Z".into(),
        error: error.map(str::to_owned),
        record_type: "millrace.order.RecordReservation".into(),
        sender: "ada".into(),
        bytes: Some(9),
        headers: Some(json!({ "ce_id": "an id" })),
        value: Some(value),
        omitted: None,
        schema_id: Some(9),
        schema_version: None,
    }
}

/// A re-drive of the key whose first record is at offset 5.
fn key_and_reason() -> Value {
    let reason = " the bug is mended ";
    json!({ "topic": "stock.followups", "key": "tea", "offset": 5, "reason": reason })
}

/// The dead letter that [`Desk::bury`] adds.
fn letter_and_reason(reason: &str) -> Value {
    json!({ "id": "order.commands:2:17", "reason": reason })
}

/// An edit of the reservation at offset 5.
fn edit() -> Value {
    json!({
        "topic": "stock.followups", "key": "tea", "offset": 5,
        "type": "millrace.stock.ReserveStock", "reason": " a typing error ",
        "value": { "sku": "tea", "order_id": Uuid::from_u128(7), "quantity": 2 },
    })
}

/// All keys with one error.
fn of_one_error() -> Value {
    json!({ "topic": "order.followups", "error": "the decider panicked", "reason": "mended" })
}
