//! One membership of the consumer group: one task, one match, the only place that decides order.

mod departures;
mod look_back;
mod wellbeing;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use tokio::sync::oneshot;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::domain::bucket::Bucket;
use crate::domain::calendar::TimeMs;
use crate::domain::position::{Offset, TopicPartition};
use crate::domain::seen::Expired;
use crate::ops::clock;
use crate::ops::crash::{self, Point};
use crate::ops::metrics::{Audited, Ending, Metrics};
use crate::store::{Checked, Ledger, StoreError};

use super::dead_letter::DeadLetters;
use super::failure::Failure;
use super::job::Landing;
use super::lane::{Lane, Taken};
use super::probe::{self, Ends};
use super::record::{Chunk, Record};
use super::source::{Source, SourceEvent};
use super::start::start;
use super::turn::{Turn, Turns};
use super::worker::Worker;
use look_back::Looked;

/// The worker says that it is well at least this often.
const RENEW: Duration = Duration::from_secs(10);
/// Leaving the group and closing the client.
const CLOSE: Duration = Duration::from_secs(30);
/// The store is checked once in so many probes.
const PROBES_PER_CHECK: u32 = 10;

/// Batches that were seen to their end.
struct Job {
    partitions: Vec<TopicPartition>,
    leaves: Turns,
    /// Of its records.
    bytes: usize,
    /// Whether they were those of all lanes that could go together.
    convoy: bool,
    landed: Result<Landing, Failure>,
}

/// What was asked of Kafka and the store in passing.
struct Probed {
    /// When it was asked.
    asked: TimeMs,
    ends: Result<Ends, String>,
    /// None where the store was not asked.
    checked: Option<Result<Checked, StoreError>>,
}

/// One membership of the group.
pub(super) struct Session<'w, L, D> {
    worker: &'w Worker<L, D>,
    source: Source,
    lanes: BTreeMap<TopicPartition, Lane>,
    /// Batches on their way.
    jobs: JoinSet<Job>,
    /// How many of them are convoys.
    convoys: usize,
    /// Record bytes that they hold.
    in_flight_bytes: usize,
    /// By bucket: seen ids that its next call may drop.
    expire: BTreeMap<Bucket, Expired>,
    probe: JoinSet<Probed>,
    probes: u32,
    look_backs: JoinSet<Looked>,
    looked_at: Option<TopicPartition>,
    next_probe: Instant,
    /// What the client has complained of since.
    trouble: Option<String>,
    /// When there was last no room for more records.
    was_full: Instant,
    /// Of all our topics, assigned to whomever.
    partitions: usize,
    /// Whether the group has given us an assignment, be it an empty one.
    joined: bool,
    /// When there was last a sign of Kafka's: an assignment, or the end of a partition.
    heard: Instant,
}

impl<'w, L: Ledger, D: DeadLetters> Session<'w, L, D> {
    pub(super) fn new(worker: &'w Worker<L, D>, source: Source) -> Self {
        worker.latch.not_ready("is joining its consumer group");
        Self {
            worker,
            source,
            lanes: BTreeMap::new(),
            jobs: JoinSet::new(),
            convoys: 0,
            in_flight_bytes: 0,
            expire: BTreeMap::new(),
            probe: JoinSet::new(),
            probes: 0,
            look_backs: JoinSet::new(),
            looked_at: None,
            next_probe: clock::instant(),
            trouble: None,
            was_full: clock::instant(),
            partitions: 0,
            joined: false,
            heard: clock::instant(),
        }
    }

