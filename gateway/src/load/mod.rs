//! Load shedding: bounds the requests in flight, and refuses the excess at once instead of letting
//! it wait. Each class has slots of its own, so that none takes those of another, and shares them
//! fairly between client addresses. The limit of a class follows the latency of its requests.
//!
//! A command keeps its slot until its outcome is known, whether or not its request waits for that.
//! So the limit bounds the backlog of the processors too.

mod adaptive;
#[cfg(test)]
mod simulation;
mod slots;

use std::{net::IpAddr, sync::Arc, time::Duration};

use warp::http::StatusCode;

use crate::{metrics::Metrics, problem::Problem};
use adaptive::Adaptive;
pub use slots::Slot;
use slots::Slots;

/// When a refused client should try again, at the earliest and at the latest in seconds. They are
/// spread, so that those refused together do not come back together.
const RETRY_AFTER_S: std::ops::RangeInclusive<u64> = 1..=3;

/// Requests that compete for the same slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Commands, from their request to their outcome.
    Commands,
    /// Reads.
    Reads,
    /// Requests about accounts and sessions, most of which hash a password.
    LogIns,
    /// Reads that wait for an outcome or a version. Their number is bounded and has no adaptive
    /// limit, because their latency says nothing; a further one is answered without a wait.
    Waits,
}

impl Class {
    const ALL: [Self; 4] = [Self::Commands, Self::Reads, Self::LogIns, Self::Waits];

    /// The value of the metrics' label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Commands => "commands",
            Self::Reads => "reads",
            Self::LogIns => "log_ins",
            Self::Waits => "waits",
        }
    }

    /// Whether the latency of a request says how busy the system is, by the status of its response.
    /// A refused request was not worked on, except that a wrong password was hashed. A command that
    /// is answered with 202 has no outcome yet.
    pub fn is_measured(self, status: StatusCode) -> bool {
        let is_wrong_password = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN].contains(&status);
        let has_result = status.is_success() && status != StatusCode::ACCEPTED;
        has_result || status.is_server_error() || self == Self::LogIns && is_wrong_password
    }
}

/// How many requests of each class may be in flight at most, and how long they should take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Commands without an outcome.
    pub commands_max: usize,
    /// Reads.
    pub reads_max: usize,
    /// Requests about accounts and sessions.
    pub log_ins_max: usize,
    /// Reads that wait.
    pub waits_max: usize,
    /// The latency at which commands and log-ins are kept under load; reads at half of it.
    pub latency_target: Duration,
}

/// The slots of all classes.
pub struct Load {
    /// In the order of [`Class::ALL`].
    classes: [Arc<Slots>; 4],
}

impl Load {
    /// Slots within these bounds.
    pub fn new(bounds: Bounds, metrics: &Metrics) -> Self {
        let target = bounds.latency_target;
        let classes = Class::ALL.map(|class| {
            // The least limit keeps a class alive when its latency stays above the target.
            let (target, min, max) = match class {
                Class::Commands => (target, 24, bounds.commands_max),
                Class::Reads => (target / 2, 16, bounds.reads_max),
                Class::LogIns => (target, 16, bounds.log_ins_max),
                Class::Waits => (target, bounds.waits_max, bounds.waits_max),
            };
            Slots::new(class, Adaptive::new(target, min, max), metrics)
        });
        Self { classes }
    }

    /// Takes a slot of a class for a request of `client`.
    ///
    /// # Errors
    /// Returns a 503 problem when there is none.
    pub fn take(&self, class: Class, client: IpAddr) -> Result<Slot, Problem> {
        let retry_after = || Duration::from_secs(rand::random_range(RETRY_AFTER_S));
        self.slots(class).take(client).map_err(|_| Problem::overloaded(retry_after()))
    }

    /// Takes a slot for a read of `client` that waits; `None` when there is none, so that the read
    /// is answered with what is known.
    pub fn wait(&self, client: IpAddr) -> Option<Slot> {
        self.slots(Class::Waits).take(client).ok()
    }

    fn slots(&self, class: Class) -> &Arc<Slots> {
        &self.classes[class as usize]
    }
}
