//! Servers of the Redis Cluster that die, go back in time, hand over slots, forget scripts and are full.

use std::time::Duration;

use rand::Rng;
use rand::seq::IndexedRandom;

use super::Soak;
use crate::support::redis_cluster::SHARDS;

/// From here on it is worth going back to a state.
const OLD: Duration = Duration::from_secs(6);

impl Soak<'_> {
    pub(super) fn shard(&mut self) -> usize {
        self.rng.random_range(0..SHARDS)
    }

    /// Its replica is promoted, which may lack the last writes. The dead one comes back as a replica.
    pub(super) fn kill_master(&mut self) {
        let shard = self.shard();
        let redis = &mut self.stage.redis;
        self.traffic.while_going_back(|| {
            let dead = redis.fail_over(shard);
            redis.nodes[dead].restart();
            redis.await_whole();
        });
    }

    pub(super) fn restore_shard(&mut self) {
        let snapshot = self.snapshot.take().expect("one is taken before every fault");
        std::thread::sleep(OLD.saturating_sub(snapshot.taken.elapsed()));
        let redis = &mut self.stage.redis;
        self.traffic.while_going_back(|| redis.restore(&snapshot));
    }

    pub(super) fn migrate_slot(&mut self) {
        let from = self.shard();
        let to = (from + self.rng.random_range(1..SHARDS)) % SHARDS;
        let redis = &self.stage.redis;
        let states: Vec<String> = redis.nodes[redis.master(from)].ask("KEYS", &["indelible:*:state"]);
        let state = states.choose(&mut self.rng).expect("a shard has some of the buckets");
        redis.migrate(state, from, to, || std::thread::sleep(Duration::from_millis(20)));
        // It is of a shard that had other slots.
        self.snapshot = None;
    }

    pub(super) fn flush_scripts(&mut self) {
        self.stage.redis.masters().for_each(|master| master.ask("SCRIPT", &["FLUSH"]));
    }

    /// Until a worker says that it can't count, and this is why.
    pub(super) fn fill_memory(&mut self) {
        self.calm();
        self.limit_memory("1");
        self.workers.await_red("OOM");
        self.limit_memory("0");
    }

    fn limit_memory(&self, bytes: &str) {
        self.stage.redis.masters().for_each(|master| master.ask("CONFIG", &["SET", "maxmemory", bytes]));
    }
}
