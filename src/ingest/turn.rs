//! Buckets leave in turns: a convoy takes every fourth of them, and what comes for the others meanwhile still goes with
//! them. So an event waits for a quarter of the calls that are under way when it comes, and not for all.

use crate::domain::bucket::Bucket;

/// How many there are. With one it would be all buckets at a time.
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
