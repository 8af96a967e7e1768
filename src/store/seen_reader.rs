//! Brings a worker's copy of a bucket's seen ids up to what is stored, and proves that it is a copy.

use std::collections::BTreeSet;
use std::ops::Range;

use redis::{Value, pipe};

use crate::domain::bucket::Bucket;
use crate::domain::seen::{Generation, SeenId};

use super::mirror::Mirror;
use super::redis_ledger::RedisLedger;
use super::seen_log::{self, Logs};
use super::{Flush, StoreError};

/// Chunks of a log in one reading: 3 MiB.
const CHUNKS_AT_ONCE: usize = 64;

impl RedisLedger {
    /// Reads what the copy lacks of the logs that the flush's ids may stand in; an error of the inner kind where what
    /// is read is not what the state tells of.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(super) async fn copy(
        &self,
        flush: &Flush,
        stored: &Logs,
        mirror: &mut Mirror,
    ) -> Result<Result<(), StoreError>, StoreError> {
        mirror.retain(stored);
        let within = |seen: &SeenId| Generation::within(seen.at, self.frame.retention.seen_ms);
        let wanted: BTreeSet<_> =
            flush.seen.iter().chain(&flush.repeats).map(|seen| within(seen).into_inner()).collect();
        let mut generations: Vec<_> =
            wanted.into_iter().flat_map(|(first, last)| stored.within(first..=last)).collect();
        generations.dedup();
        for (generation, extent) in generations {
            if mirror.extent(generation).ids > extent.ids {
                mirror.forget(generation);
            }
            // Twice: what was copied before may be of another log, since Redis went back in time.
            for _ in 0..2 {
                let had = mirror.extent(generation).ids;
                if let Err(error) = self.read_log(flush.bucket, generation, had..extent.ids, mirror).await? {
                    mirror.forget(generation);
                    return Ok(Err(error));
                }
                if mirror.extent(generation) == extent {
                    break;
                }
                mirror.forget(generation);
            }
            if mirror.extent(generation) != extent {
                let key = self.frame.keyspace.seen(flush.bucket, generation, 0);
                let detail = "this log of seen ids, with its chunks, does not hold what the bucket's state tells of it";
                return Ok(Err(StoreError::Corrupt { key, detail: detail.to_owned() }));
            }
        }
        Ok(Ok(()))
    }

    /// Reads entries of a log into the copy, so many chunks at a time.
    async fn read_log(
        &self,
        bucket: Bucket,
        generation: Generation,
        ids: Range<u64>,
        mirror: &mut Mirror,
    ) -> Result<Result<(), StoreError>, StoreError> {
        let pieces: Vec<_> = seen_log::pieces(ids).collect();
        for some in pieces.chunks(CHUNKS_AT_ONCE) {
            let mut ask = pipe();
            for piece in some {
                let key = self.frame.keyspace.seen(bucket, generation, piece.chunk);
                ask.cmd("GETRANGE").arg(key).arg(piece.bytes.start).arg(piece.bytes.end - 1);
            }
            for (piece, answer) in some.iter().zip(self.link.pipeline(&ask).await?) {
                let entries = match &answer {
                    Value::BulkString(bytes) if bytes.len() == piece.bytes.len() => seen_log::read_entries(bytes),
                    _ => None,
                };
                let Some(entries) = entries else {
                    let key = self.frame.keyspace.seen(bucket, generation, piece.chunk);
                    let detail = "this chunk of seen ids is shorter than the bucket's state tells".to_owned();
                    return Ok(Err(StoreError::Corrupt { key, detail }));
                };
                mirror.extend(generation, entries);
            }
        }
        Ok(Ok(()))
    }
}
