//! Fills the live stream: one capped Redis stream for each partition, with the events as people may
//! see them. Personal fields are masked for all but their owner; what verifies a token or a
//! password is for nobody.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};

use futures_util::future::BoxFuture;
use redis::Script;
use redpanda::log::{Record, TopicPartition};
use schemas::{Codec, Message, email, headers, notification, order, stock, user};
use serde_json::Value;

use super::{LIVE, Redis, live::entry_id, live_key, position};
use crate::{
    StoreError,
    projection::{Batch, Claim, Event, Projection, event, short, wrong},
};

/// Events of a partition that are kept, about.
const KEPT: i64 = 10_000;
/// What stands where a personal field is.
const MASK: &str = "•••";
/// Fields that are for nobody's eyes.
const HIDDEN: [&str; 4] =
    ["refresh_hash", "password_hash", "email_fingerprint", "former_fingerprint"];
/// Arguments of each entry in the script.
const FIELDS: usize = 10;

/// `KEYS[2]` is the stream. A stream without a position is begun anew.
static WRITE: LazyLock<Script> = LazyLock::new(|| {
    let body = r"
if ARGV[3] == '' then redis.call('DEL', KEYS[2]) end
-- The position may have moved since past what is no event: an entry follows the one before it.
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if last and ARGV[8] then ARGV[8] = string.format('%.0f', string.match(last[1], '^%d+') + 1) end
for at = 7, #ARGV, FIELDS do
  local fields = {'before', ARGV[at + 1], 'id', ARGV[at + 2], 'type', ARGV[at + 3], 'key', ARGV[at + 4],
                  'version', ARGV[at + 5], 'at', ARGV[at + 6], 'data', ARGV[at + 7]}
  if ARGV[at + 8] ~= '' then table.insert(fields, 'masked'); table.insert(fields, ARGV[at + 8]) end
  if ARGV[at + 9] ~= '' then table.insert(fields, 'owner'); table.insert(fields, ARGV[at + 9]) end
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], ARGV[at], unpack(fields))
end
redis.call('PUBLISH', ARGV[6], '')";
    position::script(&body.replace("FIELDS", &FIELDS.to_string()))
});

/// The names of personal fields, by the full name of the record that has them, at whatever depth.
static PERSONAL: LazyLock<BTreeMap<&'static str, BTreeSet<String>>> = LazyLock::new(|| {
    let personal = |json: &str| {
        let mut names = BTreeSet::new();
        if let Ok(schema) = serde_json::from_str(json) {
            collect(&schema, &mut names);
        }
        names
    };
    schemas::all().iter().map(|schema| (schema.name, personal(schema.json))).collect()
});

fn collect(schema: &Value, names: &mut BTreeSet<String>) {
    match schema {
        Value::Array(parts) => parts.iter().for_each(|part| collect(part, names)),
        Value::Object(parts) => {
            if let (Some(Value::Bool(true)), Some(Value::String(name))) =
                (parts.get("pii"), parts.get("name"))
            {
                names.insert(name.clone());
            }
            parts.values().for_each(|part| collect(part, names));
        }
        _ => {}
    }
}

/// The projection.
pub(super) struct Feed {
    pub(super) redis: Redis,
    pub(super) name: &'static str,
    pub(super) topics: &'static [&'static str],
}

impl Projection for Feed {
    fn name(&self) -> &'static str {
        self.name
    }

    fn topics(&self) -> &'static [&'static str] {
        self.topics
    }

    /// What would be cut off again need not be written.
    fn start(&self, beginning: i64, end: i64) -> i64 {
        beginning.max(end - KEPT)
    }

    fn claim<'a>(&'a self, place: &'a TopicPartition) -> BoxFuture<'a, Result<Claim, StoreError>> {
        Box::pin(position::claim(&self.redis, self.name, place))
    }

    fn held<'a>(
        &'a self,
        place: &'a TopicPartition,
    ) -> BoxFuture<'a, Result<Option<Claim>, StoreError>> {
        Box::pin(position::held(&self.redis, self.name(), place))
    }

    fn bury<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        why: &'a str,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(position::bury(&self.redis, self.name(), batch, why))
    }

    fn erase(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        Box::pin(async move {
            let streams: Vec<_> =
                self.topics.iter().map(|topic| format!("live:{topic}:*")).collect();
            position::erase(&self.redis, self.name, &streams).await
        })
    }

    fn apply<'a>(
        &'a self,
        batch: &'a Batch<'a>,
        codec: &'a Codec,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let mut invocation = position::begin(&WRITE, self.name, batch);
            invocation.key(live_key(&batch.place.topic, batch.place.partition)).arg(KEPT).arg(LIVE);
            let mut before = batch.begin;
            for record in batch.records {
                let seen = seen(record, codec)?;
                let [kind, key, data, masked, owner] =
                    [seen.kind, seen.key, seen.data, seen.masked, seen.owner];
                invocation.arg(entry_id(record.offset)).arg(before);
                invocation.arg(record.headers.text(headers::ID).unwrap_or_default());
                invocation
                    .arg(kind)
                    .arg(key)
                    .arg(seen.version)
                    .arg(seen.at)
                    .arg(data)
                    .arg(masked)
                    .arg(owner);
                before = record.offset + 1;
            }
            position::invoke(&self.redis, &invocation, batch).await
        })
    }
}

