//! A worker's copy of what a bucket has counted: so that Redis is asked for what is new, and never for an id.
//!
//! Pure: who calls it reads the logs. A copy is one only while its extents are those that are stored; every flush is
//! held against them, and the bucket's stamp says that nothing has come between (see `apply.lua`).

use std::collections::BTreeMap;

use hashbrown::HashTable;

use crate::domain::seen::{Generation, SeenId};

use super::Repeat;
use super::seen_log::{Entry, Extent, Logs};

/// The ids of one bucket.
#[derive(Debug, Default)]
pub struct Mirror(BTreeMap<Generation, Copied>);

#[derive(Debug, Default)]
struct Copied {
    extent: Extent,
    entries: HashTable<Entry>,
}

impl Mirror {
    /// How much of a generation's log is here.
    pub fn extent(&self, generation: Generation) -> Extent {
        self.0.get(&generation).map(|copied| copied.extent).unwrap_or_default()
    }

    /// How many ids are here.
    pub fn ids(&self) -> u64 {
        self.0.values().map(|copied| copied.extent.ids).sum()
    }

    /// The entries that follow in the generation's log.
    pub fn extend(&mut self, generation: Generation, entries: impl IntoIterator<Item = Entry>) {
        let copied = self.0.entry(generation).or_default();
        for entry in entries {
            copied.extent.push(entry);
            copied.entries.insert_unique(entry.hash(), entry, |entry| entry.hash());
        }
    }

    /// The ids of a flush that was applied just now: they stand at the ends of their logs.
    pub fn note(&mut self, seen: &[SeenId]) {
        let of_one_day = seen.chunk_by(|one, other| Generation::of(one.at) == Generation::of(other.at));
        of_one_day.for_each(|day| self.extend(Generation::of(day[0].at), day.iter().map(Entry::of)));
    }

    /// It is to be read anew.
    pub fn forget(&mut self, generation: Generation) {
        self.0.remove(&generation);
    }

    /// Drops the generations that are stored no more.
    pub fn retain(&mut self, stored: &Logs) {
        self.0.retain(|generation, _| stored.extent(*generation).ids > 0);
    }

    /// Those that are known, wherever the same id may stand: in its own window, whatever its neighbours in the flush.
    pub fn repeats(&self, seen: &[SeenId], window_ms: i64) -> Vec<Repeat> {
        let known = |(index, seen): (usize, &SeenId)| {
            let entry = Entry::of(seen);
            // Its own generation first: of an id that stands twice, that content is compared.
            let own = Generation::of(seen.at);
            let within = Generation::within(seen.at, window_ms);
            // A window reaches nearly all that are here: they need not be searched for the first.
            let near = self.0.iter().filter(|(of, _)| **of != own && within.contains(&of.0)).map(|(_, copied)| copied);
            let found = self.0.get(&own).into_iter().chain(near).find_map(|copied| copied.find(entry));
            found.map(|found| Repeat { index, conflict: found.is_conflict_with(entry) })
        };
        seen.iter().enumerate().filter_map(known).collect()
    }
}

impl Copied {
    fn find(&self, entry: Entry) -> Option<Entry> {
        self.entries.find(entry.hash(), |known| known.is_of_the_same_name(entry)).copied()
    }
}

#[cfg(test)]
#[path = "../../tests/unit/store/mirror.rs"]
mod tests;
