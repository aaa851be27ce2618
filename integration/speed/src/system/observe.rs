//! What the system did meanwhile: CPU time of every part with its children, and the counters that
//! its processes export. It changes nothing.

use std::{collections::BTreeMap, ops::Sub, time::Duration};

use anyhow::Context as _;
use integration::stack::Control;

/// The parts that are Millrace's own.
const OWN: [&str; 5] = ["gateway-0", "gateway-1", "user-0", "order-0", "notification-0"];
/// The parts that store read models.
const STORES: [&str; 3] = ["postgres", "mongo", "redis"];
/// How long a process may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Looks at processes and metrics.
pub(super) struct Observer {
    control: Control,
    http: reqwest::Client,
}

/// Totals since the start of each process, or the difference of two such totals.
#[derive(Clone, Debug, Default)]
pub(super) struct Observation {
    /// CPU time of each part, in milliseconds.
    cpu_ms: BTreeMap<String, f64>,
    /// Metrics by name, added up over labels and processes.
    metrics: BTreeMap<String, f64>,
}

impl Observer {
    pub(super) fn from_env() -> anyhow::Result<Self> {
        Ok(Self {
            control: Control::from_env()?,
            http: integration::http().timeout(ANSWER_MAX).build()?,
        })
    }

    /// The totals now.
    pub(super) async fn look(&self) -> anyhow::Result<Observation> {
        let mut seen = Observation::default();
        let ticks = ticks()?;
        for part in self.control.status().await? {
            if let Some(pid) = part.pid {
                seen.cpu_ms.insert(part.name, total(pid, &ticks) as f64 * 10.0);
            }
        }
        for name in OWN {
            let variable = format!("MILLRACE_INTERNAL_{}", name.to_uppercase().replace('-', "_"));
            let url = std::env::var(&variable).with_context(|| format!("{variable} is not set"))?;
            let text = self.http.get(format!("{url}/metrics")).send().await?.text().await?;
            for line in text.lines().filter(|line| !line.starts_with('#')) {
                let Some((series, value)) = line.rsplit_once(' ') else { continue };
                let name = series.split('{').next().unwrap_or(series);
                *seen.metrics.entry(name.to_owned()).or_default() += value.parse().unwrap_or(0.0);
            }
        }
        Ok(seen)
    }
}

impl Sub for Observation {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        let minus = |now: BTreeMap<String, f64>, then: &BTreeMap<String, f64>| {
            now.into_iter()
                .map(|(name, value)| {
                    let since = value - then.get(&name).unwrap_or(&0.0);
                    (name, since)
                })
                .collect()
        };
        Self {
            cpu_ms: minus(self.cpu_ms, &before.cpu_ms),
            metrics: minus(self.metrics, &before.metrics),
        }
    }
}

impl Observation {
    fn metric(&self, name: &str) -> f64 {
        self.metrics.get(name).copied().unwrap_or(0.0)
    }

    /// What requests waited for, in milliseconds at the mean: the write of the command, its outcome,
    /// and the read model.
    pub(super) fn waits_ms(&self) -> [f64; 3] {
        ["command_write", "outcome_wait", "view_wait"].map(|wait| {
            let of = |end: &str| self.metric(&format!("millrace_gateway_{wait}_seconds_{end}"));
            let count = of("count");
            if count > 0.0 { of("sum") / count * 1000.0 } else { 0.0 }
        })
    }

    /// CPU time of Millrace's own processes, of the broker and of the stores, in milliseconds.
    pub(super) fn cpu_ms(&self) -> [f64; 3] {
        let of =
            |names: &[&str]| names.iter().filter_map(|&name| self.cpu_ms.get(name)).sum::<f64>();
        [of(&OWN), of(&["broker"]), of(&STORES)]
    }

    /// CPU time of each part, in milliseconds.
    pub(super) fn processes_ms(&self) -> impl Iterator<Item = (&str, f64)> {
        self.cpu_ms.iter().map(|(name, ms)| (&**name, *ms))
    }

    /// Records that processors read, records that they wrote, and their transactions.
    pub(super) fn counts(&self) -> [f64; 3] {
        ["records_in_total", "records_out_total", "transactions_committed_total"]
            .map(|name| self.metric(&format!("millrace_engine_{name}")))
    }
}

/// Each process's parent and CPU time in ticks of 10 ms (proc(5), `stat` fields 4, 14 and 15).
fn ticks() -> anyhow::Result<BTreeMap<u32, (u32, u64)>> {
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
        if let (Some(parent), Some(user), Some(system)) = (number(1), number(11), number(12)) {
            all.insert(pid, (u32::try_from(parent).unwrap_or(0), user + system));
        }
    }
    Ok(all)
}

/// The ticks of a process and all its descendants.
fn total(pid: u32, all: &BTreeMap<u32, (u32, u64)>) -> u64 {
    let own = all.get(&pid).map_or(0, |(_, ticks)| *ticks);
    let children = all.iter().filter(|(_, (parent, _))| *parent == pid);
    own + children.map(|(child, _)| total(*child, all)).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_of_descendants_count() {
        let all = BTreeMap::from([(1, (0, 5)), (2, (1, 7)), (3, (2, 11)), (4, (0, 13))]);
        assert_eq!(23, total(1, &all));
        assert_eq!(13, total(4, &all));
    }

    #[test]
    fn difference_has_what_came_since() {
        let of = |value| Observation {
            cpu_ms: BTreeMap::from([("order-0".to_owned(), value)]),
            metrics: BTreeMap::from([("millrace_engine_records_in_total".to_owned(), value)]),
        };
        let since = of(30.0) - of(10.0);
        assert_eq!([20.0, 0.0, 0.0], since.cpu_ms());
        assert_eq!([20.0, 0.0, 0.0], since.counts());
    }
}
