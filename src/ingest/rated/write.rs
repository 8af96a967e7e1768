//! The order of the steps: prices kept, requests counted, requests written, and only then the bucket's next flush.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::domain::bucket::Bucket;
use crate::domain::event::Body;
use crate::domain::position::{Offset, TopicPartition};
use crate::ingest::batch::{Accepted, Again};
use crate::ingest::dead_letter::DeadLetters;
use crate::ingest::failure::Failure;
use crate::ingest::job::Tools;
use crate::ingest::trouble::Tries;
use crate::ops::crash::{self, Point};
use crate::ops::metrics::Audited;
use crate::pricing::Table;
use crate::store::{Flush, Ledger, Standing, Unrated};

use super::Audit;
use super::message::Message;
use super::owed::{Owed, Unreachable};

impl<L: Ledger, D: DeadLetters> Tools<L, D> {
    /// Has the store keep the price table before anything is counted by it.
    pub(in crate::ingest) async fn keep_prices(&self, prices: &Table) -> Result<(), Failure> {
        let Some(audit) = self.audit.as_ref().filter(|audit| !audit.has_kept(prices.version())) else { return Ok(()) };
        self.insist("prices", || self.ledger.keep_prices(prices.version(), prices.source())).await?;
        audit.note_kept(Some(Arc::clone(prices.version())));
        Ok(())
    }

    /// Writes the requests among events that were counted just now.
    pub(in crate::ingest) async fn write_counted<'e>(
        &self,
        events: impl Iterator<Item = &'e Accepted>,
        prices: &Table,
    ) -> Result<(), Failure> {
        let Some(audit) = &self.audit else { return Ok(()) };
        let messages = events.filter_map(|Accepted { record, event, rated, .. }| match &event.body {
            Body::Usage(usage) => Some(Message::of(record, event, usage, rated, prices)),
            _ => None,
        });
        let messages: Vec<_> = messages.collect::<Result<_, _>>().map_err(no_json)?;
        if messages.is_empty() {
            return Ok(());
        }
        crash::point(Point::BeforeRated);
        self.write(audit, messages, Audited::Written).await;
        crash::point(Point::AfterRatedAck);
        Ok(())
    }

    /// Writes what was counted before a restart, by the price table of then. Redis may have gone back since it was said
    /// to be owed, or another worker may have written it: then what is stored is asked again, by a new session.
    pub(in crate::ingest) async fn write_again(&self, again: Vec<Again>) -> Result<(), Failure> {
        let Some(audit) = self.audit.as_ref().filter(|_| !again.is_empty()) else { return Ok(()) };
        let partition = again[0].record.partition();
        let standing = self.insist("watermarks", || self.ledger.standing(partition)).await?;
        let (mut messages, mut skipped) = (Vec::with_capacity(again.len()), 0);
        for Again { record, event, prices } in &again {
            let bucket = Bucket::of(&event.tenant).index();
            if !standing.unrated[bucket].as_ref().is_some_and(|unrated| owes(unrated, record.offset(), prices)) {
                let stored = standing.watermarks[bucket].map_or_else(|| "absent".to_owned(), |at| at.to_string());
                return Err(Failure::WatermarkMoved { partition: partition.clone(), stored });
            }
            match &event.body {
                // It was rated and counted, so it can be rated.
                Body::Usage(usage) => match prices.rate(usage, event.time) {
                    Ok(rated) => messages.push(Message::of(record, event, usage, &rated, prices).map_err(no_json)?),
                    Err(_) => skipped += 1,
                },
                _ => skipped += 1,
            }
        }
        self.metrics.audited(Audited::Skipped, skipped);
        self.write(audit, messages, Audited::Rewritten).await;
        Ok(())
    }

    /// Does not return before the broker has them all.
    async fn write(&self, audit: &Audit, mut messages: Vec<Message>, how: Audited) {
        let (mut tries, count) = (Tries::new(&self.trouble, &self.limits), messages.len());
        while let Err(why) = audit.topic.write(&mut messages).await {
            if tries.failed(format!("can't write rated requests: {why}")) {
                tracing::error!(
                    error = why,
                    "counted requests were not acknowledged by the rated topic; nothing more is counted meanwhile. \
                     Check that INDELIBLE_RATED_TOPIC exists and that we may write to it; or start without the setting"
                );
            }
            tries.wait().await;
        }
        tries.succeeded();
        self.metrics.audited(how, count as u64);
    }

    /// Whether a flush whose watermark is in place is this worker's own, or one that counted exactly the same: another
    /// worker may have dropped repeats that this one did not know of, counted what this one takes for repeats because it
    /// has, or rated by other prices.
    pub(in crate::ingest) async fn is_as_counted(&self, flush: &Flush) -> Result<bool, Failure> {
        let index = flush.bucket.index();
        for stretch in flush.stretches.iter().filter(|stretch| stretch.prices.is_some()) {
            let standing = self.insist("watermarks", || self.ledger.standing(&stretch.partition)).await?;
            if standing.watermarks[index] != Some(stretch.to) || standing.unrated[index] != stretch.unrated() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What a partition owes to the rated topic, in a log that begins at `first`.
    ///
    /// # Errors
    /// [`Failure::Store`]
    pub async fn owed(&self, partition: &TopicPartition, standing: &Standing, first: Offset) -> Result<Owed, Failure> {
        let (mut owed, mut tables) = (Owed::default(), BTreeMap::new());
        for (bucket, unrated) in Bucket::all().zip(&standing.unrated) {
            let Some(unrated) = unrated else { continue };
            if self.audit.is_none() {
                let (from, requests) = (unrated.from.next().0, unrated.priced.offsets.len());
                tracing::warn!(
                    %partition, from, requests,
                    "requests that were counted may be missing from the rated topic, and INDELIBLE_RATED_TOPIC is not \
                     set any more: they will not be written"
                );
                continue;
            }
            let version = &unrated.priced.version;
            if !tables.contains_key(version) {
                tables.insert(Arc::clone(version), self.table(version).await?);
            }
            let prices = tables.get(version).and_then(Option::as_ref);
            for Unreachable { first, last, requests, why } in owed.add(bucket, unrated, prices, first) {
                self.metrics.audited(Audited::Skipped, requests);
                tracing::warn!(
                    %partition, from = first.0, to = last.0, requests, why,
                    "requests that were counted may be missing from the rated topic, and can't be written again"
                );
            }
        }
        Ok(owed)
    }

    /// A price table by its version; none where nobody has it any more.
    async fn table(&self, version: &Arc<str>) -> Result<Option<Arc<Table>>, Failure> {
        let current = self.prices.load_full();
        if current.version() == version {
            return Ok(Some(current));
        }
        let text = self.insist("prices", || self.ledger.prices(version)).await?;
        Ok(text.and_then(|text| Table::parse(&text).ok()).map(Arc::new))
    }
}

fn owes(Unrated { priced, .. }: &Unrated, offset: Offset, prices: &Table) -> bool {
    priced.version == *prices.version() && priced.offsets.binary_search(&offset).is_ok()
}

fn no_json(error: serde_json::Error) -> Failure {
    Failure::Defect(format!("the writing of rated requests ({error})"))
}
