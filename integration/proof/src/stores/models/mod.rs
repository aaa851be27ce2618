//! Invariant E for read models: each row, document and key is what the events of its aggregate give
//! by the domain's `evolve`, and no other exists.
//!
//! Each file has the read models of one kind of data. It makes the expected fields from the ledger
//! alone, with the names that they have in the store; this file reads the stores and compares. No
//! code of the projections is used.

mod credentials;
mod notifications;
mod orders;
mod outcomes;
mod products;
mod users;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use mongodb::bson::Bson;
use redis::aio::MultiplexedConnection;
use serde_json::Value;

use super::documents;
use crate::ledger::{Damage, Ledger, Violation};

/// The most characters of a field's value that a violation shows.
const SHOWN_MAX: usize = 300;

/// The fields of a row, a document or a key, by name.
type Fields = serde_json::Map<String, Value>;

/// The rows of a table, the documents of a collection, or the keys of one kind, by the aggregate's
/// key.
type Rows = BTreeMap<String, Fields>;

/// Compares the read models in PostgreSQL with the ledger.
pub(super) async fn in_postgres(
    postgres: &tokio_postgres::Client,
    ledger: &Ledger,
) -> anyhow::Result<Vec<Violation>> {
    let sql = "SELECT command_id::text, row_to_json(outcomes) FROM outcomes";
    let mut broken = outcomes::compare(rows(postgres, sql).await?, ledger);
    let sql = "SELECT user_id::text, row_to_json(users) FROM users";
    let (stored, folded) = (rows(postgres, sql).await?, storable(users::folded(ledger)));
    broken.extend(differences("user", "PostgreSQL", &stored, &folded));
    let sql = "SELECT session_id::text, row_to_json(sessions) FROM sessions";
    let (stored, folded) = (rows(postgres, sql).await?, storable(users::sessions(ledger)));
    broken.extend(differences("session", "PostgreSQL", &stored, &folded));
    let sql = "SELECT user_id::text, row_to_json(credentials) FROM credentials";
    let (stored, folded) = (rows(postgres, sql).await?, storable(credentials::newest(ledger)));
    broken.extend(differences("credential of user", "PostgreSQL", &stored, &folded));
    Ok(broken)
}

/// Compares the read models in MongoDB with the ledger.
pub(super) async fn in_mongo(
    mongo: &mongodb::Database,
    ledger: &Ledger,
) -> anyhow::Result<Vec<Violation>> {
    let mut broken = notifications::compare(mongo, ledger).await?;
    let stored = orders::flat(collection(mongo, "orders").await?);
    broken.extend(differences("order", "MongoDB", &stored, &orders::folded(ledger)));
    let stored = collection(mongo, "products").await?;
    broken.extend(differences("product", "MongoDB", &stored, &products::folded(ledger)));
    let stored = collection(mongo, "recipients").await?;
    broken.extend(differences("recipient", "MongoDB", &stored, &users::recipients(ledger)));
    Ok(broken)
}

/// Compares the read models in Redis with the ledger.
pub(super) async fn in_redis(
    redis: &mut MultiplexedConnection,
    ledger: &Ledger,
) -> anyhow::Result<Vec<Violation>> {
    let (stored, folded) = (products::in_redis(redis).await?, products::hot(ledger));
    let mut broken = differences("product", "Redis", &stored, &folded);
    let (stored, folded) = (notifications::counters(redis).await?, notifications::unread(ledger));
    broken.extend(differences("counter of unread notifications of", "Redis", &stored, &folded));
    Ok(broken)
}

/// The differences of two read models: rows that are missing, that differ, or that no event
/// explains. `what` names a row in violations.
fn differences(what: &str, store: &str, stored: &Rows, folded: &Rows) -> Vec<Violation> {
    let mut broken = Vec::new();
    for (key, expected) in folded {
        let Some(found) = stored.get(key) else {
            let what = format!("{what} {key} is missing in {store}");
            broken.push(Violation::new('E', Damage::Lost, what));
            continue;
        };
        let names = unequal(found, expected);
        if !names.is_empty() {
            let (found, expected) = (shown(found, &names), shown(expected, &names));
            let what = format!("{what} {key}: {store} has {found}; the topics give {expected}");
            broken.push(Violation::new('E', Damage::Torn, what));
        }
    }
    for key in stored.keys().filter(|key| !folded.contains_key(*key)) {
        let what = format!("{what} {key} is in {store}, and no record of the topics explains it");
        broken.push(Violation::new('E', Damage::Torn, what));
    }
    broken
}

