//! Sees one batch to its end: dead letters first, then every bucket's spans, each until its outcome is known.
//!
//! Never gives a batch up: what fails is tried again until it succeeds, until the watermark shows that the
//! batch is no longer ours, or until the session is cancelled; Kafka still holds everything.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures::future::join_all;
use futures::{StreamExt, TryStreamExt, stream};
use tokio::sync::Notify;

use crate::domain::bucket::Bucket;
use crate::domain::calendar::TimeMs;
use crate::domain::event::Body;
use crate::domain::position::{Position, TopicPartition};
use crate::domain::seen::Expired;
use crate::ops::clock;
use crate::ops::crash::{self, Point};
use crate::ops::metrics::{Ending, Metrics};
use crate::pricing::Table;
use crate::store::{Capped, Flush, Ledger, Outcome, StoreError};

use super::batch::{Accepted, Rejected};
use super::dead_letter::DeadLetters;
use super::decode::{Reason, Reject};
use super::failure::Failure;
use super::lane::{Departure, Landed};
use super::limits::Limits;
use super::rated::Audit;
use super::span::{Known, Span};

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

/// What keeps us from counting, for readiness, with how many wait because of it: the success of one says nothing of
/// another, which may need another partition, another node or the dead-letter topic.
#[derive(Debug, Default)]
pub struct Trouble(Mutex<BTreeMap<String, usize>>);

impl Trouble {
    /// What is wrong now.
    pub fn get(&self) -> Option<String> {
        self.lock().keys().next().cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tries of one thing until it succeeds or nobody wants it any more; then its trouble is gone, too.
pub(super) struct Tries<'a> {
    trouble: &'a Trouble,
    met: Option<String>,
    pause: Duration,
    longest: Duration,
}

impl<'a> Tries<'a> {
    pub(super) fn new(trouble: &'a Trouble, limits: &Limits) -> Self {
        Self { trouble, met: None, pause: limits.retry.0, longest: limits.retry.1 }
    }

    /// Notes what is wrong; true when it is news.
    pub(super) fn failed(&mut self, what: String) -> bool {
        if self.met.as_ref() == Some(&what) {
            return false;
        }
        self.end();
        let mut trouble = self.trouble.lock();
        let waiting = trouble.entry(what.clone()).or_default();
        *waiting += 1;
        self.met = Some(what);
        *waiting == 1
    }

    pub(super) fn succeeded(&mut self) {
        if let Some(what) = self.end() {
            tracing::info!(was = what, "working again");
        }
    }

    /// Returns what was wrong if nobody waits because of it any more.
    fn end(&mut self) -> Option<String> {
        let what = self.met.take()?;
        let mut trouble = self.trouble.lock();
        let waiting = trouble.get_mut(&what)?;
        *waiting -= 1;
        if *waiting > 0 {
            return None;
        }
        trouble.remove(&what);
        Some(what)
    }

    /// Each wait is twice as long as the one before.
    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(self.longest);
    }
}

impl Drop for Tries<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// Dead letters that wait for their acknowledgement together.
const LETTERS_AT_ONCE: usize = 256;

impl<L: Ledger, D: DeadLetters> Tools<L, D> {
    /// Runs a departure to its end.
    ///
    /// # Errors
    /// [`Failure`], when the batch is not ours any more or can't be counted by anyone.
    pub async fn run(&self, mut departure: Departure) -> Result<Vec<Landed>, Failure> {
        let prices = self.prices.load_full();
        departure.batch.rate(&prices);
        let rejects = std::mem::take(&mut departure.batch.rejects);
        for some in rejects.chunks(LETTERS_AT_ONCE) {
            join_all(some.iter().map(|rejected| self.dead_letter(rejected))).await;
        }
        if let Some(first) = rejects.first() {
            let (records, partition) = (rejects.len(), first.record.partition());
            let (offset, why) = (first.record.offset().0, first.reject.to_string());
            tracing::warn!(%partition, records, offset, why, "records went to the dead-letter topic; this is the first");
        }
        self.write_again(std::mem::take(&mut departure.batch.again)).await?;
        self.keep_prices(&prices).await?;
        let calls = departure.buckets.iter().map(|(bucket, from, expire)| {
            let events = std::mem::take(&mut departure.batch.events[bucket.index()]);
            let to = (departure.to, departure.log_time);
            (*bucket, Span::cut(*from, to, events, self.limits.call_events), *expire)
        });
        let calls: Vec<_> = calls.collect();
        let (partition, partitions, prices) = (&departure.partition, departure.partitions, &*prices);
        stream::iter(calls)
            .map(|(bucket, spans, expire)| self.bucket(Target { bucket, partition, partitions, expire, prices }, spans))
            .buffer_unordered(self.limits.calls_at_once)
            .try_collect()
            .await
    }

