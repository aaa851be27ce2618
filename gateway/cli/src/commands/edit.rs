//! Applies the first parked record of a key with another value. The gateway checks the value before
//! anything is written.

use std::{
    fs::File,
    io::{Read, stdin},
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::{Value, json};

use super::{
    action::{Sending, command_line},
    key::Key,
    pages::Pages,
};
use crate::{
    client::{Answer, Client, Request},
    failure::Failure,
    report::Report,
    text::{
        escape,
        value::{optional, text},
    },
};

const PATH: &str = "/v1/operations/parked:edit";

/// The most bytes of a body that the gateway takes.
const VALUE_BYTES_MAX: u64 = 64 << 10;

/// Which record, and the value that it gets. A repeat names its type: the record of which it would
/// be read is not parked any more.
#[derive(Debug, Args)]
#[command(mut_arg("idempotency_key", |key| key.requires("record_type")))]
pub(crate) struct Edit {
    #[command(flatten)]
    key: Key,
    /// The offset of the first parked record. If another one is first, nothing is done.
    #[arg(long)]
    offset: u64,
    /// A file with the value as JSON, as `millrace parked show` shows it; `-` is the standard
    /// input. What is masked there and not changed is kept.
    #[arg(long, value_name = "FILE")]
    value: PathBuf,
    /// The full name of the record that the value is; by default the type that the record has.
    #[arg(long = "type", value_name = "NAME")]
    record_type: Option<String>,
    /// Why, on one line of up to 500 characters. It is kept with your name.
    #[arg(long, value_name = "WHY", required_unless_present = "dry_run")]
    reason: Option<String>,
    /// Checks the value and changes nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    sending: Sending,
}

impl Edit {
    pub(super) async fn run(self, client: &mut Client) -> Result<Report, Failure> {
        let Self { key, offset, value, record_type, reason, dry_run, sending } = self;
        let value = read(&value)?;
        let (record_type, found) = match record_type {
            Some(record_type) => (record_type, None),
            None => {
                let found = type_of(client, &key).await?;
                let option = type_option(&found);
                (found, Some(option))
            }
        };
        let mut about = json!({
            "topic": key.topic, "key": key.key, "offset": offset, "type": record_type,
        });
        if dry_run {
            let body = with_value(&about, &value);
            let request = Request::post(PATH, body).query(&[("dry_run", "true")]);
            let checked = client.send(request).await?.body;
            let lines = plan(&checked);
            return Ok(Report::done(checked, lines));
        }
        about["reason"] = json!(reason);
        let body = with_value(&about, &value);
        let done = |answer: &Answer| {
            let said = format!(
                "The record at offset {offset} of {}, key {}, was applied with the new value.",
                key.topic, key.key
            );
            [Some(said), command_line(answer)].into_iter().flatten().collect()
        };
        sending.begin_with(found).decided(client, PATH, &body, done).await
    }
}

/// The fields of `about` and the value, as it is written. A value that was read and written again
/// would have lost the first of two fields with one name, which the gateway refuses, and digits of
/// large numbers.
fn with_value(about: &Value, value: &str) -> String {
    let about = about.to_string();
    let fields = about.strip_suffix('}').unwrap_or(&about);
    format!(r#"{fields},"value":{value}}}"#)
}

/// The value in a file, as it is written.
fn read(path: &Path) -> Result<String, Failure> {
    let shown = path.display();
    let wrong = |why: String| Failure::Usage(format!("the value in {shown}: {why}"));
    let from: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(stdin()),
        false => Box::new(File::open(path).map_err(|error| wrong(error.to_string()))?),
    };
    let mut bytes = Vec::new();
    let read = from.take(VALUE_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|error| wrong(error.to_string()))?;
    if bytes.len() as u64 > VALUE_BYTES_MAX {
        return Err(wrong(format!("expected at most {VALUE_BYTES_MAX} bytes")));
    }
    let no_json = |error: &dyn std::fmt::Display| wrong(format!("expected JSON: {error}"));
    let text = String::from_utf8(bytes).map_err(|error| no_json(&error))?;
    let checked: Result<Value, _> = serde_json::from_str(&text);
    checked.map_err(|error| no_json(&error))?;
    Ok(text)
}

/// The type of the first parked record.
async fn type_of(client: &mut Client, key: &Key) -> Result<String, Failure> {
    let list = key.records(client, &Pages::one()).await?;
    let first = list.items.first().ok_or_else(|| Failure::Failed(key.nothing()))?;
    optional(first, "type")
        .filter(|name| !name.is_empty())
        .ok_or_else(|| Failure::Failed("the record names no type: expected --type".to_owned()))
}

/// The option that names this type, for a shell. Anybody may have written the type.
fn type_option(name: &str) -> String {
    format!("--type '{}'", name.replace('\'', r"'\''"))
}

/// What a dry run says.
fn plan(checked: &Value) -> Vec<String> {
    let mut lines = vec![format!(
        "The record at offset {} would be applied as {}.",
        text(checked, "offset"),
        text(checked, "type")
    )];
    for (name, title) in [("before", "Before:"), ("after", "After:")] {
        lines.push(title.to_owned());
        lines.extend(escape::json(&checked[name]).iter().map(|line| format!("  {line}")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dry_run_shows_the_value_before_and_after() {
        let checked = json!({
            "dry_run": true, "offset": 5, "type": "millrace.stock.ReserveStock",
            "before": null, "after": { "sku": "tea" },
        });
        assert_eq!(
            plan(&checked),
            [
                "The record at offset 5 would be applied as millrace.stock.ReserveStock.",
                "Before:",
                "  null",
                "After:",
                "  {",
                "    \"sku\": \"tea\"",
                "  }",
            ]
        );
    }

    #[test]
    fn option_with_a_type_is_one_word_for_a_shell() {
        assert_eq!(type_option("millrace.stock.X"), "--type 'millrace.stock.X'");
        assert_eq!(type_option("a'; b"), r"--type 'a'\''; b'");
    }

    #[test]
    fn value_is_sent_as_it_is_written() {
        let value = r#"{ "sku": "tea", "sku": "rye", "at": 123456789012345678901234567890 }"#;
        let body = with_value(&json!({ "topic": "order.followups" }), value);
        assert_eq!(body, format!(r#"{{"topic":"order.followups","value":{value}}}"#));
    }

    #[test]
    fn value_that_is_no_json_or_not_there_is_refused_with_what_was_expected() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("value");
        std::fs::write(&file, "{").expect("written");
        let error = read(&file).expect_err("no JSON").to_string();
        assert!(error.contains("expected JSON"), "{error}");
        std::fs::write(&file, vec![b' '; 70_000]).expect("written");
        let error = read(&file).expect_err("too long").to_string();
        assert!(error.contains("expected at most 65536 bytes"), "{error}");
        assert!(read(&folder.path().join("none")).is_err());
    }
}
