//! What is in the way of counting, and tries until it is not: for readiness, and so that a line says it once.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::limits::Limits;

/// What keeps us from counting, for readiness, with how many wait because of it: the success of one says nothing of
/// another, which may need another partition, another node or the dead-letter topic.
#[derive(Debug, Default)]
pub struct Trouble(Mutex<BTreeMap<String, usize>>);

impl Trouble {
    /// What is wrong now.
    pub fn get(&self) -> Option<String> {
        self.lock().keys().next().cloned()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tries of one thing until it succeeds or nobody wants it any more; then its trouble is gone, too.
pub(super) struct Tries<'a> {
    trouble: &'a Trouble,
    met: Option<String>,
    pause: Duration,
    longest: Duration,
}

impl<'a> Tries<'a> {
    pub(super) fn new(trouble: &'a Trouble, limits: &Limits) -> Self {
        Self { trouble, met: None, pause: limits.retry.0, longest: limits.retry.1 }
    }

    /// Notes what is wrong; true when it is news.
    pub(super) fn failed(&mut self, what: String) -> bool {
        if self.met.as_ref() == Some(&what) {
            return false;
        }
        self.end();
        let mut trouble = self.trouble.lock();
        let waiting = trouble.entry(what.clone()).or_default();
        *waiting += 1;
        self.met = Some(what);
        *waiting == 1
    }

    pub(super) fn succeeded(&mut self) {
        if let Some(what) = self.end() {
            tracing::info!(was = what, "working again");
        }
    }

    /// Returns what was wrong if nobody waits because of it any more.
    fn end(&mut self) -> Option<String> {
        let what = self.met.take()?;
        let mut trouble = self.trouble.lock();
        let waiting = trouble.get_mut(&what)?;
        *waiting -= 1;
        if *waiting > 0 {
            return None;
        }
        trouble.remove(&what);
        Some(what)
    }

    /// Each wait is twice as long as the one before.
    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(self.longest);
    }
}

impl Drop for Tries<'_> {
    fn drop(&mut self) {
        self.end();
    }
}
