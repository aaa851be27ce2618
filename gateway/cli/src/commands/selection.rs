//! What to do with all parked keys with one error, or of one topic. First a dry run counts them.

use clap::Args;
use serde_json::{Value, json};

use super::action::Sending;
use crate::{
    ask::Consent,
    client::{Client, Request},
    failure::Failure,
    report::Report,
    text::value::{count, pieces},
};

/// What is done with each key.
pub(super) struct Verb {
    path: &'static str,
    /// What will be done with so many keys.
    will: &'static str,
    /// What a refusal means.
    refused: &'static str,
}

/// Applies all records of each key again.
pub(super) const RETRY: Verb = Verb {
    path: "/v1/operations/parked:retry-all",
    will: "will be tried again, each up to the first record that still fails",
    refused: "still failing or changed since",
};
/// Gives up the first record of each key.
pub(super) const DROP: Verb = Verb {
    path: "/v1/operations/parked:drop-all",
    will: "will lose their first record, and the others are applied",
    refused: "without their first record but stopped at a later one, or changed since",
};

/// Which keys.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    #[command(flatten)]
    by: By,
    /// Why, on one line of up to 500 characters. It is kept with your name.
    #[arg(long, value_name = "WHY", required_unless_present = "dry_run")]
    reason: Option<String>,
    /// Counts the keys and changes nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    sending: Sending,
}

/// What the keys have in common.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
struct By {
    /// Keys of this topic.
    #[arg(long)]
    topic: Option<String>,
    /// Keys whose first record has this error, word for word.
    #[arg(long)]
    error: Option<String>,
}

impl By {
    fn body(&self) -> Value {
        let mut body = json!({});
        for (name, value) in [("topic", &self.topic), ("error", &self.error)] {
            if let Some(value) = value {
                body[name] = json!(value);
            }
        }
        body
    }
}

impl Selection {
    pub(super) async fn run(self, client: &mut Client, verb: &Verb) -> Result<Report, Failure> {
        if !self.dry_run {
            self.consent.check()?;
        }
        let mut body = self.by.body();
        let dry = Request::post(verb.path, body.to_string()).query(&[("dry_run", "true")]);
        let selected = client.send(dry).await?.body;
        let plan = plan(&selected, verb);
        if self.dry_run || count(&selected, "keys") == 0 {
            return Ok(Report::done(selected, vec![plan]));
        }
        self.consent.ask(&format!("{plan} Go on?"))?;
        if let Some(reason) = &self.reason {
            body["reason"] = json!(reason);
        }
        let sent = self.sending.begin();
        let (body, wait) = (body.to_string(), self.sending.once());
        let done = sent.once(client, verb.path, &body, wait).await?.body;
        Ok(ended(done, verb))
    }
}

/// What a dry run says.
fn plan(selected: &Value, verb: &Verb) -> String {
    let keys = count(selected, "keys");
    if keys == 0 {
        return "No key is parked with that.".to_owned();
    }
    let which = if selected["is_cut"] == true { "The first " } else { "" };
    let records = pieces(count(selected, "records"), "parked record");
    format!("{which}{} with {records} {}.", pieces(keys, "key"), verb.will)
}

/// How the commands have ended.
fn ended(done: Value, verb: &Verb) -> Report {
    let all = [
        ("accepted", "done"),
        ("refused", verb.refused),
        ("failed", "failed"),
        ("pending", "without an outcome yet"),
        ("unsent", "not sent"),
    ];
    let commands = &done["commands"];
    let ends: Vec<_> = all
        .into_iter()
        .map(|(name, text)| (count(commands, name), text))
        .filter(|(count, _)| *count > 0)
        .map(|(count, text)| format!("{count} {text}"))
        .collect();
    let keys = count(&done, "keys");
    let line = format!("{}: {}.", pieces(keys, "key"), ends.join(", "));
    let is_cut = done["is_cut"] == true;
    let is_done = count(commands, "accepted") == keys && !is_cut;
    let more = is_cut.then(|| "There are more such keys: do it again for them.".to_owned());
    Report::done(done, vec![line]).noting(more).only_if(is_done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plan_says_how_many_keys_and_what_happens_to_them() {
        let selected = json!({ "dry_run": true, "keys": 1, "records": 3, "is_cut": false });
        assert_eq!(
            plan(&selected, &RETRY),
            "1 key with 3 parked records will be tried again, each up to the first record that \
             still fails."
        );
        let many = json!({ "dry_run": true, "keys": 1000, "records": 1200, "is_cut": true });
        assert_eq!(
            plan(&many, &DROP),
            "The first 1000 keys with 1200 parked records will lose their first record, and the \
             others are applied."
        );
        assert_eq!(plan(&json!({ "keys": 0 }), &DROP), "No key is parked with that.");
    }

    #[test]
    fn selection_is_done_only_if_each_command_was_accepted_and_none_is_left() {
        let ends = |accepted: u64, refused: u64, is_cut: bool| {
            let commands = json!({
                "accepted": accepted, "refused": refused, "failed": 0, "pending": 0, "unsent": 0,
            });
            let done = json!({ "keys": 3, "records": 5, "is_cut": is_cut, "commands": commands });
            ended(done, &RETRY)
        };
        let all = ends(3, 0, false);
        assert_eq!((all.lines, all.is_done), (vec!["3 keys: 3 done.".to_owned()], true));
        let some = ends(2, 1, false);
        assert_eq!(some.lines, ["3 keys: 2 done, 1 still failing or changed since."]);
        assert!(!some.is_done);
        let first = ends(3, 0, true);
        assert!(!first.is_done && first.notes[0].contains("more such keys"));
    }

    #[test]
    fn body_has_only_what_is_selected_by() {
        let by = By { topic: None, error: Some("malformed".into()) };
        assert_eq!(by.body(), json!({ "error": "malformed" }));
    }
}
