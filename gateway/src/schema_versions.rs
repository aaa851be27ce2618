//! Which version of its subject a schema is, as the registry says. Answers are kept, because a
//! registered schema does not change. No read fails because of the registry: what it does not say
//! in time is not shown.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use redpanda::registry::{Registry, RegistryError, SubjectVersion};
use schemas::chain;
use tokio::time::timeout;

/// The deadline of all requests for one read.
const ANSWERS_MAX: Duration = Duration::from_millis(500);
/// How long nobody asks a registry that has failed: each read in between is answered at once.
const PAUSE: Duration = Duration::from_secs(5);
/// Requests at the same time for one read.
const REQUESTS_MAX: usize = 8;
/// Ids that one read asks for. The others are asked for by the next ones.
const ASKED_MAX: usize = 64;
/// Ids whose answers are kept. When there are more, all are forgotten.
const KEPT_MAX: usize = 1_024;

/// Where the versions of a schema are: a subject for each of the records that have this schema.
type Subjects = Arc<[SubjectVersion]>;

/// Asks the registry for versions, and keeps its answers.
#[derive(Default)]
pub struct SchemaVersions {
    registry: Option<Registry>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_id: HashMap<u32, Subjects>,
    /// When the registry may be asked again.
    asked_from: Option<Instant>,
}

/// The versions of the schemas of one read.
#[derive(Debug, Default)]
pub struct Versions(BTreeMap<u32, Subjects>);

impl SchemaVersions {
    /// Asks this registry. Without one, no version is known.
    pub fn of(registry: Registry) -> Self {
        Self { registry: Some(registry), known: Mutex::default() }
    }

    /// The versions of the schemas with these ids, as far as they are known in time.
    pub async fn read(&self, ids: impl IntoIterator<Item = u32>) -> Versions {
        let ids: BTreeSet<u32> = ids.into_iter().collect();
        let unknown = self.unknown(&ids);
        if let Some(registry) = &self.registry
            && !unknown.is_empty()
        {
            let cause = match timeout(ANSWERS_MAX, self.ask(registry, unknown)).await {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(chain(&error)),
                Err(_) => Some(format!("no answer within {ANSWERS_MAX:?}")),
            };
            if let Some(error) = cause {
                tracing::warn!(error, "the versions of schemas can't be read from the registry");
                self.known().asked_from = Some(Instant::now() + PAUSE);
            }
        }
        let known = self.known();
        let found = |id| Some((id, known.by_id.get(&id)?.clone()));
        Versions(ids.into_iter().filter_map(found).collect())
    }

    /// The ids to ask for now.
    fn unknown(&self, ids: &BTreeSet<u32>) -> Vec<u32> {
        let known = self.known();
        if known.asked_from.is_some_and(|from| Instant::now() < from) {
            return Vec::new();
        }
        let unknown = ids.iter().filter(|id| !known.by_id.contains_key(id));
        unknown.take(ASKED_MAX).copied().collect()
    }

    async fn ask(&self, registry: &Registry, ids: Vec<u32>) -> Result<(), RegistryError> {
        let answer = |id| async move { (id, registry.versions_of_id(id).await) };
        let mut answers = stream::iter(ids).map(answer).buffer_unordered(REQUESTS_MAX);
        while let Some((id, answer)) = answers.next().await {
            let subjects = answer?;
            // A schema that is not registered may be soon.
            if !subjects.is_empty() {
                self.known().keep(id, subjects.into());
            }
        }
        Ok(())
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn keep(&mut self, id: u32, subjects: Subjects) {
        if self.by_id.len() >= KEPT_MAX {
            self.by_id.clear();
        }
        self.by_id.insert(id, subjects);
    }
}

impl Versions {
    /// The version of a schema under the subject that is the record's type. For a record that names
    /// no type, or an empty one, it is that of the only subject.
    pub fn of(&self, id: u32, record_type: Option<&str>) -> Option<u32> {
        let subjects = self.0.get(&id)?;
        let record_type = record_type.filter(|name| !name.is_empty());
        let subject = match (record_type, &**subjects) {
            (Some(name), all) => all.iter().find(|it| it.subject == name),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        subject.map(|it| it.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(subject: &str, number: u32) -> SubjectVersion {
        SubjectVersion { subject: subject.to_owned(), number }
    }

    #[test]
    fn version_is_that_of_the_record_s_type_or_of_the_only_subject() {
        let one = vec![subject("a.One", 3)].into();
        let two = vec![subject("a.One", 3), subject("a.Two", 1)].into();
        let versions = Versions(BTreeMap::from([(1, one), (2, two)]));
        for (id, record_type, expected) in [
            (1, Some("a.One"), Some(3)),
            (1, Some("a.Two"), None),
            (1, None, Some(3)),
            (1, Some(""), Some(3)),
            (2, Some("a.Two"), Some(1)),
            (2, None, None),
            (3, Some("a.One"), None),
        ] {
            assert_eq!(versions.of(id, record_type), expected, "{id} {record_type:?}");
        }
    }

    #[test]
    fn kept_answers_are_bounded() {
        let mut known = Known::default();
        for id in 0..10_000 {
            known.keep(id, Vec::new().into());
            assert!(known.by_id.len() <= KEPT_MAX && known.by_id.contains_key(&id), "{id}");
        }
    }
}
