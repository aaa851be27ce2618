//! The table of all projections, with the service that runs each. A new projection is one file in
//! the folder of its store and one row here. The projections of a service's outcomes, of its
//! part of the live stream, of its part of traces and of what operators see have no row: they
//! follow from the topics that it owns in `topics.yaml`.

use std::collections::BTreeSet;

use redpanda::topics;

use crate::{Projection, Stores, mongo, postgres, redis};

/// Creates a projection over the stores.
pub type Create = Box<dyn FnOnce(&Stores) -> Box<dyn Projection> + Send>;

type Constructor = fn(&Stores) -> Box<dyn Projection>;

/// The name of a service, and a projection that it runs. No projection belongs to several services,
/// so that none waits for the partitions that another service holds.
const ROWS: &[(&str, Constructor)] = &[
    ("user", |stores| stores.postgres.projection(postgres::Users::new(&stores.redis))),
    ("user", |stores| stores.postgres.projection(postgres::Credentials)),
    ("order", |stores| stores.mongo.projection(mongo::Orders, &stores.redis)),
    ("order", |stores| stores.mongo.projection(mongo::Products, &stores.redis)),
    ("order", |stores| stores.redis.projection(redis::HotProducts)),
    ("notification", |stores| stores.mongo.projection(mongo::Notifications, &stores.redis)),
    ("notification", |stores| stores.mongo.projection(mongo::RecipientDocuments, &stores.redis)),
    ("notification", |stores| stores.redis.projection(redis::Unread)),
    ("notification", |stores| stores.postgres.projection(postgres::Statistics::new(&stores.redis))),
];

/// The projections that `service` runs: those of its rows, of its outcomes, of its events, of what
/// it traces, and of what operators see.
pub fn of(service: &str) -> Vec<Create> {
    let rows = ROWS.iter().filter(|(name, _)| *name == service);
    let rows = rows.map(|(_, create)| -> Create { Box::new(*create) });
    let outcomes = postgres::OutcomeSource::of(service).map(|source| -> Create {
        Box::new(move |stores| {
            stores.postgres.projection(postgres::Outcomes::new(source, &stores.redis))
        })
    });
    let live = redis::LiveStream::of(service)
        .map(|stream| -> Create { Box::new(move |stores| stores.redis.projection(stream)) });
    let trace = postgres::Trace::of(service)
        .map(|trace| -> Create { Box::new(move |stores| stores.postgres.projection(trace)) });
    let operations = postgres::OperationsSource::of(service).map(|source| -> Create {
        Box::new(move |stores| {
            stores.postgres.projection(postgres::Operations::new(source, &stores.redis))
        })
    });
    rows.chain(outcomes).chain(live).chain(trace).chain(operations).collect()
}

/// All projections, each once.
pub fn all(stores: &Stores) -> Vec<Box<dyn Projection>> {
    services().into_iter().flat_map(of).map(|create| create(stores)).collect()
}

/// All programs that may run projections.
fn services() -> BTreeSet<&'static str> {
    let owners = topics::all().iter().map(|topic| topic.owner.as_str());
    owners.chain(ROWS.iter().map(|(name, _)| *name)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn projections_have_names_of_their_own_and_one_partition_count_each() {
        let stores = Stores::for_tests().await;
        let all = all(&stores);
        let names: BTreeSet<_> = all.iter().map(|projection| projection.name()).collect();
        assert_eq!(names.len(), all.len(), "{names:?}");
        for projection in &all {
            let counts = projection
                .topics()
                .iter()
                .map(|topic| topics::all().get(topic).expect("a topic").partitions);
            let counts: BTreeSet<_> = counts.collect();
            assert_eq!(counts.len(), 1, "{}", projection.name());
        }
    }

    #[test]
    fn service_that_no_table_names_runs_nothing() {
        assert!(of("sales").is_empty() && of("gateway").is_empty());
    }

    #[tokio::test]
    async fn owner_projects_its_outcomes_and_events_and_nobody_else_its_outcomes() {
        let stores = Stores::for_tests().await;
        let topics_of = |service| {
            let topics = of(service).into_iter().flat_map(|create| create(&stores).topics());
            topics.map(|topic| (*topic, service)).collect::<Vec<_>>()
        };
        let projected: BTreeSet<_> = services().into_iter().flat_map(topics_of).collect();
        for topic in topics::all().of_kind("events").chain(topics::all().of_kind("outcomes")) {
            let (name, owner) = (topic.name.as_str(), topic.owner.as_str());
            assert!(projected.contains(&(name, owner)), "{owner} does not project {name}");
        }
        let outcomes = projected.iter().filter(|(topic, _)| topic.ends_with(".outcomes"));
        assert_eq!(outcomes.count(), topics::all().of_kind("outcomes").count(), "{projected:?}");
    }
}
