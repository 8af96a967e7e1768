//! Every bound of the worker in one place.

use std::time::Duration;

/// Bounds on what the worker holds and how long it waits.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Events of one partition in a batch.
    pub batch_events: usize,
    /// Record bytes of one partition in a batch.
    pub batch_bytes: usize,
    /// An event waits this long for others before its batch is flushed: most of what a reader sees as delay.
    pub batch_age: Duration,
    /// The same while a partition is further behind than `backlog`: the more events a call has, the less each costs, and
    /// who is behind gets on sooner.
    pub backlog_age: Duration,
    /// In records.
    pub backlog: i64,
    /// Record bytes held over all partitions, waiting or in flight; above it nothing is read from Kafka.
    pub held_bytes: usize,
    /// Events in one call of the script, which keeps Redis from all others meanwhile.
    pub call_events: usize,
    /// Convoys that are under way at once. While one waits for the store, another one can be added up.
    pub convoys_at_once: usize,
    /// Calls of one convoy that are under way at once.
    pub calls_at_once: usize,
    /// Every bucket's watermark moves at least this often, also when it has no events.
    pub beat: Duration,
    /// How often the ends of the partitions are asked for, and offsets committed for lag tools.
    pub probe: Duration,
    /// Between two tries of a call that failed: from the first to the last, doubling.
    pub retry: (Duration, Duration),
    /// Lag without progress for this long is not ready.
    pub stall: Duration,
    /// Kafka holds records and gives none for this long, with room for them: the session is begun anew.
    pub stuck: Duration,
    /// Kafka gives no sign for this long, neither of the group nor of any partition: likewise.
    pub deaf: Duration,
    /// A revoked partition's batch is given this long to end.
    pub revoke: Duration,
    /// One question to Kafka about a partition (its ends, its commits).
    pub ask_kafka: Duration,
}

impl Limits {
    /// What a deployment runs with.
    pub const STANDARD: Self = Self {
        // The client may hand over one partition for a long time before it goes on to the next.
        batch_events: 49_152,
        batch_bytes: 24 << 20,
        batch_age: Duration::from_millis(40),
        backlog_age: Duration::from_millis(500),
        backlog: 8192,
        held_bytes: 80 << 20,
        // As many as the script takes; of more the store says that it is too large, and the span is halved.
        call_events: 4000,
        convoys_at_once: 2,
        calls_at_once: 16,
        beat: Duration::from_secs(2),
        probe: Duration::from_secs(1),
        retry: (Duration::from_millis(50), Duration::from_secs(2)),
        stall: Duration::from_secs(30),
        stuck: Duration::from_secs(30),
        deaf: Duration::from_secs(45),
        revoke: Duration::from_secs(10),
        ask_kafka: Duration::from_secs(10),
    };
}

/// Partitions in one call of the script.
pub const CALL_PARTITIONS: usize = 500;

/// Records in one chunk from the poll thread, and chunks between it and the worker.
pub const CHUNK_RECORDS: usize = 1024;
pub const CHUNK_BYTES: usize = 1 << 20;
pub const CHUNKS_WAITING: usize = 4;
