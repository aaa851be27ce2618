//! A reader of `sales.events`, in its builds before and after it uses the new record. It reads the
//! topic once, prints the sum, and ends. `takings old` knows only `SaleMade` and skips other
//! records; `takings new` uses `SaleMadeV2`, and `SaleMade` for orders that have no `SaleMadeV2`.
//! `schemas/EVOLUTION.md` runs it.
#![forbid(unsafe_code)]

// Each of the two examples uses only some of the records.
#[allow(dead_code)]
mod records;

use std::{collections::BTreeMap, ops::ControlFlow, time::Duration};

use anyhow::{Context as _, bail, ensure};
use redpanda::{registry::Registry, scan};
use schemas::{Codec, CodecError, Datum, Message, Money};
use uuid::Uuid;

use records::{SALES, Sale, SaleMade, SaleMadeV2};

/// The total of each order. An order that is written twice counts once.
type Takings = BTreeMap<Uuid, Money>;

/// Adds a record to the takings.
type Take = fn(&Datum<'_>, &mut Takings) -> Result<(), CodecError>;

fn main() -> anyhow::Result<()> {
    let (schemas, take): (_, Take) = match std::env::args().nth(1).as_deref() {
        Some("old") => (SaleMade::schemas(), old),
        Some("new") => (Sale::schemas(), new),
        _ => bail!("usage: takings old|new"),
    };
    let brokers = std::env::var("MILLRACE_BROKERS").unwrap_or_else(|_| "127.0.0.1:9092".to_owned());
    let url = std::env::var("MILLRACE_REGISTRY_URL")
        .unwrap_or_else(|_| "http://127.0.0.1:8081".to_owned());
    let registry = Registry::new(&url)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let codec = Codec::reading(schemas)?;

    let spans =
        scan::spans(&brokers, SALES)?.with_context(|| format!("there is no topic {SALES}"))?;
    let (mut takings, mut failed) = (Takings::new(), None);
    scan::each(&brokers, SALES, &spans, Duration::from_secs(10), |record| {
        let value = record.value.as_deref().unwrap_or_default();
        match read(&codec, value, &mut takings, take, &registry, &runtime) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(
                    error.context(format!("{SALES}[{}] at {}", record.partition, record.offset)),
                );
                ControlFlow::Break(())
            }
        }
    })?;
    if let Some(error) = failed {
        return Err(error);
    }

    let mut sums = BTreeMap::<&str, i64>::new();
    takings
        .values()
        .for_each(|total| *sums.entry(&total.currency).or_default() += total.amount_minor);
    let sums: Vec<_> = sums
        .iter()
        .map(|(currency, minor)| format!("{}.{:02} {currency}", minor / 100, minor % 100))
        .collect();
    println!("{} sales, {}", takings.len(), sums.join(", "));
    Ok(())
}

fn read(
    codec: &Codec,
    value: &[u8],
    takings: &mut Takings,
    take: Take,
    registry: &Registry,
    runtime: &tokio::runtime::Runtime,
) -> anyhow::Result<()> {
    if let Err(CodecError::UnknownId(id)) = codec.open(value) {
        let schema = runtime.block_on(registry.schema_by_id(id))?;
        codec.learn(id, &schema.with_context(|| format!("the registry has no schema {id}"))?)?;
    }
    let datum = codec.open(value)?;
    ensure!(datum.name().starts_with("millrace.sales."), "{} does not belong here", datum.name());
    Ok(take(&datum, takings)?)
}

fn old(datum: &Datum<'_>, takings: &mut Takings) -> Result<(), CodecError> {
    match SaleMade::from_datum(datum) {
        Ok(sale) => drop(takings.insert(sale.order_id, euros(sale.total_minor))),
        Err(CodecError::Unexpected { .. } | CodecError::Unresolvable { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

fn new(datum: &Datum<'_>, takings: &mut Takings) -> Result<(), CodecError> {
    match Sale::from_datum(datum)? {
        Sale::SaleMadeV2(SaleMadeV2 { order_id, total }) => drop(takings.insert(order_id, total)),
        Sale::SaleMade(sale) => {
            takings.entry(sale.0.order_id).or_insert_with(|| euros(sale.0.total_minor));
        }
    }
    Ok(())
}

fn euros(amount_minor: i64) -> Money {
    Money { amount_minor, currency: "EUR".to_owned() }
}
