//! Which records of a partition were counted and must be written to the rated topic once more.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::bucket::Bucket;
use crate::domain::position::{Fingerprint, Offset};
use crate::pricing::Table;
use crate::store::Unrated;

/// Records that are owed to the rated topic, of one partition.
#[derive(Debug, Default)]
pub struct Owed {
    due: BTreeMap<Offset, (Bucket, Arc<Table>)>,
    /// The records before the flushes that owe them: by these the log is known to be the one that was counted.
    before: BTreeMap<(Offset, Bucket), Fingerprint>,
    /// Owed, and found missing or another one since it was last asked.
    lost: u64,
}

/// Requests of a bucket that can't be written once more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreachable {
    pub first: Offset,
    pub last: Offset,
    pub requests: u64,
    pub why: &'static str,
}

impl Owed {
    /// What one bucket owes, as far as it can be paid.
    ///
    /// | the record | the price table | |
    /// |---|---|---|
    /// | in the log | known | is owed |
    /// | before `first`, where the log begins | | [`Unreachable`] |
    /// | | unknown | [`Unreachable`] |
    pub fn add(
        &mut self,
        bucket: Bucket,
        unrated: &Unrated,
        prices: Option<&Arc<Table>>,
        first: Offset,
    ) -> Vec<Unreachable> {
        let offsets = &unrated.priced.offsets;
        let Some(prices) = prices else {
            return unreachable(offsets, "redis no longer has the price table that they were rated by");
        };
        let (gone, held) = offsets.split_at(offsets.partition_point(|offset| *offset < first));
        self.due.extend(held.iter().map(|offset| (*offset, (bucket, Arc::clone(prices)))));
        if let Some((before, fingerprint)) = unrated.from.last().filter(|(before, _)| *before >= first)
            && !held.is_empty()
        {
            self.before.insert((before, bucket), fingerprint);
        }
        unreachable(gone, "the log no longer holds them")
    }

    /// Where to start reading, which is at `start` where nothing is owed.
    pub fn start(&self, start: Offset) -> Offset {
        let due = self.due.keys().next().copied();
        let before = self.before.keys().next().map(|(offset, _)| *offset);
        due.into_iter().chain(before).fold(start, Offset::min)
    }

    /// The price table by which a record is to be written once more, if it is. Records come in their order.
    pub fn settle(&mut self, offset: Offset, fingerprint: Fingerprint) -> Option<Arc<Table>> {
        while let Some(entry) = self.before.first_entry().filter(|entry| entry.key().0 <= offset) {
            let ((named, bucket), expected) = entry.remove_entry();
            if named < offset || expected != fingerprint {
                // Another log: what was counted can't be told from what it holds.
                let owed = self.due.len();
                self.due.retain(|_, (of, _)| *of != bucket);
                self.lost += (owed - self.due.len()) as u64;
            }
        }
        while let Some(entry) = self.due.first_entry().filter(|entry| *entry.key() <= offset) {
            let (due, (_, prices)) = entry.remove_entry();
            if due == offset {
                return Some(prices);
            }
            self.lost += 1;
        }
        None
    }

    /// One that could not be written once more.
    pub fn note_lost(&mut self) {
        self.lost += 1;
    }

    /// How many were lost since this was last asked.
    pub fn take_lost(&mut self) -> u64 {
        std::mem::take(&mut self.lost)
    }

    /// Whether records of a bucket are still to come by: its next flush would have the store forget them.
    pub fn holds(&self, bucket: Bucket) -> bool {
        self.due.values().any(|(of, _)| *of == bucket)
    }
}

fn unreachable(offsets: &[Offset], why: &'static str) -> Vec<Unreachable> {
    let ends = offsets.first().zip(offsets.last());
    let range =
        ends.map(|(first, last)| Unreachable { first: *first, last: *last, requests: offsets.len() as u64, why });
    range.into_iter().collect()
}

#[cfg(test)]
#[path = "../../../tests/unit/ingest/rated/owed.rs"]
mod tests;
