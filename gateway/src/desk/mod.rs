//! The operator's desk as admins see it: dead letters, parked keys, and what operators have done.
//! Plain data: this module decides nothing, and knows the stores only as traits.
//!
//! - `dead`, `parked`, `action`, `shown`: the entries of the lists
//! - `lists`: what the stream hands out

mod action;
mod dead;
mod lists;
mod parked;
mod shown;

use projections::postgres::{KeyCursor, ParkedSelection, RecordCursor};
use tokio::sync::watch;

use crate::answers::{Page, Read};

pub use action::Action;
pub use dead::{DeadContent, DeadId, DeadLetter};
pub use lists::Lists;
pub use parked::{ParkedKey, ParkedRecord};

/// The part of [`crate::reads::Reads`] that the desk needs.
pub trait DeskReads: Send + Sync {
    /// Dead letters, newest first.
    fn dead_letters(
        &self,
        cursor: Option<RecordCursor>,
        limit: usize,
    ) -> Read<'_, Page<DeadLetter>>;
    /// A dead letter with its content.
    fn dead_letter<'a>(&'a self, id: &'a DeadId) -> Read<'a, Option<DeadContent>>;
    /// Parked keys, by topic and key.
    fn parked_keys(&self, cursor: Option<KeyCursor>, limit: usize) -> Read<'_, Page<ParkedKey>>;
    /// The first `limit` parked keys of a selection, by topic and key. The page has a next one if
    /// the selection has more.
    fn selected_keys<'a>(
        &'a self,
        selection: &'a ParkedSelection,
        limit: usize,
    ) -> Read<'a, Page<ParkedKey>>;
    /// The parked records of a key, in their order.
    fn parked_records<'a>(
        &'a self,
        topic: &'a str,
        key: &'a str,
        after: Option<i64>,
        limit: usize,
    ) -> Read<'a, Page<ParkedRecord>>;
    /// What operators have done, newest first.
    fn actions(&self, cursor: Option<RecordCursor>, limit: usize) -> Read<'_, Page<Action>>;
    /// Changes when the lists may have changed. A change may be missed.
    fn desk_changes(&self) -> watch::Receiver<u64>;
}
