//! What the worker knows of one assigned partition: where each bucket stands, and what waits.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::domain::bucket::Bucket;
use crate::domain::calendar::TimeMs;
use crate::domain::position::{Fingerprint, Offset, Position, TopicPartition};
use crate::domain::rated::Rated;
use crate::domain::seen::SeenId;

use crate::store::Standing;

use super::batch::{Accepted, Again, Batch, Rejected};
use super::decode::{Bounds, Incoming, decode};
use super::failure::Failure;
use super::limits::Limits;
use super::rated::owed::Owed;
use super::record::Record;
use super::turn::{TURNS, Turn, Turns};

/// What became of a record that was taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// It waits in the batch, as an event or for the dead-letter topic.
    Waiting,
    /// It was seen to its end before a restart.
    Passed,
    /// It was counted before a restart, and waits for the rated topic.
    Again,
    /// It belongs to an earlier assignment and will come again, or came before.
    Stale,
}

/// One assigned partition.
#[derive(Debug)]
pub struct Lane {
    pub partition: TopicPartition,
    /// By bucket: the stored watermark as this worker last knew it.
    stored: Vec<Option<Position>>,
    /// By bucket: the log time that it had passed when the lane was opened. A bucket that is ahead of the lane's clock
    /// must not be given ids of an earlier time than those it knows, or repeats of these would not be found.
    passed: Vec<TimeMs>,
    /// Just after the last record taken in.
    read: Position,
    /// Kafka holds no record between `read` and here, only what is none: the ends of transactions.
    fetched: Offset,
    /// The end of the furthest watermark: rejects before it are in the dead-letter topic.
    settled: Offset,
    /// Records that watermarks name and that have not come by yet.
    unverified: BTreeMap<Offset, Fingerprint>,
    /// Records that were counted and may not be in the rated topic.
    pub owed: Owed,
    /// The log's own clock: the greatest Kafka timestamp so far, or the real time at which Kafka held nothing more;
    /// never ahead of the real one. It never goes back, not over a restart either, so that ids are kept in the order
    /// of the log whatever timestamps producers set. A lane begins with that of the bucket that is furthest behind:
    /// what it reads again is of that time, and so is what a reader may be told of it.
    log_time: TimeMs,
    pub waiting: Batch,
    /// Turns whose batches are on their way.
    flying: Turns,
    /// By turn.
    last_beats: [Option<Instant>; TURNS],
    last_progress: Instant,
    /// Kafka's end of the partition when last asked.
    end: Option<Offset>,
    /// When Kafka last said it.
    heard: Instant,
    /// Since when the client does not find its leader.
    lost: Option<Instant>,
}

/// What leaves a lane, to be flushed together with what leaves others.
#[derive(Debug)]
pub struct Leaving {
    pub partition: TopicPartition,
    pub batch: Batch,
    pub to: Position,
    pub log_time: TimeMs,
    /// Buckets to move, with their watermarks: those with events, or at a beat all that `to` is not behind of.
    pub buckets: Vec<(Bucket, Option<Position>)>,
}

/// Where a bucket stands after a flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Landed {
    pub bucket: Bucket,
    pub at: Position,
}

impl Lane {
    /// A lane for a partition that is read from `start` on, as its watermarks say.
    pub fn new(partition: TopicPartition, standing: Standing, start: Offset, now: Instant) -> Self {
        let Standing { watermarks: stored, log_times: passed, .. } = standing;
        let known = stored.iter().flatten();
        let least = known.clone().min_by_key(|position| position.next()).copied().unwrap_or(Position::START);
        Self {
            partition,
            settled: known.clone().map(|position| position.next()).max().unwrap_or(Offset(0)),
            unverified: known.filter_map(|position| position.last()).filter(|(named, _)| *named >= start).collect(),
            log_time: passed.iter().copied().min().unwrap_or(TimeMs(0)),
            passed,
            stored,
            owed: Owed::default(),
            read: least,
            fetched: least.next(),
            waiting: Batch::default(),
            flying: Turns::default(),
            last_beats: [None; TURNS],
            last_progress: now,
            end: None,
            heard: now,
            lost: None,
        }
    }

    /// With records before its watermarks that the rated topic is owed.
    pub fn owing(mut self, owed: Owed) -> Self {
        self.owed = owed;
        self
    }

