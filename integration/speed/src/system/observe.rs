//! What the system did meanwhile: CPU time of every part with its children, memory, the counters
//! that its processes export, and what the topics have got. It changes nothing.

use std::{collections::BTreeMap, ops::Sub, time::Duration};

use integration::{
    cluster::{Cluster, TopicSize},
    stack::Control,
};

use super::{
    shop::variable,
    subject::{Subject, own},
};

/// The parts that store read models.
const STORES: [&str; 3] = ["postgres", "mongo", "redis"];
/// How long a process may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Looks at processes, metrics and topics.
pub(super) struct Observer {
    control: Control,
    cluster: Cluster,
    http: reqwest::Client,
}

/// Totals since the start of each process, or the difference of two such totals.
#[derive(Clone, Debug, Default)]
pub(super) struct Observation {
    /// CPU time of each part, in milliseconds.
    cpu_ms: BTreeMap<String, f64>,
    /// Resident memory of each part in MB, as it is now.
    memory_mb: BTreeMap<String, f64>,
    /// Metrics by name, added up over labels and processes.
    metrics: BTreeMap<String, f64>,
    /// Records, transaction markers included, and bytes by topic.
    pub(super) topics: BTreeMap<String, TopicSize>,
}

impl Observer {
    pub(super) fn from_env() -> anyhow::Result<Self> {
        Ok(Self {
            control: Control::from_env()?,
            cluster: Cluster::at(&variable("MILLRACE_BROKERS_INTERNAL")?),
            http: integration::http().timeout(ANSWER_MAX).build()?,
        })
    }

    /// The totals now.
    pub(super) async fn look(&self, subject: &Subject) -> anyhow::Result<Observation> {
        let mut seen = Observation::default();
        let processes = processes()?;
        let parts = self.control.status().await?.into_iter();
        let parts = parts.filter_map(|part| Some((part.name, part.pid?)));
        for (name, pid) in parts.chain(subject.pids()) {
            let (ticks, memory_mb) = total(pid, &processes);
            seen.memory_mb.insert(name.clone(), memory_mb);
            // A tick is 10 ms.
            seen.cpu_ms.insert(name, ticks as f64 * 10.0);
        }
        for url in &subject.metrics {
            let text = self.http.get(url).send().await?.text().await?;
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                let Some((series, value)) = line.rsplit_once(' ') else { continue };
                let name = series.split('{').next().unwrap_or(series);
                *seen.metrics.entry(name.to_owned()).or_default() += value.parse().unwrap_or(0.0);
            }
        }
        seen.topics = self.cluster.topic_sizes().await?;
        Ok(seen)
    }
}

/// Whether a process belongs to Millrace or to a peer.
fn is_own(name: &str) -> bool {
    own().any(|own| own == name) || name == "streams" || name.starts_with("node-")
}

impl Sub for Observation {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        let minus = |now: BTreeMap<String, f64>, then: &BTreeMap<String, f64>| {
            let since = |(name, value): (String, f64)| {
                let since = value - then.get(&name).unwrap_or(&0.0);
                (name, since)
            };
            now.into_iter().map(since).collect()
        };
        let grown = |(topic, now): (String, TopicSize)| {
            let then = before.topics.get(&topic).copied().unwrap_or_default();
            let (records, bytes) = (now.records - then.records, now.bytes - then.bytes);
            (topic, TopicSize { records, bytes })
        };
        Self {
            cpu_ms: minus(self.cpu_ms, &before.cpu_ms),
            memory_mb: self.memory_mb,
            metrics: minus(self.metrics, &before.metrics),
            topics: self.topics.into_iter().map(grown).collect(),
        }
    }
}

impl Observation {
    fn metric(&self, name: &str) -> f64 {
        self.metrics.get(name).copied().unwrap_or(0.0)
    }

    /// What requests waited for, in milliseconds at the mean: the write of the command, its
    /// outcome, and the read model.
    pub(super) fn waits_ms(&self) -> [f64; 3] {
        ["command_write", "outcome_wait", "view_wait"].map(|wait| {
            let of = |end: &str| self.metric(&format!("millrace_gateway_{wait}_seconds_{end}"));
            let count = of("count");
            if count > 0.0 { of("sum") / count * 1000.0 } else { 0.0 }
        })
    }

    /// CPU time of the system's own processes, of the broker and of the stores, in milliseconds.
    pub(super) fn cpu_ms(&self) -> [f64; 3] {
        let of = |is: &dyn Fn(&str) -> bool| {
            self.cpu_ms.iter().filter(|(name, _)| is(name)).map(|(_, ms)| ms).sum::<f64>()
        };
        [of(&is_own), of(&|name| name == "broker"), of(&|name| STORES.contains(&name))]
    }

