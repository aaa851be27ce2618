//! Faults of records: repeated ones, ones that can't be decoded or processed, and ones of newer
//! programs.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use bytes::Bytes;
use integration::stack::{PROGRAMS, Program, first_services};
use rand::{RngCore, rngs::StdRng};
use redpanda::{
    log::{Headers, TopicPartition},
    scan,
    writer::CommandWriter,
};
use tokio::time::sleep;

use super::secs;
use crate::{ledger::Damage, world::World};

/// How long positions may take to reach the end of a quiet log: twice the interval at which they
/// are committed.
const POSITIONS_MAX: Duration = Duration::from_secs(150);

/// The largest value that a topic of commands accepts, less room for key, headers and batch.
const LARGE: usize = 1_040_000;
/// A value that the topic refuses.
const TOO_LARGE: usize = 2 << 20;

/// A name of this length fits once into a command, but not twice into an output.
const PRINCIPAL_BYTES: usize = 530_000;

pub(super) async fn a_hundred_times(
    world: &World,
    _: &mut StdRng,
    sku: &str,
) -> anyhow::Result<()> {
    world.load.a_hundred_times(sku).await
}

/// All topics of commands.
const COMMANDS: [&str; 4] =
    ["user.commands", "order.commands", "stock.commands", "notification.commands"];

/// Every record is an acknowledged command, which must fail and become a dead letter.
pub(super) async fn poison(world: &World, rng: &mut StdRng, sku: &str) -> anyhow::Result<()> {
    let mut unknown = vec![0];
    unknown.extend(99_999_999_u32.to_be_bytes());
    unknown.extend(*b"whatever");
    // An order that is truncated, one with bytes after its end, and a schema id without a value.
    let (panics, order) = world.load.order(sku)?;
    let truncated = order[..order.len() / 2].to_vec();
    let longer = [&order[..], b"more"].concat();
    let empty_record = order[..5].to_vec();
    let mut large = empty_record.clone();
    large.resize(LARGE, 7);
    let poisons =
        [b"not Avro".to_vec(), unknown, truncated, longer, empty_record, large, Vec::new()];
    for topic in COMMANDS {
        for value in &poisons {
            let key = format!("poison-{}", rng.next_u32());
            world.load.doom(topic, key, Bytes::copy_from_slice(value)).await;
        }
    }
    let writer = CommandWriter::new(&world.brokers);
    let over = writer
        .write("order.commands", "poison", vec![0; TOO_LARGE].into(), &Headers::default(), secs(10))
        .await;
    if over.is_ok() {
        bail!("a record above the topic's limit was taken");
    }
    // The decider panics when it decides this order.
    world.restart("order-0", &[("MILLRACE_FAULT", &format!("panic:{panics}"))]).await?;
    world.load.doom("order.commands", panics.clone(), order.into()).await;
    world.wait_for_letter("order.commands", &panics).await?;
    world.restart("order-0", &[]).await
}

/// Orders whose outputs are too large for their topics. Each becomes a dead letter, and nothing
/// else is delayed.
pub(super) async fn oversize(world: &World, _: &mut StdRng, sku: &str) -> anyhow::Result<()> {
    for _ in 0..3 {
        world.load.oversize(sku, PRINCIPAL_BYTES).await?;
        world.wait_for_outcomes(50).await;
    }
    Ok(())
}

/// Transactions of another producer write orders to a topic of commands and are aborted: no service
/// may decide these orders.
pub(super) async fn aborted_input(world: &World, _: &mut StdRng, sku: &str) -> anyhow::Result<()> {
    for _ in 0..5 {
        tokio::task::block_in_place(|| world.load.aborted_orders(&world.brokers, sku, 20))?;
        world.wait_for_commands(20).await?;
    }
    Ok(())
}

/// One record has a timestamp two days ahead, as from a broker whose clock is wrong. Commands of
/// today must still be decided.
pub(super) async fn clock_ahead(world: &World, _: &mut StdRng, sku: &str) -> anyhow::Result<()> {
    let cluster = world.cluster.as_ref().context("the brokers can't be asked past the gate")?;
    world.load.pause(true);
    world.load.quiet().await;
    let placed = world.load.place_at(cluster, sku, secs(2 * 24 * 3600)).await;
    world.load.pause(false);
    placed?;
    world.wait_for_commands(200).await?;
    // The record's time must not matter after a restart either.
    world.restart("order-0", &[]).await?;
    world.wait_for_commands(100).await
}

/// Retention removes all follow-ups after a quiet time, and the services restart with the positions
/// that they have committed, which must be at the end of the log.
pub(super) async fn idle_retention(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    world.load.pause(true);
    world.load.quiet().await;
    let removed = remove_followups(world).await;
    world.load.pause(false);
    removed?;
    world.wait_for_commands(100).await?;
    world.restart_all(&first_services(), &[]).await?;
    world.wait_for_commands(100).await
}

