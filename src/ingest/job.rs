//! Sees batches to their end: dead letters first, then every bucket's calls (`calls.rs`).
//!
//! Never gives a batch up: what fails is tried again until it succeeds, until the watermark shows that the
//! batch is no longer ours, or until the session is cancelled; Kafka still holds everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures::future::join_all;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::Notify;

use crate::domain::bucket::Bucket;
use crate::domain::calendar::TimeMs;
use crate::domain::position::TopicPartition;
use crate::domain::seen::Expired;
use crate::ops::clock;
use crate::ops::crash::{self, Point};
use crate::ops::metrics::Metrics;
use crate::pricing::Table;
use crate::store::{Ledger, StoreError};

use super::batch::Rejected;
use super::calls::{Done, Target};
use super::dead_letter::DeadLetters;
use super::failure::Failure;
use super::lane::{Landed, Leaving};
use super::limits::Limits;
use super::rated::Audit;
use super::span::Portion;
use super::trouble::{Tries, Trouble};

/// What all jobs of a worker share.
#[derive(Debug)]
pub struct Tools<L, D> {
    pub ledger: L,
    /// A batch is rated by the table that is in place when it departs.
    pub prices: Arc<ArcSwap<Table>>,
    pub dead_letters: D,
    /// None where counted requests are written nowhere.
    pub audit: Option<Audit>,
    pub metrics: Arc<Metrics>,
    pub limits: Limits,
    pub trouble: Trouble,
    /// Wakes whoever sends notices.
    pub noted: Arc<Notify>,
}

/// Dead letters that wait for their acknowledgement together.
const LETTERS_AT_ONCE: usize = 256;

/// What has left some lanes, to be flushed together.
#[derive(Debug)]
pub struct Departure {
    /// One a partition.
    pub lanes: Vec<Leaving>,
    /// Of all our topics.
    pub partitions: usize,
    /// Whether the store is to drop what it no longer needs.
    pub tidies: bool,
    /// By bucket: seen ids that it may drop.
    pub expire: BTreeMap<Bucket, Expired>,
}

/// Where all of a departure stands now.
#[derive(Debug, Default)]
pub struct Landing {
    pub lanes: BTreeMap<TopicPartition, Vec<Landed>>,
    /// By bucket: seen ids that its next call may drop.
    pub expired: BTreeMap<Bucket, Expired>,
}

impl<L: Ledger, D: DeadLetters> Tools<L, D> {
    /// Runs a departure to its end.
    ///
    /// # Errors
    /// [`Failure`], when a batch is not ours any more or can't be counted by anyone.
    pub async fn run(&self, mut departure: Departure) -> Result<Landing, Failure> {
        let prices = self.prices.load_full();
        for lane in &mut departure.lanes {
            self.send_rejects(std::mem::take(&mut lane.batch.rejects)).await;
            self.write_again(std::mem::take(&mut lane.batch.again)).await?;
        }
        self.keep_prices(&prices).await?;
        let landed: Vec<_> = stream::iter(Self::buckets(departure))
            .map(|(target, portions)| self.bucket(target, portions, &prices))
            .buffer_unordered(self.limits.calls_at_once)
            .try_collect()
            .await?;
        let mut landing = Landing::default();
        for Done { bucket, at, expired } in landed {
            at.into_iter()
                .for_each(|(partition, at)| landing.lanes.entry(partition).or_default().push(Landed { bucket, at }));
            landing.expired.extend(expired.map(|expired| (bucket, expired)));
        }
        Ok(landing)
    }

    /// Does not return before the broker has all of them.
    pub(super) async fn send_rejects(&self, rejects: Vec<Rejected>) {
        for some in rejects.chunks(LETTERS_AT_ONCE) {
            join_all(some.iter().map(|rejected| self.dead_letter(rejected))).await;
        }
        if let Some(first) = rejects.first() {
            let (records, partition) = (rejects.len(), first.record.partition());
            let (offset, why) = (first.record.offset().0, first.reject.to_string());
            tracing::warn!(%partition, records, offset, why, "records went to the dead-letter topic; this is the first");
        }
    }

    /// Each bucket with its part of every lane.
    fn buckets(departure: Departure) -> impl Iterator<Item = (Target, Vec<Portion>)> {
        let Departure { lanes, partitions, tidies, mut expire } = departure;
        let mut portions: BTreeMap<Bucket, Vec<Portion>> = BTreeMap::new();
        for Leaving { partition, mut batch, to, log_time, buckets } in lanes {
            for (bucket, from) in buckets {
                let events = std::mem::take(&mut batch.events[bucket.index()]);
                let portion = Portion { partition: partition.clone(), from, to, log_time, events };
                portions.entry(bucket).or_default().push(portion);
            }
        }
        let mut target = move |bucket| Target { bucket, partitions, tidies, expire: expire.remove(&bucket) };
        portions.into_iter().map(move |(bucket, portions)| (target(bucket), portions))
    }

    /// Sends one dead letter and does not return before the broker has it.
    pub(super) async fn dead_letter(&self, rejected: &Rejected) {
        let mut tries = Tries::new(&self.trouble, &self.limits);
        while let Err(why) = self.send(rejected).await {
            self.metrics.dead_letter_failed();
            if tries.failed(format!("can't write dead letters: {why}")) {
                tracing::error!(
                    error = why,
                    "a dead letter was not acknowledged; its partition waits. Check that the topic exists, that we may \
                     write to it, and that its max.message.bytes is no smaller than the source topic's"
                );
            }
            tries.wait().await;
        }
        crash::point(Point::AfterLetterAck);
        tries.succeeded();
        self.metrics.rejected(rejected.reject.reason.as_str());
        // Not a line a record at a level that is on: whoever sends bad records must not fill the disk.
        tracing::debug!(
            partition = %rejected.record.partition(),
            offset = rejected.record.offset().0,
            reason = rejected.reject.reason.as_str(),
            detail = rejected.reject.detail,
            "record rejected to the dead-letter topic"
        );
    }

    async fn send(&self, rejected: &Rejected) -> Result<(), String> {
        let sent = self.dead_letters.send(rejected, TimeMs(clock::now_ms()));
        crash::cut_off(Point::BeforeLetterAck, sent, || std::future::ready(())).await
    }

    /// Repeats a question to the store until it answers, or an answer can't be hoped for.
    ///
    /// # Errors
    /// [`Failure::Store`], when no later try would be any better.
    pub async fn insist<T, A: Future<Output = Result<T, StoreError>>>(
        &self,
        what: &'static str,
        ask: impl Fn() -> A,
    ) -> Result<T, Failure> {
        let mut tries = Tries::new(&self.trouble, &self.limits);
        loop {
            let error = match ask().await {
                Ok(answer) => {
                    tries.succeeded();
                    return Ok(answer);
                }
                Err(error) => error,
            };
            self.metrics.store_failed(error.kind());
            if !error.may_pass() {
                return Err(error.into());
            }
            if tries.failed(error.to_string()) {
                tracing::warn!(what, %error, "redis does not answer as it should; trying again, nothing is lost");
            }
            tries.wait().await;
        }
    }
}
