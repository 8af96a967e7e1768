//! Records as the poll thread hands them over: many in one buffer, each a set of ranges into it.

use std::ops::Range;
use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::domain::calendar::TimeMs;
use crate::domain::position::{Fingerprint, Offset, TopicPartition};

/// Any number that no hash is likely to be.
const MISSING: u64 = 0x9e37_79b9_7f4a_7c15;

/// Records of any partitions in the order in which they were polled.
#[derive(Debug, Default)]
pub struct Chunk {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    /// Those of all records: names and values.
    headers: Vec<(Range<usize>, Option<Range<usize>>)>,
    /// Those of the records, in the order in which they came.
    partitions: Vec<TopicPartition>,
}

#[derive(Debug)]
struct Slot {
    /// Its place among the chunk's partitions.
    partition: usize,
    offset: Offset,
    timestamp: Option<TimeMs>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    /// Its places among the chunk's headers.
    headers: Range<usize>,
}

/// A header's name and value.
pub type Header<'a> = (&'a str, Option<&'a [u8]>);

impl Chunk {
    /// An empty one with room for what is here and an eighth more: the next is mostly like it, and to grow moves all of it.
    pub fn successor(&self) -> Self {
        fn room<T>(all: &[T]) -> Vec<T> {
            Vec::with_capacity(all.len() + all.len() / 8)
        }
        Self {
            bytes: room(&self.bytes),
            slots: room(&self.slots),
            headers: room(&self.headers),
            partitions: Vec::new(),
        }
    }

    pub fn push<'a>(
        &mut self,
        (topic, partition): (&str, i32),
        offset: Offset,
        timestamp: Option<TimeMs>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl Iterator<Item = Header<'a>>,
    ) {
        let key = key.map(|key| self.keep(key));
        let value = value.map(|value| self.keep(value));
        let first_header = self.headers.len();
        for (name, value) in headers {
            let header = (self.keep(name.as_bytes()), value.map(|value| self.keep(value)));
            self.headers.push(header);
        }
        let headers = first_header..self.headers.len();
        let partition = self.partition(topic, partition);
        self.slots.push(Slot { partition, offset, timestamp, key, value, headers });
    }

    fn partition(&mut self, topic: &str, partition: i32) -> usize {
        // The client hands over many records of a partition one after the other.
        let is_it = |known: &TopicPartition| known.partition == partition && *known.topic == *topic;
        let known = self.partitions.iter().rposition(is_it);
        known.unwrap_or_else(|| {
            self.partitions.push(TopicPartition { topic: topic.into(), partition });
            self.partitions.len() - 1
        })
    }

    fn keep(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Bytes of keys, values and headers.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// One record of a chunk, which it keeps alive: whatever becomes of it, its bytes are still there.
#[derive(Debug, Clone)]
pub struct Record {
    chunk: Arc<Chunk>,
    index: usize,
}

impl Record {
    pub fn all(chunk: &Arc<Chunk>) -> impl Iterator<Item = Self> {
        (0..chunk.len()).map(|index| Self { chunk: Arc::clone(chunk), index })
    }

    fn slot(&self) -> &Slot {
        &self.chunk.slots[self.index]
    }

    fn header_ranges(&self) -> &[(Range<usize>, Option<Range<usize>>)] {
        &self.chunk.headers[self.slot().headers.clone()]
    }

    fn bytes(&self, range: &Range<usize>) -> &[u8] {
        &self.chunk.bytes[range.clone()]
    }

    pub fn partition(&self) -> &TopicPartition {
        &self.chunk.partitions[self.slot().partition]
    }

    pub fn offset(&self) -> Offset {
        self.slot().offset
    }

    /// The Kafka timestamp; none where the producer sent none.
    pub fn timestamp(&self) -> Option<TimeMs> {
        self.slot().timestamp
    }

    pub fn key(&self) -> Option<&[u8]> {
        self.slot().key.as_ref().map(|range| self.bytes(range))
    }

    /// None is a tombstone.
    pub fn value(&self) -> Option<&[u8]> {
        self.slot().value.as_ref().map(|range| self.bytes(range))
    }

    pub fn headers(&self) -> impl Iterator<Item = Header<'_>> {
        self.header_ranges().iter().map(|(name, value)| {
            // Kafka's header names are text; what is not is a header that nothing here asks for.
            let name = std::str::from_utf8(self.bytes(name)).unwrap_or_default();
            (name, value.as_ref().map(|range| self.bytes(range)))
        })
    }

    /// Bytes of key, value and headers.
    pub fn size(&self) -> usize {
        let slot = self.slot();
        let headers = self.header_ranges().iter().flat_map(|(name, value)| [Some(name), value.as_ref()]);
        headers.chain([slot.key.as_ref(), slot.value.as_ref()]).flatten().map(ExactSizeIterator::len).sum()
    }

    /// Part of the stored layout: another hash would take every log for another one.
    pub fn fingerprint(&self) -> Fingerprint {
        let hash = [self.key(), self.value()].into_iter().fold(0, |seed, part| match part {
            Some(bytes) => xxh3_64_with_seed(bytes, seed),
            // A missing part is told from an empty one.
            None => seed ^ MISSING,
        });
        Fingerprint { timestamp: self.timestamp().unwrap_or(TimeMs(-1)), hash }
    }
}

#[cfg(test)]
#[path = "../../tests/unit/ingest/record.rs"]
mod tests;
