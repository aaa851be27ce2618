//! Rows of packed steps. A step takes about six bytes. It knows no SQL.

use std::collections::BTreeMap;

use redpanda::log::TopicPartition;
use schemas::chain;
use serde::{Deserialize, Serialize};

use super::{Step, Steps};
use crate::StoreError;

/// The form of packed steps, their first byte. Another form is another number.
const FORM: u8 = 1;

/// The steps of one topic's partitions in one projection.
#[derive(Serialize, Deserialize)]
struct Moved {
    projection: String,
    topic: String,
    /// By partition: milliseconds since the row's first step, and the next offset.
    steps: Vec<(i32, Vec<(i64, i64)>)>,
}

/// A row: the times of its first and its last step, and all steps packed; `None` without a step.
pub(crate) fn pack(steps: &Steps) -> Result<Option<(i64, i64, Vec<u8>)>, StoreError> {
    let times = || steps.values().flatten().map(|step| step.at_ms);
    let (Some(first_ms), Some(last_ms)) = (times().min(), times().max()) else { return Ok(None) };
    let mut by_topic: BTreeMap<(&str, &str), Moved> = BTreeMap::new();
    for ((projection, TopicPartition { topic, partition }), steps) in steps {
        let moved = by_topic.entry((projection, topic)).or_insert_with(|| Moved {
            projection: projection.clone(),
            topic: topic.to_string(),
            steps: Vec::new(),
        });
        let since = |step: &Step| (step.at_ms - first_ms, step.next);
        moved.steps.push((*partition, steps.iter().map(since).collect()));
    }
    let all: Vec<_> = by_topic.into_values().collect();
    let row = postcard::to_extend(&all, vec![FORM])
        .map_err(|error| StoreError::failed("packing steps of projections", error))?;
    Ok(Some((first_ms, last_ms, row)))
}

/// Adds the steps of a row.
pub(crate) fn unpack(first_ms: i64, row: &[u8], into: &mut Steps) -> Result<(), StoreError> {
    let failed = |why: String| StoreError::failed("unpacking steps of projections", why);
    let Some((&FORM, packed)) = row.split_first() else {
        return Err(failed(format!("expected form {FORM}, found {:?}", row.first())));
    };
    let all: Vec<Moved> = postcard::from_bytes(packed).map_err(|error| failed(chain(&error)))?;
    for Moved { projection, topic, steps } in all {
        for (partition, steps) in steps {
            let partition = TopicPartition { topic: topic.as_str().into(), partition };
            let step = |(since_ms, next)| Step { at_ms: first_ms + since_ms, next };
            let known = into.entry((projection.clone(), partition)).or_default();
            known.extend(steps.into_iter().map(step));
        }
    }
    Ok(())
}