    /// Sends one dead letter and does not return before the broker has it.
    async fn dead_letter(&self, rejected: &Rejected) {
        let mut tries = Tries::new(&self.trouble, &self.limits);
        while let Err(why) = self.send(rejected).await {
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

    /// Applies a bucket's spans in their order; one that is too large is halved.
    async fn bucket(&self, target: Target<'_>, spans: Vec<Span>) -> Result<Landed, Failure> {
        let mut waiting: Vec<Span> = spans.into_iter().rev().collect();
        let mut landed = Landed { bucket: target.bucket, at: Position::START, expired: None };
        while let Some(span) = waiting.pop() {
            let to = span.to;
            match self.span(&target, span).await? {
                Flown::Landed { expired } => (landed.at, landed.expired) = (to, expired),
                Flown::TooLarge(span) if span.events.len() > 1 => waiting.extend(span.halve().into_iter().rev()),
                Flown::TooLarge(span) => waiting.push(self.without_its_event(span).await),
            }
        }
        Ok(landed)
    }

    /// The one event of a span that no counter can hold goes to the dead letters.
    async fn without_its_event(&self, mut span: Span) -> Span {
        for Accepted { record, .. } in span.events.drain(..) {
            let detail = "adding this event would take a sum beyond 64 bits";
            let reject = Reject { reason: Reason::CounterOverflow, detail: detail.to_owned() };
            self.dead_letter(&Rejected { record, reject }).await;
        }
        span
    }

    /// One span until its outcome is known.
    async fn span(&self, target: &Target<'_>, mut span: Span) -> Result<Flown, Failure> {
        let start = clock::instant();
        let mut known = span.drop_repeats_within();
        let (expired, capped) = loop {
            let Ok(mut flush) = span.flush(target.bucket, target.partition, target.partitions, target.expire) else {
                return Ok(Flown::TooLarge(span));
            };
            flush.prices = self.audit.as_ref().map(|_| span.priced(target.prices.version()));
            match self.apply(&flush).await? {
                Outcome::Applied { expired, capped, notices } => {
                    self.noted(notices);
                    break (expired, capped);
                }
                // The reply to an earlier try was lost, and the try was not.
                Outcome::Moved(Some(stored)) if stored == span.to && self.is_as_counted(&flush).await? => {
                    break (None, Capped::default());
                }
                Outcome::Moved(stored) => {
                    return Err(Failure::WatermarkMoved {
                        partition: target.partition.clone(),
                        stored: stored.map_or_else(|| "absent".to_owned(), |stored| stored.to_string()),
                    });
                }
                Outcome::Repeated(repeats) => {
                    let more = span.drop_known(&repeats);
                    known.repeated += more.repeated;
                    known.conflicts += more.conflicts;
                }
                Outcome::TooLarge => return Ok(Flown::TooLarge(span)),
            }
        };
        self.report(&span, known, capped, clock::instant() - start);
        self.write_counted(&span.events, target.prices).await?;
        Ok(Flown::Landed { expired })
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

    fn report_price(&self, Accepted { event, rated, .. }: &Accepted) {
        if rated.unpriced {
            self.metrics.unpriced();
        }
        if let (Some(_), Body::Usage(usage)) = (rated.mismatch, &event.body) {
            self.metrics.mismatched(usage.model.as_str());
        }
    }

    fn report(&self, span: &Span, known: Known, capped: Capped, took: Duration) {
        let now = clock::now_ms();
        self.metrics.ended(Ending::Counted, span.events.len() as u64);
        self.metrics.ended(Ending::Repeated, known.repeated);
        self.metrics.ended(Ending::Conflict, known.conflicts);
        for accepted in &span.events {
            self.metrics.event_counted(now - accepted.event.time.timestamp_millis());
            self.report_price(accepted);
        }
        if !span.events.is_empty() {
            self.metrics.flushed(span.events.len(), took);
        }
        let Capped { requests, tool_calls, users, outputs } = capped;
        for (name, count) in [("group", requests), ("tool", tool_calls), ("user", users), ("kind", outputs)] {
            self.metrics.capped(name, count);
        }
        if known.conflicts > 0 {
            tracing::warn!(events = known.conflicts, "events with a known id and other content were not counted again");
        }
    }
}

/// What the spans of one bucket share.
struct Target<'a> {
    bucket: Bucket,
    partition: &'a TopicPartition,
    partitions: usize,
    expire: Option<Expired>,
    /// By which the batch was rated.
    prices: &'a Table,
}

enum Flown {
    Landed { expired: Option<Expired> },
    TooLarge(Span),
}
