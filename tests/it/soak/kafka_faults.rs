//! Brokers that die, and a group coordinator that moves.

use rand::Rng;

use super::Soak;
use crate::support::kafka_cluster::BROKERS;

impl Soak<'_> {
    pub(super) fn kill_broker(&mut self) {
        let broker = self.rng.random_range(0..BROKERS);
        self.stage.kafka.kill(broker);
        self.stage.kafka.restart(broker);
    }

    /// The broker that coordinates the group hands it over, and goes for a while.
    pub(super) fn move_coordinator(&mut self) {
        let before = self.stage.coordinator();
        self.stage.kafka.stop(before);
        assert_ne!(self.stage.coordinator(), before, "the group has the coordinator that is gone");
        self.stage.kafka.restart(before);
    }
}
