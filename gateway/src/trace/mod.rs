//! The trace of a command or an order as clients see it: the records that its commands caused, as a
//! tree by what caused each. It is pure, and it shows where records are and what their headers say,
//! never a payload.

mod tree;

use schemas::Outcome;
use serde::Serialize;
use uuid::Uuid;

use crate::{
    outcome::{command_path, trace_path, verdict_name},
    reads::{Applied, Order, ReadError, TraceView},
    schema_versions::Versions,
    state::State,
    time,
    waits::Waits,
};
use tree::TracedRecord;

/// What the projections and the registry say of a trace.
pub struct Seen {
    /// The records.
    pub view: TraceView,
    /// For each record the projections that read its topic.
    pub applied: Vec<Vec<Applied>>,
    /// The versions of their schemas, as far as the registry says them.
    pub versions: Versions,
}

impl Seen {
    /// Reads who has applied the records of a trace, and the versions of their schemas.
    ///
    /// # Errors
    /// When a store does not answer.
    pub async fn read(state: &State, view: TraceView) -> Result<Self, ReadError> {
        let ids = view.entries.iter().filter_map(|entry| entry.schema_id);
        let versions = state.schema_versions.read(ids);
        let (applied, versions) = tokio::join!(state.reads.applied(&view.entries), versions);
        Ok(Self { applied: applied?, versions, view })
    }
}

/// A trace as JSON.
#[derive(Serialize)]
pub struct Trace {
    #[serde(flatten)]
    subject: Subject,
    /// The tree, each record before those that it caused.
    records: Vec<TracedRecord>,
    /// Whether there are more records than are shown.
    is_cut: bool,
    /// What it waits for, if it has not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    waits: Option<Waits>,
    links: Links,
}

/// What a trace is of.
#[derive(Serialize)]
#[serde(untagged)]
enum Subject {
    Command {
        command: Uuid,
        /// The state of the command: `pending`, or its verdict.
        state: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        decided_at: Option<String>,
    },
    Order {
        order: Uuid,
        /// The status of the order.
        state: String,
        /// The commands that changed it, the first one first.
        commands: Vec<Uuid>,
    },
}

impl Subject {
    /// Whether something may still happen to it by itself.
    fn is_open(&self) -> bool {
        match self {
            Self::Command { state, .. } => *state == "pending",
            Self::Order { state, .. } => state == "placed",
        }
    }
}

#[derive(Serialize)]
struct Links {
    #[serde(rename = "self")]
    own: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order: Option<String>,
}

impl Trace {
    /// The trace of a command with its outcome, if that is known.
    pub fn of_command(command: Uuid, outcome: Option<&Outcome>, seen: Seen) -> Self {
        let subject = Subject::Command {
            command,
            state: outcome.map_or("pending", |outcome| verdict_name(outcome.verdict)),
            decided_at: outcome.map(|outcome| time::text(outcome.decided_at)),
        };
        let (own, command) = (trace_path(command), Some(command_path(command)));
        Self::new(subject, Links { own, command, order: None }, seen)
    }

    /// The trace of an order, which is that of the commands that changed it.
    pub fn of_order(order: &Order, commands: Vec<Uuid>, seen: Seen) -> Self {
        let subject = Subject::Order { order: order.id, state: order.status.clone(), commands };
        let path = format!("/v1/orders/{}", order.id);
        let own = format!("{path}/trace");
        Self::new(subject, Links { own, command: None, order: Some(path) }, seen)
    }

    fn new(subject: Subject, links: Links, seen: Seen) -> Self {
        let Seen { view, applied, versions } = seen;
        let waits = subject.is_open().then(|| Waits::of(&view.entries));
        let records = tree::records(view.entries, applied, &versions);
        Self { subject, is_cut: view.is_cut, waits, records, links }
    }
}
