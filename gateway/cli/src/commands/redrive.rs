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
        let verb = Verb {
            path: "/v1/operations/parked:retry",
            done: format!("All parked records of {}, key {}, were applied.", key.topic, key.key),
            still_failing: "Those before it were applied.".to_owned(),
        };
        redrive(client, verb, &key, offset, &reason, &sending.begin()).await
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
        let verb = Verb {
            path: "/v1/operations/parked:drop",
            done: format!(
                "The record at offset {offset} of {}, key {}, is a dead letter; those behind it \
                 were applied.",
                key.topic, key.key
            ),
            still_failing: format!(
                "The record at offset {offset} was given up all the same, and those between the \
                 two were applied."
            ),
        };
        redrive(client, verb, &key, Some(offset), &reason, &sent).await
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

/// What is done with the key.
struct Verb {
    path: &'static str,
    /// What an accepted command has done.
    done: String,
    /// What a command has done that is refused because a record still fails.
    still_failing: String,
}

async fn redrive(
    client: &mut Client,
    verb: Verb,
    key: &Key,
    offset: Option<u64>,
    Reason { reason }: &Reason,
    sent: &Sent,
) -> Result<Report, Failure> {
    let mut body = json!({ "topic": key.topic, "key": key.key, "reason": reason });
    if let Some(offset) = offset {
        body["offset"] = json!(offset);
    }
    let Verb { path, done, still_failing } = verb;
    let done = |answer: &Answer| [Some(done), command_line(answer)].into_iter().flatten().collect();
    let ended = sent.decided(client, path, &body.to_string(), done).await;
    ended.map_err(|failure| match failure.code() == Some("still_failing") {
        true => failure.and(&still_failing),
        false => failure,
    })
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
