//! The shop's statistics: figures in windows of a minute and of an hour. A window is one of event
//! time: an event counts where its own time field says, however late it is projected.
//!
//! - `fact`: what of an event counts
//! - `gains`: folds facts into what each figure of each window gains
//! - `sql`: loads and stores rows
//! - `reads`: what the gateway reads
//!
//! The rows have no version of an aggregate: only the transaction that moves the position past an
//! event adds what it counts, so that it counts once. Nothing here holds personal data.

mod fact;
mod gains;
mod reads;
mod sql;
#[cfg(test)]
mod tests;

use deadpool_postgres::Transaction;
use schemas::{Codec, Message as _, Schema, notification, order, user};

pub use reads::{Seller, StatisticsView, Window};

use super::{
    error::failed,
    model::{Model, Removal},
};
use crate::{
    StoreError,
    event::records,
    projection::{Batch, Retention},
    redis::{Redis, publish_statistics},
};
use fact::Fact;
use gains::Gains;

/// The width of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Width {
    /// One minute; kept for an hour.
    Minute,
    /// One hour; kept for 30 days.
    Hour,
}

impl Width {
    /// Both.
    pub(super) const ALL: [Self; 2] = [Self::Minute, Self::Hour];

    /// The width in milliseconds.
    pub fn ms(self) -> i64 {
        match self {
            Self::Minute => 60_000,
            Self::Hour => 3_600_000,
        }
    }

    /// How many windows are kept.
    pub fn kept(self) -> i64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 30 * 24,
        }
    }

    /// The start of the window that holds this time.
    pub fn start_ms(self, at_ms: i64) -> i64 {
        at_ms.div_euclid(self.ms()).saturating_mul(self.ms())
    }

    /// The start of the oldest window that is kept at this time.
    pub fn first_ms(self, now_ms: i64) -> i64 {
        self.start_ms(now_ms).saturating_sub((self.kept() - 1) * self.ms())
    }
}

/// The projection.
pub(crate) struct Statistics {
    redis: Redis,
}

impl Statistics {
    /// The projection that notifies over `redis`.
    pub(crate) fn new(redis: &Redis) -> Self {
        Self { redis: redis.clone() }
    }
}

const REMOVE_MINUTES: &str = "DELETE FROM statistics WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM statistics
    WHERE width_ms = 60000 AND start_ms < $1 ORDER BY start_ms LIMIT $2))";
const REMOVE_HOURS: &str = "DELETE FROM statistics WHERE ctid = ANY(ARRAY(
    SELECT ctid FROM statistics
    WHERE width_ms = 3600000 AND start_ms < $1 ORDER BY start_ms LIMIT $2))";
const REMOVE_PLACED: &str = "DELETE FROM statistics_placed WHERE order_id IN
    (SELECT order_id FROM statistics_placed WHERE placed_at < $1 ORDER BY placed_at LIMIT $2)";

impl Model for Statistics {
    const WRITING: &'static str = "writing statistics";
    type Changes<'a> = Vec<Fact>;
    /// Whether a window has changed.
    type Written = bool;

    fn name(&self) -> &'static str {
        "statistics"
    }

    fn topics(&self) -> &'static [&'static str] {
        &["user.events", "order.events", "notification.events"]
    }

    fn schemas() -> &'static [&'static Schema] {
        static ALL: std::sync::LazyLock<Vec<&'static Schema>> = std::sync::LazyLock::new(|| {
            [user::Event::schemas(), order::Event::schemas(), notification::Event::schemas()]
                .concat()
        });
        &ALL
    }

    fn erasure(&self) -> Vec<&'static str> {
        vec!["DELETE FROM statistics", "DELETE FROM statistics_placed"]
    }

    fn decode(batches: &[Batch<'_>], codec: &Codec) -> Result<Vec<Fact>, StoreError> {
        let facts = records(batches).map(|record| fact::of(record, codec));
        facts.filter_map(Result::transpose).collect()
    }

    async fn write(
        &self,
        transaction: &Transaction<'_>,
        facts: &Self::Changes<'_>,
    ) -> Result<bool, StoreError> {
        let failed = failed(Self::WRITING);
        let placed = sql::placed(transaction, &fact::placed_before(facts)).await;
        let gains = Gains::of(facts, placed.map_err(&failed)?);
        sql::add(transaction, &gains).await.map_err(&failed)?;
        Ok(!gains.values.is_empty())
    }

    fn committed(&self, _facts: &Self::Changes<'_>, has_changed: bool) {
        if has_changed {
            publish_statistics(&self.redis);
        }
    }

    /// Windows that are not read any more. An order whose end never came is forgotten with the last
    /// window that could count it.
    fn removals(retention: Retention) -> Vec<Removal> {
        let first_ms = |width: Width| width.first_ms(retention.now_ms);
        vec![
            Removal { sql: REMOVE_MINUTES, before_ms: first_ms(Width::Minute) },
            Removal { sql: REMOVE_HOURS, before_ms: first_ms(Width::Hour) },
            Removal { sql: REMOVE_PLACED, before_ms: first_ms(Width::Hour) },
        ]
    }
}
