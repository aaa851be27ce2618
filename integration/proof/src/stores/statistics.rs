//! Invariant E for the statistics: the windows of an hour, against the fold of the events.

use std::collections::BTreeMap;

use schemas::notification::{self, Mail, State};
use schemas::{order, user};

use crate::ledger::{Damage, Ledger, Violation};

const HOUR_MS: i64 = 3_600_000;

/// The value of each figure by the window's start, its name and its label. Mails are in one window:
/// their events have no time of their own. Times until orders are confirmed are in one bucket.
type Figures = BTreeMap<(i64, String, String), i64>;

/// The figures of mails.
const MAILS: [&str; 2] = ["mails_sent", "mails_failed"];

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
    Ok(broken(&stored, &folded(ledger), under_way(ledger)))
}

/// The number of mails that were under way when the topics were read.
fn under_way(ledger: &Ledger) -> i64 {
    let states = ledger.folds.notifications.aggregates.values();
    let requested = states.filter(
        |(_, state)| matches!(state, Some(State::Raised(raised)) if raised.mail == Mail::Requested),
    );
    i64::try_from(requested.count()).unwrap_or(i64::MAX)
}

/// The differences of the figures. Of the mails that were under way when the topics were read, the
/// store may know the end of some: those that it has more than the events.
fn broken(stored: &Figures, folded: &Figures, under_way: i64) -> Vec<Violation> {
    let value = |figures: &Figures, key| figures.get(key).copied();
    let mut left = under_way;
    let mut keys: Vec<_> = stored.keys().chain(folded.keys()).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.retain(|key| {
        let (stored, folded) = (value(stored, key), value(folded, key));
        let newer = stored.unwrap_or(0) - folded.unwrap_or(0);
        if MAILS.contains(&&*key.1) && (1..=left).contains(&newer) {
            left -= newer;
            return false;
        }
        stored != folded
    });
    let broken = keys.into_iter().map(|key| {
        let (stored, folded) = (value(stored, key), value(folded, key));
        let what = format!("statistics {key:?}: PostgreSQL has {stored:?}, the events {folded:?}");
        Violation::new('E', Damage::Torn, what)
    });
    broken.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(values: &[(&str, i64)]) -> Figures {
        values
            .iter()
            .map(|(name, value)| ((0, (*name).to_owned(), String::new()), *value))
            .collect()
    }

    #[test]
    fn figure_must_be_what_the_events_give() {
        let folded = figures(&[("placed", 3), ("revenue", 7)]);
        assert_eq!(broken(&folded, &folded, 5), []);
        let stored = figures(&[("placed", 4), ("revenue", 7), ("cancelled", 1)]);
        assert_eq!(broken(&stored, &folded, 5).len(), 2);
        assert_eq!(broken(&figures(&[("placed", 3)]), &folded, 5).len(), 1);
    }

    #[test]
    fn store_may_know_the_end_of_mails_that_were_under_way_and_of_no_others() {
        let folded = figures(&[("mails_sent", 10), ("mails_failed", 2)]);
        let stored = figures(&[("mails_sent", 12), ("mails_failed", 3)]);
        assert_eq!(broken(&stored, &folded, 3), []);
        assert_eq!(broken(&stored, &folded, 2).len(), 1);
        assert_eq!(broken(&stored, &folded, 0).len(), 2);
        assert_eq!(broken(&folded, &stored, 3).len(), 2, "it must know those that have ended");
    }
}
