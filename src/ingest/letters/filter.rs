//! Which letters are asked for.

use crate::domain::calendar::TimeMs;
use crate::ingest::decode::Reason;

use super::letter::Letter;
use super::place::Place;

/// Conditions that must all hold; what is empty asks nothing.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub places: Vec<Place>,
    pub reasons: Vec<Reason>,
    /// Rejected at this time or later.
    pub since: Option<TimeMs>,
    /// Rejected before this time.
    pub until: Option<TimeMs>,
    /// Of records that came from this topic.
    pub from_topic: Option<String>,
}

impl Filter {
    pub fn passes(&self, letter: &Letter) -> bool {
        let of_reason = || self.reasons.iter().any(|reason| reason.as_str() == letter.reason);
        let since = |since| letter.failed_at.is_some_and(|at| at >= since);
        let until = |until| letter.failed_at.is_some_and(|at| at < until);
        (self.places.is_empty() || self.places.contains(&letter.place()))
            && (self.reasons.is_empty() || of_reason())
            && self.since.is_none_or(since)
            && self.until.is_none_or(until)
            && self.from_topic.as_ref().is_none_or(|topic| **topic == *letter.source.partition.topic)
    }
}
