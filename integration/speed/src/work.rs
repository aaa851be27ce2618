//! The work of all contenders: for each input, read and update the state of its key, and write one
//! output and one changelog record, all in Avro and about 200 bytes long. On the engine it is an
//! aggregate whose inputs are follow-ups: these have no outcome and no deduplication, so the engine
//! writes what Kafka Streams writes, and its headers.

use std::collections::HashMap;

use bytes::Bytes;
use domain::{
    decider::{Decider, Decision, DecisionResult, Input, InputInfo},
    policy::Policy,
};
use engine::Topology;
use schemas::{Codec, Message as _, Never, Record, Schema, messages};
use serde::{Deserialize, Serialize};

/// Partitions of every topic.
pub(crate) const PARTITIONS: i32 = 4;
/// Different keys.
pub(crate) const KEYS: u64 = 50_000;
/// Bytes of a value beside its count.
pub(crate) const BODY: usize = 190;
/// The topic of inputs.
pub(crate) const INPUTS: &str = "speed.followups";
/// The topic of outputs of every contender.
pub(crate) const OUTPUTS: &str = "speed.events";

macro_rules! record {
    ($(#[$doc:meta])* $record:ident { $($field:ident: $kind:ty),* }, $fields:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
        pub(crate) struct $record {
            $(#[allow(missing_docs)] pub(crate) $field: $kind),*
        }

        impl Record for $record {
            const SCHEMA: &'static Schema = {
                static SCHEMA: Schema = Schema::foreign(
                    concat!("speed.", stringify!($record)),
                    concat!(r#"{"type":"record","namespace":"speed","name":""#, stringify!($record), r#"","fields":["#, $fields, "]}"),
                );
                &SCHEMA
            };
        }
    };
}

record!(
    /// An input.
    Add { body: String },
    r#"{"name":"body","type":"string"}"#
);
record!(
    /// An output: how many inputs of its key there were.
    Counted { count: i64, body: String },
    r#"{"name":"count","type":"long"},{"name":"body","type":"string"}"#
);
record!(
    /// A key's state.
    Count { count: i64, body: String },
    r#"{"name":"count","type":"long"},{"name":"body","type":"string"}"#
);

messages! {
    /// The inputs.
    pub(crate) enum FollowUp { Add(Add) }
}
messages! {
    /// The outputs.
    pub(crate) enum Event { Counted(Counted) }
}

/// Counts the inputs of a key.
#[derive(Debug)]
pub(crate) struct Counter;

impl Decider for Counter {
    const CONTEXT: &'static str = "speed";
    const COMMANDS: bool = false;
    type Command = Never;
    type FollowUp = FollowUp;
    type Event = Event;
    type State = Count;
    type Child = Never;
    type Out = Never;

    fn decide(
        state: Option<&Count>,
        _child: Option<&Never>,
        input: &Input<Never, FollowUp>,
        _info: &InputInfo<'_>,
    ) -> DecisionResult<Self> {
        Ok(match input {
            Input::FollowUp(FollowUp::Add(add)) => {
                let count = state.map_or(0, |state| state.count) + 1;
                Decision::event(Counted { count, body: add.body.clone() })
            }
            Input::Command(never) => match *never {},
            Input::Timer(_) => Decision::nothing(),
        })
    }

    fn evolve(_state: Option<Count>, event: &Event) -> Option<Count> {
        let Event::Counted(Counted { count, body }) = event;
        Some(Count { count: *count, body: body.clone() })
    }
}

impl Policy for Counter {}

/// The processor. Each run has its own name, and with it its own group and changelog.
pub(crate) fn topology(name: &'static str, plain: bool) -> Topology {
    let topology = Topology::new(name, |_| Some(PARTITIONS)).aggregate::<Counter>();
    if plain { topology.plain_events() } else { topology }
}

/// The schemas under ids that all contenders know without a registry: those of the work first, from
/// 1.
pub(crate) fn codec() -> Codec {
    let own = [Add::SCHEMA, Counted::SCHEMA, Count::SCHEMA];
    Codec::of(own.into_iter().chain(schemas::all().iter().copied()).zip(1..))
}

/// Checks outputs: those of each key must count its inputs, one after the other.
#[derive(Default)]
pub(crate) struct Counts(HashMap<Bytes, i64>);

impl Counts {
    /// Takes the next output of the log, and returns it.
    ///
    /// # Errors
    /// When its count is not the next one of its key.
    pub(crate) fn see(
        &mut self,
        codec: &Codec,
        output: redpanda::log::Record,
    ) -> anyhow::Result<Counted> {
        let count = self.0.entry(output.key.unwrap_or_default()).or_default();
        *count += 1;
        let Event::Counted(counted) = Event::decode(codec, &output.value.unwrap_or_default())?;
        anyhow::ensure!(counted.count == *count, "expected the count {count}, found {counted:?}");
        Ok(counted)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn kafka_streams_has_the_same_schemas() {
        let protocol: Value =
            serde_json::from_str(include_str!("../streams/speed.avpr")).expect("JSON");
        let types = protocol["types"].as_array().expect("types");
        for (theirs, ours) in types.iter().zip([Add::SCHEMA, Counted::SCHEMA, Count::SCHEMA]) {
            let mut theirs = theirs.clone();
            theirs["namespace"] = protocol["namespace"].clone();
            assert_eq!(serde_json::from_str::<Value>(ours.json).expect("JSON"), theirs);
        }
    }

    #[test]
    fn a_key_is_counted() {
        let add = Input::FollowUp(Add { body: "x".into() }.into());
        let input_id = uuid::Uuid::nil();
        let info = InputInfo { key: "k", at_ms: 0, input_id, version: 0, principal: "" };
        let state = Count { count: 6, body: "y".into() };
        let decision = Counter::decide(Some(&state), None, &add, &info).expect("a decision");
        let event = Event::from(Counted { count: 7, body: "x".into() });
        assert_eq!(decision.events, std::slice::from_ref(&event));
        assert_eq!(
            Counter::evolve(Some(state), &event),
            Some(Count { count: 7, body: "x".into() })
        );
    }
}