    /// Resident memory of the system's own processes, in MB.
    pub(super) fn own_memory_mb(&self) -> f64 {
        self.memory_mb.iter().filter(|(name, _)| is_own(name)).map(|(_, mb)| mb).sum()
    }

    /// Resident memory of a part, in MB; 0 if it does not run.
    pub(super) fn memory_mb(&self, name: &str) -> f64 {
        self.memory_mb.get(name).copied().unwrap_or(0.0)
    }

    /// CPU time of each part, in milliseconds.
    pub(super) fn processes_ms(&self) -> impl Iterator<Item = (&str, f64)> {
        self.cpu_ms.iter().map(|(name, ms)| (&**name, *ms))
    }

    /// Transactions that were committed; 0 if the system has none.
    pub(super) fn transactions(&self) -> f64 {
        self.metric("millrace_engine_transactions_committed_total")
            + self.metric("streams_commits_total")
    }

    /// Records that processors read, and records that they wrote.
    pub(super) fn records(&self) -> [f64; 2] {
        ["in", "out"].map(|way| self.metric(&format!("millrace_engine_records_{way}_total")))
    }

    /// What all topics together have got.
    pub(super) fn stored(&self) -> TopicSize {
        self.topics.values().fold(TopicSize::default(), |all, one| TopicSize {
            records: all.records + one.records,
            bytes: all.bytes + one.bytes,
        })
    }
}

/// A process as the kernel sees it.
struct Process {
    parent: u32,
    /// CPU time in ticks, with that of its children that have ended.
    ticks: u64,
    memory_mb: f64,
}

/// Every process (proc(5): `stat` fields 4, 14 to 17 and 24, of which the last is in pages).
fn processes() -> anyhow::Result<BTreeMap<u32, Process>> {
    const PAGE_BYTES: f64 = 4096.0;
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir("/proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // One that has ended meanwhile has no file any more.
        let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // The name in parentheses may contain anything.
        let Some((_, rest)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let number = |index: usize| fields.get(index).and_then(|field| field.parse::<u64>().ok());
        let ticks = (11..=14).map(number).sum::<Option<u64>>();
        if let (Some(parent), Some(ticks), Some(pages)) = (number(1), ticks, number(21)) {
            let memory_mb = pages as f64 * PAGE_BYTES / f64::from(1 << 20);
            let parent = u32::try_from(parent).unwrap_or(0);
            all.insert(pid, Process { parent, ticks, memory_mb });
        }
    }
    Ok(all)
}

/// CPU ticks and memory of a process and all its descendants.
fn total(pid: u32, all: &BTreeMap<u32, Process>) -> (u64, f64) {
    let own = all.get(&pid).map_or((0, 0.0), |process| (process.ticks, process.memory_mb));
    let children = all.iter().filter(|(_, process)| process.parent == pid);
    children
        .map(|(child, _)| total(*child, all))
        .fold(own, |all, one| (all.0 + one.0, all.1 + one.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_memory_of_descendants_count() {
        let of = |parent, ticks| Process { parent, ticks, memory_mb: 1.0 };
        let all = BTreeMap::from([(1, of(0, 5)), (2, of(1, 7)), (3, of(2, 11)), (4, of(0, 13))]);
        assert_eq!((23, 3.0), total(1, &all));
        assert_eq!((13, 1.0), total(4, &all));
    }

    #[test]
    fn difference_has_what_came_since() {
        let of = |value: u8| Observation {
            cpu_ms: BTreeMap::from([("order-0".to_owned(), f64::from(value))]),
            memory_mb: BTreeMap::from([("order-0".to_owned(), f64::from(value))]),
            metrics: BTreeMap::from([(
                "millrace_engine_records_in_total".to_owned(),
                f64::from(value),
            )]),
            topics: BTreeMap::from([(
                "order.outcomes".to_owned(),
                TopicSize { records: value.into(), bytes: i64::from(value) * 100 },
            )]),
        };
        let since = of(30) - of(10);
        assert_eq!([20.0, 0.0, 0.0], since.cpu_ms());
        assert_eq!([20.0, 0.0], since.records());
        assert_eq!(TopicSize { records: 20, bytes: 2000 }, since.stored());
        assert_eq!(30.0, since.own_memory_mb(), "memory is what it is now");
    }
}
