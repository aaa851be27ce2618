//! Invariant J: no thread of a ready process is dead or stuck. Each worker and projector exports
//! how long it has been in its current turn. While faults happen, that may be as long as the
//! process itself allows; in a quiet system a turn takes milliseconds. A process that does not
//! answer, or says that it is not ready, is not judged here.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use integration::stack::{Program, internal_variable, services};

use crate::ledger::{Damage, Violation};

/// The pause between two checks while faults happen.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a process may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(2);
/// The longest turn of a thread of a ready process, whatever happens: after 60 s the process itself
/// says that the thread is stuck, and one that was paused needs some time to notice.
pub const TURN_MAX: Duration = Duration::from_secs(65);
/// The longest turn in a quiet system.
pub const QUIET_TURN_MAX: Duration = Duration::from_secs(5);

/// The metric, up to the name of the thread.
const AGE: &str = "millrace_thread_turn_age_seconds{thread=\"";

/// The threads of all services.
#[derive(Clone, Debug)]
pub struct Threads {
    /// Each instance with the URL of its internal listener.
    services: Vec<(String, String)>,
}

impl Threads {
    /// The threads of all services whose listeners the environment names.
    pub fn from_env() -> Self {
        let services = services().flat_map(Program::instances).filter_map(|instance| {
            let url = std::env::var(internal_variable(&instance)).ok()?;
            Some((instance, url))
        });
        Self { services: services.collect() }
    }

    /// How long each thread of a service has been in its turn; `None` if the service does not
    /// answer.
    pub async fn ages(&self, service: &str) -> Option<Vec<(String, Duration)>> {
        let (_, url) = self.services.iter().find(|(name, _)| name == service)?;
        Some(ages(&get(&format!("{url}/metrics")).await?.1))
    }

    /// Reports every thread of a ready service that has been in its turn for longer than
    /// `turn_max`, and every ready service without a thread.
    pub async fn stuck(&self, turn_max: Duration) -> Vec<Violation> {
        let mut broken = Vec::new();
        for (service, url) in &self.services {
            let is_ready =
                async || get(&format!("{url}/readyz")).await.is_some_and(|(ready, _)| ready);
            if !is_ready().await {
                continue;
            }
            let Some(ages) = self.ages(service).await else { continue };
            // Between the two requests the service may have noticed itself.
            if is_ready().await {
                broken.extend(judge(service, &ages, turn_max));
            }
        }
        broken
    }

    /// Checks the threads until the watch ends.
    pub fn watch(&self) -> Watch {
        let (threads, seen) = (self.clone(), Arc::new(Seen::default()));
        let shared = seen.clone();
        tokio::spawn(async move {
            while !shared.end.load(Ordering::Relaxed) {
                let stuck = threads.stuck(TURN_MAX).await;
                shared.broken.lock().unwrap_or_else(PoisonError::into_inner).extend(stuck);
                tokio::time::sleep(LOOK_EVERY).await;
            }
        });
        Watch(seen)
    }
}

#[derive(Default)]
struct Seen {
    end: AtomicBool,
    broken: Mutex<Vec<Violation>>,
}

/// A watch on the threads.
pub struct Watch(Arc<Seen>);

impl Watch {
    /// Ends the watch and returns its violations.
    pub fn end(self) -> Vec<Violation> {
        self.0.end.store(true, Ordering::Relaxed);
        std::mem::take(&mut self.0.broken.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn judge(service: &str, ages: &[(String, Duration)], turn_max: Duration) -> Vec<Violation> {
    let late = |what| Violation::new('J', Damage::Late, what);
    if ages.is_empty() {
        return vec![late(format!("{service} is ready, but has no worker and no projector"))];
    }
    let stuck = ages.iter().filter(|(_, age)| *age > turn_max);
    let violations = stuck.map(|(thread, age)| {
        late(format!(
            "{service} is ready, but its thread {thread} has been in one turn for {age:.1?}"
        ))
    });
    violations.collect()
}

fn ages(metrics: &str) -> Vec<(String, Duration)> {
    let age = |line: &str| {
        let (thread, age) = line.strip_prefix(AGE)?.split_once("\"} ")?;
        Some((thread.to_owned(), Duration::try_from_secs_f64(age.parse().ok()?).ok()?))
    };
    metrics.lines().filter_map(age).collect()
}

/// Whether the status is a success, and the body.
async fn get(url: &str) -> Option<(bool, String)> {
    let answer =
        integration::http().build().ok()?.get(url).timeout(ANSWER_MAX).send().await.ok()?;
    Some((answer.status().is_success(), answer.text().await.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = "# TYPE millrace_thread_turn_age_seconds gauge\n\
        millrace_thread_turn_age_seconds{thread=\"p.orders\"} 7.26\n\
        millrace_thread_turn_age_seconds{thread=\"worker-0\"} 0.001\n\
        other 9\n";

    #[test]
    fn thread_whose_turn_is_too_long_is_a_violation_that_names_it() {
        let broken = judge("order-0", &ages(METRICS), QUIET_TURN_MAX);
        let violations: Vec<_> =
            broken.iter().map(|one| (one.invariant, one.what.as_str())).collect();
        assert_eq!(
            violations,
            [('J', "order-0 is ready, but its thread p.orders has been in one turn for 7.3s")]
        );
        assert_eq!(judge("order-0", &ages(METRICS), TURN_MAX), []);
    }

    #[test]
    fn ready_service_without_threads_is_a_violation() {
        assert_eq!(judge("order-0", &ages("other 9\n"), TURN_MAX).len(), 1);
    }
}
