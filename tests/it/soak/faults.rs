//! What can break, and in which order.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;

use super::Soak;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    WorkerKilled,
    WorkerZombie,
    WorkerAdded,
    WorkerRemoved,
    RedisMasterKilled,
    RedisRestored,
    SlotMigrated,
    ScriptsFlushed,
    MemoryFull,
    ReplyCut,
    HalfOpen,
    Latency,
    BrokerKilled,
    CoordinatorMoved,
}

impl Fault {
    pub(super) const ALL: [Self; 14] = [
        Self::WorkerKilled,
        Self::WorkerZombie,
        Self::WorkerAdded,
        Self::WorkerRemoved,
        Self::RedisMasterKilled,
        Self::RedisRestored,
        Self::SlotMigrated,
        Self::ScriptsFlushed,
        Self::MemoryFull,
        Self::ReplyCut,
        Self::HalfOpen,
        Self::Latency,
        Self::BrokerKilled,
        Self::CoordinatorMoved,
    ];
}

/// Every kind comes up once before any comes again.
#[derive(Default)]
pub(super) struct Order(Vec<Fault>);

impl Order {
    pub(super) fn next(&mut self, rng: &mut StdRng) -> Fault {
        if self.0.is_empty() {
            self.0 = Fault::ALL.to_vec();
        }
        let fault = *self.0.choose(rng).expect("a fault is left");
        self.0.retain(|other| *other != fault);
        fault
    }
}

impl Soak<'_> {
    pub(super) fn fault(&mut self, fault: Fault) {
        match fault {
            Fault::WorkerKilled => self.kill_worker(),
            Fault::WorkerZombie => self.freeze_worker(),
            Fault::WorkerAdded => self.add_worker(),
            Fault::WorkerRemoved => self.remove_worker(),
            Fault::RedisMasterKilled => self.kill_master(),
            Fault::RedisRestored => self.restore_shard(),
            Fault::SlotMigrated => self.migrate_slot(),
            Fault::ScriptsFlushed => self.flush_scripts(),
            Fault::MemoryFull => self.fill_memory(),
            Fault::ReplyCut => self.cut_replies(),
            Fault::HalfOpen => self.silence(),
            Fault::Latency => self.slow_down(),
            Fault::BrokerKilled => self.kill_broker(),
            Fault::CoordinatorMoved => self.move_coordinator(),
        }
    }
}
