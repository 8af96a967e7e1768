//! The operator's side in Redis: what every bucket's state says, and the changes that a person decides on.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::future::try_join_all;
use redis::{FromRedisValue, Value, cmd};

use crate::domain::bucket::Bucket;
use crate::domain::calendar::TimeMs;
use crate::domain::position::{Position, TopicPartition};

use super::keys::{self, Keyspace};
use super::link::Link;
use super::reply::{damaged, unreadable};
use super::{BucketState, Change, PartitionState, StoreError, Target};

const ACCEPT: &str = include_str!("accept.lua");
/// In a script, since that goes to the node that the bucket's keys lie on; SCAN itself names no key.
const SCAN: &str = "return redis.call('SCAN', ARGV[1], 'MATCH', ARGV[2], 'COUNT', 1000)";

/// For the commands of `indelible offsets`.
pub struct RedisOffsets {
    link: Arc<Link>,
    keyspace: Keyspace,
}

impl RedisOffsets {
    pub fn new(link: Arc<Link>, keyspace: Keyspace) -> Self {
        Self { link, keyspace }
    }

    /// What all buckets say, in their order.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn states(&self) -> Result<Vec<BucketState>, StoreError> {
        try_join_all(Bucket::all().map(|bucket| self.state(bucket))).await
    }

    async fn state(&self, bucket: Bucket) -> Result<BucketState, StoreError> {
        let key = self.keyspace.state(bucket);
        let answer = self.link.query(cmd("HGETALL").arg(&key)).await?;
        let fields = BTreeMap::<String, String>::from_redis_value(answer)
            .map_err(|error| StoreError::Corrupt { key: key.clone(), detail: error.to_string() })?;
        let mut partitions: BTreeMap<TopicPartition, PartitionState> = BTreeMap::new();
        for (field, value) in &fields {
            let unknown = || damaged(&key, field, value);
            let Some((what, partition)) = field.split_once(':') else { continue };
            let Ok(partition) = partition.parse() else { continue };
            let of = partitions.entry(partition).or_default();
            match what {
                keys::WATERMARK => of.watermark = Some(value.parse().map_err(|_| unknown())?),
                keys::RESUME => of.resume = Some(value.parse().map_err(|_| unknown())?),
                keys::GAP => of.gaps = value.parse().map_err(|_| unknown())?,
                keys::LOG => of.log_time = TimeMs(value.parse().map_err(|_| unknown())?),
                _ => {}
            }
        }
        Ok(BucketState { bucket, tag: keys::tag(bucket), partitions })
    }

    /// Makes a change if the watermark is still the one that it was decided on; false when it is another.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn change(&self, change: &Change) -> Result<bool, StoreError> {
        let (watermark, resume) = (keys::watermark_field(&change.partition), keys::resume_field(&change.partition));
        let (at, parked) = match change.to {
            Target::At(position) => (Some(position), None),
            Target::Parked(position) => (None, Some(position)),
        };
        let text = |position: Option<Position>| position.map(|position| position.to_string()).unwrap_or_default();
        let mut call = cmd("EVAL");
        call.arg(ACCEPT).arg(1).arg(self.keyspace.state(change.bucket)).arg(&watermark).arg(text(change.from));
        call.arg(&watermark).arg(text(at)).arg(resume).arg(text(parked));
        if parked.is_some() {
            // It is about offsets of the log that is left.
            call.arg(keys::unrated_field(&change.partition)).arg("");
        }
        if let Some(gaps) = change.gaps.as_ref().filter(|gaps| !gaps.is_empty()) {
            call.arg(keys::gap_field(&change.partition)).arg(gaps.to_string());
        }
        match self.link.query(&call).await? {
            Value::Int(changed) => Ok(changed == 1),
            other => Err(unreadable(&other)),
        }
    }

    /// Keys of a bucket beside its state, up to about `most`: its counters.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn counters(&self, bucket: Bucket, most: usize) -> Result<Vec<String>, StoreError> {
        let (mut cursor, mut found) = ("0".to_owned(), Vec::new());
        loop {
            let keys;
            (cursor, keys) = self.scan(bucket, &cursor).await?;
            found.extend(keys);
            if cursor == "0" || found.len() >= most {
                return Ok(found);
            }
        }
    }

    async fn scan(&self, bucket: Bucket, cursor: &str) -> Result<(String, Vec<String>), StoreError> {
        let state = self.keyspace.state(bucket);
        let mut call = cmd("EVAL");
        call.arg(SCAN).arg(1).arg(&state).arg(cursor).arg(self.keyspace.pattern(bucket));
        let answer = self.link.query(&call).await?;
        let (cursor, mut keys): (String, Vec<String>) =
            FromRedisValue::from_redis_value(answer).map_err(|error| StoreError::Unusable(error.to_string()))?;
        keys.retain(|key| *key != state);
        Ok((cursor, keys))
    }

    /// Removes all that a bucket holds, its state last: a crash in between leaves it as lost as it was. How many keys.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn discard(&self, bucket: Bucket) -> Result<usize, StoreError> {
        let (mut cursor, mut removed) = ("0".to_owned(), 0);
        loop {
            let keys;
            (cursor, keys) = self.scan(bucket, &cursor).await?;
            removed += keys.len();
            if !keys.is_empty() {
                self.link.query(cmd("UNLINK").arg(&keys)).await?;
            }
            if cursor == "0" {
                break;
            }
        }
        self.link.query(cmd("UNLINK").arg(self.keyspace.state(bucket))).await?;
        Ok(removed)
    }
}
