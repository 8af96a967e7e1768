//! Readiness: every part holds a latch and must keep renewing it. A part that is stuck cannot renew, so it
//! turns red by itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Clone)]
enum State {
    /// Fine, if renewed before this instant.
    Ready {
        until: Instant,
    },
    NotReady {
        why: String,
    },
}

/// All parts of the process that must be well for it to serve.
#[derive(Debug, Clone, Default)]
pub struct Health {
    parts: Arc<Mutex<BTreeMap<&'static str, State>>>,
}

/// One part's hold on the readiness of the process.
#[derive(Debug, Clone)]
pub struct Latch {
    part: &'static str,
    health: Health,
}

impl Health {
    /// Registers a part, not ready yet.
    pub fn part(&self, part: &'static str) -> Latch {
        let latch = Latch { part, health: self.clone() };
        latch.not_ready("is starting");
        latch
    }

    /// What keeps the process from being ready, by part; empty when it is ready.
    pub fn complaints(&self, now: Instant) -> BTreeMap<&'static str, String> {
        let parts = self.parts(now).into_iter();
        parts.filter_map(|(part, complaint)| Some((part, complaint?))).collect()
    }

    /// Every part with what keeps it from being ready.
    pub fn parts(&self, now: Instant) -> BTreeMap<&'static str, Option<String>> {
        self.lock().iter().map(|(part, state)| (*part, complaint(state, now))).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, State>> {
        // A panic while holding it leaves a whole map behind: each change is one insert.
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn complaint(state: &State, now: Instant) -> Option<String> {
    match state {
        State::Ready { until } if *until >= now => None,
        State::Ready { until } => {
            Some(format!("gave no sign of life for {} s more than it may", (now - *until).as_secs()))
        }
        State::NotReady { why } => Some(why.clone()),
    }
}

impl Latch {
    /// Is well, and will say so again within `renew_within` of `now`.
    pub fn ready(&self, now: Instant, renew_within: Duration) {
        self.health.lock().insert(self.part, State::Ready { until: now + renew_within });
    }

    /// Is not well; `why` completes "worker …".
    pub fn not_ready(&self, why: impl Into<String>) {
        self.health.lock().insert(self.part, State::NotReady { why: why.into() });
    }
}

#[cfg(test)]
#[path = "../../tests/unit/ops/health.rs"]
mod tests;