/// The names of the fields that differ or that only one of the two has.
fn unequal<'a>(one: &'a Fields, other: &'a Fields) -> BTreeSet<&'a str> {
    let names = one.keys().chain(other.keys()).map(String::as_str);
    names.filter(|name| one.get(*name) != other.get(*name)).collect()
}

/// Some fields for a violation, which never shows a hash.
fn shown(fields: &Fields, names: &BTreeSet<&str>) -> String {
    let one = |name: &&str| match fields.get(*name) {
        None => format!("no {name}"),
        Some(_) if name.ends_with("_hash") => format!("another {name}"),
        Some(value) => {
            let value: String = value.to_string().chars().take(SHOWN_MAX).collect();
            format!("{name} {value}")
        }
    };
    names.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The fields of a JSON object.
fn fields(object: Value) -> Fields {
    match object {
        Value::Object(fields) => fields,
        _ => Fields::new(),
    }
}

/// The rows of a query for a key and the row as JSON.
async fn rows(postgres: &tokio_postgres::Client, sql: &str) -> anyhow::Result<Rows> {
    let mut rows = Rows::new();
    for row in postgres.query(sql, &[]).await.context(sql.to_owned())? {
        let (key, object): (String, Value) = (row.try_get(0)?, row.try_get(1)?);
        rows.insert(key, fields(object));
    }
    Ok(rows)
}

/// The rows as PostgreSQL can hold them: it has no U+0000 in text, and U+FFFD replaces it.
fn storable(mut rows: Rows) -> Rows {
    for value in rows.values_mut().flat_map(Fields::values_mut) {
        if let Value::String(text) = value
            && text.contains('\0')
        {
            *text = text.replace('\0', "\u{fffd}");
        }
    }
    rows
}

/// The documents of a collection. Numbers of 32 and of 64 bits become the same.
async fn collection(mongo: &mongodb::Database, name: &str) -> anyhow::Result<Rows> {
    let found = documents(mongo, name).await.context(name.to_owned())?;
    let json = |document| fields(Bson::Document(document).into_relaxed_extjson());
    Ok(found.into_iter().map(|(id, document)| (id, json(document))).collect())
}

/// One row, for tests.
#[cfg(test)]
fn one_row(key: &str, object: Value) -> Rows {
    Rows::from([(key.to_owned(), fields(object))])
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;
    use serde_json::json;

    use super::*;

    #[test]
    fn row_that_is_missing_differs_or_is_explained_by_nothing_violates_e() {
        let folded = one_row("tea", json!({ "free": 3, "held": 1 }));
        assert_eq!(differences("product", "MongoDB", &folded, &folded), []);

        let missing = differences("product", "MongoDB", &Rows::new(), &folded);
        let seen: Vec<_> = missing.iter().map(|one| (one.invariant, one.damage)).collect();
        assert_eq!(seen, [('E', Damage::Lost)]);

        let extra = differences("product", "MongoDB", &folded, &Rows::new());
        let seen: Vec<_> = extra.iter().map(|one| (one.invariant, one.damage)).collect();
        assert_eq!(seen, [('E', Damage::Torn)]);

        let stored = one_row("tea", json!({ "free": 2, "held": 1, "more": null }));
        let differs = differences("product", "MongoDB", &stored, &folded);
        assert_eq!((differs.len(), differs[0].damage), (1, Damage::Torn));
        let wanted = "product tea: MongoDB has free 2, more null; the topics give free 3, no more";
        assert_eq!(differs[0].what, wanted);
    }

    #[test]
    fn hash_that_differs_is_not_shown() {
        let (stored, folded) = ("$argon2id$stored", "$argon2id$folded");
        let row = |hash: &str| one_row("7", json!({ "password_hash": hash, "changed_at": 4 }));
        let found = differences("credential of user", "PostgreSQL", &row(stored), &row(folded));
        assert_eq!(found.len(), 1);
        assert!(found[0].what.contains("password_hash"), "{}", found[0].what);
        assert!(!found[0].what.contains("argon2id"), "{}", found[0].what);
    }

    #[test]
    fn width_of_a_number_and_a_zero_character_are_no_differences() {
        let document = doc! { "short": 7_i32, "long": 7_i64, "lines": [{ "quantity": 2_i32 }] };
        let read = fields(Bson::Document(document).into_relaxed_extjson());
        let wanted = json!({ "short": 7_i64, "long": 7_i64, "lines": [{ "quantity": 2_i64 }] });
        assert_eq!(read, fields(wanted));
        let text = storable(one_row("7", json!({ "name": "a\0b" })));
        assert_eq!(text, one_row("7", json!({ "name": "a\u{fffd}b" })));
    }
}
