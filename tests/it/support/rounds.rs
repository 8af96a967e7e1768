//! Events whose sums are known: a round is one event of every user, and the sums after each are plain arithmetic.

use std::fmt::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use chrono::Utc;
use serde_json::{Value, json};

use super::deployment::Deployment;
use super::program::Running;
use super::wait::eventually;

/// Spread over the buckets, a cluster's nodes and the partitions.
const TENANTS: usize = 12;
const USERS: usize = 3;

/// Until what was sent is counted on a busy machine, a new session and a fail-over included.
const CATCH_UP: Duration = Duration::from_secs(90);

/// How many rounds were sent.
#[derive(Debug, Default)]
pub(crate) struct Rounds(AtomicU64);

impl Rounds {
    /// Sends one more, acknowledged by Kafka.
    #[track_caller]
    pub(crate) fn send(&self, deployment: &Deployment) {
        let round = self.0.load(Ordering::Relaxed) + 1;
        let mut lines = String::new();
        for (tenant, user) in everyone() {
            let event = json!({
                "specversion": "1.0", "type": "ai.usage.recorded.v1", "source": "rounds", "id": format!("{user}-{round}"),
                "time": Utc::now().to_rfc3339(),
                "data": {"tenantId": tenant, "userId": user, "assistant": "research", "model": "claude-sonnet-4-5",
                    "tokensIn": 1000 + round, "tokensOut": 1},
            });
            writeln!(lines, "{event}").expect("a string takes all");
        }
        deployment.emit(&lines);
        self.0.store(round, Ordering::Relaxed);
    }

    /// Sends rounds for as long as `meanwhile` runs, and one more after it.
    #[track_caller]
    pub(crate) fn flow<T>(&self, deployment: &Deployment, meanwhile: impl FnOnce() -> T) -> T {
        let (over, begun) = (AtomicBool::new(false), self.0.load(Ordering::Relaxed));
        std::thread::scope(|scope| {
            let sender = scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    self.send(deployment);
                }
                self.send(deployment);
            });
            let end = End(&over);
            eventually(CATCH_UP, "the first round to be sent", || (self.sent() > begun).then_some(()));
            let result = meanwhile();
            drop(end);
            sender.join().expect("every round is sent");
            result
        })
    }

    pub(crate) fn sent(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Waits until one more round than now is counted of everyone: what happened before is overcome.
    #[track_caller]
    pub(crate) fn await_progress(&self, running: &Running) {
        let wanted = self.sent() + 1;
        eventually(CATCH_UP, "the counts to go on", || (least(running)? >= wanted).then_some(()));
    }

    /// Waits until the last round of everyone is counted, and compares every sum. A user's events are in one
    /// partition, in order: whatever was to be replayed has been by then.
    #[track_caller]
    pub(crate) fn check(&self, running: &Running) {
        self.check_without(running, &[]);
    }

    /// The same where some rounds are lost for good.
    #[track_caller]
    pub(crate) fn check_without(&self, running: &Running, lost: &[u64]) {
        let rounds: Vec<u64> = (1..=self.sent()).filter(|round| !lost.contains(round)).collect();
        let count = rounds.len() as u64;
        eventually(CATCH_UP, &format!("{count} rounds to be counted"), || (least(running)? >= count).then_some(()));
        let sums = json!([count, rounds.iter().map(|round| 1000 + round).sum::<u64>(), count]);
        for (tenant, user) in everyone() {
            let month = stats(running, &tenant, &user).expect("the API answers");
            assert_eq!(json!([month["requests"], month["tokensIn"], month["tokensOut"]]), sums, "{tenant} {user}");
        }
    }
}

/// Set when dropped, also by a panic: the sender's thread must end or the scope never does.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn everyone() -> impl Iterator<Item = (String, String)> {
    (0..TENANTS).flat_map(|tenant| (0..USERS).map(move |user| (format!("tenant{tenant}"), format!("user{user}"))))
}

fn stats(running: &Running, tenant: &str, user: &str) -> Option<Value> {
    let answer = running.get(&format!("/v1/tenants/{tenant}/users/{user}/stats"));
    (answer.status == 200).then(|| answer.json()["allTime"].clone())
}

/// How many requests the user with the fewest has; none while the API can't say.
fn least(running: &Running) -> Option<u64> {
    everyone().map(|(tenant, user)| stats(running, &tenant, &user)?["requests"].as_u64()).min().flatten()
}
