//! What `acls.yaml` allows each service against what the service asks for: its processor's inputs
//! and changelog, its projections' topics, and their groups. It asks no broker.

use std::collections::BTreeSet;

use engine::Topology;
use projections::{Projection, mongo::Mongo, postgres::Postgres, redis::Redis};
use redpanda::acls::Acls;
use services::topology;

fn sorted(names: impl IntoIterator<Item = String>) -> BTreeSet<String> {
    names.into_iter().collect()
}

/// What the service needs: topics to read, and groups.
fn needed(
    topology: &Topology,
    projections: &[Box<dyn Projection>],
) -> (BTreeSet<String>, BTreeSet<String>) {
    let processor = topology.processor();
    let inputs = topology.inputs().into_iter().map(|topic| topic.to_string());
    let projected = projections
        .iter()
        .flat_map(|projection| projection.topics())
        .map(|topic| (*topic).to_owned());
    let groups = projections.iter().map(|projection| format!("projector.{}", projection.name()));
    let topics = inputs.chain(projected).chain([format!("{processor}.state")]);
    (sorted(topics), sorted(groups.chain([processor.to_owned()])))
}

#[tokio::test]
async fn each_service_may_read_what_it_asks_for_and_nothing_else() {
    let postgres = Postgres::new("postgres://millrace@127.0.0.1:1/millrace", 1).expect("a URL");
    let mongo = Mongo::new("mongodb://127.0.0.1:1").await.expect("a URL");
    let redis = Redis::new("redis://127.0.0.1:1").expect("a URL");
    let acls = Acls::all();
    for (topology, projections) in [
        (topology::user::topology(), projections::user(&postgres, &redis)),
        (topology::order::topology(), projections::order(&postgres, &mongo, &redis)),
        (
            topology::notification::topology(true),
            projections::notification(&postgres, &mongo, &redis),
        ),
    ] {
        let (mut topics, mut groups) = needed(&topology, &projections);
        if topology.processor() == "notification" {
            // The mail worker, which is made with a mail server's address.
            topics.insert("notification.events".to_owned());
            groups.insert("projector.mail".to_owned());
        }
        let allowed = acls.of(topology.processor()).expect("an entry of acls.yaml");
        assert_eq!(sorted(allowed.read.clone()), topics, "read by {}", topology.processor());
        assert_eq!(sorted(allowed.groups.clone()), groups, "groups of {}", topology.processor());
        assert_eq!(allowed.transactions, [format!("{}-", topology.processor())]);
    }
}
