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

/// Whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaves {
    One(Turn),
    /// What waits for itself alone, and what is let go of.
    All,
}

impl Leaves {
    pub fn takes(self, turn: Turn) -> bool {
        match self {
            Self::One(one) => one == turn,
            Self::All => true,
        }
    }
}
