//! The shape of a processor: which topics it reads, and which decider or policy processes their
//! records. One value, which the service, the tests on the in-memory log and the benchmark use
//! alike. It holds no state and does no I/O.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use bytes::Bytes;
use domain::{decider::Reaction, policy::Policy};
use redpanda::log::{Topic, TopicPartition};
use schemas::{Codec, Message, Schema};
use uuid::Uuid;

use crate::{
    aggregate::{Aggregates, Effect, TypedAggregates, effect_of, panic_message},
    error::{Failure, InputError},
};

/// The most aggregate types of a processor: every input takes a savepoint in the tables of each.
pub(crate) const AGGREGATES_MAX: usize = 4;

/// What processes the records of an input topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Commands for the aggregate type of this index.
    Commands(usize),
    /// Follow-ups for the aggregate type of this index.
    FollowUps(usize),
    /// Events for the policy of this index.
    Policy(usize),
}

/// An aggregate type of a processor.
pub(crate) struct AggregateType {
    pub(crate) context: &'static str,
    /// The topic of its events.
    pub(crate) events: Topic,
    /// Creates the tables of a task. The argument says whether events are counted.
    pub(crate) create: fn(bool) -> Box<dyn Aggregates>,
}

/// A policy without a state, type-erased: from an encoded event and its id to effects.
type EventPolicy = Box<dyn Fn(&Codec, &[u8], Uuid) -> Result<Vec<Effect>, Failure> + Send + Sync>;

/// Returns the number of partitions of a topic.
type Partitions = Box<dyn Fn(&str) -> Option<i32> + Send + Sync>;

/// The shape of a processor.
pub struct Topology {
    pub(crate) processor: &'static str,
    /// The CloudEvents source of all records.
    pub(crate) source: Bytes,
    pub(crate) changelog: Topic,
    pub(crate) outcomes: Topic,
    /// The topic of the events about its parked keys.
    pub(crate) operations: Topic,
    /// The input topics.
    pub(crate) routes: Vec<(Topic, Route)>,
    pub(crate) aggregates: Vec<AggregateType>,
    pub(crate) policies: Vec<EventPolicy>,
    schemas: Vec<&'static Schema>,
    partitions: Partitions,
    /// Whether events have no headers: see [`Topology::plain_events`].
    pub(crate) plain: bool,
}

impl fmt::Debug for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topology")
            .field("processor", &self.processor)
            .field("routes", &self.routes)
            .finish_non_exhaustive()
    }
}

impl Topology {
    /// Creates a processor without inputs. `partitions` returns the number of partitions of every
    /// topic that the processor reads or writes.
    pub fn new(
        processor: &'static str,
        partitions: impl Fn(&str) -> Option<i32> + Send + Sync + 'static,
    ) -> Self {
        Self {
            processor,
            source: format!("/millrace/{processor}").into(),
            changelog: format!("{processor}.state").into(),
            outcomes: format!("{processor}.outcomes").into(),
            operations: format!("{processor}.operations").into(),
            routes: Vec::new(),
            aggregates: Vec::new(),
            policies: Vec::new(),
            schemas: engine_schemas(),
            partitions: Box::new(partitions),
            plain: false,
        }
    }

    /// Writes events without headers and states without versions. Such an event has no id and stays
    /// at version 0, so no projection can hold a position on it, and follow-ups have no trace. Only
    /// builds of the benchmarks have this.
    #[cfg(feature = "benchmarks")]
    #[must_use]
    pub fn plain_events(mut self) -> Self {
        self.plain = true;
        self
    }

    /// Adds the aggregates of decider and policy `D`, with its context's commands and follow-ups as
    /// inputs.
    #[must_use]
    pub fn aggregate<D: Policy>(mut self) -> Self {
        let index = self.aggregates.len();
        assert!(index < AGGREGATES_MAX, "a processor has at most {AGGREGATES_MAX} aggregate types");
        self.aggregates.push(AggregateType {
            context: D::CONTEXT,
            events: format!("{}.events", D::CONTEXT).into(),
            create: |versioned| Box::new(TypedAggregates::<D>::new(versioned)),
        });
        if D::COMMANDS {
            self.routes.push((format!("{}.commands", D::CONTEXT).into(), Route::Commands(index)));
        }
        if D::FOLLOWUPS {
            self.routes.push((format!("{}.followups", D::CONTEXT).into(), Route::FollowUps(index)));
        }
        self.uses::<D::Command>()
            .uses::<D::FollowUp>()
            .uses::<D::Event>()
            .uses::<D::State>()
            .uses::<D::Child>()
    }

