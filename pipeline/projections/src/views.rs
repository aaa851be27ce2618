//! What a reader gets: plain data, with times in milliseconds since the epoch. Holds no rules, and
//! knows no store.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::text;

/// An order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Order {
    /// The order's id.
    #[serde(rename = "_id", alias = "id", with = "text")]
    pub id: Uuid,
    /// Whose it is.
    #[serde(with = "text")]
    pub user_id: Uuid,
    /// `placed`, `confirmed`, `rejected` or `cancelled`.
    pub status: String,
    /// What is ordered.
    pub lines: Vec<Line>,
    /// What it costs, in minor units, once that is known.
    pub total_minor: Option<i64>,
    /// The currency of it.
    pub currency: Option<String>,
    /// Why it was rejected or cancelled.
    pub reason: Option<String>,
    /// When it was placed.
    pub placed_at: i64,
    /// When it last changed.
    pub changed_at: i64,
    /// Its version.
    pub version: i64,
}

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What.
    pub sku: String,
    /// How many.
    pub quantity: i32,
    /// For how much each, in minor units, once that is known.
    pub unit_price_minor: Option<i64>,
}

/// An event in the history of an order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Happened {
    /// The order's version after it.
    pub version: i64,
    /// The event's name without its namespace, such as `OrderPlaced`.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was written.
    pub at: i64,
    /// What the event says.
    pub data: Value,
}

/// A product with its stock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// The stock keeping unit.
    #[serde(rename = "_id", alias = "sku")]
    pub sku: String,
    /// The name.
    pub name: String,
    /// What one costs, in minor units.
    pub price_minor: i64,
    /// The price's currency.
    pub currency: String,
    /// All that was ever received.
    pub received: i64,
    /// What can be ordered.
    pub free: i64,
    /// What living orders hold.
    pub held: i64,
    /// Its version.
    pub version: i64,
}

/// A notification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notification {
    /// Its id.
    #[serde(rename = "_id", alias = "id", with = "text")]
    pub id: Uuid,
    /// Whose it is.
    #[serde(with = "text")]
    pub user_id: Uuid,
    /// What it is about: `welcome`, `order_confirmed`, `order_rejected`, `order_cancelled`.
    pub kind: String,
    /// A line.
    pub title: String,
    /// The text.
    pub body: String,
    /// The order that it is about.
    #[serde(with = "text::option", default)]
    pub order_id: Option<Uuid>,
    /// When it was raised.
    pub raised_at: i64,
    /// When its recipient read it.
    pub read_at: Option<i64>,
    /// What came of the mail, if one was to be sent: `requested`, `sent` or `failed`.
    pub mail: Option<String>,
    /// Its version.
    pub version: i64,
}

/// Whom mail goes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The address.
    pub email: String,
    /// The name.
    pub name: String,
}

/// A place in a list that is sorted by time and id, newest first. Stable: what is added later comes
/// before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// The time of the last thing seen.
    pub at: i64,
    /// Its id.
    pub id: Uuid,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", self.at, self.id)
    }
}

/// A text that no [`Cursor`] was written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor")]
pub struct NotACursor;

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let (at, id) = text.split_once('_').ok_or(NotACursor)?;
        Ok(Self {
            at: at.parse().map_err(|_| NotACursor)?,
            id: id.parse().map_err(|_| NotACursor)?,
        })
    }
}

/// Some of a list, and where the rest begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, C = Cursor> {
    /// The things.
    pub items: Vec<T>,
    /// What to ask for the next ones with; `None` at the end.
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// A page of `limit` things, made from one more than that if there are more.
    pub(crate) fn cut(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> C) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_back_from_its_text() {
        let cursor = Cursor { at: 1_700_000_000_123, id: Uuid::from_u128(7) };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        assert_eq!("1700_x".parse::<Cursor>(), Err(NotACursor));
        assert_eq!("17".parse::<Cursor>(), Err(NotACursor));
    }

    #[test]
    fn a_page_has_a_next_only_where_there_is_more() {
        let page = Page::cut(vec![1, 2, 3], 2, |n| *n);
        assert_eq!((page.items, page.next), (vec![1, 2], Some(2)));
        let page = Page::cut(vec![1, 2], 2, |n| *n);
        assert_eq!((page.items, page.next), (vec![1, 2], None));
    }
}
