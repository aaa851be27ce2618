//! Publishes notices. A projector does so after it has written, and names what a reader finds then:
//! an outcome, the versions of a read model, or that something has changed. It never waits for
//! Redis: a reader whose notice is lost polls the store.

use schemas::{Outcome, chain};
use uuid::Uuid;

use super::connection::Redis;

/// The prefix of the channels of outcomes.
pub(super) const OUTCOME: &str = "outcome:";
/// The channel of new versions in read models, one `<aggregate>/<id>@<version>` a line.
pub(super) const VIEW: &str = "view";
/// The types of aggregates whose versions are announced. Stock is not one of them, because two read
/// models hold it.
pub(super) const ANNOUNCED: [&str; 3] = ["user", "order", "notification"];
/// The channel of new entries in any live stream.
pub(super) const LIVE: &str = "live";
/// The channel of changes of the statistics. Its notices are empty.
pub(super) const STATISTICS: &str = "statistics";
/// The channel of changes of what operators see. Its notices are empty.
pub(super) const OPERATIONS: &str = "operations";

/// Publishes that commands have outcomes, and which, in a task of its own. After a notice without
/// the outcome the reader asks the store.
pub(crate) fn publish_outcomes<'a>(
    redis: &Redis,
    outcomes: impl Iterator<Item = (Uuid, Option<&'a Outcome>)>,
) {
    let mut pipe = redis::pipe();
    for (command_id, outcome) in outcomes {
        let content = outcome.and_then(|outcome| serde_json::to_string(outcome).ok());
        let channel = format!("{OUTCOME}{command_id}");
        pipe.cmd("PUBLISH").arg(channel).arg(content.unwrap_or_default()).ignore();
    }
    publish(redis, pipe);
}

/// Publishes that the read model of an aggregate's type holds these versions of ids, in a task of
/// its own. To be called after they were written.
pub(crate) fn publish_views<'a>(
    redis: &Redis,
    aggregate: &str,
    versions: impl Iterator<Item = (&'a str, i64)>,
) {
    let lines: Vec<_> =
        versions.map(|(id, version)| format!("{aggregate}/{id}@{version}")).collect();
    if !lines.is_empty() {
        let mut pipe = redis::pipe();
        pipe.cmd("PUBLISH").arg(VIEW).arg(lines.join("\n")).ignore();
        publish(redis, pipe);
    }
}

/// Publishes that the statistics have changed, in a task of its own. To be called after the commit.
pub(crate) fn publish_statistics(redis: &Redis) {
    publish_change(redis, STATISTICS);
}

/// Publishes that what operators see has changed, in a task of its own. To be called after the
/// commit.
pub(crate) fn publish_operations(redis: &Redis) {
    publish_change(redis, OPERATIONS);
}

fn publish_change(redis: &Redis, channel: &str) {
    let mut pipe = redis::pipe();
    pipe.cmd("PUBLISH").arg(channel).arg("").ignore();
    publish(redis, pipe);
}

fn publish(redis: &Redis, pipe: redis::Pipeline) {
    let mut connection = redis.connection();
    tokio::spawn(async move {
        if let Err(error) = pipe.query_async::<()>(&mut connection).await {
            tracing::debug!(error = chain(&error), "no notices were sent");
        }
    });
}
