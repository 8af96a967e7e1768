//! Many durations, and what is to be said of them.

use std::time::Duration;

#[derive(Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    /// # Panics
    /// Without any.
    pub(crate) fn new(mut all: Vec<Duration>) -> Self {
        assert!(!all.is_empty(), "nothing was timed");
        all.sort_unstable();
        Self(all)
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The least that so many per mille of all do not exceed.
    pub(crate) fn per_mille(&self, per_mille: usize) -> Duration {
        self.0[(self.0.len() * per_mille / 1000).min(self.0.len() - 1)]
    }

    pub(crate) fn median(&self) -> Duration {
        self.per_mille(500)
    }

    pub(crate) fn p99(&self) -> Duration {
        self.per_mille(990)
    }

    pub(crate) fn longest(&self) -> Duration {
        self.0[self.0.len() - 1]
    }
}
