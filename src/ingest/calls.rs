//! One bucket's part of a departure: call after call, each until its outcome is known.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::domain::bucket::Bucket;
use crate::domain::counters::Overflow;
use crate::domain::position::{Position, TopicPartition};
use crate::domain::seen::Expired;
use crate::ops::clock;
use crate::ops::crash::{self, Point};
use crate::ops::metrics::Ending;
use crate::pricing::Table;
use crate::store::{Capped, Flush, Ledger, Outcome};

use super::batch::{Accepted, Rejected};
use super::by_model::{by_model, mismatched, unpriced};
use super::dead_letter::DeadLetters;
use super::decode::{Reason, Reject};
use super::failure::Failure;
use super::job::Tools;
use super::span::{Known, Portion, Span};

/// What the calls of one bucket share.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) bucket: Bucket,
    pub(super) partitions: usize,
    pub(super) tidies: bool,
    pub(super) expire: Option<Expired>,
}

/// Where a bucket stands after its calls.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) bucket: Bucket,
    pub(super) at: BTreeMap<TopicPartition, Position>,
    /// What its next call may drop.
    pub(super) expired: Option<Expired>,
}

/// A span and what it adds.
struct Folded {
    span: Span,
    flush: Result<(Flush, Known), Overflow>,
    took: Duration,
}

/// How spans of a bucket are folded.
#[derive(Clone)]
struct Folds {
    bucket: Bucket,
    partitions: usize,
    /// The version of the price table, where requests are to be in the rated topic.
    prices: Option<Arc<str>>,
}

impl Folds {
    fn fold(&self, span: Span) -> Folded {
        let start = clock::instant();
        let flush = span.flush(self.bucket, self.partitions, self.prices.as_ref());
        Folded { span, flush, took: clock::instant() - start }
    }
}

/// The spans of a bucket in their order. Of several, one is folded ahead: while the store is busy with the one before.
struct Spans {
    folds: Folds,
    /// The first of them comes last.
    waiting: Vec<Span>,
    ahead: Option<JoinHandle<Folded>>,
}

impl Spans {
    fn new(folds: Folds, mut waiting: Vec<Span>) -> Self {
        waiting.reverse();
        Self { folds, waiting, ahead: None }
    }

    async fn next(&mut self) -> Result<Option<Folded>, Failure> {
        let next = match self.take_ahead().await? {
            Some(ahead) => Some(ahead),
            None => self.waiting.pop().map(|span| self.folds.fold(span)),
        };
        self.ahead = self.waiting.pop().map(|span| {
            let folds = self.folds.clone();
            tokio::spawn(async move { folds.fold(span) })
        });
        Ok(next)
    }

    /// These come next.
    async fn put_first(&mut self, spans: Vec<Span>) -> Result<(), Failure> {
        let ahead = self.take_ahead().await?;
        self.waiting.extend(ahead.map(|ahead| ahead.span));
        self.waiting.extend(spans.into_iter().rev());
        Ok(())
    }

    async fn take_ahead(&mut self) -> Result<Option<Folded>, Failure> {
        let Some(ahead) = self.ahead.take() else { return Ok(None) };
        ahead.await.map(Some).map_err(|error| Failure::Defect(format!("a fold ({error})")))
    }
}

enum Flown {
    Landed { expired: Option<Expired> },
    TooLarge(Span),
}

