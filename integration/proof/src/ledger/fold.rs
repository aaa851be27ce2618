//! The aggregates of each context, folded from its events, and compared with its changelog.

use std::collections::{HashMap, HashSet};

use domain::decider::Decider;
use schemas::{Codec, Message};

use super::violation::{Damage, Violation};

/// Separates the key of an aggregate from the name of a child, in the keys of a changelog.
pub(super) const CHILD_SEPARATOR: char = '\u{1f}';

/// The aggregates of one context, folded from their events.
pub struct Fold<D: Decider> {
    /// Version and state by key.
    pub aggregates: HashMap<String, (i64, Option<D::State>)>,
    /// The children, by key and name, joined as in the changelog.
    pub children: HashMap<String, D::Child>,
    /// The events of each key, in order.
    pub events: HashMap<String, Vec<D::Event>>,
}

impl<D: Decider> Default for Fold<D> {
    fn default() -> Self {
        Self { aggregates: HashMap::new(), children: HashMap::new(), events: HashMap::new() }
    }
}

impl<D: Decider> Fold<D> {
    fn add(&mut self, key: &str, version: i64, event: D::Event) -> Option<Violation> {
        let (before, state) = self.aggregates.remove(key).unwrap_or((0, None));
        let after = D::evolve(state, &event);
        if let Some(child) = D::child_of_event(&event) {
            let name = format!("{key}{CHILD_SEPARATOR}{child}");
            let held = self.children.remove(&name);
            if let Some(held) = D::evolve_child(held, &event) {
                self.children.insert(name, held);
            }
        }
        let what = || {
            format!("{} of {}/{key} has version {version} after {before}", event.name(), D::CONTEXT)
        };
        let violation = match version {
            next if next == before + 1 => None,
            repeated if repeated <= before => Some(Violation::new('C', Damage::Doubled, what())),
            _ => Some(Violation::new('C', Damage::Lost, what())),
        };
        self.aggregates.insert(key.to_owned(), (version, after));
        self.events.entry(key.to_owned()).or_default().push(event);
        violation
    }

    /// Compares with the changelog's records of this context: the state is the fold of the events,
    /// and what a restore would load.
    fn compare(
        &self,
        codec: &Codec,
        changelog: &HashMap<String, (Option<i64>, Vec<u8>)>,
        broken: &mut Vec<Violation>,
    ) {
        let torn = |what: String| Violation::new('D', Damage::Torn, what);
        let mut seen = HashSet::new();
        for (typed, (version, value)) in changelog {
            let Some((kind, rest)) = typed.split_once('/') else { continue };
            let Some((context, key)) = rest.split_once('/') else { continue };
            if context != D::CONTEXT {
                continue;
            }
            match kind {
                "state" => {
                    seen.insert(key);
                    let folded = self.aggregates.get(key);
                    let state = D::State::decode(codec, value).ok();
                    if folded.map(|(_, state)| state.as_ref()) != Some(state.as_ref()) {
                        broken.push(torn(format!(
                            "{typed}: the changelog has {state:?}, the events {folded:?}"
                        )));
                    } else if folded.map(|(version, _)| *version) != *version {
                        broken.push(torn(format!(
                            "{typed}: version {version:?} in the changelog, not {folded:?}"
                        )));
                    }
                }
                "member" => {
                    let held = D::Child::decode(codec, value).ok();
                    if held.as_ref() != self.children.get(key) {
                        broken.push(torn(format!(
                            "{typed}: the changelog's child is not the events'"
                        )));
                    }
                }
                _ => {}
            }
        }
        let folded = self.aggregates.iter().filter(|(_, (_, state))| state.is_some());
        for (key, _) in folded.filter(|(key, _)| !seen.contains(key.as_str())) {
            broken.push(torn(format!(
                "{}/{key} has events, and no state in the changelog",
                D::CONTEXT
            )));
        }
        for key in self
            .children
            .keys()
            .filter(|key| !changelog.contains_key(&format!("member/{}/{key}", D::CONTEXT)))
        {
            broken.push(torn(format!(
                "{}/{key:?} is a child by its events, and not in the changelog",
                D::CONTEXT
            )));
        }
    }
}

/// Defines [`Folds`] and what is done with each of them.
macro_rules! folds {
    ($($fold:ident: $aggregate:ty),+ $(,)?) => {
        /// The aggregates of all contexts, folded from their events.
        #[derive(Default)]
        pub struct Folds {
            $(
                #[doc = concat!("All ", stringify!($fold), ".")]
                pub $fold: Fold<$aggregate>,
            )+
        }

        impl Folds {
            #[cfg(test)]
            const CONTEXTS: &[&str] = &[$(<$aggregate>::CONTEXT),+];

            /// Adds an event to the fold of its context.
            pub(super) fn add(
                &mut self,
                context: &str,
                key: &str,
                version: i64,
                value: &[u8],
                codec: &Codec,
            ) -> anyhow::Result<Option<Violation>> {
                $(if context == <$aggregate>::CONTEXT {
                    return Ok(self.$fold.add(key, version, Message::decode(codec, value)?));
                })+
                anyhow::bail!("the domain has no context {context:?}")
            }

            /// The version of an aggregate; `None` if no event of it was read.
            pub fn version(&self, context: &str, key: &str) -> Option<i64> {
                $(if context == <$aggregate>::CONTEXT {
                    return self.$fold.aggregates.get(key).map(|(version, _)| *version);
                })+
                None
            }

            /// Compares all of them with the changelogs.
            pub(super) fn compare(
                &self,
                codec: &Codec,
                changelog: &HashMap<String, (Option<i64>, Vec<u8>)>,
            ) -> Vec<Violation> {
                let mut broken = Vec::new();
                $(self.$fold.compare(codec, changelog, &mut broken);)+
                broken
            }
        }
    };
}

domain::aggregates!(folds);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_of_every_context_are_folded() {
        for topic in redpanda::topics::all().of_kind("events") {
            let context = topic.name.trim_end_matches(".events");
            assert!(Folds::CONTEXTS.contains(&context), "domain::aggregates! lacks {context}");
        }
    }
}
