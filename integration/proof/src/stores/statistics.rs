//! Invariant E for the statistics: the windows of an hour, against the fold of the events.

use std::collections::BTreeMap;

use schemas::{notification, order, user};

use crate::ledger::{Damage, Ledger, Violation};

const HOUR_MS: i64 = 3_600_000;

/// The value of each figure by the window's start, its name and its label. Mails are in one window:
/// their events have no time of their own. Times until orders are confirmed are in one bucket.
type Figures = BTreeMap<(i64, String, String), i64>;

const STORED: &str = "
SELECT CASE WHEN figure IN ('mails_sent', 'mails_failed') THEN 0 ELSE start_ms END, figure,
    CASE WHEN figure = 'confirm_ms' THEN '' ELSE label END, sum(value)::bigint
FROM statistics WHERE width_ms = 3600000 GROUP BY 1, 2, 3";

/// The figures that the events give.
fn folded(ledger: &Ledger) -> Figures {
    let mut figures = Figures::new();
    let mut add = |at: i64, figure: &str, label: &str, value: i64| {
        let start = at.div_euclid(HOUR_MS) * HOUR_MS;
        *figures.entry((start, figure.to_owned(), label.to_owned())).or_default() += value;
    };
    for event in ledger.folds.users.events.values().flatten() {
        if let user::Event::UserRegistered(it) = event {
            add(it.registered_at, "registrations", "", 1);
        }
    }
    for event in ledger.folds.orders.events.values().flatten() {
        use order::Event as E;
        match event {
            E::OrderPlaced(it) => add(it.placed_at, "placed", "", 1),
            E::OrderRejected(it) => add(it.rejected_at, "rejected", "", 1),
            E::OrderCancelled(it) => add(it.cancelled_at, "cancelled", "", 1),
            E::OrderConfirmed(it) => {
                add(it.confirmed_at, "confirmed", "", 1);
                add(it.confirmed_at, "confirm_ms", "", 1);
                add(it.confirmed_at, "revenue", &it.total.currency, it.total.amount_minor);
                for line in &it.lines {
                    add(it.confirmed_at, "units", &line.sku, line.quantity.into());
                }
            }
            E::ReservationRecorded(_) => {}
        }
    }
    for event in ledger.folds.notifications.events.values().flatten() {
        use notification::Event as E;
        match event {
            E::NotificationRaised(it) => add(it.raised_at, "notifications", "", 1),
            E::MailSent(_) => add(0, "mails_sent", "", 1),
            E::MailFailed(_) => add(0, "mails_failed", "", 1),
            E::MailRequested(_) | E::NotificationRead(_) => {}
        }
    }
    figures
}

/// Compares the statistics with the ledger.
pub(super) async fn compare(
    postgres: &tokio_postgres::Client,
    ledger: &Ledger,
) -> anyhow::Result<Vec<Violation>> {
    let rows = postgres.query(STORED, &[]).await?;
    let stored: Figures =
        rows.iter().map(|row| ((row.get(0), row.get(1), row.get(2)), row.get(3))).collect();
    let folded = folded(ledger);
    let mut keys: Vec<_> = stored.keys().chain(folded.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    let differ = keys.into_iter().filter(|key| stored.get(*key) != folded.get(*key));
    let broken = differ.map(|key| {
        let (stored, folded) = (stored.get(key), folded.get(key));
        let what = format!("statistics {key:?}: PostgreSQL has {stored:?}, the events {folded:?}");
        Violation::new('E', Damage::Torn, what)
    });
    Ok(broken.collect())
}