    /// Counts until `shutdown`; then nothing more is read.
    pub(super) async fn count(&mut self, shutdown: &CancellationToken) -> Result<(), Failure> {
        loop {
            let now = clock::instant();
            self.depart_due(now);
            if now >= self.next_probe {
                self.tick(now)?;
            }
            let idle = self.next_due(now);
            let takes_more = !self.is_full();
            if !takes_more {
                self.was_full = now;
            }
            tokio::select! {
                biased;
                () = shutdown.cancelled() => return Ok(()),
                Some(landed) = self.jobs.join_next() => self.land(landed)?,
                Some(answer) = self.probe.join_next() => self.note_ends(answer)?,
                Some(answer) = self.look_backs.join_next() => self.note_look_back(answer)?,
                // What shutdown cuts short is seen at the top of the next round.
                event = self.source.events.recv(), if takes_more => {
                    shutdown.run_until_cancelled(self.handle(event)).await.unwrap_or(Ok(()))?;
                }
                () = tokio::time::sleep(idle) => {}
            }
        }
    }

    async fn handle(&mut self, event: Option<SourceEvent>) -> Result<(), Failure> {
        match event {
            Some(SourceEvent::Records(chunk)) => self.take(chunk),
            Some(SourceEvent::Assigned { partitions, starts }) => self.assign(partitions, starts).await,
            Some(SourceEvent::Revoked { partitions, done }) => self.revoke(&partitions, done).await,
            Some(SourceEvent::Fetched(offsets)) => {
                offsets.iter().for_each(|(partition, offset)| {
                    self.lanes.get_mut(partition).into_iter().for_each(|lane| lane.note_fetched(*offset));
                });
                Ok(())
            }
            Some(SourceEvent::Troubled(why)) => {
                if !self.joined {
                    self.worker.latch.not_ready(format!("is joining its consumer group; kafka: {why}"));
                }
                self.trouble = Some(why);
                Ok(())
            }
            Some(SourceEvent::Failed(error)) => Err(self.diagnose(error).await),
            None => Err(Failure::Defect("the polling thread".to_owned())),
        }
    }

    fn take(&mut self, chunk: Chunk) -> Result<(), Failure> {
        let metrics = &self.worker.tools.metrics;
        metrics.consumed(chunk.len() as u64);
        let clock = (clock::instant(), TimeMs(clock::now_ms()));
        let (chunk, mut passed) = (Arc::new(chunk), 0);
        let mut records = Record::all(&chunk).peekable();
        // The client hands records over partition by partition, many at a time.
        while let Some(partition) = records.peek().map(|record| record.partition().clone()) {
            let mut lane = self.lanes.get_mut(&partition);
            while let Some(record) = records.next_if(|record| *record.partition() == partition) {
                // Records of an assignment that has ended may still come.
                let Some(lane) = &mut lane else { continue };
                passed += u64::from(lane.take(record, &self.worker.bounds, clock)? == Taken::Passed);
            }
            lane.into_iter().for_each(|lane| report_lost(lane, metrics));
        }
        metrics.ended(Ending::Passed, passed);
        Ok(())
    }

    async fn assign(
        &mut self,
        partitions: Vec<TopicPartition>,
        starts: oneshot::Sender<Vec<(TopicPartition, Offset)>>,
    ) -> Result<(), Failure> {
        crash::point(Point::InAssign);
        self.worker.latch.not_ready("is reading the watermarks of its partitions");
        let (topics, patience) = (self.worker.topics.clone(), self.worker.tools.limits.ask_kafka);
        let counted = probe::partitions(self.source.client(), topics, patience).await;
        let counted = counted.map_err(|why| Failure::Kafka(format!("the topics can't be counted: {why}")))?;
        self.partitions = counted.len();
        let lanes = try_join_all(partitions.into_iter().map(|partition| self.open(partition))).await?;
        let mut offsets = Vec::new();
        for (start, lane) in lanes {
            offsets.push((lane.partition.clone(), start));
            self.lanes.insert(lane.partition.clone(), lane);
        }
        for (partition, start) in &offsets {
            tracing::info!(%partition, offset = start.0, "assigned");
        }
        (self.joined, self.heard) = (true, clock::instant());
        self.worker.tools.metrics.rebalanced("assigned", self.lanes.len());
        crash::point(Point::InAssign);
        // The polling thread is gone when it is closing; then nothing is read.
        let _ = starts.send(offsets);
        self.next_probe = clock::instant();
        Ok(())
    }

