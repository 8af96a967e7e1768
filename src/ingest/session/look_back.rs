//! Whether the log is still the one that was read: now and then the last record that was read is read again.
//!
//! A topic that is deleted and made again between two looks of the client at its metadata, and that is as long as it was
//! by then, is read on at the old offset, and the client says nothing. The start of a session would find it out; this
//! finds it out while one goes on.

use tokio::task::JoinError;

use crate::domain::position::{Fingerprint, Offset, TopicPartition};
use crate::ingest::dead_letter::DeadLetters;
use crate::ingest::failure::Failure;
use crate::ingest::survey::fingerprints;
use crate::store::Ledger;

use super::Session;

/// A record that was read, and the fingerprint at its offset now; none where it can't be had.
pub(super) struct Looked {
    partition: TopicPartition,
    offset: Offset,
    was: Fingerprint,
    is: Option<Fingerprint>,
}

impl<L: Ledger, D: DeadLetters> Session<'_, L, D> {
    /// One partition after the other: a topic that is made again is another one in all of them.
    pub(super) fn look_back(&mut self) {
        let read = |(partition, lane): (&TopicPartition, &super::Lane)| {
            lane.last_read().map(|(offset, was)| (partition.clone(), offset, was))
        };
        let after = self.looked_at.take();
        let mut later =
            self.lanes.iter().filter(|(partition, _)| after.as_ref().is_none_or(|after| *partition > after));
        let next = later.find_map(read).or_else(|| self.lanes.iter().find_map(read));
        let Some((partition, offset, was)) = next.filter(|_| self.look_backs.is_empty()) else { return };
        self.looked_at = Some(partition.clone());
        let kafka = self.worker.kafka.clone();
        self.look_backs.spawn(async move {
            // Who can't be asked shows elsewhere.
            let found = fingerprints(&kafka, partition.clone(), vec![offset]).await.unwrap_or_default();
            Looked { is: found.get(&offset).copied(), partition, offset, was }
        });
    }

    pub(super) fn note_look_back(&self, answer: Result<Looked, JoinError>) -> Result<(), Failure> {
        let answer = answer.map_err(|error| Failure::Defect(format!("a look back ({error})")))?;
        let Looked { partition, offset, was, is } = answer;
        // A record that is gone was deleted by retention, or the client is about to say that the log is shorter.
        match is.filter(|is| *is != was && self.lanes.contains_key(&partition)) {
            Some(_) => Err(Failure::other_record(&partition, offset)),
            None => Ok(()),
        }
    }
}
