//! The engine as a process: one worker on the topology of the work. It prints when it is ready and,
//! when a signal ends it, how long its commits took.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use engine::{Metrics, SchemaSource, Settings, SourceError, Worker};
use redpanda::session::{self, Delivery};
use serde::{Deserialize, Serialize};

use crate::work;

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[arg(long, env = "MILLRACE_BROKERS")]
    brokers: String,
    /// The processor's name: its group and its changelog's prefix
    #[arg(long)]
    name: String,
    #[arg(long)]
    commit_ms: u64,
    /// Commit offsets after the records, without a transaction
    #[arg(long)]
    at_least_once: bool,
    /// Write outputs without the headers of events
    #[arg(long)]
    plain: bool,
}

/// A message of a contender, one JSON line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ContenderMessage {
    /// It has restored its state.
    Ready {
        /// The number of changelog records.
        records: u64,
        /// Seconds from the assignment to the last of them.
        seconds: f64,
    },
    /// It ends.
    Commits {
        /// The number of commits.
        count: u64,
        /// Their mean time in milliseconds.
        mean_ms: f64,
    },
}

/// All schemas are known, so none has to be looked up.
struct NoSource;

impl SchemaSource for NoSource {
    fn schema_by_id(&self, _id: u32) -> Result<Option<String>, SourceError> {
        Ok(None)
    }
}

pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    tracing_subscriber::fmt()
        .with_env_filter(
            tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "warn".into()),
        )
        .with_writer(std::io::stderr)
        .init();
    let name: &'static str = options.name.clone().leak();
    let topology = Arc::new(work::topology(name, options.plain));
    let registry = prometheus::Registry::new();
    let connect = session::Settings {
        brokers: (&options.brokers).into(),
        group: name.to_owned(),
        inputs: topology.inputs(),
        transactional_id: format!("{name}-0-0"),
        delivery: if options.at_least_once { Delivery::AtLeastOnce } else { Delivery::ExactlyOnce },
    };
    let metrics = Metrics::register(&topology, &registry)?;
    let worker = Worker::new(
        topology,
        Arc::new(work::codec()),
        Arc::new(connect),
        Arc::new(NoSource),
        Arc::new(now_ms),
        Settings {
            commit_interval: Some(Duration::from_millis(options.commit_ms)),
            ..Settings::default()
        },
        metrics,
    );
    let status = worker.status();
    let shutdown = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let stop = shutdown.clone();
    let thread = std::thread::Builder::new()
        .name("worker".to_owned())
        .spawn(move || worker.run(&stop, || {}))?;

    let watch = async {
        while status.restoring() == 0 && status.tasks() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let begun = Instant::now();
        while !status.is_ready() || status.tasks() < work::PARTITIONS as usize {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let records = value(&registry, "millrace_engine_restored_records_total").0;
        tell(&ContenderMessage::Ready {
            records: records as u64,
            seconds: begun.elapsed().as_secs_f64(),
        });
        std::future::pending::<()>().await;
    };
    runtime.block_on(async {
        let mut terminate =
            tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            _ = terminate.recv() => {}
            () = watch => {}
        }
        anyhow::Ok(())
    })?;
    shutdown.store(true, Ordering::Relaxed);
    thread.join().ok().context("the worker panicked")??;
    let (count, seconds) = value(&registry, "millrace_engine_transaction_seconds");
    tell(&ContenderMessage::Commits {
        count: count as u64,
        mean_ms: seconds * 1000.0 / count.max(1.0),
    });
    Ok(())
}

fn tell(said: &ContenderMessage) {
    integration::say!("{}", serde_json::json!(said));
}

/// A counter's value, or a histogram's count and sum.
fn value(registry: &prometheus::Registry, name: &str) -> (f64, f64) {
    let families = registry.gather();
    let found = families.iter().find(|family| family.name() == name);
    found.and_then(|family| family.get_metric().first()).map_or((0.0, 0.0), |metric| {
        let histogram = metric.get_histogram();
        match histogram.get_sample_count() {
            0 => (metric.get_counter().get_value(), 0.0),
            count => (count as f64, histogram.get_sample_sum()),
        }
    })
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