    async fn open(&self, partition: TopicPartition) -> Result<(Offset, Lane), Failure> {
        let tools = &self.worker.tools;
        let asked = tools.insist("watermarks", || tools.ledger.standing(&partition));
        let standing = self.worker.patiently(asked).await?;
        let missing = standing.watermarks.iter().any(Option::is_none);
        let asked = probe::facts(self.source.client(), partition.clone(), missing, tools.limits.ask_kafka).await;
        let facts = asked.map_err(|why| Failure::Kafka(format!("nothing is known of {partition}: {why}")))?;
        let offset = start(&partition, &standing, facts)?;
        let owed = self.worker.patiently(tools.owed(&partition, &standing, facts.first)).await?;
        let offset = owed.start(offset);
        Ok((offset, Lane::new(partition, standing, offset, clock::instant()).owing(owed)))
    }

    /// Sees what waits in the partitions to its end, for a while, and lets them go.
    async fn revoke(&mut self, partitions: &[TopicPartition], done: oneshot::Sender<()>) -> Result<(), Failure> {
        crash::point(Point::InRevoke);
        let patience = self.worker.tools.limits.revoke;
        let ended = tokio::time::timeout(patience, self.finish(partitions)).await;
        for partition in partitions {
            self.lanes.remove(partition);
            self.worker.tools.metrics.lag_gone(&partition.topic, partition.partition);
            tracing::info!(%partition, "revoked");
        }
        self.worker.tools.metrics.rebalanced("revoked", self.lanes.len());
        if self.lanes.is_empty() {
            // Until the group says that there is nothing to do, it may as well have put us out.
            self.joined = false;
            self.worker
                .latch
                .not_ready("has no partitions, and waits for its consumer group to say whether that is so");
        }
        crash::point(Point::InRevoke);
        // Nobody waits any more when the polling thread is closing.
        let _ = done.send(());
        match ended {
            Ok(ended) => ended,
            // The watermark fences whatever is still on its way; a new session forgets it.
            Err(_) => Err(Failure::Kafka("revoked partitions did not end in time".to_owned())),
        }
    }

    /// Flushes until nothing waits in these partitions; every bucket's watermark is moved along.
    async fn finish(&mut self, partitions: &[TopicPartition]) -> Result<(), Failure> {
        let mut last_flush: Vec<TopicPartition> = partitions.to_vec();
        loop {
            let now = clock::instant();
            let (later, ready) =
                last_flush.into_iter().partition(|at| self.lanes.get(at).is_some_and(|lane| lane.is_flying()));
            last_flush = later;
            self.depart(ready, Turns::ALL, now, true);
            let busy = |partition: &TopicPartition| self.lanes.get(partition).is_some_and(|lane| lane.is_flying());
            if !partitions.iter().any(busy) {
                return Ok(());
            }
            match tokio::time::timeout(self.worker.tools.limits.probe, self.jobs.join_next()).await {
                Ok(landed) => landed.map_or(Ok(()), |landed| self.land(landed))?,
                // Nothing else says so meanwhile.
                Err(_) => self.say_how_it_is(clock::instant()),
            }
        }
    }

    pub(super) async fn drain(&mut self) {
        crash::point(Point::InShutdown);
        let partitions: Vec<_> = self.lanes.keys().cloned().collect();
        if let Err(failure) = self.finish(&partitions).await {
            tracing::warn!(failure = failure.name(), "{failure}");
        }
        self.commit();
        crash::point(Point::InShutdown);
    }

    /// # Errors
    /// [`Failure::Hung`], when the client did not leave the group: a new one would wait for its partitions.
    pub(super) async fn close(mut self) -> Result<(), Failure> {
        self.jobs.shutdown().await;
        self.probe.shutdown().await;
        self.look_backs.shutdown().await;
        for partition in self.lanes.keys() {
            self.worker.tools.metrics.lag_gone(&partition.topic, partition.partition);
        }
        self.worker.tools.metrics.rebalanced("revoked", 0);
        if self.source.close(CLOSE).await { Ok(()) } else { Err(Failure::Hung { patience: CLOSE }) }
    }

