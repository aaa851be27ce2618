//! The shop's statistics as clients see them: windows of a minute or an hour, for admins or for
//! everyone. Nothing in them is personal. This module reads no store.
//!
//! - `frame`: what the stream hands out

mod frame;

use std::collections::BTreeMap;

use projections::postgres::{self, Seller};
use serde::Serialize;

use crate::time;

pub use frame::Frame;

/// The width of windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The last 60 minutes.
    #[default]
    Minute,
    /// The last 720 hours.
    Hour,
}

/// Who reads statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Audience {
    /// Admins see all figures.
    Admins,
    /// Everyone sees how orders fare and what sells, but neither revenue nor users.
    Everyone,
}

/// The windows that are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Statistics {
    /// The width of the windows.
    pub by: By,
    /// The start of the oldest window that is kept, in milliseconds.
    pub first_ms: i64,
    /// The windows in which something happened, and the best sellers of all of them.
    pub view: postgres::StatisticsView,
}

/// Statistics as JSON for an audience. It may hold fewer windows than there are.
#[derive(Serialize)]
struct Shown<'a> {
    by: By,
    first: String,
    windows: Vec<ShownWindow<'a>>,
    best_sellers: Vec<ShownSeller<'a>>,
}

#[derive(PartialEq, Serialize)]
struct ShownWindow<'a> {
    start: String,
    placed: i64,
    confirmed: i64,
    rejected: i64,
    cancelled: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirm_p50_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirm_p99_ms: Option<i64>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    internal: Option<Internal<'a>>,
}

/// What only admins see.
#[derive(PartialEq, Serialize)]
struct Internal<'a> {
    revenue_minor: &'a BTreeMap<String, i64>,
    registrations: i64,
    notifications: i64,
    mails_sent: i64,
    mails_failed: i64,
}

#[derive(Serialize)]
struct ShownSeller<'a> {
    sku: &'a str,
    units: i64,
}

impl Statistics {
    /// The JSON for an audience.
    pub fn shown(&self, audience: Audience) -> impl Serialize + '_ {
        self.shown_without(audience, None)
    }

    /// The JSON for an audience that knows the windows of `known`. Windows are compared as the
    /// audience sees them, so that it does not notice changes of figures that it must not see.
    fn shown_without(&self, audience: Audience, known: Option<&Self>) -> Shown<'_> {
        let known: Vec<_> = known.into_iter().flat_map(|it| it.windows(audience)).collect();
        let windows = self.windows(audience).filter(|window| !known.contains(window));
        Shown {
            by: self.by,
            first: time::text(self.first_ms),
            windows: windows.collect(),
            best_sellers: self.view.best_sellers.iter().map(shown_seller).collect(),
        }
    }

    /// The windows in which something happened that the audience sees.
    fn windows(&self, audience: Audience) -> impl Iterator<Item = ShownWindow<'_>> {
        let windows = self.view.windows.iter().map(move |window| shown_window(window, audience));
        windows.filter(|window| window.internal.is_some() || window.has_orders())
    }
}

impl ShownWindow<'_> {
    fn has_orders(&self) -> bool {
        let counts = [self.placed, self.confirmed, self.rejected, self.cancelled];
        counts.iter().any(|count| *count != 0) || self.confirm_p50_ms.is_some()
    }
}

fn shown_seller(Seller { sku, units }: &Seller) -> ShownSeller<'_> {
    ShownSeller { sku, units: *units }
}

fn shown_window(window: &postgres::Window, audience: Audience) -> ShownWindow<'_> {
    let internal = || Internal {
        revenue_minor: &window.revenue,
        registrations: window.registrations,
        notifications: window.notifications,
        mails_sent: window.mails_sent,
        mails_failed: window.mails_failed,
    };
    ShownWindow {
        start: time::text(window.start_ms),
        placed: window.placed,
        confirmed: window.confirmed,
        rejected: window.rejected,
        cancelled: window.cancelled,
        confirm_p50_ms: window.confirm_within_ms(50),
        confirm_p99_ms: window.confirm_within_ms(99),
        internal: (audience == Audience::Admins).then(internal),
    }
}
