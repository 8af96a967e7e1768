//! Which requests are counted and not known to be in the rated topic: a partition's field `unrated` in a bucket's state.

use std::fmt::{self, Write};
use std::str::FromStr;
use std::sync::Arc;

use crate::domain::position::{Offset, Position};

use super::call::MOST_EVENTS;

/// The requests of a flush, and the price table by which they were rated: what is to be in the rated topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Priced {
    /// The table's version, a word.
    pub version: Arc<str>,
    /// Of the requests in their partition, each once and in order.
    pub offsets: Vec<Offset>,
}

/// The requests of the last flush of a bucket and partition, until they are known to be in the rated topic.
///
/// Offsets and not only a range, since a range also holds repeats, which another price table may have rated.
/// Its text, `from version distances` with `from` as in a watermark, tells offsets by how far they are from `from`:
/// `42 1732471234567 9f86d081884c7d65 3f2a9c41d0b7e658 0-3,7` are the offsets 42 to 45 and 49.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unrated {
    /// Where the flush began.
    pub from: Position,
    pub priced: Priced,
}

impl fmt::Display for Unrated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let start = self.from.next().0;
        write!(f, "{} {} ", self.from, self.priced.version)?;
        for (index, run) in self.priced.offsets.chunk_by(|a, b| b.0 - a.0 == 1).enumerate() {
            if index > 0 {
                f.write_char(',')?;
            }
            let (first, last) = (run[0].0 - start, run[run.len() - 1].0 - start);
            write!(f, "{first}")?;
            if first != last {
                write!(f, "-{last}")?;
            }
        }
        Ok(())
    }
}

/// Why a text does not name requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("does not name requests such as \"42 1732471234567 9f86d081884c7d65 3f2a9c41d0b7e658 0-3,7\"")]
pub struct UnratedFault;

impl FromStr for Unrated {
    type Err = UnratedFault;

    fn from_str(text: &str) -> Result<Self, UnratedFault> {
        let (rest, distances) = text.rsplit_once(' ').ok_or(UnratedFault)?;
        let (from, version) = rest.rsplit_once(' ').ok_or(UnratedFault)?;
        let from: Position = from.parse().map_err(|_| UnratedFault)?;
        let mut offsets: Vec<Offset> = Vec::new();
        for run in distances.split(',') {
            let (first, last) = run.split_once('-').unwrap_or((run, run));
            let at = |distance: &str| distance.parse::<u32>().ok().map(i64::from).map(|far| from.next().0 + far);
            let (first, last) = (at(first).ok_or(UnratedFault)?, at(last).ok_or(UnratedFault)?);
            let goes_on = offsets.last().is_none_or(|before| before.0 < first) && first <= last;
            if !goes_on || last - first >= MOST_EVENTS as i64 - offsets.len() as i64 {
                return Err(UnratedFault);
            }
            offsets.extend((first..=last).map(Offset));
        }
        Ok(Self { from, priced: Priced { version: version.into(), offsets } })
    }
}

#[cfg(test)]
#[path = "../../tests/unit/store/unrated.rs"]
mod tests;
