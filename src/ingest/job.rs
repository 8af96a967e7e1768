//! Sees batches to their end: dead letters first, then every bucket's spans, each until its outcome is known.
//!
//! Never gives a batch up: what fails is tried again until it succeeds, until the watermark shows that the
//! batch is no longer ours, or until the session is cancelled; Kafka still holds everything.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::join_all;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::Notify;

use crate::domain::bucket::Bucket;
use crate::domain::calendar::TimeMs;
use crate::domain::delta::Delta;
use crate::domain::position::{Position, TopicPartition};
use crate::domain::seen::Expired;
use crate::ops::clock;
use crate::ops::crash::{self, Point};
use crate::ops::metrics::{Ending, Metrics};
use crate::pricing::Table;
use crate::store::{Capped, Flush, Ledger, Outcome, StoreError};

use super::batch::{Accepted, Rejected};
use super::by_model::{by_model, mismatched, unpriced};
use super::dead_letter::DeadLetters;
use super::decode::{Reason, Reject};
use super::failure::Failure;
use super::lane::{Landed, Leaving};
use super::limits::Limits;
use super::rated::Audit;
use super::span::{Aside, Known, Portion, Span};
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
            lane.batch.rate(&prices);
            self.send_rejects(std::mem::take(&mut lane.batch.rejects)).await;
            self.write_again(std::mem::take(&mut lane.batch.again)).await?;
        }
        self.keep_prices(&prices).await?;
        let landed: Vec<_> = stream::iter(self.calls(departure))
            .map(|(target, spans)| self.bucket(target, spans, &prices))
            .buffer_unordered(self.limits.calls_at_once)
            .try_collect()
            .await?;
        let mut landing = Landing::default();
        for (bucket, at, expired) in landed {
            at.into_iter()
                .for_each(|(partition, at)| landing.lanes.entry(partition).or_default().push(Landed { bucket, at }));
            landing.expired.extend(expired.map(|expired| (bucket, expired)));
        }
        Ok(landing)
    }

    async fn send_rejects(&self, rejects: Vec<Rejected>) {
        for some in rejects.chunks(LETTERS_AT_ONCE) {
            join_all(some.iter().map(|rejected| self.dead_letter(rejected))).await;
        }
        if let Some(first) = rejects.first() {
            let (records, partition) = (rejects.len(), first.record.partition());
            let (offset, why) = (first.record.offset().0, first.reject.to_string());
            tracing::warn!(%partition, records, offset, why, "records went to the dead-letter topic; this is the first");
        }
    }

    /// Each bucket with its part of every lane, in calls.
    fn calls(&self, departure: Departure) -> Vec<(Target, Vec<Span>)> {
        let Departure { lanes, partitions, tidies, mut expire } = departure;
        let mut portions: BTreeMap<Bucket, Vec<Portion>> = BTreeMap::new();
        for Leaving { partition, mut batch, to, log_time, buckets } in lanes {
            for (bucket, from) in buckets {
                let events = std::mem::take(&mut batch.events[bucket.index()]);
                let portion = Portion { partition: partition.clone(), from, to, log_time, events };
                portions.entry(bucket).or_default().push(portion);
            }
        }
        let call = |(bucket, portions)| {
            let target = Target { bucket, partitions, tidies, expire: expire.remove(&bucket) };
            (target, Span::cut(portions, self.limits.call_events))
        };
        portions.into_iter().map(call).collect()
    }

    /// Sends one dead letter and does not return before the broker has it.
    async fn dead_letter(&self, rejected: &Rejected) {
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

    /// Applies a bucket's spans in their order; one that is too large is halved. Where each partition stands then.
    async fn bucket(
        &self,
        mut target: Target,
        spans: Vec<Span>,
        prices: &Table,
    ) -> Result<(Bucket, BTreeMap<TopicPartition, Position>, Option<Expired>), Failure> {
        let mut waiting: Vec<Span> = spans.into_iter().rev().collect();
        let (mut at, mut expired) = (BTreeMap::new(), target.expire);
        while let Some(span) = waiting.pop() {
            let ends: Vec<_> = span.portions.iter().map(|portion| (portion.partition.clone(), portion.to)).collect();
            match self.span(&target, span, prices).await? {
                Flown::Landed { expired: left } => {
                    at.extend(ends);
                    if target.tidies {
                        // Once a departure is enough.
                        (target.tidies, target.expire, expired) = (false, None, left);
                    }
                }
                Flown::TooLarge(span) if span.len() > 1 => waiting.extend(span.halve().into_iter().rev()),
                Flown::TooLarge(span) => waiting.push(self.without_its_event(span).await),
            }
        }
        Ok((target.bucket, at, expired))
    }

    /// The one event of a span that no counter can hold goes to the dead letters.
    async fn without_its_event(&self, mut span: Span) -> Span {
        for Accepted { record, .. } in span.portions.iter_mut().flat_map(|portion| portion.events.drain(..)) {
            let detail = "adding this event would take a sum beyond 64 bits";
            let reject = Reject { reason: Reason::CounterOverflow, detail: detail.to_owned() };
            self.dead_letter(&Rejected { record, reject }).await;
        }
        span
    }

    /// One span until its outcome is known.
    async fn span(&self, target: &Target, mut span: Span, prices: &Table) -> Result<Flown, Failure> {
        let start = clock::instant();
        let mut known = span.drop_repeats_within();
        // Mostly there is a repeat or two, and what this worker knows of them is right.
        let mut aside = span.set_aside(&self.ledger.supposed(target.bucket, &span.seen()).await);
        let (expired, capped, delta) = loop {
            let version = self.audit.as_ref().map(|_| prices.version());
            let folding = clock::instant();
            let Ok(mut flush) = span.flush(&aside, target.bucket, target.partitions, version) else {
                return Ok(self.too_large(span, aside, known));
            };
            self.metrics.folded(clock::instant() - folding);
            (flush.tidies, flush.expire) = (target.tidies, target.expire);
            match self.apply(&flush).await? {
                Outcome::Applied { expired, capped, notices } => {
                    self.noted(notices);
                    break (expired, capped, flush.delta);
                }
                // The reply to an earlier try was lost, and the try was not.
                Outcome::Moved(stored) if is_at_its_end(&flush, &stored) && self.is_as_counted(&flush).await? => {
                    break (None, Capped::default(), flush.delta);
                }
                Outcome::Moved(stored) => return Err(moved(&flush, &stored)),
                Outcome::Repeated(repeats) => known.add(span.set_aside(&repeats).known),
                Outcome::NotRepeated => span.put_back(std::mem::take(&mut aside)),
                Outcome::TooLarge => return Ok(self.too_large(span, aside, known)),
            }
        };
        known.add(aside.known);
        self.report(&span, &delta, known, capped, clock::instant() - start);
        self.write_counted(span.events(), prices).await?;
        Ok(Flown::Landed { expired })
    }

    /// What was set aside is tried again with the halves; what the store knows has ended here.
    fn too_large(&self, mut span: Span, aside: Aside, known: Known) -> Flown {
        span.put_back(aside);
        self.report_known(known);
        Flown::TooLarge(span)
    }

    fn noted(&self, notices: usize) {
        if notices > 0 {
            self.metrics.notices_noted(notices as u64);
            self.noted.notify_one();
        }
    }

    /// Asks the store until it answers.
    async fn apply(&self, flush: &Flush) -> Result<Outcome, Failure> {
        crash::point(Point::BeforeScript);
        // One connection carries both in this order: once the check is answered, the script has run.
        let call = || crash::cut_off(Point::AfterScriptSent, self.ledger.apply(flush), || self.ledger.check());
        let outcome = self.insist("flush", call).await;
        crash::point(Point::AfterReply);
        outcome
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

    fn report(&self, span: &Span, delta: &Delta, known: Known, capped: Capped, took: Duration) {
        let now = clock::now_ms();
        self.metrics.ended(Ending::Counted, span.len() as u64);
        self.report_known(known);
        self.metrics.events_counted(span.events().map(|accepted| now - accepted.event.time.timestamp_millis()));
        self.metrics.unpriced(unpriced(delta));
        mismatched(delta).for_each(|(model, requests)| self.metrics.mismatched(model, requests));
        self.metrics.models(by_model(delta));
        if !span.is_empty() {
            self.metrics.flushed(span.len(), took);
        }
        let Capped { requests, tool_calls, users, outputs } = capped;
        for (name, count) in [("group", requests), ("tool", tool_calls), ("user", users), ("kind", outputs)] {
            self.metrics.capped(name, count);
        }
    }

    fn report_known(&self, Known { repeated, conflicts }: Known) {
        self.metrics.ended(Ending::Repeated, repeated);
        self.metrics.ended(Ending::Conflict, conflicts);
        if conflicts > 0 {
            tracing::warn!(events = conflicts, "events with a known id and other content were not counted again");
        }
    }
}

/// What the spans of one bucket share.
struct Target {
    bucket: Bucket,
    partitions: usize,
    tidies: bool,
    expire: Option<Expired>,
}

enum Flown {
    Landed { expired: Option<Expired> },
    TooLarge(Span),
}

fn is_at_its_end(flush: &Flush, stored: &[Option<Position>]) -> bool {
    flush.stretches.iter().map(|stretch| Some(stretch.to)).eq(stored.iter().copied())
}

/// Names the first partition whose watermark is not as expected.
fn moved(flush: &Flush, stored: &[Option<Position>]) -> Failure {
    let mut all = flush.stretches.iter().zip(stored);
    let found = all.find(|(stretch, stored)| stretch.from != **stored);
    let Some((stretch, stored)) = found else { return Failure::Defect("the comparison of watermarks".to_owned()) };
    Failure::WatermarkMoved {
        partition: stretch.partition.clone(),
        stored: stored.map_or_else(|| "absent".to_owned(), |stored| stored.to_string()),
    }
}
