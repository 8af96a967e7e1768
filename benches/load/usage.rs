//! Processor time of the parts of a deployment, at one moment or between two.

use crate::process::Cpu;
use crate::support::deployment::Deployment;
use crate::support::kafka::Kafka;
use crate::support::program::Running;

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Usage {
    /// All workers together.
    pub(crate) workers: Cpu,
    /// All servers of Redis together.
    pub(crate) redis: Cpu,
    pub(crate) kafka: Cpu,
}

impl Usage {
    pub(crate) fn now(deployment: &Deployment, workers: &[Running]) -> Self {
        Self {
            workers: workers.iter().map(|worker| Cpu::of(worker.child.pid())).sum(),
            redis: deployment.servers().map(|server| Cpu::of(server.pid().expect("it runs"))).sum(),
            kafka: Cpu::of(Kafka::shared().pid().expect("it runs")),
        }
    }
}

impl std::ops::Sub for Usage {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            workers: self.workers - earlier.workers,
            redis: self.redis - earlier.redis,
            kafka: self.kafka - earlier.kafka,
        }
    }
}
