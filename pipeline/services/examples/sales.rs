//! A processor that is not one of the services. It writes a sale to `sales.events` for each order
//! that `order.events` confirms. `SALES_WRITES` selects its build while a record is being replaced:
//! `old`, `both` or `new`. The records of one order are in one transaction. `schemas/EVOLUTION.md`
//! runs it.
#![forbid(unsafe_code)]

// Each of the two examples uses only some of the records.
#[allow(dead_code)]
mod records;

use std::process::ExitCode;

use anyhow::bail;
use domain::decider::Reaction;
use engine::Topology;
use schemas::{
    Message,
    order::{Event, OrderConfirmed},
};
use services::{Service, config::Config};
use uuid::Uuid;

use records::{DeprecatedSaleMade, SALES, Sale, SaleMade, SaleMadeV2};

fn main() -> ExitCode {
    services::run(service)
}

fn service(_config: &Config) -> anyhow::Result<Service> {
    let topology = match std::env::var("SALES_WRITES").as_deref() {
        Ok("old") => topology(|confirmed| vec![old(confirmed)]),
        Ok("both") => topology(|confirmed| {
            vec![DeprecatedSaleMade(old(confirmed)).into(), Sale::from(new(confirmed))]
        }),
        Ok("new") => topology(|confirmed| vec![new(confirmed)]),
        _ => bail!("SALES_WRITES: expected old, both or new"),
    };
    Ok(Service::new(topology))
}

/// The processor. `sold` returns the records to write for a confirmed order.
fn topology<M: Message>(
    sold: impl Fn(&OrderConfirmed) -> Vec<M> + Send + Sync + 'static,
) -> Topology {
    let partitions = |topic: &str| match topic {
        // As many as its input has: all topics of a task have one partition count.
        SALES | "sales.state" => Some(redpanda::topics::all().get("order.events")?.partitions),
        other => Some(redpanda::topics::all().get(other)?.partitions),
    };
    let react = move |event: &Event, _id: Uuid| match event {
        Event::OrderConfirmed(confirmed) => {
            let key = confirmed.order_id.to_string();
            let send =
                |message| Reaction::Send { topic: SALES, key: key.clone(), message: Some(message) };
            sold(confirmed).into_iter().map(send).collect()
        }
        _ => Vec::new(),
    };
    Topology::new("sales", partitions).policy("order.events", react).uses::<M>()
}

fn old(confirmed: &OrderConfirmed) -> SaleMade {
    SaleMade { order_id: confirmed.order_id, total_minor: confirmed.total.amount_minor }
}

fn new(confirmed: &OrderConfirmed) -> SaleMadeV2 {
    SaleMadeV2 { order_id: confirmed.order_id, total: confirmed.total.clone() }
}
