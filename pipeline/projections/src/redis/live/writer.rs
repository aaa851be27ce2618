//! The projections that fill the live stream. What of an event is written is decided in `visible`.

use std::sync::LazyLock;

use redis::{Script, ScriptInvocation};
use schemas::{Codec, Schema, headers};

use super::{
    streams::{LiveStream, entry_id, live_key},
    visible::{Visible, schemas_of, visible},
};
use crate::{
    StoreError,
    projection::Batch,
    redis::{connection::Redis, model::Model, positions, publish::LIVE},
};

/// The events of a partition that are kept, about.
const KEPT: i64 = 10_000;
/// The arguments of each entry in the script.
const FIELDS: usize = 11;

/// `KEYS[2]` is the stream. A stream without a position is started again from empty.
static WRITE: LazyLock<Script> = LazyLock::new(|| {
    let body = r"
if ARGV[3] == '' then redis.call('DEL', KEYS[2]) end
-- The position may have moved past offsets that are no event: an entry follows the one before it.
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
if last and ARGV[8] then ARGV[8] = string.format('%.0f', string.match(last[1], '^%d+') + 1) end
for at = 7, #ARGV, FIELDS do
  local fields = {'before', ARGV[at + 1], 'id', ARGV[at + 2], 'type', ARGV[at + 3],
                  'key', ARGV[at + 4], 'version', ARGV[at + 5], 'at', ARGV[at + 6],
                  'data', ARGV[at + 7]}
  if ARGV[at + 8] ~= '' then table.insert(fields, 'masked'); table.insert(fields, ARGV[at + 8]) end
  if ARGV[at + 9] ~= '' then table.insert(fields, 'owner'); table.insert(fields, ARGV[at + 9]) end
  if ARGV[at + 10] ~= '' then
    table.insert(fields, 'command'); table.insert(fields, ARGV[at + 10])
  end
  redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[5], ARGV[at], unpack(fields))
end
redis.call('PUBLISH', ARGV[6], '')";
    positions::script(&body.replace("FIELDS", &FIELDS.to_string()))
});

impl Model for &'static LiveStream {
    fn name(&self) -> &'static str {
        &self.name
    }

    fn topics(&self) -> &'static [&'static str] {
        &self.topics
    }

    fn schemas(&self) -> Vec<&'static Schema> {
        self.topics.iter().flat_map(|topic| schemas_of(topic)).copied().collect()
    }

    fn keys(&self) -> Vec<String> {
        self.topics.iter().map(|topic| format!("live:{topic}:*")).collect()
    }

    /// Events that the cap would cut off again are not written.
    fn start(&self, beginning: i64, end: i64) -> i64 {
        beginning.max(end - KEPT)
    }

    fn script(&self) -> &'static Script {
        &WRITE
    }

    async fn fill(
        &self,
        _redis: &Redis,
        batch: &Batch<'_>,
        codec: &Codec,
        invocation: &mut ScriptInvocation<'static>,
    ) -> Result<(), StoreError> {
        let key = live_key(&batch.partition.topic, batch.partition.partition);
        invocation.key(key).arg(KEPT).arg(LIVE);
        let mut before = batch.begin;
        for record in batch.records {
            let visible = visible(record, codec)?;
            let Visible { kind, key, version, at, command, data, masked, owner } = visible;
            invocation.arg(entry_id(record.offset)).arg(before);
            invocation.arg(record.headers.text(headers::ID).unwrap_or_default());
            invocation.arg(kind).arg(key).arg(version).arg(at).arg(data).arg(masked).arg(owner);
            invocation.arg(command);
            before = record.offset + 1;
        }
        Ok(())
    }
}