    /// Adds a policy without a state: `react` derives messages from each event of another
    /// processor's `topic`, and from the event's id.
    #[must_use]
    pub fn policy<E: Message, M: Message>(
        mut self,
        topic: &str,
        react: impl Fn(&E, Uuid) -> Vec<Reaction<M>> + Send + Sync + 'static,
    ) -> Self {
        self.routes.push((topic.into(), Route::Policy(self.policies.len())));
        self.policies.push(Box::new(move |codec, bytes, id| {
            let event = E::decode(codec, bytes)?;
            let reactions = catch_unwind(AssertUnwindSafe(|| react(&event, id)))
                .map_err(|panic| InputError::PolicyPanicked(panic_message(&*panic).to_owned()))?;
            let send = |reaction| match reaction {
                Reaction::Send { .. } => Ok(effect_of(reaction, codec)?),
                _ => Err(InputError::NotASend.into()),
            };
            reactions.into_iter().map(send).collect()
        }));
        self.uses::<E>()
    }

    /// Declares that reactions carry records of `M`, so that their schemas must be registered.
    #[must_use]
    pub fn uses<M: Message>(mut self) -> Self {
        for schema in M::schemas() {
            if !self.schemas.iter().any(|known| known.name == schema.name) {
                self.schemas.push(schema);
            }
        }
        self
    }

    /// The processor's name: its consumer group, and the prefix of its transactional ids.
    pub fn processor(&self) -> &'static str {
        self.processor
    }

    /// The input topics. They have one partition count, so that a task reads the same partition of
    /// each.
    pub fn inputs(&self) -> Vec<Topic> {
        self.routes.iter().map(|(topic, _)| topic.clone()).collect()
    }

    /// The topic of the outcomes of its commands, which is its own, like its changelog.
    pub fn outcomes(&self) -> &Topic {
        &self.outcomes
    }

    /// The topic of the events about its parked keys.
    pub fn operations(&self) -> &Topic {
        &self.operations
    }

    /// All partitions of the follow-ups that it reads.
    pub(crate) fn follow_up_partitions(&self) -> Vec<TopicPartition> {
        let followups =
            self.routes.iter().filter(|(_, route)| matches!(route, Route::FollowUps(_)));
        followups
            .flat_map(|(topic, _)| {
                let count = self.partitions(topic).unwrap_or(0);
                (0..count).map(|partition| TopicPartition { topic: topic.clone(), partition })
            })
            .collect()
    }

    /// The schemas that must be registered before the processor runs: its own ones only.
    pub fn schemas(&self) -> &[&'static Schema] {
        &self.schemas
    }

    /// What processes the records of `topic`; `None` if it is no input.
    pub(crate) fn route(&self, topic: &Topic) -> Option<Route> {
        self.routes
            .iter()
            .find(|(name, _)| Arc::ptr_eq(name, topic) || name == topic)
            .map(|(_, route)| *route)
    }

    /// The index of the aggregate type with this context; `None` if the processor has none.
    pub(crate) fn index_of(&self, context: &str) -> Option<usize> {
        self.aggregates.iter().position(|one| one.context == context)
    }

    /// The number of partitions of a topic; `None` if the topic is not known.
    pub(crate) fn partitions(&self, topic: &str) -> Option<i32> {
        (self.partitions)(topic)
    }
}

fn engine_schemas() -> Vec<&'static Schema> {
    use schemas::engine::{Applied, Command, Event, Handled, Parked, Timer, Waiting};
    [
        Applied::schemas(),
        Command::schemas(),
        Event::schemas(),
        Handled::schemas(),
        Parked::schemas(),
        Timer::schemas(),
        Waiting::schemas(),
        schemas::Outcome::schemas(),
    ]
    .concat()
}
