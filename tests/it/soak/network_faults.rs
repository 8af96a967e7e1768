//! What networks do to the connections between the workers, the API and Redis.

use std::time::Duration;

use rand::Rng;

use super::Soak;
use crate::support::proxy::Mode;
use crate::support::wait::{START, eventually};

const LATENCY: Duration = Duration::from_millis(300);
/// A slow network lasts this long, and one that is silent: longer than a worker waits for an answer.
const STORM: Duration = Duration::from_secs(7);

impl Soak<'_> {
    pub(super) fn calm(&self) {
        self.stage.redis.proxies.iter().for_each(|proxy| proxy.set(Mode::Pass));
    }

    /// Cuts some connections after a call has gone through and before its reply has.
    pub(super) fn cut_replies(&mut self) {
        self.calm();
        let proxies = &self.stage.redis.proxies;
        let cut = || proxies.iter().map(|proxy| proxy.cut()).sum::<u64>();
        let (before, wanted) = (cut(), self.rng.random_range(1..6));
        proxies.iter().for_each(|proxy| proxy.set(Mode::Cut));
        eventually(START, "connections to be cut", || (cut() >= before + wanted).then_some(()));
        self.calm();
    }

    /// One node's connections are half-open for a while, and those that were open then are so for ever.
    pub(super) fn silence(&mut self) {
        self.calm();
        let shard = self.shard();
        let master = self.stage.redis.master(shard);
        let mode = if self.rng.random() { Mode::Silent } else { Mode::Mute };
        self.stage.redis.proxies[master].set_for(mode, STORM);
    }

    pub(super) fn slow_down(&mut self) {
        self.calm();
        self.stage.redis.proxies.iter().for_each(|proxy| proxy.set_for(Mode::Slow(LATENCY), STORM));
    }
}
