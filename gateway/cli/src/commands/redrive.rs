//! What to do with one parked key: apply its records again, or give up the first one.

use clap::Args;
use serde_json::{Value, json};

use super::{
    action::{Reason, Sending, Sent, command_line},
    key::Key,
    pages::Pages,
};
use crate::{
    ask::Consent,
    client::{Answer, Client},
    failure::Failure,
    report::Report,
    text::value::{optional, short_type, text},
};

/// Which key is tried again.
#[derive(Debug, Args)]
pub(crate) struct Retry {
    #[command(flatten)]
    key: Key,
    /// The offset of the first parked record. If another one is first, nothing is done.
    #[arg(long)]
    offset: Option<u64>,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    sending: Sending,
}

impl Retry {
    pub(super) async fn run(self, client: &mut Client) -> Result<Report, Failure> {
        let Self { key, offset, reason, sending } = self;
        let what = format!("All parked records of {}, key {}, were applied.", key.topic, key.key);
        let path = "/v1/operations/parked:retry";
        redrive(client, path, &key, offset, &reason, &sending.begin(), what).await
    }
}

/// Which record is given up. A repeat names the record: without that, it would mean the next one.
#[derive(Debug, Args)]
#[command(mut_arg("idempotency_key", |key| key.requires("offset")))]
pub(crate) struct Drop {
    #[command(flatten)]
    key: Key,
    /// The offset of the record to give up. If another one is first, nothing is done. Without it,
    /// the first record is shown, and given up when you confirm that.
    #[arg(long)]
    offset: Option<u64>,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    sending: Sending,
}

impl Drop {
    pub(super) async fn run(self, client: &mut Client) -> Result<Report, Failure> {
        let Self { key, offset, reason, consent, sending } = self;
        let (offset, found) = match offset {
            Some(offset) => (offset, None),
            None => {
                let offset = confirmed(client, &key, consent).await?;
                (offset, Some(format!("--offset {offset}")))
            }
        };
        let sent = sending.begin_with(found);
        let what = format!(
            "The record at offset {offset} of {}, key {}, is a dead letter; those behind it were \
             applied.",
            key.topic, key.key
        );
        let path = "/v1/operations/parked:drop";
        redrive(client, path, &key, Some(offset), &reason, &sent, what).await
    }
}

/// The offset of the first parked record, after the user has confirmed to give it up.
async fn confirmed(client: &mut Client, key: &Key, consent: Consent) -> Result<u64, Failure> {
    consent.check()?;
    let list = key.records(client, &Pages::one()).await?;
    let first = list.items.first().ok_or_else(|| Failure::Failed(key.nothing()))?;
    let offset = first["offset"].as_u64().ok_or_else(|| client.unexpected("an offset"))?;
    consent.ask(&question(key, first))?;
    Ok(offset)
}

fn question(key: &Key, first: &Value) -> String {
    let error = optional(first, "error").map(|error| format!(": {error}")).unwrap_or_default();
    let name = optional(first, "type").map(|_| format!(" ({})", short_type(first)));
    format!(
        "Give up the record at offset {}{} of {}, key {}{error}?",
        text(first, "offset"),
        name.unwrap_or_default(),
        key.topic,
        key.key
    )
}

async fn redrive(
    client: &mut Client,
    path: &str,
    key: &Key,
    offset: Option<u64>,
    Reason { reason }: &Reason,
    sent: &Sent,
    done: String,
) -> Result<Report, Failure> {
    let mut body = json!({ "topic": key.topic, "key": key.key, "reason": reason });
    if let Some(offset) = offset {
        body["offset"] = json!(offset);
    }
    let done = |answer: &Answer| [Some(done), command_line(answer)].into_iter().flatten().collect();
    sent.decided(client, path, &body, done).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn question_names_the_record_and_its_error() {
        let key = Key { topic: "order.followups".into(), key: "o-1".into() };
        let first = json!({ "offset": 5, "type": "millrace.order.X", "error": "malformed" });
        assert_eq!(
            question(&key, &first),
            "Give up the record at offset 5 (X) of order.followups, key o-1: malformed?"
        );
        let unknown = json!({ "offset": 5, "type": "" });
        assert_eq!(
            question(&key, &unknown),
            "Give up the record at offset 5 of order.followups, key o-1?"
        );
    }
}
