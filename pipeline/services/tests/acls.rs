//! Compares the access rules with what each service needs: the inputs and the changelog of its
//! processor, the topics of its projections, and their groups. It connects to no broker.

use std::collections::BTreeSet;

use engine::Topology;
use projections::{
    Projection, Stores, catalog, mongo::Mongo, postgres::Postgres, projector, redis::Redis,
};
use redpanda::acls::Acls;
use services::topology;

fn sorted(names: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    names.into_iter().collect()
}

/// The topics that a service reads.
fn needed(topology: &Topology, projections: &[Box<dyn Projection>]) -> BTreeSet<String> {
    let processor = topology.processor();
    let inputs = topology.inputs().into_iter().map(|topic| topic.to_string());
    let projected = projections
        .iter()
        .flat_map(|projection| projection.topics())
        .map(|topic| (*topic).to_owned());
    sorted(inputs.chain(projected).chain([format!("{processor}.state")]))
}

#[tokio::test]
async fn each_service_may_read_what_it_needs_and_nothing_else() {
    let stores = Stores {
        postgres: Postgres::new("postgres://millrace@127.0.0.1:1/millrace", 1).expect("a URL"),
        mongo: Mongo::new("mongodb://127.0.0.1:1").await.expect("a URL"),
        redis: Redis::new("redis://127.0.0.1:1").expect("a URL"),
    };
    let acls = Acls::all();
    for row in topology::ALL {
        let topology = (row.topology)();
        assert_eq!(topology.processor(), row.name);
        let projections: Vec<_> =
            catalog::of(row.name).into_iter().map(|create| create(&stores)).collect();
        let mut topics = needed(&topology, &projections);
        if row.name == "notification" {
            // The mail worker is not in the catalog: it needs a mail server's URL.
            topics.insert("notification.events".to_owned());
        }
        for own in [topology.outcomes().to_string(), topology.operations().to_string()] {
            assert!(topics.contains(&own), "{} does not project {own}", row.name);
        }
        let allowed = acls.of(row.name).expect("a program with rules");
        assert_eq!(sorted(allowed.read.clone()), topics, "read by {}", row.name);
        // A rule for a group also covers those whose names begin with it and a dot.
        assert_eq!(allowed.groups, [row.name]);
        for projection in &projections {
            let group = projector::group(row.name, projection.name());
            assert!(group.starts_with(&format!("{}.", row.name)), "{group}");
        }
        assert_eq!(allowed.transactions, [format!("{}-", row.name)]);
    }
}
