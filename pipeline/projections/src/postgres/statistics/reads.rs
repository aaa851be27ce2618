//! What the gateway reads of the statistics. Never writes.

use std::collections::BTreeMap;

use tokio_postgres::types::ToSql;

use super::{
    Width,
    gains::{CONFIRM_MS, REVENUE},
};
use crate::{StoreError, postgres::reads::Reads};

/// The best sellers that are read.
const SELLERS_MAX: i64 = 10;

/// The figures of one window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// The start of the window.
    pub start_ms: i64,
    /// Orders that were placed, confirmed, rejected and cancelled.
    pub placed: i64,
    /// Confirmed orders.
    pub confirmed: i64,
    /// Rejected orders.
    pub rejected: i64,
    /// Cancelled orders.
    pub cancelled: i64,
    /// The totals of confirmed orders in minor units, by currency.
    pub revenue: BTreeMap<String, i64>,
    /// How many orders were confirmed within a time, by the upper bound of its bucket in
    /// milliseconds.
    pub confirm_ms: BTreeMap<i64, i64>,
    /// Users who have registered.
    pub registrations: i64,
    /// Notifications that were raised.
    pub notifications: i64,
    /// Mails that the mail server has accepted.
    pub mails_sent: i64,
    /// Mails of which every attempt has failed.
    pub mails_failed: i64,
}

/// A product that sells well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seller {
    /// The stock-keeping unit.
    pub sku: String,
    /// Pieces in confirmed orders.
    pub units: i64,
}

/// The windows of one width that are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatisticsView {
    /// The windows in which something happened, the oldest first.
    pub windows: Vec<Window>,
    /// The products of which most pieces were sold in all of them, the best first.
    pub best_sellers: Vec<Seller>,
}

impl Window {
    /// The upper bound of the bucket that holds the quantile `part` (in percent) of the times until
    /// orders were confirmed; `None` if none was.
    pub fn confirm_within_ms(&self, part: i64) -> Option<i64> {
        let all: i64 = self.confirm_ms.values().sum();
        let rank = all.saturating_mul(part).saturating_add(99).div_euclid(100);
        let mut seen = 0;
        self.confirm_ms.iter().find_map(|(bound, count)| {
            seen += count;
            (seen >= rank).then_some(*bound)
        })
    }

    /// Sets the figure of a row. A figure of a newer version is ignored.
    pub(super) fn set(&mut self, figure: &str, label: String, value: i64) {
        match figure {
            "placed" => self.placed = value,
            "confirmed" => self.confirmed = value,
            "rejected" => self.rejected = value,
            "cancelled" => self.cancelled = value,
            "registrations" => self.registrations = value,
            "notifications" => self.notifications = value,
            "mails_sent" => self.mails_sent = value,
            "mails_failed" => self.mails_failed = value,
            REVENUE => {
                self.revenue.insert(label, value);
            }
            CONFIRM_MS => {
                self.confirm_ms.insert(label.parse().unwrap_or(i64::MAX), value);
            }
            _ => {}
        }
    }
}

impl Reads {
    /// The windows that are kept at `now_ms` and in which something happened, the oldest first.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn windows(&self, width: Width, now_ms: i64) -> Result<Vec<Window>, StoreError> {
        // An index has exactly these rows (migration 0013).
        let sql = "SELECT start_ms, figure, label, value FROM statistics
                   WHERE width_ms = $1 AND start_ms >= $2 AND figure <> 'units'
                   ORDER BY start_ms";
        let (width_ms, first_ms) = (width.ms(), width.first_ms(now_ms));
        let rows = self.all("reading statistics", sql, &[&width_ms, &first_ms]).await?;
        let mut windows: Vec<Window> = Vec::new();
        for row in rows {
            let start_ms = row.get(0);
            if windows.last().is_none_or(|last| last.start_ms != start_ms) {
                windows.push(Window { start_ms, ..Window::default() });
            }
            if let Some(window) = windows.last_mut() {
                window.set(row.get(1), row.get(2), row.get(3));
            }
        }
        Ok(windows)
    }

    /// The products of which most pieces were sold in all windows that are kept at `now_ms`, the
    /// best first. It adds up a row for each product and window, of which there may be millions.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn best_sellers(&self, width: Width, now_ms: i64) -> Result<Vec<Seller>, StoreError> {
        let sql = "SELECT label, least(sum(value), 9223372036854775807)::bigint FROM statistics
                   WHERE width_ms = $1 AND start_ms >= $2 AND figure = 'units'
                   GROUP BY label ORDER BY sum(value) DESC, label LIMIT $3";
        let (width_ms, first_ms) = (width.ms(), width.first_ms(now_ms));
        let parameters: [&(dyn ToSql + Sync); 3] = [&width_ms, &first_ms, &SELLERS_MAX];
        let rows = self.all("reading the best sellers", sql, &parameters).await?;
        Ok(rows.iter().map(|row| Seller { sku: row.get(0), units: row.get(1) }).collect())
    }
}
