//! Whether the results are right, after the last step: every order that was answered with 201 is
//! confirmed exactly once in the log and shown by the read model, and each product's stock is what
//! was received less what confirmed orders took.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use integration::client::Client;
use redpanda::{
    registry::Registry,
    scan::{Isolation, scan},
};
use schemas::{Codec, Message as _, order};

use super::{
    load::Confirmed,
    shop::{PIECES, Shop},
};

/// How long orders that were not waited for may take to end.
const QUIET_MAX: Duration = Duration::from_secs(120);
/// How long the topic may take to be read.
const READ_MAX: Duration = Duration::from_secs(120);
const TOPIC: &str = "order.events";

/// Compares the answers with the log and the read models. Returns what was compared.
pub(super) async fn all(shop: &Shop, answered: &[Confirmed]) -> anyhow::Result<String> {
    let begun = Instant::now();
    let (log, unlike) = loop {
        let log = tokio::task::spawn_blocking(Log::read).await??;
        let unlike = stock(shop, &log).await?;
        // Orders whose requests were not answered may still be on their way.
        if unlike.is_empty() || begun.elapsed() > QUIET_MAX {
            break (log, unlike);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    ensure!(unlike.is_empty(), "stock does not add up: {unlike:?}");
    for Confirmed { id, .. } in answered {
        match log.confirmed.get(id) {
            Some(1) => {}
            times => bail!("order {id} was answered with 201 and is confirmed {times:?} times"),
        }
    }
    let distinct: HashSet<&str> = answered.iter().map(|order| &*order.id).collect();
    ensure!(distinct.len() == answered.len(), "two requests were answered with one order");
    let mut clients = BTreeMap::<usize, Client>::new();
    for Confirmed { id, user } in answered {
        if !clients.contains_key(user) {
            clients.insert(*user, shop.user(*user)?);
        }
        let shown = clients[user].get(&format!("/v1/orders/{id}")).send().await?;
        let status = shown.text("status");
        ensure!(status == Some("confirmed"), "order {id} is shown as {}", shown.body);
    }
    Ok(format!(
        "checked: {} orders answered with 201 are confirmed once in the log and shown; {} confirmed \
         in all; stock of {} products adds up",
        answered.len(),
        log.confirmed.len(),
        shop.skus().len()
    ))
}

/// The orders in the log.
struct Log {
    /// How often each order is confirmed.
    confirmed: HashMap<String, usize>,
    /// Pieces in confirmed orders, by SKU.
    sold: HashMap<String, i64>,
}

impl Log {
    fn read() -> anyhow::Result<Self> {
        let brokers = std::env::var("MILLRACE_BROKERS").context("MILLRACE_BROKERS is not set")?;
        let registry =
            std::env::var("MILLRACE_REGISTRY_URL").context("MILLRACE_REGISTRY_URL is not set")?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let codec: Codec = runtime.block_on(Registry::new(&registry)?.codec(schemas::all()))?;
        let partitions = redpanda::topics::all().get(TOPIC).context(TOPIC)?.partitions;
        let (mut confirmed, mut lines) = (HashMap::new(), HashMap::new());
        let records = scan(
            &*brokers,
            TOPIC,
            partitions,
            Isolation::Committed,
            &mut BTreeMap::new(),
            READ_MAX,
        )?;
        for record in records {
            let Some(value) = record.value.as_deref() else { continue };
            match order::Event::decode(&codec, value)? {
                order::Event::OrderPlaced(placed) => {
                    lines.insert(placed.order_id.to_string(), placed.lines);
                }
                order::Event::OrderConfirmed(event) => {
                    *confirmed.entry(event.order_id.to_string()).or_default() += 1;
                }
                _ => {}
            }
        }
        let mut sold = HashMap::<String, i64>::new();
        for line in confirmed.keys().filter_map(|id| lines.get(id)).flatten() {
            *sold.entry(line.sku.clone()).or_default() += i64::from(line.quantity);
        }
        Ok(Self { confirmed, sold })
    }
}

/// Products whose stock is not what the log says: SKU, shown and expected.
async fn stock(shop: &Shop, log: &Log) -> anyhow::Result<Vec<(String, i64, i64)>> {
    let admin = shop.admin()?;
    let mut unlike = Vec::new();
    for sku in shop.skus() {
        let shown = admin.get(&format!("/v1/products/{sku}")).send().await?;
        let available = shown.body["available"].as_i64().context("a product without stock")?;
        let expected = PIECES - log.sold.get(sku).unwrap_or(&0);
        if available != expected {
            unlike.push((sku.clone(), available, expected));
        }
    }
    Ok(unlike)
}
