//! Buckets leave in turns: a convoy takes every eighth of them, and what comes for the others meanwhile still goes with
//! them. So an event waits until it is its bucket's turn, and not for that and for all other buckets once more.

use crate::domain::bucket::Bucket;

/// How many there are; with one, all buckets would leave at a time.
pub const TURNS: usize = 8;

/// Some of the buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn(usize);

impl Turn {
    pub fn of(bucket: Bucket) -> Self {
        Self(bucket.index() % TURNS)
    }

    pub fn all() -> impl Iterator<Item = Self> {
        (0..TURNS).map(Self)
    }

    /// Below [`TURNS`].
    pub fn index(self) -> usize {
        self.0
    }
}

/// A set of turns: whose turn it is, or who is on the way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Turns([bool; TURNS]);

impl Turns {
    /// What waits for itself alone, and what is let go of.
    pub const ALL: Self = Self([true; TURNS]);

    pub fn are_none(self) -> bool {
        !self.0.contains(&true)
    }

    pub fn has(self, turn: Turn) -> bool {
        self.0[turn.index()]
    }

    /// Whether some turn is in both.
    pub fn meet(self, others: Self) -> bool {
        Turn::all().any(|turn| self.has(turn) && others.has(turn))
    }

    pub fn add(&mut self, others: Self) {
        Turn::all().filter(|turn| others.has(*turn)).for_each(|turn| self.0[turn.index()] = true);
    }

    pub fn remove(&mut self, others: Self) {
        Turn::all().filter(|turn| others.has(*turn)).for_each(|turn| self.0[turn.index()] = false);
    }
}

impl From<Turn> for Turns {
    fn from(turn: Turn) -> Self {
        let mut turns = Self::default();
        turns.0[turn.index()] = true;
        turns
    }
}