    /// Takes a record in: verifies the log, decodes, and lets it wait for its bucket's flush.
    ///
    /// # Errors
    /// [`Failure::LogChanged`], when the log is not the one that was counted.
    pub fn take(&mut self, record: Record, bounds: &Bounds, clock: (Instant, TimeMs)) -> Result<Taken, Failure> {
        let (offset, fingerprint) = (record.offset(), record.fingerprint());
        self.verify(offset, fingerprint)?;
        let owed = self.owed.settle(offset, fingerprint);
        if self.read.covers(offset) {
            if owed.is_none() {
                return Ok(Taken::Stale);
            }
        } else {
            self.read = Position::after(offset, fingerprint);
            if let Some(timestamp) = record.timestamp() {
                self.log_time = self.log_time.max(timestamp.min(clock.1));
            }
        }
        let headers: SmallVec<[_; 8]> =
            record.headers().map(|(name, value)| (name, value.unwrap_or_default())).collect();
        let incoming = Incoming { value: record.value(), headers: &headers, timestamp: record.timestamp() };
        match decode(&incoming, bounds) {
            Ok(event) => {
                drop(headers);
                if let Some(prices) = owed {
                    self.waiting.again(Again { record, event, prices }, clock.0);
                    return Ok(Taken::Again);
                }
                let bucket = Bucket::of(&event.tenant);
                if self.stored[bucket.index()].is_some_and(|stored| stored.covers(offset)) {
                    return Ok(Taken::Passed);
                }
                let seen = SeenId::of(&event, self.log_time.max(self.passed[bucket.index()]));
                self.waiting.accept(
                    bucket,
                    Accepted { record, event, rated: Rated::default(), seen, repeats: None },
                    clock.0,
                );
            }
            // It was counted under other settings.
            Err(_) if owed.is_some() => {
                self.owed.note_lost();
                return Ok(Taken::Passed);
            }
            // A watermark passes a dead letter only after Kafka has it.
            Err(_) if offset < self.settled => return Ok(Taken::Passed),
            Err(reject) => {
                drop(headers);
                self.waiting.reject(Rejected { record, reject }, clock.0);
            }
        }
        Ok(Taken::Waiting)
    }

    /// Every record that a watermark names must come by as it was. One that is skipped was compacted away or
    /// belongs to another log; which of the two cannot be told, so it is refused.
    fn verify(&mut self, offset: Offset, fingerprint: Fingerprint) -> Result<(), Failure> {
        while let Some(entry) = self.unverified.first_entry() {
            if *entry.key() > offset {
                break;
            }
            let (named, expected) = entry.remove_entry();
            if named < offset || expected != fingerprint {
                return Err(Failure::other_record(&self.partition, named));
            }
        }
        Ok(())
    }

    /// Everything before `offset` was handed over and has been taken in.
    pub fn note_fetched(&mut self, offset: Offset) {
        self.fetched = self.fetched.max(offset);
    }

    /// Kafka's end of the partition, as asked for at the real time `asked`.
    pub fn note_end(&mut self, end: Offset, asked: TimeMs, now: Instant) {
        if self.lag() == 0 {
            // What was not behind could not make progress.
            self.last_progress = now;
        }
        (self.end, self.heard, self.lost) = (Some(end), now, None);
        if self.taken() >= end && self.unverified.is_empty() {
            self.log_time = self.log_time.max(asked);
        }
    }

    /// Records that Kafka holds and that are not counted yet, as far as is known.
    pub fn lag(&self) -> i64 {
        let counted = if self.is_idle() { self.taken() } else { self.least_stored() };
        self.end.map_or(0, |end| (end.0 - counted.0).max(0))
    }

    /// The last record that was read; none where nothing is known of it.
    pub fn last_read(&self) -> Option<(Offset, Fingerprint)> {
        self.read.last()
    }

    /// The next offset to read.
    pub fn next(&self) -> Offset {
        self.read.next()
    }

    fn taken(&self) -> Offset {
        self.read.next().max(self.fetched)
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && !self.is_flying()
    }

    pub fn is_flying(&self) -> bool {
        !self.flying.are_none()
    }

    /// Whether these turns may leave: one batch of a bucket at a time. Where what must come before the counting can fail,
    /// all of them leave, so that no watermark passes it meanwhile.
    pub fn may_depart(&self, leaves: Turns) -> bool {
        if self.waiting.may_be_held_up() { !self.is_flying() } else { !self.flying.meet(leaves) }
    }