/// An event as it stands in the stream.
struct Seen {
    kind: String,
    key: String,
    version: i64,
    at: i64,
    data: String,
    /// Empty where nothing is masked.
    masked: String,
    /// Empty where it is nobody's own.
    owner: String,
}

fn seen(record: &Record, codec: &Codec) -> Result<Seen, StoreError> {
    match &*record.topic {
        "user.events" => show(record, event::<user::Event>(record, codec)?, true),
        "order.events" => show(record, event::<order::Event>(record, codec)?, true),
        "notification.events" => show(record, event::<notification::Event>(record, codec)?, true),
        // Bookkeeping, which names users but is not told to them.
        "email.events" => show(record, event::<email::Event>(record, codec)?, false),
        _ => show(record, event::<stock::Event>(record, codec)?, false),
    }
}

fn show<M: Message + serde::Serialize>(
    record: &Record,
    event: Event<'_, M>,
    owned: bool,
) -> Result<Seen, StoreError> {
    let name = event.message.name();
    let mut data =
        serde_json::to_value(&event.message).map_err(|error| wrong(record, error.to_string()))?;
    hide(&mut data);
    let mut masked = data.clone();
    if let Some(personal) = PERSONAL.get(name).filter(|personal| !personal.is_empty()) {
        mask(&mut masked, personal);
    }
    let owner = data
        .get("user_id")
        .and_then(Value::as_str)
        .filter(|_| owned)
        .unwrap_or_default()
        .to_owned();
    Ok(Seen {
        kind: short(name).to_owned(),
        // An address's key is its fingerprint.
        key: if owned || &*record.topic == "stock.events" {
            event.key.to_owned()
        } else {
            String::new()
        },
        version: event.version,
        at: event.at,
        masked: if masked == data { String::new() } else { masked.to_string() },
        data: data.to_string(),
        owner,
    })
}

fn hide(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !HIDDEN.contains(&&**name));
            fields.values_mut().for_each(hide);
        }
        Value::Array(parts) => parts.iter_mut().for_each(hide),
        _ => {}
    }
}

fn mask(value: &mut Value, personal: &BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if personal.contains(name) && !value.is_null() {
                    *value = MASK.into();
                } else {
                    mask(value, personal);
                }
            }
        }
        Value::Array(parts) => parts.iter_mut().for_each(|part| mask(part, personal)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use redpanda::log::Headers;
    use schemas::user::{Role, SessionStarted, UserRegistered};
    use uuid::Uuid;

    use super::*;

    fn record(codec: &Codec, event: impl Into<user::Event>) -> Record {
        let mut value = Vec::new();
        event.into().encode(codec, &mut value).expect("bytes");
        let mut headers = Headers::default();
        headers.push(headers::VERSION, "2");
        let (topic, key) = ("user.events".into(), Some("key".into()));
        Record {
            topic,
            partition: 0,
            offset: 5,
            timestamp_ms: 9,
            key,
            value: Some(value.into()),
            headers,
        }
    }

    #[test]
    fn personal_fields_are_masked_for_all_but_their_owner() {
        let codec = Codec::local();
        let registered = UserRegistered {
            user_id: Uuid::from_u128(1),
            email: "ada@example.org".to_owned(),
            email_fingerprint: "f1".to_owned(),
            name: "Ada".to_owned(),
            role: Role::User,
            registered_at: 3,
        };

        let seen = seen(&record(&codec, registered), &codec).expect("an entry");

        assert_eq!((&*seen.kind, seen.version, seen.at), ("UserRegistered", 2, 9));
        assert_eq!(seen.owner, Uuid::from_u128(1).to_string());
        assert!(seen.data.contains("ada@example.org") && seen.data.contains("Ada"));
        assert!(
            !seen.masked.contains("ada@example.org") && !seen.masked.contains("Ada"),
            "{}",
            seen.masked
        );
        assert!(seen.masked.contains(MASK) && !seen.data.contains("f1"));
    }

    #[test]
    fn what_verifies_a_token_is_for_nobody() {
        let codec = Codec::local();
        let started = SessionStarted {
            user_id: Uuid::from_u128(1),
            session_id: Uuid::from_u128(2),
            refresh_hash: "secret".to_owned(),
            started_at: 1,
            expires_at: 2,
        };

        let seen = seen(&record(&codec, started), &codec).expect("an entry");

        assert!(!seen.data.contains("secret") && seen.masked.is_empty(), "{}", seen.data);
    }
}
