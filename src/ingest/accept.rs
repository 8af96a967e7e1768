//! What an operator may decide when a log is not what it was: pure plans of changes, nothing of which is done here.

use std::fmt;
use std::str::FromStr;

use crate::domain::bucket::Bucket;
use crate::domain::calendar::TimeMs;
use crate::domain::gap::{Gap, GapKind};
use crate::domain::position::{Offset, Position, TopicPartition};
use crate::store::{Change, PartitionState, Target};

use super::failure::Failure;
use super::start::LogFacts;
use super::survey::Surveyed;

/// Where to go on in a log that is another one than was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    Start,
    End,
    At(Offset),
}

/// Why a text is no place to resume at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("is neither start nor end nor an offset")]
pub struct ResumeFault;

impl FromStr for Resume {
    type Err = ResumeFault;

    fn from_str(text: &str) -> Result<Self, ResumeFault> {
        match text {
            "start" => Ok(Self::Start),
            "end" => Ok(Self::End),
            _ => text
                .parse()
                .ok()
                .filter(|offset| *offset >= 0)
                .map(|offset| Self::At(Offset(offset)))
                .ok_or(ResumeFault),
        }
    }
}

/// Why there is nothing that could be accepted; a whole sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

/// Changes in steps; each must be made in all buckets before the next one begins.
pub type Plan = Vec<Vec<Change>>;

/// What accepting the gap of a partition comes to.
///
/// | what stands in the way | change |
/// |---|---|
/// | the log begins after some watermarks | these are put to its start, the range between is recorded |
/// | the log is another one | every watermark is put to where `resume` says |
/// | that was begun and not ended | it is ended, as it was begun |
///
/// Watermarks of two logs must never stand beside each other, or a worker would take those of the earlier log for
/// progress in this one. So for another log all of them are removed first, which no worker starts with, and only then
/// put in their new place.
///
/// # Errors
/// [`Refused`], when there is no gap, or another one than the operator thinks.
pub fn accept(of: &Surveyed, resume: Option<Resume>, now: TimeMs) -> Result<Plan, Refused> {
    let name = of.partition.argument();
    match (&of.verdict, resume) {
        (Err(Failure::Unfinished { .. }), _) => match of.states.iter().find_map(|state| state.resume) {
            Some(at) => Ok(replace(&of.partition, &of.states, at, now)),
            None => Err(Refused(format!("{name} is not being moved any more; run it again"))),
        },
        (Err(Failure::LogGap { first, .. }), None) => Ok(vec![skip(&of.partition, &of.states, *first, now)]),
        (Err(Failure::LogGap { .. }), Some(_)) => Err(Refused(format!(
            "the log of {name} begins after what was to be counted next, and that is where it can go on: leave out \
             --resume-at"
        ))),
        (Err(Failure::LogChanged { .. }), Some(resume)) => {
            let at = resumed(resume, of.facts).ok_or_else(|| {
                let LogFacts { first, end, .. } = of.facts;
                Refused(format!("--resume-at: the log of {name} has the offsets from {} to {}", first.0, end.0))
            })?;
            Ok(replace(&of.partition, &of.states, Position::accepted(at), now))
        }
        (Err(failure @ Failure::LogChanged { .. }), None) => Err(Refused(failure.to_string())),
        (Err(failure), _) => Err(Refused(format!("there is no gap to accept: {failure}"))),
        (Ok(_), _) => Err(Refused(format!("there is no gap in the log of {name}: a worker can go on where it stands"))),
    }
}

fn resumed(resume: Resume, LogFacts { first, end, .. }: LogFacts) -> Option<Offset> {
    match resume {
        Resume::Start => Some(first),
        Resume::End => Some(end),
        Resume::At(offset) => Some(offset).filter(|offset| (first..=end).contains(offset)),
    }
}

/// Puts the watermarks that are before `first` there.
fn skip(partition: &TopicPartition, states: &[PartitionState], first: Offset, now: TimeMs) -> Vec<Change> {
    let behind = Bucket::all().zip(states).filter_map(|(bucket, state)| {
        let from = state.watermark.filter(|from| from.next() < first)?;
        let mut gaps = state.gaps.clone();
        gaps.accept(Gap { from: from.next(), to: first, kind: GapKind::Deleted, accepted: now });
        let to = Target::At(Position::accepted(first));
        Some(Change { bucket, partition: partition.clone(), from: Some(from), to, gaps: Some(gaps) })
    });
    behind.collect()
}

/// Puts every watermark to `at`, by way of none at all. What stands there already was put there by an earlier try.
fn replace(partition: &TopicPartition, states: &[PartitionState], at: Position, now: TimeMs) -> Plan {
    let park = Bucket::all().zip(states).filter_map(|(bucket, state)| {
        let from = state.watermark.filter(|from| *from != at)?;
        let mut gaps = state.gaps.clone();
        gaps.accept(Gap { from: from.next(), to: at.next(), kind: GapKind::Replaced, accepted: now });
        Some(Change {
            bucket,
            partition: partition.clone(),
            from: Some(from),
            to: Target::Parked(at),
            gaps: Some(gaps),
        })
    });
    let parked = |state: &PartitionState| state.watermark.is_none_or(|from| from != at);
    let place = Bucket::all().zip(states).filter(|(_, state)| parked(state)).map(|(bucket, _)| Change {
        bucket,
        partition: partition.clone(),
        from: None,
        to: Target::At(at),
        gaps: None,
    });
    vec![park.collect(), place.collect()]
}

#[cfg(test)]
#[path = "../../tests/unit/ingest/accept.rs"]
mod tests;
