//! The ids that a bucket has counted, as Redis keeps them: of each day of log time a log of entries, only appended to.
//!
//! An entry is 12 bytes: the id's hash and 32 bits of the content's, little-endian. A log is cut into chunks of
//! [`CHUNK_IDS`] entries, each a key. How long a log is, and a digest of all its entries in their order, stand in the
//! field `seen` of the bucket's state; so whoever holds a copy can tell whether it is one, and what it lacks.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::domain::seen::{Expired, Generation, SeenId};

/// Entries in a chunk: with what Redis adds to a text, just within one of its allocator's sizes, 48 KiB.
pub const CHUNK_IDS: u64 = 4095;
pub const ENTRY_BYTES: usize = 12;

/// What is kept of an event's name and content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// In two halves: so it takes 12 bytes in memory, too.
    id: [u32; 2],
    content: u32,
}

impl Entry {
    pub fn of(seen: &SeenId) -> Self {
        let id = seen.id.cast_unsigned();
        Self { id: [id as u32, (id >> 32) as u32], content: seen.content as u32 }
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let part = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
        Some(Self { id: [part(0)?, part(4)?], content: part(8)? })
    }

    pub fn bytes(self) -> [u8; ENTRY_BYTES] {
        let mut bytes = [0; ENTRY_BYTES];
        for (part, at) in [self.id[0], self.id[1], self.content].into_iter().zip([0, 4, 8]) {
            bytes[at..at + 4].copy_from_slice(&part.to_le_bytes());
        }
        bytes
    }

    /// A hash already: ids are spread evenly over all 64-bit numbers.
    pub fn hash(self) -> u64 {
        u64::from(self.id[0]) | u64::from(self.id[1]) << 32
    }

    /// Of the content.
    pub fn content(self) -> u32 {
        self.content
    }

    pub fn is_of_the_same_name(self, other: Self) -> bool {
        self.id == other.id
    }

    pub fn is_conflict_with(self, other: Self) -> bool {
        self.content != other.content
    }
}

/// Entries one after the other, as they are stored.
pub fn read_entries(bytes: &[u8]) -> Option<Vec<Entry>> {
    bytes.len().is_multiple_of(ENTRY_BYTES).then(|| bytes.chunks(ENTRY_BYTES).filter_map(Entry::read).collect())
}

/// How long a log is, and what it holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Extent {
    pub ids: u64,
    /// Of all entries in their order.
    digest: u64,
}

impl Extent {
    /// With one more entry.
    pub fn push(&mut self, entry: Entry) {
        self.ids += 1;
        self.digest = xxh3_64_with_seed(&entry.bytes(), self.digest);
    }

    pub fn chunks(self) -> u64 {
        self.ids.div_ceil(CHUNK_IDS)
    }

    pub fn digest(self) -> u64 {
        self.digest
    }
}

/// A stretch of a log within one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    pub chunk: u64,
    /// In bytes, from the start of the chunk.
    pub bytes: Range<usize>,
}

/// The pieces of the entries `from..to` of a log.
pub fn pieces(ids: Range<u64>) -> impl Iterator<Item = Piece> {
    let chunks = if ids.is_empty() { 0..0 } else { ids.start / CHUNK_IDS..ids.end.div_ceil(CHUNK_IDS) };
    chunks.map(move |chunk| {
        let first = chunk * CHUNK_IDS;
        let at = |id: u64| (id.clamp(first, first + CHUNK_IDS) - first) as usize * ENTRY_BYTES;
        Piece { chunk, bytes: at(ids.start)..at(ids.end) }
    })
}

/// The logs of a bucket by generation. Its text is `generation:ids:digest …`, as [`text`] has each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Logs(BTreeMap<Generation, Extent>);

/// Why a text does not tell of logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("does not tell of logs such as \"20781:17:9f86d081884c7d65\"")]
pub struct LogsFault;

impl Logs {
    /// Empty where there is none.
    pub fn extent(&self, generation: Generation) -> Extent {
        self.0.get(&generation).copied().unwrap_or_default()
    }

    /// All, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = (Generation, Extent)> {
        self.0.iter().map(|(of, extent)| (*of, *extent))
    }

    /// Those there are of these generations.
    pub fn within(&self, generations: RangeInclusive<i64>) -> impl Iterator<Item = (Generation, Extent)> {
        self.0
            .range(Generation(*generations.start())..=Generation(*generations.end()))
            .map(|(of, extent)| (*of, *extent))
    }
}

/// How a log stands in the field `seen`.
pub fn text(generation: Generation, Extent { ids, digest }: Extent) -> String {
    format!("{}:{ids}:{digest:016x}", generation.0)
}

impl FromStr for Logs {
    type Err = LogsFault;

    fn from_str(text: &str) -> Result<Self, LogsFault> {
        let read = text.split_whitespace().map(|log| parse(log).ok_or(LogsFault));
        read.collect::<Result<_, _>>().map(Self)
    }
}

fn parse(log: &str) -> Option<(Generation, Extent)> {
    let mut parts = log.split(':');
    let generation = parts.next()?.parse().ok().map(Generation)?;
    let ids = parts.next()?.parse().ok()?;
    let digest = u64::from_str_radix(parts.next()?, 16).ok()?;
    parts.next().is_none().then_some((generation, Extent { ids, digest }))
}

/// What there is to drop of a log, as [`Logs`] names it.
pub fn expired(log: &str) -> Option<Expired> {
    parse(log).map(|(generation, extent)| Expired { generation, chunks: extent.chunks(), first: 0 })
}

#[cfg(test)]
#[path = "../../tests/unit/store/seen_log.rs"]
mod tests;
