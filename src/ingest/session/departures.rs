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
use crate::ingest::turn::{Turn, Turns};
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
        let age = self.batch_age();
        let is_due = |lane: &Lane| lane.due_at(turn, now, &limits, age).is_some_and(|at| at <= now);
        let goes = |lane: &Lane| self.may_depart(lane, turn) && (lane.waiting.waits_for(turn) || is_due(lane));
        let ready = self.lanes.values().filter(|lane| goes(lane)).map(|lane| lane.partition.clone()).collect();
        let beat = self.lanes.values().any(|lane| is_due(lane) && lane.beats(turn, now, &limits));
        self.depart(ready, turn.into(), now, beat);
    }

    /// The turn that is due next, and when.
    pub(super) fn next_turn(&self, now: Instant) -> Option<(Instant, Turn)> {
        let (limits, age) = (&self.worker.tools.limits, self.batch_age());
        self.who_may_depart().filter_map(|(lane, turn)| Some((lane.due_at(turn, now, limits, age)?, turn))).min()
    }

    /// The turn for which something has waited the longest.
    fn longest_waiting(&self) -> Option<Turn> {
        let since = |(lane, turn): (&Lane, Turn)| Some((lane.waiting.waits_since(turn)?, turn));
        self.who_may_depart().filter_map(since).min().map(|(_, turn)| turn)
    }

    fn who_may_depart(&self) -> impl Iterator<Item = (&Lane, Turn)> {
        let turns = |lane| Turn::all().map(move |turn| (lane, turn));
        self.lanes.values().flat_map(turns).filter(|(lane, turn)| self.may_depart(lane, *turn))
    }

    /// A few convoys at a time: what comes meanwhile makes up the next, and the busier the store is, the larger that gets.
    /// A lane that is held up goes alone anyway.
    pub(super) fn may_depart(&self, lane: &Lane, turn: Turn) -> bool {
        let has_room = self.convoys < self.worker.tools.limits.convoys_at_once;
        lane.may_depart(turn.into()) && (has_room || lane.waiting.may_be_held_up())
    }

    /// How long an event may wait for others.
    fn batch_age(&self) -> Duration {
        let limits = &self.worker.tools.limits;
        let is_far_behind = self.lanes.values().any(|lane| lane.is_far_behind(limits));
        if is_far_behind { limits.backlog_age } else { limits.batch_age }
    }

    /// Sends off partitions together, but for those that something may hold up: each of them waits for itself alone.
    pub(super) fn depart(&mut self, partitions: Vec<TopicPartition>, leaves: Turns, now: Instant, beat: bool) {
        let (mut together, mut alone) = (Vec::new(), Vec::new());
        for partition in partitions {
            let Some(lane) = self.lanes.get_mut(&partition) else { continue };
            let held_up = lane.waiting.may_be_held_up();
            if held_up { &mut alone } else { &mut together }.push(lane.depart(leaves, now, beat));
        }
        alone.into_iter().for_each(|lane| self.send_off(vec![lane], Turns::ALL, beat, false));
        if !together.is_empty() {
            self.convoys += 1;
            self.send_off(together, leaves, beat, true);
        }
    }

    fn send_off(&mut self, lanes: Vec<Leaving>, leaves: Turns, beat: bool, convoy: bool) {
        let takes = |bucket: &Bucket| beat && leaves.has(Turn::of(*bucket));
        let (expire, later) = std::mem::take(&mut self.expire).into_iter().partition(|(bucket, _)| takes(bucket));
        self.expire = later;
        let partitions = lanes.iter().map(|lane| lane.partition.clone()).collect();
        let bytes = lanes.iter().map(|lane| lane.batch.bytes()).sum();
        let departure = Departure { lanes, partitions: self.partitions, tidies: beat, expire };
        self.in_flight_bytes += bytes;
        let tools = Arc::clone(&self.worker.tools);
        self.jobs.spawn(async move { Job { partitions, leaves, bytes, convoy, landed: tools.run(departure).await } });
    }

    pub(super) fn land(&mut self, landed: Result<Job, JoinError>) -> Result<(), Failure> {
        let landed = landed.map_err(|error| Failure::Defect(format!("a flush ({error})")))?;
        let Job { partitions, leaves, bytes, convoy, landed } = landed;
        self.convoys -= usize::from(convoy);
        self.in_flight_bytes -= bytes;
        let Landing { lanes, expired } = landed?;
        self.expire.extend(expired);
        for partition in partitions {
            if let Some(lane) = self.lanes.get_mut(&partition) {
                lane.land(leaves, lanes.get(&partition).map_or(&[], Vec::as_slice), clock::instant());
            }
        }
        Ok(())
    }
}
