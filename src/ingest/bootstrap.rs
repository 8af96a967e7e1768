//! Watermarks for buckets that have none: a namespace that begins on a log of some age, and state that was lost.

use crate::domain::bucket::Bucket;
use crate::domain::calendar::TimeMs;
use crate::domain::gap::{Gap, GapKind, Gaps};
use crate::domain::position::{Offset, Position, TopicPartition};
use crate::store::{BucketState, Change, Target};

use super::survey::Surveyed;

/// Buckets that have no watermark at all. They were never counted into, or lost their state; if such a bucket still
/// holds counters, these must be removed before anything is counted into it again, or it would be counted twice.
///
/// A bucket that has a watermark of any partition has its state: one key holds all of them, and moves with the
/// counters. What it lacks a watermark of was then never counted into it.
pub fn without_state(buckets: &[BucketState]) -> impl Iterator<Item = &BucketState> {
    buckets.iter().filter(|bucket| bucket.partitions.values().all(|of| of.watermark.is_none() && of.resume.is_none()))
}

/// Puts every watermark that is missing to the start of its log, from where a worker counts that bucket and no other
/// again. Exact where the log begins at 0; else what is gone before its start is recorded as a gap.
pub fn bootstrap(surveyed: &[Surveyed], now: TimeMs) -> Vec<Change> {
    let of_partition = |of: &Surveyed| {
        let (partition, first) = (of.partition.clone(), of.facts.first);
        // Whatever came of an earlier log can't be counted again from this one.
        let replaced = of.states.iter().flat_map(|state| state.gaps.iter()).any(|gap| gap.kind == GapKind::Replaced);
        let missing =
            Bucket::all().zip(&of.states).filter(|(_, state)| state.watermark.is_none() && state.resume.is_none());
        let changes = missing.map(|(bucket, _)| Change {
            bucket,
            partition: partition.clone(),
            from: None,
            to: Target::At(Position::accepted(first)),
            gaps: Some(gaps(first, replaced, now)),
        });
        changes.collect::<Vec<_>>()
    };
    surveyed.iter().flat_map(of_partition).collect()
}

/// Nothing of the partition is in the bucket: neither what lies before `first`, nor of an earlier log.
fn gaps(first: Offset, replaced: bool, now: TimeMs) -> Gaps {
    let mut gaps = Gaps::default();
    let mut accept = |kind| gaps.accept(Gap { from: Offset(0), to: first, kind, accepted: now });
    if replaced {
        accept(GapKind::Replaced);
    }
    if first > Offset(0) {
        accept(GapKind::BeforeStart);
    }
    gaps
}

/// The partitions that a plan is about, each once.
pub fn partitions(changes: &[Change]) -> Vec<TopicPartition> {
    let mut partitions: Vec<_> = changes.iter().map(|change| change.partition.clone()).collect();
    partitions.sort();
    partitions.dedup();
    partitions
}

#[cfg(test)]
#[path = "../../tests/unit/ingest/bootstrap.rs"]
mod tests;
