//! What operators have done.

use serde_json::Value;

use super::pages::Pages;
use crate::{
    client::Client,
    failure::Failure,
    report::Report,
    text::{
        table::Column,
        value::{count, optional, pieces, text},
    },
};

const PATH: &str = "/v1/operations/actions";

const COLUMNS: &[Column] = &[
    ("AT", |it| text(it, "at")),
    ("WHO", |it| text(it, "who")),
    ("ACTION", action),
    ("TOPIC", |it| text(it, "topic")),
    ("KEY", |it| text(it, "key")),
    ("RESULT", result),
    ("COMMAND", |it| text(it, "command")),
    ("REASON", |it| text(it, "reason")),
];

/// Lists them.
pub(super) async fn run(client: &mut Client, pages: &Pages) -> Result<Report, Failure> {
    let list = pages.read(client, PATH, &[]).await?;
    Ok(list.report(COLUMNS, "No operator has done anything."))
}

/// The name of the program's command that does it.
fn action(it: &Value) -> String {
    const ACTIONS: [(&str, &str); 4] = [
        ("revealed_offset", "reveal"),
        ("resent_offset", "resend"),
        ("edited_offset", "edit"),
        ("dropped_offset", "drop"),
    ];
    let found = ACTIONS.iter().find(|(field, _)| optional(it, field).is_some());
    found.map_or("retry", |(_, name)| name).to_owned()
}

fn result(it: &Value) -> String {
    if let Some(offset) = optional(it, "parked_from") {
        return format!("offset {offset} still fails");
    }
    match &*action(it) {
        "reveal" => "shown".to_owned(),
        "resend" => "sent again".to_owned(),
        _ => format!("{} released", pieces(count(it, "released"), "record")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::text::{columns, table};

    #[test]
    fn list_says_who_has_done_what_and_why() {
        let at = "2026-11-28T05:54:18.123Z";
        let items = [
            json!({
                "at": at, "who": "ada", "reason": "mended", "topic": "order.followups",
                "key": "o-1", "command": "c-1", "released": 3,
            }),
            json!({
                "at": at, "who": "operator", "topic": "order.followups", "key": "o-2",
                "command": "c-2", "released": 1, "dropped_offset": 5, "parked_from": 7,
            }),
            json!({
                "at": at, "who": "ada", "reason": "a\u{1b}[2J", "topic": "order.commands",
                "key": "order.commands:2:17", "command": "c-3", "released": 0,
                "revealed_offset": 17,
            }),
            json!({
                "at": at, "who": "ada", "reason": "mended", "topic": "order.commands",
                "key": "order.commands:2:18", "command": "c-4", "released": 0,
                "resent_offset": 18,
            }),
            json!({
                "at": at, "who": "ada", "reason": "a typing error", "topic": "order.followups",
                "key": "o-3", "command": "c-5", "released": 2, "edited_offset": 5,
            }),
        ];
        let lines = table::list(COLUMNS, &items, "");
        let shown: Vec<_> = lines.iter().map(|line| columns(line)).collect();
        assert_eq!(
            shown,
            [
                "AT|WHO|ACTION|TOPIC|KEY|RESULT|COMMAND|REASON".to_owned(),
                format!("{at}|ada|retry|order.followups|o-1|3 records released|c-1|mended"),
                format!("{at}|operator|drop|order.followups|o-2|offset 7 still fails|c-2|-"),
                format!(
                    r"{at}|ada|reveal|order.commands|order.commands:2:17|shown|c-3|a\u{{1b}}[2J"
                ),
                format!("{at}|ada|resend|order.commands|order.commands:2:18|sent again|c-4|mended"),
                format!("{at}|ada|edit|order.followups|o-3|2 records released|c-5|a typing error"),
            ]
        );
    }
}
