//! Lists, page by page up to a bound.

use clap::Args;
use serde_json::{Value, json};

use crate::{
    client::{Client, Request},
    failure::Failure,
    report::Report,
    text::table::{self, Column},
};

/// The most items of a page, which the API bounds.
const PAGE_MAX: usize = 100;

/// How much of a list.
#[derive(Debug, Args)]
pub(crate) struct Pages {
    /// The most items, up to 5,000. A page has 100, and an address may send 100 requests in 15
    /// minutes.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=5_000))]
    limit: u16,
    /// Goes on after a list that was cut off: `next` of its JSON.
    #[arg(long)]
    cursor: Option<String>,
}

impl Pages {
    /// The first page alone.
    pub(super) fn first() -> Self {
        Self { limit: 100, cursor: None }
    }

    /// The first item alone.
    pub(super) fn one() -> Self {
        Self { limit: 1, cursor: None }
    }

    /// Reads a list.
    ///
    /// # Errors
    /// If a page can't be read.
    pub(super) async fn read(
        &self,
        client: &mut Client,
        path: &str,
        parameters: &[(&str, &str)],
    ) -> Result<List, Failure> {
        let mut list = List { items: Vec::new(), next: self.cursor.clone() };
        loop {
            let left = usize::from(self.limit) - list.items.len();
            let size = left.min(PAGE_MAX).to_string();
            let mut query = parameters.to_vec();
            query.push(("limit", &size));
            query.extend(list.next.as_deref().map(|cursor| ("cursor", cursor)));
            let mut page = client.send(Request::get(path).query(&query)).await?.body;
            let Value::Array(items) = page["items"].take() else {
                return Err(client.unexpected("a list"));
            };
            let is_last = items.is_empty();
            list.items.extend(items);
            list.items.truncate(usize::from(self.limit));
            list.next = page["next"].as_str().map(str::to_owned);
            if is_last || list.next.is_none() || list.items.len() == usize::from(self.limit) {
                return Ok(list);
            }
        }
    }
}

/// A list as far as it was read.
#[derive(Debug)]
pub(super) struct List {
    /// The items.
    pub(super) items: Vec<Value>,
    /// The cursor of what follows; `None` if nothing does.
    pub(super) next: Option<String>,
}

impl List {
    /// The list as a table.
    pub(super) fn report(self, columns: &[Column], empty: &str) -> Report {
        let lines = table::list(columns, &self.items, empty);
        self.with(lines)
    }

    /// The list with lines that show it.
    pub(super) fn with(self, lines: Vec<String>) -> Report {
        let note = self.next.as_ref().map(|cursor| {
            format!("There are more: read on with --cursor '{cursor}', or set --limit.")
        });
        let value = json!({ "items": self.items, "next": self.next });
        Report::done(value, lines).noting(note)
    }
}
