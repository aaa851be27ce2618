//! A processor beside the three services, in the builds that a record goes through when it is
//! replaced: each order that `order.events` confirms is written to `sales.events` for others.
//! `SALES_WRITES` says which build this is: `old`, `both`, `new`. What it writes of one order is in
//! one transaction. `schemas/EVOLUTION.md` runs it.
#![forbid(unsafe_code)]

// Each of the two examples uses a part of it.
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
    Ok(Service { topology, projections: None, reads: Vec::new() })
}

/// The processor: `sold` makes of a confirmed order what is written.
fn topology<M: Message>(
    sold: impl Fn(&OrderConfirmed) -> Vec<M> + Send + Sync + 'static,
) -> Topology {
    let partitions = |topic: &str| match topic {
        // As many as its input has, so that a task sees the same number of each.
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
