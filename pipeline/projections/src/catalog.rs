//! The table of all projections, with the service that runs each. A new projection is one file in
//! the folder of its store and one row here.

use crate::{Projection, Stores, mongo, postgres, redis};

/// Creates a projection over the stores.
pub type Create = fn(&Stores) -> Box<dyn Projection>;

/// The name of a service, and a projection that it runs. No projection belongs to several services,
/// so that none waits for the partitions that another service holds.
const ROWS: &[(&str, Create)] = &[
    ("user", |stores| stores.postgres.projection(postgres::Users::new(&stores.redis))),
    ("user", |stores| stores.postgres.projection(postgres::Credentials)),
    ("user", |stores| outcomes(stores, "user")),
    ("user", |stores| stores.redis.projection(redis::LIVE_USER)),
    ("order", |stores| stores.mongo.projection(mongo::Orders, &stores.redis)),
    ("order", |stores| stores.mongo.projection(mongo::Products, &stores.redis)),
    ("order", |stores| outcomes(stores, "order")),
    ("order", |stores| stores.redis.projection(redis::HotProducts)),
    ("order", |stores| stores.redis.projection(redis::LIVE_ORDER)),
    ("notification", |stores| stores.mongo.projection(mongo::Notifications, &stores.redis)),
    ("notification", |stores| stores.mongo.projection(mongo::RecipientDocuments, &stores.redis)),
    ("notification", |stores| outcomes(stores, "notification")),
    ("notification", |stores| stores.redis.projection(redis::Unread)),
    ("notification", |stores| stores.postgres.projection(postgres::Statistics::new(&stores.redis))),
    ("notification", |stores| stores.redis.projection(redis::LIVE_NOTIFICATION)),
];

/// The projection of the outcomes that `service` decides; its topic follows from `topics.yaml`.
fn outcomes(stores: &Stores, service: &str) -> Box<dyn Projection> {
    stores.postgres.projection(postgres::Outcomes::new(service, &stores.redis))
}

/// The projections that `service` runs; none if the table does not name it.
pub fn of(service: &str) -> Vec<Create> {
    let rows = ROWS.iter().filter(|(name, _)| *name == service);
    rows.map(|(_, create)| *create).collect()
}

/// All projections, each once.
pub fn all(stores: &Stores) -> Vec<Box<dyn Projection>> {
    ROWS.iter().map(|(_, create)| create(stores)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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
            let counts: BTreeSet<_> = counts.collect();
            assert_eq!(counts.len(), 1, "{}", projection.name());
        }
    }

    #[test]
    fn service_without_a_row_of_its_own_runs_nothing() {
        assert!(of("sales").is_empty());
        assert!(!of("user").is_empty() && of("user").len() < ROWS.len());
    }

    #[tokio::test]
    async fn outcomes_are_projected_by_the_service_that_decides_them_and_by_no_other() {
        let stores = Stores::for_tests().await;
        let topics = |(service, create): &(&'static str, Create)| {
            let topics = create(&stores).topics();
            topics.iter().map(|topic| (*topic, *service)).collect::<Vec<_>>()
        };
        let projected: BTreeSet<_> = ROWS
            .iter()
            .flat_map(topics)
            .filter(|(topic, _)| topic.ends_with(".outcomes"))
            .collect();
        let declared: BTreeSet<_> = redpanda::topics::all()
            .iter()
            .filter(|topic| topic.name.ends_with(".outcomes"))
            .map(|topic| (topic.name.as_str(), topic.owner.as_str()))
            .collect();
        assert_eq!(projected, declared);
    }
}
