//! The shape of a processor: which topics it reads, and what decides on their records.
//!
//! One value, built once, used alike by the service, by the tests on the in-memory log and by the
//! benchmark.

use std::{fmt, panic::AssertUnwindSafe, sync::Arc};

use bytes::Bytes;
use domain::decider::{Decider, Reaction};
use redpanda::log::Topic;
use schemas::{Codec, Message, Schema};
use uuid::Uuid;

use crate::{
    aggregate::{Aggregates, Effect, Failure, Kind, encoded, said},
    task::KINDS_MAX,
};

/// What a processor does with the records of an input topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// Commands to the aggregates of this index.
    Commands(usize),
    /// Follow-ups to the aggregates of this index.
    FollowUps(usize),
    /// Events for the policy of this index.
    Policy(usize),
}

type Policy = Box<dyn Fn(&Codec, &[u8], Uuid) -> Result<Vec<Effect>, Failure> + Send + Sync>;

/// How many partitions a topic has.
type Partitions = Box<dyn Fn(&str) -> Option<i32> + Send + Sync>;

/// The shape of a processor.
pub struct Topology {
    pub(crate) processor: &'static str,
    pub(crate) source: Bytes,
    pub(crate) changelog: Topic,
    pub(crate) outcomes: Topic,
    pub(crate) routes: Vec<(Topic, Route)>,
    pub(crate) contexts: Vec<&'static str>,
    pub(crate) events: Vec<Topic>,
    pub(crate) kinds: Vec<fn(bool) -> Box<dyn Aggregates>>,
    pub(crate) policies: Vec<Policy>,
    schemas: Vec<&'static Schema>,
    partitions: Partitions,
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
    /// An empty processor. `partitions` tells how many partitions a topic has, for all that it
    /// writes to.
    pub fn new(
        processor: &'static str,
        partitions: impl Fn(&str) -> Option<i32> + Send + Sync + 'static,
    ) -> Self {
        Self {
            processor,
            source: format!("/millrace/{processor}").into(),
            changelog: format!("{processor}.state").into(),
            outcomes: "outcomes".into(),
            routes: Vec::new(),
            contexts: Vec::new(),
            events: Vec::new(),
            kinds: Vec::new(),
            policies: Vec::new(),
            schemas: engine_schemas(),
            partitions: Box::new(partitions),
            plain: false,
        }
    }

    /// Events carry no headers, and states no version: for topics of which nobody asks who, when
    /// and why, and where a dozen headers would be more than the value. Such an event has no id and
    /// stays at version 0, so that no projection can hold on to it, and what follows from it is not
    /// traced.
    #[must_use]
    pub fn plain_events(mut self) -> Self {
        self.plain = true;
        self
    }

    /// Adds the aggregates of decider `D`, fed by its context's commands and follow-ups.
    #[must_use]
    pub fn aggregate<D: Decider>(mut self) -> Self {
        let index = self.kinds.len();
        assert!(index < KINDS_MAX, "a processor has at most {KINDS_MAX} kinds of aggregates");
        self.contexts.push(D::CONTEXT);
        self.events.push(format!("{}.events", D::CONTEXT).into());
        self.kinds.push(|versioned| Box::new(Kind::<D>::new(versioned)));
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
            .uses::<D::Member>()
    }

    /// Adds a policy without a state: what follows from each event of another processor's `topic`.
    /// It is given the event and its id.
    #[must_use]
    pub fn policy<E: Message, M: Message>(
        mut self,
        topic: &str,
        react: impl Fn(&E, Uuid) -> Vec<Reaction<M>> + Send + Sync + 'static,
    ) -> Self {
        self.routes.push((topic.into(), Route::Policy(self.policies.len())));
        self.policies.push(Box::new(move |codec, bytes, id| {
            let event = E::decode(codec, bytes)?;
            let reactions = std::panic::catch_unwind(AssertUnwindSafe(|| react(&event, id)))
                .map_err(|panic| {
                    Failure::Permanent(format!("the policy panicked: {}", said(&*panic)))
                })?;
            let send = |reaction| match reaction {
                Reaction::Send { topic, key, message } => Ok(Effect::Send {
                    topic,
                    key,
                    name: message.as_ref().map_or("", Message::name),
                    value: message.map(|message| encoded(&message, codec)).transpose()?,
                }),
                _ => Err(Failure::Permanent("a policy without a state can only send".to_owned())),
            };
            reactions.into_iter().map(send).collect()
        }));
        self.uses::<E>()
    }

    /// Declares that records of `M` are written too (as what reactions carry), so that they must be
    /// registered.
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

    /// The topics that it reads: of one partition count, so that a task sees the same number of
    /// each.
    pub fn inputs(&self) -> Vec<Topic> {
        self.routes.iter().map(|(topic, _)| topic.clone()).collect()
    }

    /// The schemas that must be registered before it can run: its own, and no others.
    pub fn schemas(&self) -> &[&'static Schema] {
        &self.schemas
    }

    pub(crate) fn route(&self, topic: &Topic) -> Option<Route> {
        self.routes
            .iter()
            .find(|(name, _)| Arc::ptr_eq(name, topic) || name == topic)
            .map(|(_, route)| *route)
    }

    pub(crate) fn partitions(&self, topic: &str) -> Option<i32> {
        (self.partitions)(topic)
    }
}

fn engine_schemas() -> Vec<&'static Schema> {
    use schemas::engine::{Applied, Handled, Parked, Redrive, Timer, Waiting};
    [
        Applied::schemas(),
        Handled::schemas(),
        Parked::schemas(),
        Redrive::schemas(),
        Timer::schemas(),
        Waiting::schemas(),
        schemas::Outcome::schemas(),
    ]
    .concat()
}
