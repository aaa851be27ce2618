//! Dead letters: their list, their content, their personal fields, and how they are sent again.

use clap::{Args, Subcommand};
use reqwest::Url;
use serde_json::{Value, json};

use super::{
    action::{Reason, Sending, command_line},
    pages::{List, Pages},
    parked::content,
};
use crate::{
    client::{Answer, Client, Request},
    failure::Failure,
    report::Report,
    text::{
        table::Column,
        value::{place, short_type, text},
    },
};

const PATH: &str = "/v1/operations/dead-letters";

/// What to do with dead letters.
#[derive(Debug, Subcommand)]
pub(crate) enum Dead {
    /// Lists dead letters, the newest first.
    List(Pages),
    /// Shows a dead letter, decoded, with personal fields masked.
    Show {
        /// Its id, such as order.commands:2:17.
        id: String,
    },
    /// Shows a dead letter with its personal fields. An event says who has done so, and why.
    Reveal(Action),
    /// Sends a dead letter again, once. If its record fails again, nothing has changed.
    Resend(Action),
}

/// What is done to which dead letter, and why.
#[derive(Debug, Args)]
pub(crate) struct Action {
    /// Its id, such as order.commands:2:17.
    id: String,
    #[command(flatten)]
    reason: Reason,
    #[command(flatten)]
    sending: Sending,
}

impl Dead {
    pub(super) async fn run(self, client: &mut Client) -> Result<Report, Failure> {
        match self {
            Self::List(pages) => {
                let list = pages.read(client, PATH, &[]).await?;
                Ok(list.report(COLUMNS, "There is no dead letter."))
            }
            Self::Show { id } => {
                let answer = client.send(Request::get(&path_of(&id))).await;
                let body = answer.map_err(|failure| unknown(failure, &id))?.body;
                let lines = letter(&body);
                Ok(Report::done(body, lines))
            }
            Self::Reveal(action) => action.run(client, "reveal", |it| letter(&it.body)).await,
            Self::Resend(action) => {
                let done = |answer: &Answer| {
                    let said = "The dead letter was sent again.".to_owned();
                    [Some(said), command_line(answer)].into_iter().flatten().collect()
                };
                action.run(client, "resend", done).await
            }
        }
    }
}

impl Action {
    /// Sends the action `verb`; `done` says what its answer means.
    async fn run(
        self,
        client: &mut Client,
        verb: &str,
        done: impl FnOnce(&Answer) -> Vec<String>,
    ) -> Result<Report, Failure> {
        let Self { id, reason: Reason { reason }, sending } = self;
        let body = json!({ "id": id, "reason": reason }).to_string();
        let ended = sending.begin().decided(client, &format!("{PATH}:{verb}"), &body, done).await;
        ended.map_err(|failure| unknown(failure, &id))
    }
}

/// Reads the first page of dead letters.
pub(super) async fn first_page(client: &mut Client) -> Result<List, Failure> {
    Pages::first().read(client, PATH, &[]).await
}

/// The path of a dead letter, whose id may be anything that was typed.
fn path_of(id: &str) -> String {
    let mut url = Url::parse("http://none").ok();
    if let Some(mut segments) = url.as_mut().and_then(|url| url.path_segments_mut().ok()) {
        segments.push(id);
    }
    let last = url.as_ref().map_or("/", Url::path);
    format!("{PATH}{last}")
}

fn unknown(failure: Failure, id: &str) -> Failure {
    failure.or_if(404, || {
        format!("there is no dead letter {id}: expected an ID of `millrace dead list`")
    })
}

const COLUMNS: &[Column] = &[
    ("ID", |it| text(it, "id")),
    ("AT", |it| text(it, "at")),
    ("RECORD", place),
    ("TYPE", short_type),
    ("KEY", |it| text(it, "key")),
    ("SENDER", |it| text(it, "sender")),
    ("ERROR", |it| text(it, "error")),
];

/// A dead letter and its content.
fn letter(it: &Value) -> Vec<String> {
    let mut lines = vec![
        format!("Dead letter {}: {}", text(it, "id"), text(it, "type")),
        format!("  {}", text(it, "error")),
        format!("  record {}, key {}", place(it), text(it, "key")),
        format!("  dead since {}, sent by {}", text(it, "at"), text(it, "sender")),
    ];
    lines.extend(content(it));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::table;

    fn captured() -> Value {
        json!({
            "id": "order.commands:2:17", "topic": "order.commands", "partition": 2, "offset": 7,
            "dead_offset": 17, "at": "2026-11-28T05:54:18.123Z", "error": "malformed", "type": "",
            "sender": "operator", "bytes": 9, "headers": { "ce_id": "an id" },
            "omitted": "it begins with byte 112",
        })
    }

    #[test]
    fn letter_is_shown_with_where_it_was_and_what_it_says() {
        let lines = table::list(COLUMNS, &[captured()], "");
        assert!(
            lines[1].starts_with("order.commands:2:17  2026-11-28T05:54:18.123Z  "),
            "{lines:?}"
        );
        assert!(
            lines[1].ends_with("order.commands[2]@7  -     -    operator  malformed"),
            "{lines:?}"
        );
        assert_eq!(
            letter(&captured()),
            [
                "Dead letter order.commands:2:17: -",
                "  malformed",
                "  record order.commands[2]@7, key -",
                "  dead since 2026-11-28T05:54:18.123Z, sent by operator",
                "  ce_id: an id",
                "  There is no value: it begins with byte 112.",
            ]
        );
    }

    #[test]
    fn id_stays_one_part_of_the_path() {
        assert_eq!(path_of("order.commands:2:17"), format!("{PATH}/order.commands:2:17"));
        assert_eq!(path_of("a/../b?c#d e"), format!("{PATH}/a%2F..%2Fb%3Fc%23d%20e"));
    }
}