async fn remove_followups(world: &World) -> anyhow::Result<()> {
    let begun = Instant::now();
    let ends = loop {
        let (ends, behind) = tokio::task::block_in_place(|| positions(&world.brokers))?;
        if behind.is_empty() {
            break ends;
        }
        if begun.elapsed() > POSITIONS_MAX {
            let what = format!(
                "positions do not reach the end of a quiet log within {POSITIONS_MAX:?}: {behind:?}"
            );
            world.report('H', Damage::Late, what);
            break ends;
        }
        sleep(secs(1)).await;
    };
    redpanda::removal::remove_before(&world.brokers, &ends).await?;
    world.restart_all(&first_services(), &[]).await
}

/// The end of each partition.
type PartitionEnds = Vec<(TopicPartition, i64)>;

/// The ends of all topics of follow-ups, and the partitions of which a processor has committed
/// less.
fn positions(brokers: &str) -> anyhow::Result<(PartitionEnds, Vec<String>)> {
    let (mut ends, mut behind) = (Vec::new(), Vec::new());
    for topic in redpanda::topics::all().of_kind("followups") {
        // The owner of the context's follow-ups is its processor.
        let processor = topic.owner.as_str();
        let followups: Vec<_> =
            (0..topic.partitions).map(|n| TopicPartition::new(&*topic.name, n)).collect();
        let committed =
            scan::Group::open(brokers, processor)?.committed(&topic.name, topic.partitions)?;
        for ((partition, (_, end)), committed) in
            followups.iter().zip(scan::ends(brokers, &followups)?).zip(committed)
        {
            if committed < end {
                behind
                    .push(format!("{processor} has committed {committed} of {end} of {partition}"));
            }
            ends.push((partition.clone(), end));
        }
    }
    Ok((ends, behind))
}

/// No broker checks that the name of a header is UTF-8, although Kafka's protocol demands it. A
/// service that fails on such a record would fail again at every start.
pub(super) async fn poison_headers(
    world: &World,
    rng: &mut StdRng,
    sku: &str,
) -> anyhow::Result<()> {
    let brokers = &world.brokers;
    for topic in COMMANDS {
        let (key, value) = (format!("poison-{}", rng.next_u32()), Bytes::from_static(b"not Avro"));
        world.load.with_odd_header(brokers, topic, key, "millrace.Poison", value, true).await?;
    }
    // The value is valid, so the command is decided.
    let (key, order) = world.load.order(sku)?;
    let name = <schemas::order::PlaceOrder as schemas::Record>::SCHEMA.name;
    world.load.with_odd_header(brokers, "order.commands", key, name, order.into(), false).await?;
    world.wait_for_commands(100).await?;
    world.restart_all(&first_services(), &[]).await?;
    world.wait_for_commands(100).await
}

pub(super) async fn registry_killed(world: &World, _: &mut StdRng, _: &str) -> anyhow::Result<()> {
    world.kill("apicurio").await?;
    world.kill("order-0").await?;
    world.spawn("order-0", &[]).await?;
    world.wait_for_commands(100).await?;
    world.start("apicurio", &[]).await?;
    world.ready("order-0").await
}

/// Adds a field to a command's schema and sends commands with it, while services that do not know
/// the field are restarted one after the other.
pub(super) async fn rolling_restart(
    world: &World,
    _: &mut StdRng,
    sku: &str,
) -> anyhow::Result<()> {
    let schema = <schemas::order::PlaceOrder as schemas::Record>::SCHEMA;
    let mut json: serde_json::Value = serde_json::from_str(schema.json)?;
    let field = serde_json::json!({ "name": "channel", "type": ["null", "string"], "default": null, "doc": "Where from." });
    json["fields"].as_array_mut().context("a record has fields")?.push(field);
    let url = format!("{}/subjects/{}/versions", world.registry, schema.name);
    let body = serde_json::json!({ "schema": json.to_string() });
    let answer = integration::http().build()?.post(url).json(&body).send().await?;
    if !answer.status().is_success() {
        bail!(
            "the registry did not take a compatible schema: {} {}",
            answer.status(),
            answer.text().await?
        );
    }
    let answer: serde_json::Value = answer.json().await?;
    let id = answer["id"]
        .as_u64()
        .and_then(|id| u32::try_from(id).ok())
        .context("the registry names no id")?;
    for name in PROGRAMS.iter().flat_map(Program::started) {
        world.load.place_as(id, sku).await?;
        world.stop(&name).await?;
        world.load.place_as(id, sku).await?;
        world.start(&name, &[]).await?;
        world.wait_for_commands(50).await?;
    }
    Ok(())
}
