//! The table of all projections, with the service that runs each. A new projection is one file in
//! the folder of its store and one row here.

use crate::{Projection, Stores, mongo, postgres, redis};

/// Creates a projection over the stores.
pub type Create = fn(&Stores) -> Box<dyn Projection>;

/// The services that run a projection.
enum RunBy {
    /// The service of this name.
    One(&'static str),
    /// Every service that runs a projection of its own. They form one group, so that one of them is
    /// enough.
    All,
}

use RunBy::{All, One};

const ROWS: &[(RunBy, Create)] = &[
    (One("user"), |stores| stores.postgres.projection(postgres::Users::new(&stores.redis))),
    (One("user"), |stores| stores.postgres.projection(postgres::Credentials)),
    (One("user"), |stores| stores.redis.projection(redis::LIVE_USER)),
    (One("order"), |stores| stores.mongo.projection(mongo::Orders, &stores.redis)),
    (One("order"), |stores| stores.mongo.projection(mongo::Products, &stores.redis)),
    (One("order"), |stores| stores.redis.projection(redis::HotProducts)),
    (One("order"), |stores| stores.redis.projection(redis::LIVE_ORDER)),
    (One("notification"), |stores| stores.mongo.projection(mongo::Notifications, &stores.redis)),
    (One("notification"), |stores| {
        stores.mongo.projection(mongo::RecipientDocuments, &stores.redis)
    }),
    (One("notification"), |stores| stores.redis.projection(redis::Unread)),
    (One("notification"), |stores| stores.redis.projection(redis::LIVE_NOTIFICATION)),
    (All, |stores| stores.postgres.projection(postgres::Outcomes::new(&stores.redis))),
];

/// The projections that `service` runs; none if the table does not name it.
pub fn of(service: &str) -> Vec<Create> {
    let is_own = |run_by: &RunBy| matches!(run_by, One(name) if *name == service);
    if !ROWS.iter().any(|(run_by, _)| is_own(run_by)) {
        return Vec::new();
    }
    let rows = ROWS.iter().filter(|(run_by, _)| is_own(run_by) || matches!(run_by, All));
    rows.map(|(_, create)| *create).collect()
}

/// All projections, each once.
pub fn all(stores: &Stores) -> Vec<Box<dyn Projection>> {
    ROWS.iter().map(|(_, create)| create(stores)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn projections_have_names_of_their_own_and_one_partition_count_each() {
        let stores = Stores::for_tests().await;
        let all = all(&stores);
        let mut names: Vec<_> = all.iter().map(|projection| projection.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROWS.len(), "{names:?}");
        for projection in &all {
            let counts = projection
                .topics()
                .iter()
                .map(|topic| redpanda::topics::all().get(topic).expect("a topic").partitions);
            let counts: std::collections::BTreeSet<_> = counts.collect();
            assert_eq!(counts.len(), 1, "{}", projection.name());
        }
    }

    #[test]
    fn service_without_a_row_of_its_own_runs_nothing() {
        assert!(of("sales").is_empty());
        assert_eq!(of("user").len(), 4);
    }
}
