//! How much of everything: enough for figures, or just enough to see that it runs.

use std::time::Duration;

#[derive(Debug, Clone)]
pub(crate) struct Size {
    /// Of the skewed backlog.
    pub(crate) skewed: u64,
    /// Records between two marks of a backlog's cost.
    pub(crate) mark: u64,
    /// Of the backlog of as many users as events, and of that of one tenant.
    pub(crate) different: u64,
    pub(crate) one_tenant: u64,
    /// Of the backlogs that are counted more than once: with the rated topic, through a recorder, by several workers.
    pub(crate) lesser: u64,
    /// A second while events come in steadily.
    pub(crate) rate: u64,
    pub(crate) steady: Duration,
    /// The longest wait for Kafka to be warm, before anything is measured beside what comes in steadily.
    pub(crate) warm: Duration,
    /// Of each number of connections.
    pub(crate) read: Duration,
    /// Reads a second beside a backlog: as many as are to be shown.
    pub(crate) reads: u64,
    /// Users stored when memory is measured, and ids.
    pub(crate) users: u64,
    pub(crate) ids: u64,
    /// None: what another row has left.
    pub(crate) restart: Option<u64>,
    /// Whether a worker is killed, too, which takes as long as Kafka waits for it.
    pub(crate) killed: bool,
    /// Workers, or Redis nodes.
    pub(crate) scale: &'static [usize],
}

impl Size {
    pub(crate) fn full() -> Self {
        Self {
            skewed: 5_000_000,
            mark: 1_000_000,
            different: 2_000_000,
            one_tenant: 2_000_000,
            lesser: 500_000,
            rate: 20_000,
            steady: Duration::from_secs(60),
            warm: Duration::from_secs(120),
            read: Duration::from_secs(8),
            reads: 15_000,
            users: 200_000,
            ids: 2_000_000,
            restart: None,
            killed: true,
            scale: &[1, 2, 4],
        }
    }

    pub(crate) fn small() -> Self {
        Self {
            skewed: 20_000,
            mark: 5_000,
            different: 5_000,
            one_tenant: 5_000,
            lesser: 5_000,
            rate: 500,
            steady: Duration::from_secs(2),
            warm: Duration::from_millis(500),
            read: Duration::from_millis(500),
            reads: 200,
            users: 2_000,
            ids: 6_000,
            restart: None,
            killed: false,
            scale: &[2],
        }
    }
}
