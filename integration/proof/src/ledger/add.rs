//! Adds records to the ledger. It judges only what can never become right.

use anyhow::Context as _;
use redpanda::log::Record;
use schemas::{
    Codec, Message as _, Outcome, Record as _, email, headers, order, stock,
    user::{self, Credential},
};
use uuid::Uuid;

use super::{Caused, Damage, EventRecord, Ledger, SentCommand, Violation, place::misplaced};

/// The follow-ups that are always answered.
const REQUESTS: [&str; 2] = [stock::ReserveStock::SCHEMA.name, email::ClaimEmail::SCHEMA.name];

/// The id of a record: that of its header, or one derived from its text if it is no UUID, or from
/// the position if there is none. A dead letter has the id of the record that failed.
fn id_of(record: &Record) -> Uuid {
    let text = |name: &str| record.headers.text(name);
    if let Some(id) = text(headers::ID).filter(|id| !id.is_empty()) {
        return uuid_of(id);
    }
    let own = (record.partition.to_string(), record.offset.to_string());
    let (topic, partition, offset) =
        match (text("dead_topic"), text("dead_partition"), text("dead_offset")) {
            (Some(topic), Some(partition), Some(offset)) => (topic, partition, offset),
            _ => (&*record.topic, &*own.0, &*own.1),
        };
    Uuid::new_v5(&Uuid::NAMESPACE_URL, format!("{topic}/{partition}/{offset}").as_bytes())
}

fn uuid_of(id: &str) -> Uuid {
    id.parse().unwrap_or_else(|_| Uuid::new_v5(&Uuid::NAMESPACE_OID, id.as_bytes()))
}

impl Ledger {
    pub(super) fn add(&mut self, record: &Record, codec: &Codec) -> anyhow::Result<()> {
        let kind = record.topic.rsplit('.').next().unwrap_or_default();
        let cause = record.headers.text(headers::CORRELATION_ID).map(uuid_of);
        let cause = cause.unwrap_or_else(|| id_of(record));
        if kind != "state" {
            let at = (record.topic.to_string(), record.partition, record.offset);
            self.causes.insert(at, cause);
        }
        let declared = redpanda::topics::all().get(&record.topic);
        self.broken.extend(declared.and_then(|topic| misplaced(record, topic.partitions)));
        match kind {
            "commands" => self.command(record, cause, codec),
            "followups" => self.follow_up(record, cause, codec)?,
            "events" => self.event(record, cause, codec)?,
            "outcomes" => self.outcome(record, codec)?,
            "dead" => self.dead_letter(record),
            "operations" => self.parked.push((key_of(record), place_of(record))),
            "state" => self.row(record),
            "credentials" => self.credential(record, codec)?,
            _ => {}
        }
        Ok(())
    }

    fn command(&mut self, record: &Record, correlation: Uuid, codec: &Codec) {
        let first = || SentCommand {
            at_ms: record.timestamp_ms,
            records: 0,
            correlation,
            received: received(record, codec),
            session: session(record, codec),
        };
        self.commands.entry(id_of(record)).or_insert_with(first).records += 1;
        self.correlations.insert(id_of(record), correlation);
    }

    fn follow_up(
        &mut self,
        record: &Record,
        correlation: Uuid,
        codec: &Codec,
    ) -> anyhow::Result<()> {
        self.once(record);
        self.link(record, correlation);
        let name = record.headers.text(headers::TYPE);
        if name == Some(order::RecordReservation::SCHEMA.name) {
            let value = record.value.as_deref().context("a reply without a value")?;
            let reply = order::RecordReservation::decode(codec, value)?;
            if reply.reserved {
                self.reserved.insert(id_of(record), reply.order_id);
            }
        }
        if name.is_some_and(|name| REQUESTS.contains(&name)) {
            self.requests.insert(id_of(record), place_of(record));
        }
        // Replies are all that these topics carry.
        if ["order.followups", "user.followups"].contains(&&*record.topic) {
            self.replied.extend(causation_of(record));
        }
        Ok(())
    }

    /// Notes what a record that is caused by another one says about its cause.
    fn link(&mut self, record: &Record, correlation: Uuid) {
        self.correlations.insert(id_of(record), correlation);
        let is_of_system = record.headers.text(headers::PRINCIPAL) == Some("system");
        let (at, id) = (place_of(record), id_of(record));
        let is_event = record.topic.ends_with(".events");
        self.caused.extend(causation_of(record).map(|cause| Caused {
            at,
            id,
            is_event,
            cause,
            correlation,
            is_of_system,
        }));
    }

    fn event(&mut self, record: &Record, cause: Uuid, codec: &Codec) -> anyhow::Result<()> {
        self.see(record, record.headers.text(headers::ID).unwrap_or_default());
        self.once(record);
        self.link(record, cause);
        let version = version_of(record).context("an event without a version")?;
        let value = record.value.as_deref().context("an event without a value")?;
        let (context, key) = (context_of(record), key_of(record));
        let written = EventRecord { at_ms: record.timestamp_ms, command: cause };
        self.event_records.insert((context.to_owned(), key.clone(), version), written);
        let broken = self.folds.add(context, &key, version, value, codec)?;
        self.broken.extend(broken);
        Ok(())
    }

