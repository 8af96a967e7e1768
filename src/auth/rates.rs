//! How many requests a second a credential may make: a bucket of tokens for each, in a table that can't grow beyond bounds.
//!
//! A bucket is one number, the instant at which it is full again (the generic cell rate algorithm).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many credentials have a bucket of their own at a time; more share one.
const MAX_BUCKETS: usize = 10_000;

/// The buckets of all credentials.
#[derive(Debug, Default)]
pub struct Rates {
    full_at: Mutex<HashMap<String, Instant>>,
}

impl Rates {
    /// Takes a token of a bucket that holds those of one second.
    ///
    /// # Errors
    /// How long until there is one.
    pub fn take(&self, credential: &str, per_second: u32, now: Instant) -> Result<(), Duration> {
        let one = Duration::from_secs(1) / per_second.max(1);
        // A lock that a panic left behind holds whole entries: each change is one insert.
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let name = if full_at.contains_key(credential) || has_room(&mut full_at, now) { credential } else { "" };
        let full = full_at.get(name).copied().unwrap_or(now).max(now) + one;
        let ahead = full - now;
        if let Some(wait) = ahead.checked_sub(Duration::from_secs(1)).filter(|wait| !wait.is_zero()) {
            return Err(wait);
        }
        match full_at.get_mut(name) {
            Some(known) => *known = full,
            None => drop(full_at.insert(name.to_owned(), full)),
        }
        Ok(())
    }
}

/// A full bucket says nothing that a new one doesn't, so all of those go when the table is full: within a second of their
/// last request.
fn has_room(full_at: &mut HashMap<String, Instant>, now: Instant) -> bool {
    if full_at.len() >= MAX_BUCKETS {
        full_at.retain(|_, full| *full > now);
    }
    full_at.len() < MAX_BUCKETS
}

#[cfg(test)]
#[path = "../../tests/unit/auth/rates.rs"]
mod tests;
