//! What leaves the lanes together, and what becomes of it when it has landed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinError;

use crate::domain::bucket::Bucket;
use crate::domain::position::TopicPartition;
use crate::ingest::dead_letter::DeadLetters;
use crate::ingest::failure::Failure;
use crate::ingest::job::{Departure, Landing};
use crate::ingest::lane::{Lane, Leaving};
use crate::ingest::turn::{Leaves, Turn};
use crate::ops::clock;
use crate::store::Ledger;

use super::{Job, Session};

impl<L: Ledger, D: DeadLetters> Session<'_, L, D> {
    /// Sends off the turn that is due, and with it whatever else waits for it: the more there is of a bucket, the less
    /// each costs.
    pub(super) fn depart_due(&mut self, now: Instant) {
        let limits = self.worker.tools.limits;
        let pressed = self.held_bytes() >= limits.held_bytes;
        let due = self.next_turn(now).filter(|(at, _)| *at <= now).map(|(_, turn)| turn);
        let Some(turn) = due.or_else(|| self.longest_waiting().filter(|_| pressed)) else { return };
        // Who is far behind gains nothing by turns, and holds less memory by sending all.
        let leaves = if self.is_far_behind() { Leaves::All } else { Leaves::One(turn) };
        let age = self.batch_age();
        let is_due = |lane: &Lane| lane.due_at(turn, now, &limits, age).is_some_and(|at| at <= now);
        let waits = |lane: &Lane| match leaves {
            Leaves::One(turn) => lane.waiting.waits_for(turn),
            Leaves::All => !lane.waiting.is_empty(),
        };
        let ready = self.lanes.values().filter(|lane| self.may_depart(lane) && (waits(lane) || is_due(lane)));
        let beat = self.lanes.values().any(|lane| is_due(lane) && lane.beats(turn, now, &limits));
        let ready = ready.map(|lane| lane.partition.clone()).collect();
        self.depart(ready, leaves, now, beat);
    }

    /// The turn that is due next, and when.
    pub(super) fn next_turn(&self, now: Instant) -> Option<(Instant, Turn)> {
        let (limits, age) = (&self.worker.tools.limits, self.batch_age());
        let lanes = self.lanes.values().filter(|lane| self.may_depart(lane));
        let due = |lane, turn| Some((Lane::due_at(lane, turn, now, limits, age)?, turn));
        lanes.flat_map(|lane| Turn::all().filter_map(move |turn| due(lane, turn))).min()
    }

    /// The turn for which something has waited the longest.
    fn longest_waiting(&self) -> Option<Turn> {
        let lanes = self.lanes.values().filter(|lane| self.may_depart(lane));
        let since = lanes.flat_map(|lane| Turn::all().filter_map(|turn| Some((lane.waiting.waits_since(turn)?, turn))));
        since.min().map(|(_, turn)| turn)
    }

    /// One convoy at a time: what comes meanwhile makes up the next, and the busier the store is, the larger that gets.
    /// A lane that is held up goes alone anyway.
    pub(super) fn may_depart(&self, lane: &Lane) -> bool {
        !lane.in_flight && (self.convoys == 0 || lane.waiting.may_be_held_up())
    }

    /// How long an event may wait for others.
    pub(super) fn batch_age(&self) -> Duration {
        let limits = &self.worker.tools.limits;
        if self.is_far_behind() { limits.backlog_age } else { limits.batch_age }
    }

    fn is_far_behind(&self) -> bool {
        self.lanes.values().any(|lane| lane.is_far_behind(&self.worker.tools.limits))
    }

    /// Sends off partitions together, but for those that something may hold up: each of them waits for itself alone.
    pub(super) fn depart(&mut self, partitions: Vec<TopicPartition>, leaves: Leaves, now: Instant, beat: bool) {
        let (mut together, mut alone) = (Vec::new(), Vec::new());
        for partition in partitions {
            let Some(lane) = self.lanes.get_mut(&partition) else { continue };
            let held_up = lane.waiting.may_be_held_up();
            let leaving = lane.depart(if held_up { Leaves::All } else { leaves }, now, beat);
            self.in_flight_bytes.insert(partition, leaving.batch.bytes());
            if held_up { &mut alone } else { &mut together }.push(leaving);
        }
        alone.into_iter().for_each(|lane| self.send_off(vec![lane], Leaves::All, beat, false));
        if !together.is_empty() {
            self.convoys += 1;
            self.send_off(together, leaves, beat, true);
        }
    }

    fn send_off(&mut self, lanes: Vec<Leaving>, leaves: Leaves, beat: bool, convoy: bool) {
        let takes = |bucket: &Bucket| beat && leaves.takes(Turn::of(*bucket));
        let (expire, later) = std::mem::take(&mut self.expire).into_iter().partition(|(bucket, _)| takes(bucket));
        self.expire = later;
        let departure = Departure { lanes, partitions: self.partitions, tidies: beat, expire };
        let partitions = departure.lanes.iter().map(|lane| lane.partition.clone()).collect();
        let tools = Arc::clone(&self.worker.tools);
        self.jobs.spawn(async move { Job { partitions, convoy, landed: tools.run(departure).await } });
    }

    pub(super) fn land(&mut self, landed: Result<Job, JoinError>) -> Result<(), Failure> {
        let landed = landed.map_err(|error| Failure::Defect(format!("a flush ({error})")))?;
        let Job { partitions, convoy, landed } = landed;
        self.convoys -= usize::from(convoy);
        self.in_flight_bytes.retain(|partition, _| !partitions.contains(partition));
        let Landing { lanes, expired } = landed?;
        self.expire.extend(expired);
        for partition in partitions {
            if let Some(lane) = self.lanes.get_mut(&partition) {
                lane.land(lanes.get(&partition).map_or(&[], Vec::as_slice), clock::instant());
            }
        }
        Ok(())
    }
}