    fn least_stored(&self) -> Offset {
        self.stored.iter().map(|stored| stored.map_or(Offset(0), Position::next)).min().unwrap_or(Offset(0))
    }

    /// Up to where every bucket's watermark stands: what lag tools may be told. None before the first beat.
    pub fn committable(&self) -> Option<Offset> {
        self.stored.iter().all(Option::is_some).then(|| self.least_stored())
    }

    /// How long there has been lag without a watermark that moved.
    pub fn stalled_for(&self, now: Instant) -> Duration {
        if self.lag() == 0 { Duration::ZERO } else { now.saturating_duration_since(self.last_progress) }
    }

    /// Somebody leads the partition, and the client does not know who.
    pub fn note_lost(&mut self, now: Instant) {
        self.lost.get_or_insert(now);
    }

    pub fn lost_for(&self, now: Instant) -> Duration {
        self.lost.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// How long Kafka has not said where the partition ends.
    pub fn unheard_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.heard)
    }

    /// How long nothing has come of it, although Kafka holds more.
    pub fn starves_for(&self, now: Instant) -> Duration {
        if self.is_idle() { self.stalled_for(now) } else { Duration::ZERO }
    }

    /// Whether Kafka holds much more than was read.
    pub fn is_far_behind(&self, limits: &Limits) -> bool {
        self.end.is_some_and(|end| end.0 - self.taken().0 > limits.backlog)
    }

    /// When the buckets of a turn must depart, if nothing else comes and an event may wait for `age`; none while they may
    /// not.
    pub fn due_at(&self, turn: Turn, now: Instant, limits: &Limits, age: Duration) -> Option<Instant> {
        if !self.may_depart(turn.into()) {
            return None;
        }
        let beat = self.last_beats[turn.index()].map_or(now, |last| last + limits.beat);
        // A full one leaves by the turns that have waited the longest.
        let age = if self.waiting.is_full(limits) { Duration::ZERO } else { age };
        Some(self.waiting.waits_since(turn).map_or(beat, |since| beat.min(since + age)))
    }

    /// Whether it is time for every bucket of a turn to move along.
    pub fn beats(&self, turn: Turn, now: Instant, limits: &Limits) -> bool {
        self.last_beats[turn.index()].is_none_or(|last| now.saturating_duration_since(last) >= limits.beat)
    }

    /// Sends off what waits of the buckets whose turn it is, or of all of them where something may be held up. At a beat
    /// every one of them moves along.
    pub fn depart(&mut self, leaves: Turns, now: Instant, beat: bool) -> Leaving {
        assert!(self.may_depart(leaves), "one batch of a bucket at a time");
        let leaves = if self.waiting.may_be_held_up() { Turns::ALL } else { leaves };
        if beat {
            Turn::all().filter(|turn| leaves.has(*turn)).for_each(|turn| self.last_beats[turn.index()] = Some(now));
        }
        let batch = self.waiting.leave(leaves);
        // While a bucket that is behind is counted again, the others wait where they are: a watermark never goes back.
        let is_ahead =
            |bucket: &Bucket| self.stored[bucket.index()].is_some_and(|stored| stored.next() > self.read.next());
        // One that owes records to the rated topic waits until they have come by: moving would settle the debt.
        let is_held = |bucket: &Bucket| is_ahead(bucket) || self.owed.holds(*bucket);
        let beats = |bucket: &Bucket| beat && leaves.has(Turn::of(*bucket)) && !is_held(bucket);
        let moves = |bucket: &Bucket| beats(bucket) || !batch.events[bucket.index()].is_empty();
        let buckets = Bucket::all().filter(moves).map(|bucket| (bucket, self.stored[bucket.index()])).collect();
        self.flying.add(leaves);
        Leaving { partition: self.partition.clone(), batch, to: self.read, log_time: self.log_time, buckets }
    }

    /// Notes where the buckets of a departure stand now.
    pub fn land(&mut self, leaves: Turns, landed: &[Landed], now: Instant) {
        assert!(self.flying.meet(leaves), "only what departed lands");
        self.flying.remove(leaves);
        for Landed { bucket, at } in landed {
            if self.stored[bucket.index()] != Some(*at) {
                self.last_progress = now;
            }
            self.stored[bucket.index()] = Some(*at);
            self.settled = self.settled.max(at.next());
        }
    }
}

#[cfg(test)]
#[path = "../../tests/unit/ingest/lane.rs"]
mod tests;
