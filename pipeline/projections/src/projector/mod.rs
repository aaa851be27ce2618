//! The loop that brings records from the log into a store.
//!
//! The position of a projection is in its store beside the data, and moves by compare-and-set.
//! Therefore a partition has only two states in a projector, `partition::Slot`:
//!
//! ```text
//!                   claim: the store returns a new epoch and the position
//!   assigned -> Waiting ---------------------------------------------> Claimed
//!                  ^                                                      |
//!                  +------------------------------------------------------+
//!                    any failure: wait, claim again, and read again from
//!                    the position in the store
//! ```
//!
//! There is no other recovery. The files, in the order in which a record passes them:
//!
//! - `run`: prepares the store and joins the group; `resources`: what all projectors share
//! - `turn`: one turn of the loop, in order
//! - `assignment`: partitions that the group assigns or revokes
//! - `claim`: takes a partition over from its former owner
//! - `rebuild`: where a projection without a position starts, and how an erased position is noticed
//! - `apply`: writes records as batches; `schemas`: learns schemas of other writers
//! - `dead_letters`: records that no version can project
//! - `positions`: moves positions past transaction markers and aborted records
//! - `failures`: when a partition is retried; `lag`: how far the projection is behind
//! - `retention`: removes rows and documents whose retention has passed
//!
//! **A gap, or a record that only a newer version can read, stops its partition and is never
//! skipped.** The other partitions continue. A projector owns a thread, because the log's calls
//! block, and never commits an offset to the broker.

mod apply;
mod assignment;
mod claim;
mod dead_letters;
mod failures;
mod lag;
mod partition;
mod positions;
mod rebuild;
mod resources;
mod retention;
mod run;
mod schemas;
#[cfg(test)]
mod tests;
mod turn;

pub use resources::{Open, Resources, SchemaById};
pub use run::{group, run};
pub use turn::Projector;