impl<L: Ledger, D: DeadLetters> Tools<L, D> {
    /// Counts what a bucket has of each partition, without what is known to have been counted, in the order of the log; a
    /// span that is too large is halved.
    pub(super) async fn bucket(
        &self,
        mut target: Target,
        portions: Vec<Portion>,
        prices: &Table,
    ) -> Result<Done, Failure> {
        let mut all = Span { portions };
        self.send_rejects(all.rate(prices)).await;
        let left = all.note_repeats_within();
        // Mostly there is a repeat or two, and what this worker knows of them is right.
        all.note_repeats(&self.ledger.supposed(target.bucket, &left).await, false);
        let version = self.audit.as_ref().map(|_| Arc::clone(prices.version()));
        let folds = Folds { bucket: target.bucket, partitions: target.partitions, prices: version };
        let mut spans = Spans::new(folds, Span::cut(all.portions, self.limits.call_events));
        let mut done = Done { bucket: target.bucket, at: BTreeMap::new(), expired: target.expire };
        while let Some(folded) = spans.next().await? {
            let portions = folded.span.portions.iter();
            let ends: Vec<_> = portions.map(|portion| (portion.partition.clone(), portion.to)).collect();
            match self.span(&target, &spans.folds, folded, prices).await? {
                Flown::Landed { expired } => {
                    done.at.extend(ends);
                    if target.tidies {
                        // Once a departure is enough.
                        (target.tidies, target.expire, done.expired) = (false, None, expired);
                    }
                }
                Flown::TooLarge(span) if span.size() > 1 => spans.put_first(span.halve()).await?,
                Flown::TooLarge(span) => spans.put_first(vec![self.without_its_event(span).await]).await?,
            }
        }
        Ok(done)
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
    async fn span(&self, target: &Target, folds: &Folds, first: Folded, prices: &Table) -> Result<Flown, Failure> {
        let (start, folding) = (clock::instant(), first.took);
        let mut folded = first;
        loop {
            let Folded { mut span, flush, took } = folded;
            let Ok((mut flush, known)) = flush else { return Ok(Flown::TooLarge(span)) };
            self.metrics.folded(took);
            (flush.tidies, flush.expire) = (target.tidies, target.expire);
            let (expired, capped) = match self.apply(&flush).await? {
                Outcome::Applied { expired, capped, notices } => {
                    self.noted(notices);
                    (expired, capped)
                }
                // The reply to an earlier try was lost, and the try was not.
                Outcome::Moved(stored) if is_at_its_end(&flush, &stored) && self.is_as_counted(&flush).await? => {
                    (None, Capped::default())
                }
                Outcome::Moved(stored) => return Err(moved(&flush, &stored)),
                Outcome::Repeated(repeats) => {
                    span.note_repeats(&repeats, true);
                    folded = folds.fold(span);
                    continue;
                }
                Outcome::NotRepeated => {
                    span.doubt_repeats();
                    folded = folds.fold(span);
                    continue;
                }
                Outcome::TooLarge => return Ok(Flown::TooLarge(span)),
            };
            self.report(&span, &flush, known, capped, folding + (clock::instant() - start));
            self.write_counted(span.events(), prices).await?;
            return Ok(Flown::Landed { expired });
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

    fn noted(&self, notices: usize) {
        if notices > 0 {
            self.metrics.notices_noted(notices as u64);
            self.noted.notify_one();
        }
    }

    fn report(&self, span: &Span, flush: &Flush, known: Known, capped: Capped, took: Duration) {
        let (now, counted, delta) = (clock::now_ms(), flush.seen.len(), &flush.delta);
        self.metrics.ended(Ending::Counted, counted as u64);
        self.metrics.ended(Ending::Repeated, known.repeated);
        self.metrics.ended(Ending::Conflict, known.conflicts);
        if known.conflicts > 0 {
            tracing::warn!(events = known.conflicts, "events with a known id and other content were not counted again");
        }
        self.metrics.events_counted(span.events().map(|accepted| now - accepted.event.time.timestamp_millis()));
        self.metrics.unpriced(unpriced(delta));
        mismatched(delta).for_each(|(model, requests)| self.metrics.mismatched(model, requests));
        self.metrics.models(by_model(delta));
        if counted > 0 {
            self.metrics.flushed(counted, took);
        }
        let Capped { requests, tool_calls, users, outputs } = capped;
        for (name, count) in [("group", requests), ("tool", tool_calls), ("user", users), ("kind", outputs)] {
            self.metrics.capped(name, count);
        }
    }
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
