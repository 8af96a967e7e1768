//! Workers that come and go, in order and not.

use std::time::{Duration, Instant};

use rand::Rng;

use super::{Soak, WORKERS};

/// Until the group has noticed that a member stands still: its session time-out and some.
const ZOMBIE: Duration = Duration::from_secs(9);

impl Soak<'_> {
    fn some_worker(&mut self) -> usize {
        self.rng.random_range(0..self.workers.count())
    }

    pub(super) fn kill_worker(&mut self) {
        let at = self.some_worker();
        self.workers.kill(at);
        self.workers.launch(&self.stage);
    }

    /// It is woken when others have its partitions.
    pub(super) fn freeze_worker(&mut self) {
        let at = self.some_worker();
        self.workers.freeze(at, Instant::now() + ZOMBIE);
    }

    pub(super) fn add_worker(&mut self) {
        if self.workers.count() > WORKERS {
            self.remove_worker();
        }
        self.workers.launch(&self.stage);
    }

    pub(super) fn remove_worker(&mut self) {
        let at = self.some_worker();
        self.workers.remove(at);
        if self.workers.count() < WORKERS - 1 {
            self.workers.launch(&self.stage);
        }
    }
}
