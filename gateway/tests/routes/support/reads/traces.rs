//! The simulated traces.

use gateway::{
    reads::{Applied, Read, TraceEntry, TraceReads, TraceView},
    record_place::RecordPlace,
};
use uuid::Uuid;

use crate::support::world::World;

impl TraceReads for World {
    fn trace(&self, commands: Vec<Uuid>) -> Read<'_, TraceView> {
        self.get(move |inner| {
            let mut all = TraceView::default();
            for found in commands.iter().filter_map(|command| inner.traces.get(command)) {
                all.entries.extend(found.entries.clone());
                all.is_cut |= found.is_cut;
            }
            all
        })
    }
    fn cause<'a>(&'a self, place: &'a RecordPlace) -> Read<'a, Option<Uuid>> {
        self.get(move |inner| {
            let is_it = |it: &TraceEntry| {
                (&it.topic, it.partition, it.offset)
                    == (&place.topic, place.partition, place.offset)
            };
            let has_it = |(_, view): &(&Uuid, &TraceView)| view.entries.iter().any(is_it);
            inner.traces.iter().find(has_it).map(|(command, _)| *command)
        })
    }
    fn applied<'a>(&'a self, entries: &'a [TraceEntry]) -> Read<'a, Vec<Vec<Applied>>> {
        self.get(move |inner| {
            let of = |entry: &TraceEntry| inner.applied.get(&entry.id).cloned().unwrap_or_default();
            entries.iter().map(of).collect()
        })
    }
}
