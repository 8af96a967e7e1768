//! What a bucket's state says of the answers that come from it: how fresh they are, and what they lack.

use crate::domain::calendar::TimeMs;
use crate::domain::gap::{Gap, Gaps};
use crate::domain::position::TopicPartition;

use super::keys::{self, LAYOUT_VERSION};
use super::redis_reader::Hash;
use super::reply::damaged;
use super::{Freshness, StoreError, Unfit};

/// `topics` are those that count: what Redis knows of others says nothing about freshness.
///
/// # Errors
/// [`StoreError::NotCounting`], [`StoreError::Unfit`] of another layout, [`StoreError::Corrupt`]
pub(super) fn read(state: &Hash, key: &str, topics: &[String]) -> Result<Freshness, StoreError> {
    check_counting(state, key)?;
    Ok(Freshness { as_of: as_of(state, key, topics)?, gaps: read_gaps(state, key)? })
}

/// The log time that every partition of our topics has passed.
fn as_of(state: &Hash, key: &str, topics: &[String]) -> Result<Option<TimeMs>, StoreError> {
    let ours = |of: &TopicPartition| topics.iter().any(|topic| **topic == *of.topic);
    let times = of_partitions(state, keys::LOG).filter(|(of, ..)| ours(of));
    let times = times.map(|(_, field, value)| value.parse().map(TimeMs).map_err(|_| damaged(key, field, value)));
    let times = times.collect::<Result<Vec<_>, _>>()?;
    let all = state.iter().find(|(field, _)| field == "partitions").and_then(|(_, all)| all.parse().ok());
    // 0: a partition is assigned, and nothing of it was read yet.
    let known = times.len() >= all.unwrap_or(1_usize) && times.iter().all(|time| time.0 > 0);
    Ok(times.into_iter().min().filter(|_| known))
}

/// The fields `what:TOPIC/PARTITION` of a state, as partition, field and value.
fn of_partitions<'a>(state: &'a Hash, what: &'a str) -> impl Iterator<Item = (TopicPartition, &'a String, &'a String)> {
    state.iter().filter_map(move |(field, value)| {
        let partition = field.strip_prefix(what)?.strip_prefix(':')?;
        Some((partition.parse().ok()?, field, value))
    })
}

/// What an operator has accepted as never counted, of any topic: the counters hold what came of all of them.
fn read_gaps(state: &Hash, key: &str) -> Result<Vec<(TopicPartition, Gap)>, StoreError> {
    let mut gaps = Vec::new();
    for (partition, field, value) in of_partitions(state, keys::GAP) {
        let read: Gaps = value.parse().map_err(|_| damaged(key, field, value))?;
        gaps.extend(read.iter().map(|gap| (partition.clone(), *gap)));
    }
    gaps.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(gaps)
}

/// Refuses a state from which zeros would be untrue: one of another layout, and one in which nothing is counted, be
/// it that nothing ever was or that all was lost. `layout` alone shows neither: a worker writes it into an empty
/// Redis before it knows what was lost.
pub(super) fn check_counting(state: &Hash, key: &str) -> Result<(), StoreError> {
    let layout = state.iter().find(|(field, _)| field == "layout").map(|(_, layout)| layout.as_str());
    let counts = state.iter().any(|(field, _)| field.split_once(':').is_some_and(|(what, _)| what == keys::WATERMARK));
    match layout {
        Some(found) if found != LAYOUT_VERSION => {
            let (key, found, ours) = (key.to_owned(), found.to_owned(), LAYOUT_VERSION.to_owned());
            Err(Unfit::Layout { key, found, ours }.into())
        }
        Some(_) if counts => Ok(()),
        _ => Err(StoreError::NotCounting { key: key.to_owned() }),
    }
}