    fn outcome(&mut self, record: &Record, codec: &Codec) -> anyhow::Result<()> {
        self.see(record, &key_of(record));
        let value = record.value.as_deref().context("an outcome without a value")?;
        let outcome = Outcome::decode(codec, value)?;
        let seen = self.outcomes.entry(outcome.command_id).or_default();
        seen.records += 1;
        if seen.outcomes.is_empty() {
            seen.at_ms = record.timestamp_ms;
        }
        if !seen.outcomes.contains(&outcome) {
            seen.outcomes.push(outcome);
        }
        Ok(())
    }

    fn dead_letter(&mut self, record: &Record) {
        let id = record.headers.text(headers::ID).unwrap_or_default();
        self.letters.push((id.to_owned(), place_of(record)));
        if let Ok(id) = id.parse() {
            *self.dead.entry(id).or_default() += 1;
        }
    }

    fn row(&mut self, record: &Record) {
        match &record.value {
            Some(value) => {
                self.changelog.insert(key_of(record), (version_of(record), value.to_vec()));
            }
            None => drop(self.changelog.remove(&key_of(record))),
        }
    }

    /// The newest record of a key counts, because the topic is compacted.
    fn credential(&mut self, record: &Record, codec: &Codec) -> anyhow::Result<()> {
        match record.value.as_deref() {
            Some(value) => {
                self.credentials.insert(key_of(record), Credential::decode(codec, value)?);
            }
            None => drop(self.credentials.remove(&key_of(record))),
        }
        Ok(())
    }

    /// A: the ids of events and follow-ups are derived from the id of their input, so a second
    /// decision on an input writes the same ids.
    fn once(&mut self, record: &Record) {
        let id = id_of(record);
        if !self.ids.insert((record.topic.clone(), id)) {
            let what = format!(
                "{}: a record with the id {id} was written before, so its input was decided twice",
                place_of(record)
            );
            self.broken.push(Violation::new('A', Damage::Doubled, what));
        }
    }

    fn see(&mut self, record: &Record, id: &str) {
        self.record_ids
            .insert((record.topic.to_string(), record.partition, record.offset), id.to_owned());
    }
}

/// How much stock a command receives; `None` if it is no command that does, or can't be read.
fn received(record: &Record, codec: &Codec) -> Option<i32> {
    if context_of(record) != "stock" {
        return None;
    }
    match stock::Command::decode(codec, record.value.as_deref()?).ok()? {
        stock::Command::ReceiveStock(receive) => Some(receive.quantity),
        stock::Command::AddProduct(_) => None,
    }
}

/// The session that a command refreshes or ends; `None` if it is no command that does, or can't be
/// read.
fn session(record: &Record, codec: &Codec) -> Option<Uuid> {
    if context_of(record) != "user" {
        return None;
    }
    match user::Command::decode(codec, record.value.as_deref()?).ok()? {
        user::Command::RefreshSession(refresh) => Some(refresh.session_id),
        user::Command::EndSession(end) => Some(end.session_id),
        _ => None,
    }
}

/// The id of the record that has caused this one.
fn causation_of(record: &Record) -> Option<Uuid> {
    record.headers.text(headers::CAUSATION_ID).map(uuid_of)
}

fn key_of(record: &Record) -> String {
    String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned()
}

fn context_of(record: &Record) -> &str {
    record.topic.split('.').next().unwrap_or_default()
}

fn version_of(record: &Record) -> Option<i64> {
    record.headers.text(headers::VERSION)?.parse().ok()
}

/// Where a record is, for people.
fn place_of(record: &Record) -> String {
    format!("{}[{}]@{}", record.topic, record.partition, record.offset)
}

#[cfg(test)]
mod tests {
    use schemas::stock::{ReserveStock, StockReceived};

    use super::*;
    use crate::ledger::testing::Log;

    #[test]
    fn event_or_followup_of_a_second_decision_is_doubled() {
        let mut log = Log::default();
        let reserve = ReserveStock {
            sku: "tea".to_owned(),
            order_id: Uuid::nil(),
            quantity: 1,
            placed_at: None,
        };
        let received =
            StockReceived { sku: "tea".to_owned(), quantity: 1, received: 1, free: 1, held: 0 };
        log.follow_up("stock.followups", "tea", 1, 10, &reserve);
        log.event("stock.events", "tea", 1, 2, 20, &received);
        log.event("stock.events", "tea", 2, 3, 20, &received);
        assert_eq!(log.ledger.broken, []);

        log.follow_up("stock.followups", "tea", 1, 10, &reserve);
        log.event("stock.events", "tea", 3, 2, 20, &received);
        let found: Vec<_> =
            log.ledger.broken.iter().map(|one| (one.invariant, one.damage)).collect();
        assert_eq!(found, [('A', Damage::Doubled), ('A', Damage::Doubled)]);
    }
}