    fn held_bytes(&self) -> usize {
        let waiting: usize = self.lanes.values().map(|lane| lane.waiting.bytes()).sum();
        waiting + self.in_flight_bytes
    }

    /// Whether reading must wait for a flush to end.
    fn is_full(&self) -> bool {
        let limits = &self.worker.tools.limits;
        let stays = |lane: &Lane| !Turn::all().any(|turn| self.may_depart(lane, turn));
        let overfull = |lane: &Lane| stays(lane) && lane.waiting.is_full(limits);
        self.held_bytes() >= limits.held_bytes || self.lanes.values().any(overfull)
    }

    fn next_due(&self, now: Instant) -> Duration {
        let due = self.next_turn(now).map(|(at, _)| at.saturating_duration_since(now));
        due.unwrap_or(RENEW).min(self.next_probe.saturating_duration_since(now))
    }

    /// Once a probe interval: asks for the ends, commits for lag tools, says how it is.
    fn tick(&mut self, now: Instant) -> Result<(), Failure> {
        let tools = &self.worker.tools;
        self.next_probe = now + tools.limits.probe;
        if self.probe.is_empty() {
            let check = self.probes.is_multiple_of(PROBES_PER_CHECK);
            self.probes = self.probes.wrapping_add(1);
            if check {
                self.look_back();
            }
            let (client, tools) = (self.source.client(), Arc::clone(tools));
            let partitions: Vec<_> = self.lanes.keys().cloned().collect();
            self.probe.spawn(async move {
                let asked = TimeMs(clock::now_ms());
                let ends = probe::ends(client, partitions, tools.limits.ask_kafka).await;
                Probed { asked, ends, checked: if check { Some(tools.ledger.check().await) } else { None } }
            });
        }
        self.commit();
        for lane in self.lanes.values() {
            tools.metrics.lag(&lane.partition.topic, lane.partition.partition, lane.lag());
        }
        tools.metrics.held(self.held_bytes());
        self.say_how_it_is(now);
        self.refuse_to_be_stuck(now)
    }

    fn commit(&self) {
        let offsets = self.lanes.values().filter_map(|lane| Some((lane.partition.clone(), lane.committable()?)));
        self.source.commit(offsets);
    }

    fn note_ends(&mut self, answer: Result<Probed, JoinError>) -> Result<(), Failure> {
        let Probed { asked, ends, checked } = answer.map_err(|error| Failure::Defect(format!("a probe ({error})")))?;
        match ends {
            Ok(Ends { known, lost }) => {
                self.trouble = None;
                let now = clock::instant();
                if self.joined {
                    self.heard = now;
                }
                for (partition, end) in known {
                    self.lanes.get_mut(&partition).into_iter().for_each(|lane| lane.note_end(end, asked, now));
                }
                for partition in lost {
                    tracing::warn!(%partition, "the client does not know who leads it, and somebody does");
                    self.lanes.get_mut(&partition).into_iter().for_each(|lane| lane.note_lost(now));
                }
            }
            Err(why) => tracing::warn!(why, "kafka did not say where its partitions end"),
        }
        match checked {
            Some(Err(error)) if !error.may_pass() => Err(error.into()),
            Some(Ok(checked)) => {
                self.worker.tools.metrics.redis_memory(checked.used_memory, checked.max_memory);
                self.worker.tools.metrics.seen_ids(checked.seen_ids);
                Ok(())
            }
            // Others show where they are in the way.
            _ => Ok(()),
        }
    }
}

/// Says which counted requests can't be written to the rated topic any more.
fn report_lost(lane: &mut Lane, metrics: &Metrics) {
    let requests = lane.owed.take_lost();
    if requests > 0 {
        metrics.audited(Audited::Skipped, requests);
        let partition = &lane.partition;
        tracing::warn!(%partition, requests, "counted requests may be missing from the rated topic: their records are gone");
    }
}
